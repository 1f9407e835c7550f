import type { Call } from '../../http/provider.ts';
import { notModelled } from '../../model/arm-error.ts';
import type { Answer, Json } from '../../model/contract.ts';
import type { Resource } from '../../model/entities.ts';
import type { World } from '../../world/world.ts';
import { isAgentReady, vmStateOf } from './vm.ts';

export function vmBody(call: Call, resource: Resource): Json {
  const vm = vmStateOf(resource);
  const body = structuredClone(resource.body);
  const expand = (call.query['$expand'] ?? '').toLowerCase();
  if (expand !== '' && expand !== 'instanceview' && expand !== 'userdata')
    throw notModelled(`$expand=${expand} of a VM`);
  if (expand === 'instanceview') body['properties'].instanceView = instanceView(call.world, resource);
  if (expand === 'userdata' && vm.userData !== undefined) body['properties'].userData = vm.userData;
  // "If not specified, Standard will be returned starting api version 2025-11-01" (REST reference).
  if (call.apiVersion >= '2025-11-01' && body['properties'].securityProfile?.securityType === undefined) {
    body['properties'].securityProfile = { ...body['properties'].securityProfile, securityType: 'Standard' };
  }
  if (call.apiVersion >= '2024-07-01') body['etag'] = `"${vm.revision}"`;
  return body;
}

export function vmAnswer(call: Call, resource: Resource, status = 200): Answer {
  const headers: Record<string, string> =
    call.apiVersion >= '2024-07-01' && call.query['$expand'] === undefined
      ? { ETag: `"${vmStateOf(resource).revision}"` }
      : {};
  return { status, headers, body: vmBody(call, resource) };
}

export function instanceView(world: World, resource: Resource): Json {
  const vm = vmStateOf(resource);
  const properties: Json = resource.body['properties'];
  const windows = vm.image.osType === 'Windows';
  const ready = isAgentReady(world, resource);
  const statuses = [provisioningStatus(world, resource)];
  if (vm.powerState !== undefined) {
    statuses.push({
      code: `PowerState/${vm.powerState}`,
      level: 'Info',
      displayStatus: `VM ${vm.powerState}`,
    });
  }
  const view: Json = {};
  if (ready) {
    view['computerName'] = properties['osProfile']?.computerName ?? 'localhost.localdomain';
    view['osName'] = windows ? 'Windows Server 2022 Datacenter' : 'ubuntu';
    view['osVersion'] = windows ? 'Microsoft Windows NT 10.0.20348.0' : '24.04';
  }
  if (vm.powerState === 'running') {
    view['vmAgent'] = ready
      ? readyAgent(windows, world.clock.timestamp(vm.agentReadyAt))
      : unavailableAgent(world.clock.timestamp());
  }
  view['disks'] = diskStatuses(world, resource);
  if (properties['diagnosticsProfile']?.bootDiagnostics?.enabled === true) view['bootDiagnostics'] = {};
  view['hyperVGeneration'] = vm.image.generation;
  view['statuses'] = statuses;
  return view;
}

const succeededStatus = {
  code: 'ProvisioningState/succeeded',
  level: 'Info',
  displayStatus: 'Provisioning succeeded',
};

function provisioningStatus(world: World, resource: Resource): Json {
  const vm = vmStateOf(resource);
  const state: string = resource.body['properties'].provisioningState;
  const time = world.clock.timestamp(vm.changedAt);
  if (state === 'Succeeded') return { ...succeededStatus, time };
  if (state === 'Failed' && vm.failure !== undefined) {
    return {
      code: `ProvisioningState/failed/${vm.failure.code}`,
      level: 'Error',
      displayStatus: 'Provisioning failed',
      message: vm.failure.message,
      time,
    };
  }
  return { code: `ProvisioningState/${state.toLowerCase()}`, level: 'Info', displayStatus: state };
}

function diskStatuses(world: World, resource: Resource): Json[] {
  const storage: Json = resource.body['properties'].storageProfile;
  const time = world.clock.timestamp(vmStateOf(resource).provisionedAt ?? resource.createdAt);
  return ([storage['osDisk'], ...(storage['dataDisks'] ?? [])] as Json[])
    .filter(({ name }) => name !== undefined)
    .map(({ name }) => ({ name, statuses: [{ ...succeededStatus, time }] }));
}

function readyAgent(windows: boolean, time: string): Json {
  return {
    vmAgentVersion: windows ? '2.7.41491.1172' : '2.11.1.12',
    statuses: [
      {
        code: 'ProvisioningState/succeeded',
        level: 'Info',
        displayStatus: 'Ready',
        message: windows ? 'GuestAgent is running and processing the extensions.' : 'Guest Agent is running',
        time,
      },
    ],
    extensionHandlers: [],
  };
}

/** As the portal and the Azure CLI show a VM whose agent has not reported yet. */
function unavailableAgent(time: string): Json {
  return {
    vmAgentVersion: 'Unknown',
    statuses: [
      {
        code: 'ProvisioningState/Unavailable',
        level: 'Warning',
        displayStatus: 'Not Ready',
        message: 'VM status blob is found but not yet populated.',
        time,
      },
    ],
  };
}
