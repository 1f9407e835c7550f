import type { Call } from '../../http/provider.ts';
import { notModelled } from '../../model/arm-error.ts';
import type { Answer, Json } from '../../model/contract.ts';
import type { Resource } from '../../model/entities.ts';
import type { World } from '../../world/world.ts';
import { isAgentReady, vmStateOf } from './vm.ts';

// --- Bodies -----------------------------------------------------------------------------------------------------------

export function vmBody(call: Call, resource: Resource): Json {
  const machine = vmStateOf(resource);
  const body = structuredClone(resource.body);
  const expand = (call.query['$expand'] ?? '').toLowerCase();
  if (expand !== '' && expand !== 'instanceview' && expand !== 'userdata')
    throw notModelled(`$expand=${expand} of a VM`);
  if (expand === 'instanceview') body['properties'].instanceView = instanceView(call.world, resource);
  if (expand === 'userdata' && machine.userData !== undefined) body['properties'].userData = machine.userData;
  // "If not specified, Standard will be returned starting api version 2025-11-01" (REST reference).
  if (call.apiVersion >= '2025-11-01' && body['properties'].securityProfile?.securityType === undefined) {
    body['properties'].securityProfile = { ...body['properties'].securityProfile, securityType: 'Standard' };
  }
  if (call.apiVersion >= '2024-07-01') body['etag'] = `"${machine.revision}"`;
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
  const machine = vmStateOf(resource);
  const properties: Json = resource.body['properties'];
  const storage: Json = properties['storageProfile'];
  const windows = machine.image.osType === 'Windows';
  const ready = isAgentReady(world, resource);
  const since = machine.provisionedAt ?? resource.createdAt;
  const provisioned = {
    code: 'ProvisioningState/succeeded',
    level: 'Info',
    displayStatus: 'Provisioning succeeded',
  };
  const disks = [storage['osDisk'], ...(storage['dataDisks'] ?? [])]
    .filter((disk: Json) => disk['name'] !== undefined)
    .map((disk: Json) => ({
      name: disk['name'],
      statuses: [{ ...provisioned, time: world.clock.timestamp(since) }],
    }));
  const state: string = properties['provisioningState'];
  const time = world.clock.timestamp(machine.changedAt);
  const first: Json =
    state === 'Succeeded'
      ? { ...provisioned, time }
      : state === 'Failed' && machine.failure !== undefined
        ? {
            code: `ProvisioningState/failed/${machine.failure.code}`,
            level: 'Error',
            displayStatus: 'Provisioning failed',
            message: machine.failure.message,
            time,
          }
        : { code: `ProvisioningState/${state.toLowerCase()}`, level: 'Info', displayStatus: state };
  const statuses: Json[] = [first];
  if (machine.powerState !== undefined) {
    statuses.push({
      code: `PowerState/${machine.powerState}`,
      level: 'Info',
      displayStatus: `VM ${machine.powerState}`,
    });
  }
  const view: Json = {};
  if (ready) {
    view['computerName'] = properties['osProfile']?.computerName ?? 'localhost.localdomain';
    view['osName'] = windows ? 'Windows Server 2022 Datacenter' : 'ubuntu';
    view['osVersion'] = windows ? 'Microsoft Windows NT 10.0.20348.0' : '24.04';
  }
  if (machine.powerState === 'running') {
    view['vmAgent'] = ready
      ? {
          vmAgentVersion: windows ? '2.7.41491.1172' : '2.11.1.12',
          statuses: [
            {
              code: 'ProvisioningState/succeeded',
              level: 'Info',
              displayStatus: 'Ready',
              message: windows
                ? 'GuestAgent is running and processing the extensions.'
                : 'Guest Agent is running',
              time: world.clock.timestamp(machine.agentReadyAt),
            },
          ],
          extensionHandlers: [],
        }
      : {
          // As the portal and az show a VM whose agent has not reported yet.
          vmAgentVersion: 'Unknown',
          statuses: [
            {
              code: 'ProvisioningState/Unavailable',
              level: 'Warning',
              displayStatus: 'Not Ready',
              message: 'VM status blob is found but not yet populated.',
              time: world.clock.timestamp(),
            },
          ],
        };
  }
  view['disks'] = disks;
  if (properties['diagnosticsProfile']?.bootDiagnostics?.enabled === true) view['bootDiagnostics'] = {};
  view['hyperVGeneration'] = machine.image.generation;
  view['statuses'] = statuses;
  return view;
}
