import type { Call } from '../../http/provider.ts';
import type { Answer, Json, OperationFailure } from '../../model/contract.ts';
import type { Resource } from '../../model/entities.ts';
import type { World } from '../../world/world.ts';
import { reserveNic } from './nics.ts';
import { osProvisioningTimedOut, settings } from './settings.ts';
import { pollBudgets } from './vm-budgets.ts';
import { vmStateOf, type VmRequest } from './vm.ts';

/** The operation that places and boots a VM. */
export function startProvisioning(
  call: Call,
  resource: Resource,
  wanted: VmRequest,
  status: number,
  body: Json,
): Answer {
  const { world } = call;
  const machine = vmStateOf(resource);
  const generation = machine.generation;
  const current = (): boolean =>
    world.resources.get(resource.id) === resource && machine.generation === generation;
  const windows = wanted.image.osType === 'Windows';
  const boot = wanted.failure === undefined ? nextProvisioningFailure(world, resource) : undefined;
  const failure = wanted.failure ?? boot?.failure;
  const latency: string | number =
    wanted.failure !== undefined
      ? 20
      : boot !== undefined
        ? (boot.afterSeconds ?? (windows ? 2400 : 1200))
        : windows
          ? 'vmPutWindows'
          : 'vmPutLinux';
  return call.accept({
    family: 'compute',
    latency,
    status,
    body,
    location: wanted.location,
    resourceId: resource.id,
    name: 'PutVMOperation',
    pollBudgets: pollBudgets(call),
    failure,
    complete: () => {
      if (!current()) {
        markPreempted(world, resource.id);
        return;
      }
      const now = world.clock.now();
      machine.allocated = true;
      machine.failure = undefined;
      machine.provisionedAt = now;
      machine.changedAt = now;
      machine.powerState = 'running';
      machine.guest = true;
      machine.agentReadyAt = now + settings(world).agentDelay;
      resource.body['properties'].provisioningState = 'Succeeded';
    },
    failed: (error) => {
      if (!current()) return;
      const now = world.clock.now();
      const booted = error.code.startsWith('OSProvisioning');
      machine.failure = error;
      machine.changedAt = now;
      machine.allocated = booted;
      machine.powerState = booted ? 'running' : undefined;
      resource.body['properties'].provisioningState = 'Failed';
      for (const nic of resource.body['properties'].networkProfile.networkInterfaces as Json[]) {
        reserveNic(world, nic['id'], resource.id, now + settings(world).nicReservation, booted);
      }
    },
  });
}

function nextProvisioningFailure(
  world: World,
  resource: Resource,
): { failure: OperationFailure; afterSeconds?: number } | undefined {
  for (const one of settings(world).provisioning) {
    if (one.vm !== undefined && !one.vm.test(resource.body['name'])) continue;
    if (one.times !== undefined) {
      if (one.times <= 0) continue;
      one.times -= 1;
    }
    const failure =
      one.failure.code === 'OSProvisioningTimedOut' && one.failure.message === ''
        ? osProvisioningTimedOut(resource.body['name'])
        : one.failure;
    return { failure, ...(one.afterSeconds === undefined ? {} : { afterSeconds: one.afterSeconds }) };
  }
  return undefined;
}

/** A creation that a deletion overtook ends as preempted: the text of public reports of OperationPreempted. */
function markPreempted(world: World, id: string): void {
  for (const operation of world.operations.all()) {
    if (operation.resourceId !== id || operation.method !== 'PUT' || operation.endsAt > world.clock.now())
      continue;
    if (operation.name !== 'PutVMOperation' || operation.error !== undefined) continue;
    const superseded = world.operations
      .all()
      .some(
        (one) =>
          one.startedAt >= operation.startedAt &&
          one.method === 'DELETE' &&
          one.resourceId === id &&
          one.startedAt <= operation.endsAt,
      );
    if (!superseded) continue;
    operation.status = 'Failed';
    operation.error = {
      code: 'OperationPreempted',
      message: 'Operation execution has been preempted by a more recent operation.',
    };
  }
}
