// Managed disks. Recorded: disk-attached-delete-409.json.
import type { Call, Route } from '../../http/provider.ts';
import { refuse, resourceNotFound, notModelled } from '../../model/arm-error.ts';
import type { Budget } from '../../model/contract.ts';
import { checkTags } from '../resources/tags.ts';

const type = 'Microsoft.Compute/disks';
const listPath = '/subscriptions/:subscriptionId/resourceGroups/:resourceGroup/providers/Microsoft.Compute/disks';

function deleteBudgets(call: Call): readonly Budget[] {
  return [
    { name: 'Microsoft.Compute/DeleteDisks3Min', key: call.subscription.id, size: 1000, perMinute: 333 },
    { name: 'Microsoft.Compute/DeleteDisks30Min', key: call.subscription.id, size: 8000, perMinute: 266 },
  ];
}

function groupOf(call: Call): string {
  return `/subscriptions/${call.subscription.id}/resourceGroups/${call.params['resourceGroup']}`;
}

export const diskRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: listPath,
    kind: 'disk.list',
    action: 'Microsoft.Compute/disks/read',
    scope: groupOf,
    handle: (call) => ({
      status: 200,
      body: { value: [...call.world.resources.under(groupOf(call), type)].map((disk) => disk.body) },
    }),
  },
  {
    method: 'GET',
    path: `${listPath}/:disk`,
    kind: 'disk.get',
    action: 'Microsoft.Compute/disks/read',
    handle: (call) => {
      const disk = call.world.resources.get(call.resourceId);
      if (disk === undefined) throw resourceNotFound(call.resourceId);
      return { status: 200, body: disk.body };
    },
  },
  {
    method: 'PATCH',
    path: `${listPath}/:disk`,
    kind: 'disk.patch',
    action: 'Microsoft.Compute/disks/write',
    handle: (call) => {
      const disk = call.world.resources.get(call.resourceId);
      if (disk === undefined) throw resourceNotFound(call.resourceId);
      const other = Object.keys(call.body).find((name) => name !== 'tags');
      if (other !== undefined) throw notModelled(`PATCH of '${other}' of a disk`);
      checkTags(call.body['tags']);
      return call.accept({
        family: 'disk',
        latency: 'diskPut',
        status: 202,
        location: disk.body['location'],
        resourceId: disk.id,
        body: { ...disk.body, tags: call.body['tags'] },
        complete: () => {
          disk.body['tags'] = call.body['tags'];
        },
      });
    },
  },
  {
    method: 'DELETE',
    path: `${listPath}/:disk`,
    kind: 'disk.delete',
    action: 'Microsoft.Compute/disks/delete',
    budgets: deleteBudgets,
    handle: (call) => {
      const disk = call.world.resources.get(call.resourceId);
      if (disk === undefined) return { status: 204 };
      const holder: unknown = disk.internal['attachedTo'];
      if (typeof holder === 'string') {
        throw refuse(409, 'OperationNotAllowed', `Disk ${disk.body['name']} is attached to VM ${holder}.`);
      }
      return call.accept({
        family: 'disk',
        latency: 'diskDelete',
        status: 202,
        location: disk.body['location'],
        resourceId: disk.id,
        name: 'DeleteDiskOperation',
        complete: () => {
          call.world.resources.remove(disk.id);
        },
      });
    },
  },
];
