import type { Call } from '../../http/provider.ts';
import { notModelled } from '../../model/arm-error.ts';
import type { Answer, Json } from '../../model/contract.ts';
import type { Resource } from '../../model/entities.ts';
import type { World } from '../../world/world.ts';
import { detachNic, removeNic } from './nics.ts';
import { pollBudgets } from './vm-budgets.ts';
import { rejectIfMatch } from './vm-put.ts';
import { vmStateOf, deletedVms } from './vm.ts';

export function deleteVm(call: Call): Answer {
  const { world } = call;
  rejectIfMatch(call);
  const forced = call.query['forcedeletion']?.toLowerCase() ?? 'false';
  if (forced !== 'true' && forced !== 'false') throw notModelled(`forceDeletion=${forced}`);
  const force = forced === 'true';
  const existing = world.resources.get(call.resourceId);
  if (existing === undefined) return { status: 204 };
  const vm = vmStateOf(existing);
  vm.generation += 1;
  existing.body['properties'].provisioningState = 'Deleting';
  return call.accept({
    family: 'compute',
    // "forceDeletion shortens it" (REST reference); half is an assumption.
    latency: force ? world.latency('vmDelete') / 2 : 'vmDelete',
    status: 202,
    location: existing.body['location'],
    resourceId: existing.id,
    name: 'DeleteVMOperation',
    pollBudgets: pollBudgets(call),
    complete: () => {
      if (world.resources.get(existing.id) !== existing) return;
      world.resources.remove(existing.id);
      deletedVms(world).set(existing.id.toLowerCase(), world.clock.now());
      applyDeleteOptions(world, existing);
    },
    failed: (error) => {
      vm.failure = error;
      existing.body['properties'].provisioningState = 'Failed';
    },
  });
}

/** Applies the delete options and removes the system-assigned identity, whose role assignments remain. */
function applyDeleteOptions(world: World, vm: Resource): void {
  const properties: Json = vm.body['properties'];
  const storage: Json = properties['storageProfile'];
  for (const disk of [storage['osDisk'], ...storage['dataDisks']] as Json[]) {
    const resource = world.resources.get(disk['managedDisk'].id);
    if (resource === undefined) continue;
    if (disk['deleteOption'] === 'Delete') {
      world.resources.remove(resource.id);
    } else {
      delete resource.body['managedBy'];
      resource.body['properties'].diskState = 'Unattached';
      resource.internal['attachedTo'] = undefined;
    }
  }
  for (const nic of properties['networkProfile'].networkInterfaces as Json[]) {
    if (nic['properties']?.deleteOption === 'Delete') removeNic(world, nic['id']);
    else detachNic(world, nic['id'], vm.id);
  }
  const principal: unknown = vm.body['identity']?.principalId;
  if (typeof principal === 'string') world.removePrincipal(principal);
}
