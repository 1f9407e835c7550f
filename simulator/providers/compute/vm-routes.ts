// Routes of virtual machines. Recorded: vm-linux-put-full-lifecycle.json, vm-deployment-from-gallery-image.json,
// vm-instance-view.json, vm-with-user-assigned-identity.json.
import type { Call, LinkedResource, Route } from '../../http/provider.ts';
import { notModelled } from '../../model/arm-error.ts';
import type { Json } from '../../model/contract.ts';
import { blobUrl } from './blobs.ts';
import { linkedImage } from './image-resolution.ts';
import { settings } from './settings.ts';
import { parentVmId, pollBudgets, readBudgets, writeBudgets } from './vm-budgets.ts';
import { deleteVm } from './vm-delete.ts';
import { patchVm, putVm } from './vm-put.ts';
import { vmAnswer, instanceView, vmBody } from './vm-view.ts';
import { requireVm, vmStateOf, vmType } from './vm.ts';

function powerRoute(action: 'start' | 'restart' | 'powerOff' | 'deallocate'): Route {
  return {
    method: 'POST',
    path: `${onePath}/${action}`,
    kind: `vm.${action}`,
    action: `Microsoft.Compute/virtualMachines/${action}/action`,
    scope: parentVmId,
    budgets: writeBudgets('UpdateVM'),
    handle: (call) => {
      const existing = requireVm(call);
      const vm = vmStateOf(existing);
      const state: string = existing.body['properties'].provisioningState;
      if (['Creating', 'Updating', 'Deleting'].includes(state)) throw notModelled(`${action} of a VM that is ${state}`);
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
          vm.powerState = action === 'powerOff' ? 'stopped' : action === 'deallocate' ? 'deallocated' : 'running';
          vm.allocated = action !== 'deallocate';
          if (vm.powerState === 'running') {
            vm.guest = true;
            vm.agentReadyAt = call.world.clock.now() + settings(call.world).agentDelay;
          }
        },
      });
    },
  };
}

const listPath =
  '/subscriptions/:subscriptionId/resourceGroups/:resourceGroup/providers/Microsoft.Compute/virtualMachines';
const onePath = `${listPath}/:vm`;
const readAction = 'Microsoft.Compute/virtualMachines/read';

function linkedResources(call: Call): readonly LinkedResource[] {
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

export const vmRoutes: readonly Route[] = [
  {
    method: 'PUT',
    path: onePath,
    kind: 'vm.put',
    action: 'Microsoft.Compute/virtualMachines/write',
    linkedResources: linkedResources,
    budgets: writeBudgets('PutVM'),
    handle: putVm,
  },
  {
    method: 'PATCH',
    path: onePath,
    kind: 'vm.patch',
    action: 'Microsoft.Compute/virtualMachines/write',
    linkedResources: linkedResources,
    budgets: writeBudgets('UpdateVM'),
    handle: patchVm,
  },
  {
    method: 'GET',
    path: onePath,
    kind: 'vm.get',
    query: ['$expand'],
    action: readAction,
    budgets: readBudgets,
    handle: (call) => vmAnswer(call, requireVm(call)),
  },
  {
    method: 'DELETE',
    path: onePath,
    kind: 'vm.delete',
    query: ['forcedeletion'],
    action: 'Microsoft.Compute/virtualMachines/delete',
    budgets: writeBudgets('DeleteVM'),
    handle: deleteVm,
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
            vmType,
          ),
        ].map((vm) => vmBody(call, vm)),
      },
    }),
  },
  {
    method: 'GET',
    path: `${onePath}/instanceView`,
    kind: 'vm.instanceView',
    action: 'Microsoft.Compute/virtualMachines/instanceView/read',
    scope: parentVmId,
    budgets: readBudgets,
    handle: (call) => ({ status: 200, body: instanceView(call.world, requireVm(call)) }),
  },
  {
    method: 'POST',
    path: `${onePath}/retrieveBootDiagnosticsData`,
    kind: 'vm.bootDiagnostics',
    query: ['sasuriexpirationtimeinminutes'],
    action: 'Microsoft.Compute/virtualMachines/retrieveBootDiagnosticsData/action',
    scope: parentVmId,
    handle: (call) => {
      const resource = requireVm(call);
      if (resource.body['properties'].diagnosticsProfile?.bootDiagnostics?.enabled !== true) {
        throw notModelled('retrieveBootDiagnosticsData of a VM without boot diagnostics');
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
  powerRoute('start'),
  powerRoute('restart'),
  powerRoute('powerOff'),
  powerRoute('deallocate'),
];
