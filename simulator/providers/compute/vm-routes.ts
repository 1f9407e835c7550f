// Virtual machines: create, change, delete, look at. Answers as recorded in vm-linux-put-full-lifecycle.json,
// vm-deployment-from-gallery-image.json, vm-instance-view.json and vm-with-user-assigned-identity.json.
import type { Call, LinkedResource, Route } from '../../http/provider.ts';
import { unknown } from '../../model/arm-error.ts';
import type { Json } from '../../model/contract.ts';
import { blobUrl } from './blobs.ts';
import { linkedImage } from './image-resolution.ts';
import { settings } from './settings.ts';
import { machineId, pollBudgets, readBudgets, writeBudgets } from './vm-budgets.ts';
import { remove } from './vm-delete.ts';
import { patch, put } from './vm-put.ts';
import { found, instanceView, show } from './vm-view.ts';
import { findMachine, machineOf, machineType } from './vm.ts';

// --- Power ------------------------------------------------------------------------------------------------------------

function power(action: 'start' | 'restart' | 'powerOff' | 'deallocate'): Route {
  return {
    method: 'POST',
    path: `${onePath}/${action}`,
    kind: `vm.${action}`,
    action: `Microsoft.Compute/virtualMachines/${action}/action`,
    scope: machineId,
    budgets: writeBudgets('UpdateVM'),
    handle: (call) => {
      const existing = findMachine(call);
      const machine = machineOf(existing);
      const state: string = existing.body['properties'].provisioningState;
      if (['Creating', 'Updating', 'Deleting'].includes(state))
        throw unknown(`${action} of a VM that is ${state}`);
      return call.accept({
        family: 'compute',
        // Recorded: 0.3 s (restart), 3 s (power off), 6 s (start).
        latency: action === 'start' ? 6 : 3,
        status: 202,
        location: existing.body['location'],
        resourceId: existing.id,
        name: `${action}VMOperation`,
        pollBudgets: pollBudgets(call),
        result: () => undefined,
        complete: () => {
          machine.powerState =
            action === 'powerOff' ? 'stopped' : action === 'deallocate' ? 'deallocated' : 'running';
          machine.allocated = action !== 'deallocate';
          if (machine.powerState === 'running') {
            machine.guest = true;
            machine.agentReadyAt = call.world.clock.now() + settings(call.world).agentDelay;
          }
        },
      });
    },
  };
}

// --- Routes -----------------------------------------------------------------------------------------------------------

const listPath =
  '/subscriptions/:subscriptionId/resourceGroups/:resourceGroup/providers/Microsoft.Compute/virtualMachines';
const onePath = `${listPath}/:vm`;
const readAction = 'Microsoft.Compute/virtualMachines/read';

function linked(call: Call): readonly LinkedResource[] {
  const properties: Json = call.body['properties'] ?? {};
  const nics: Json[] = properties['networkProfile']?.networkInterfaces ?? [];
  return [
    ...linkedImage(properties['storageProfile']?.imageReference),
    ...nics
      .filter((nic) => typeof nic['id'] === 'string')
      .map((nic) => ({ id: nic['id'] as string, action: 'Microsoft.Network/networkInterfaces/join/action' })),
    ...Object.keys(call.body['identity']?.userAssignedIdentities ?? {}).map((id) => ({
      id,
      action: 'Microsoft.ManagedIdentity/userAssignedIdentities/assign/action',
    })),
  ];
}

export const machineRoutes: readonly Route[] = [
  {
    method: 'PUT',
    path: onePath,
    kind: 'vm.put',
    action: 'Microsoft.Compute/virtualMachines/write',
    linked,
    budgets: writeBudgets('PutVM'),
    handle: put,
  },
  {
    method: 'PATCH',
    path: onePath,
    kind: 'vm.patch',
    action: 'Microsoft.Compute/virtualMachines/write',
    linked,
    budgets: writeBudgets('UpdateVM'),
    handle: patch,
  },
  {
    method: 'GET',
    path: onePath,
    kind: 'vm.get',
    query: ['$expand'],
    action: readAction,
    budgets: readBudgets,
    handle: (call) => found(call, findMachine(call)),
  },
  {
    method: 'DELETE',
    path: onePath,
    kind: 'vm.delete',
    query: ['forcedeletion'],
    action: 'Microsoft.Compute/virtualMachines/delete',
    budgets: writeBudgets('DeleteVM'),
    handle: remove,
  },
  {
    method: 'GET',
    path: listPath,
    kind: 'vm.list',
    action: readAction,
    scope: (call) => `/subscriptions/${call.subscription.id}/resourceGroups/${call.params['resourceGroup']}`,
    handle: (call) => ({
      status: 200,
      body: {
        value: [
          ...call.world.resources.under(
            `/subscriptions/${call.subscription.id}/resourceGroups/${call.params['resourceGroup']}`,
            machineType,
          ),
        ].map((one) => show(call, one)),
      },
    }),
  },
  {
    method: 'GET',
    path: `${onePath}/instanceView`,
    kind: 'vm.instanceView',
    action: 'Microsoft.Compute/virtualMachines/instanceView/read',
    scope: machineId,
    budgets: readBudgets,
    handle: (call) => ({ status: 200, body: instanceView(call.world, findMachine(call)) }),
  },
  {
    method: 'POST',
    path: `${onePath}/retrieveBootDiagnosticsData`,
    kind: 'vm.bootDiagnostics',
    query: ['sasuriexpirationtimeinminutes'],
    action: 'Microsoft.Compute/virtualMachines/retrieveBootDiagnosticsData/action',
    scope: machineId,
    handle: (call) => {
      const resource = findMachine(call);
      if (resource.body['properties'].diagnosticsProfile?.bootDiagnostics?.enabled !== true) {
        throw unknown('retrieveBootDiagnosticsData of a VM without boot diagnostics');
      }
      const log = settings(call.world).serialLog;
      const name = resource.body['name'];
      const text = (): string => (typeof log === 'string' ? log : log(resource.body));
      return {
        status: 200,
        body: {
          consoleScreenshotBlobUri: blobUrl(call.world, `${name}.screenshot.bmp`, () => ''),
          serialConsoleLogBlobUri: blobUrl(call.world, `${name}.serialconsole.log`, text),
        },
      };
    },
  },
  power('start'),
  power('restart'),
  power('powerOff'),
  power('deallocate'),
];
