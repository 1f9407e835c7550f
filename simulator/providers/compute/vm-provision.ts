import type { Call } from '../../http/provider.ts';
import type { Answer, Json, OperationFailure } from '../../model/contract.ts';
import type { Resource } from '../../model/entities.ts';
import type { World } from '../../world/world.ts';
import { detachNic, reserveNic } from './nics.ts';
import { osProvisioningTimedOut, settings } from './settings.ts';
import { pollBudgets } from './vm-budgets.ts';
import { vmStateOf, type VmRequest } from './vm.ts';

/** Starts the operation that allocates and boots a VM. `answer` is the answer to the PUT. */
export function startProvisioning(
  call: Call,
  resource: Resource,
  request: VmRequest,
  answer: { readonly status: number; readonly body: Json },
): Answer {
  const { world } = call;
  const vm = vmStateOf(resource);
  const { generation } = vm;
  const isCurrent = (): boolean => world.resources.get(resource.id) === resource && vm.generation === generation;
  const { failure, latency } = nextOutcome(world, resource, request);
  return call.accept({
    family: 'compute',
    latency,
    ...answer,
    location: request.location,
    resourceId: resource.id,
    name: 'PutVMOperation',
    pollBudgets: pollBudgets(call),
    failure,
    complete: () => {
      if (isCurrent()) markProvisioned(world, resource);
      else markPreempted(world, resource.id);
    },
    failed: (error) => {
      if (isCurrent()) markFailed(world, resource, error);
    },
  });
}

function markProvisioned(world: World, resource: Resource): void {
  const vm = vmStateOf(resource);
  const now = world.clock.now();
  vm.allocated = true;
  vm.failure = undefined;
  vm.provisionedAt = now;
  vm.changedAt = now;
  vm.powerState = 'running';
  vm.guest = true;
  vm.agentReadyAt = now + settings(world).agentDelay;
  resource.body['properties'].provisioningState = 'Succeeded';
}

function markFailed(world: World, resource: Resource, error: OperationFailure): void {
  const vm = vmStateOf(resource);
  const now = world.clock.now();
  const booted = error.code.startsWith('OSProvisioning');
  vm.failure = error;
  vm.changedAt = now;
  vm.allocated = booted;
  vm.powerState = booted ? 'running' : undefined;
  const properties: Json = resource.body['properties'];
  properties['provisioningState'] = 'Failed';
  const until = now + settings(world).nicReservation;
  for (const { id } of properties['networkProfile'].networkInterfaces as Json[]) {
    reserveNic(world, id, { vm: resource.id, until });
    if (!booted) detachNic(world, id, resource.id);
  }
}

/** Failure, if any, and duration of the provisioning operation. */
function nextOutcome(
  world: World,
  resource: Resource,
  request: VmRequest,
): { failure: OperationFailure | undefined; latency: string | number } {
  const windows = request.image.osType === 'Windows';
  if (request.failure !== undefined) return { failure: request.failure, latency: 20 };
  const configured = takeConfiguredFailure(world, resource.body['name']);
  if (configured === undefined) {
    return { failure: undefined, latency: windows ? 'vmPutWindows' : 'vmPutLinux' };
  }
  return { failure: configured.failure, latency: configured.afterSeconds ?? (windows ? 2400 : 1200) };
}

/** The first entry of `settings(world).provisioning` that applies to the VM; counts down its `times`. */
function takeConfiguredFailure(
  world: World,
  vmName: string,
): { failure: OperationFailure; afterSeconds: number | undefined } | undefined {
  for (const entry of settings(world).provisioning) {
    if (entry.vm !== undefined && !entry.vm.test(vmName)) continue;
    if (entry.times !== undefined) {
      if (entry.times <= 0) continue;
      entry.times -= 1;
    }
    const needsText = entry.failure.code === 'OSProvisioningTimedOut' && entry.failure.message === '';
    const failure = needsText ? osProvisioningTimedOut(vmName) : entry.failure;
    return { failure, afterSeconds: entry.afterSeconds };
  }
  return undefined;
}

/** A PUT superseded by a DELETE ends as OperationPreempted; the text is from public reports. */
function markPreempted(world: World, id: string): void {
  for (const operation of world.operations.all()) {
    if (operation.resourceId !== id || operation.method !== 'PUT' || operation.endsAt > world.clock.now()) continue;
    if (operation.name !== 'PutVMOperation' || operation.error !== undefined) continue;
    const superseded = world.operations
      .all()
      .some(
        (other) =>
          other.startedAt >= operation.startedAt &&
          other.method === 'DELETE' &&
          other.resourceId === id &&
          other.startedAt <= operation.endsAt,
      );
    if (!superseded) continue;
    operation.status = 'Failed';
    operation.error = {
      code: 'OperationPreempted',
      message: 'Operation execution has been preempted by a more recent operation.',
    };
  }
}
