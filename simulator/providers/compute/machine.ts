// What a virtual machine is to the simulator: its budgets, what is known of it besides its body, and how it is shown.
import type { Answer, Budget, Json, OperationFailure } from '../../model/contract.ts';
import type { Call } from '../../http/provider.ts';
import { refuse, resourceNotFound, unknown } from '../../model/arm-error.ts';
import type { Resource } from '../../model/entities.ts';
import type { World } from '../../world/world.ts';
import type { ImageFacts } from './galleries.ts';
import type { Size } from './skus.ts';

export const machineType = 'Microsoft.Compute/virtualMachines';

// --- Budgets: https://learn.microsoft.com/azure/virtual-machines/compute-throttling-limits -------------------------

function subscriptionBudget(call: Call, name: string, size: number): Budget {
  return { name: `Microsoft.Compute/${name}`, key: call.subscription.id, size, perMinute: size / 3 };
}

/** The VM that a path belongs to: run commands and instance views are charged to it. */
export function machineId(call: Call): string {
  return call.resourceId.replace(/(\/virtualMachines\/[^/]+).*$/i, '$1').toLowerCase();
}

/** PUT, update and delete of one VM: 12 each, refilled by 4 a minute. */
export function writeBudgets(kind: 'PutVM' | 'UpdateVM' | 'DeleteVM'): (call: Call) => readonly Budget[] {
  return (call) => [
    subscriptionBudget(call, `${kind}SubscriptionMaximum`, 1500),
    { name: `Microsoft.Compute/${kind}Resource`, key: machineId(call), size: 12, perMinute: 4 },
  ];
}

/** GETs of VM, instance view and run commands together: 36, refilled by 12 a minute. */
export function readBudgets(call: Call): readonly Budget[] {
  return [
    subscriptionBudget(call, 'LowCostGetSubscriptionMaximum', 24_000),
    { name: 'Microsoft.Compute/LowCostGetResource', key: machineId(call), size: 36, perMinute: 12 },
  ];
}

/** Polls of one VM's operations: 45, refilled by 15 a minute. Recorded: this bucket comes first, the subscription's second. */
export function pollBudgets(call: Call): readonly Budget[] {
  return [
    { name: 'Microsoft.Compute/GetOperationResource', key: machineId(call), size: 45, perMinute: 15 },
    subscriptionBudget(call, 'GetOperationSubscriptionMaximum', 15_000),
  ];
}

// --- What the simulator knows of a VM besides its body ---------------------------------------------------------------

export interface Machine {
  /** Raised with every operation that supersedes the one before. */
  generation: number;
  image: ImageFacts;
  /** False after a failed allocation: no quota is used, no guest runs. */
  allocated: boolean;
  failure: OperationFailure | undefined;
  provisionedAt: number | undefined;
  agentReadyAt: number;
  powerState: 'starting' | 'running' | 'stopped' | 'deallocated' | undefined;
  userData: string | undefined;
  customData: string | undefined;
  /** Number of changes: the etag of api-versions from 2024-07-01. */
  revision: number;
  changedAt: number;
  /** Boots and reports in the end although the creation failed for the time that it took. */
  guest: boolean;
}

export function machineOf(resource: Resource): Machine {
  return resource.internal as unknown as Machine;
}

/** The VM that a path is about, or the 404 that Azure gives. */
export function findMachine(call: Call): Resource {
  const id = call.resourceId.replace(/(\/virtualMachines\/[^/]+).*$/i, '$1');
  const found = call.world.resources.get(id);
  if (found !== undefined) return found;
  const gone = tombstones(call.world).get(id.toLowerCase());
  // Recorded: for a while after the deletion Compute itself answers, later the gateway does.
  if (gone !== undefined && call.world.clock.now() - gone < 60) {
    throw refuse(404, 'NotFound', 'The entity was not found in this Azure location.');
  }
  throw resourceNotFound(id);
}

export function tombstones(world: World): Map<string, number> {
  return world.extension('deleted machines', () => new Map<string, number>());
}

/** Whether the VM agent reports, and so whether scripts can run. */
export function agentReady(world: World, resource: Resource): boolean {
  const machine = machineOf(resource);
  return machine.powerState === 'running' && machine.guest && world.clock.now() >= machine.agentReadyAt;
}

export function conflict(): Error {
  return refuse(
    409,
    'Conflict',
    'The request failed due to conflict with a concurrent request. To resolve it, please refer to https://aka.ms/activitylog to get more details on the conflicting requests.',
  );
}

/** A PUT that nothing speaks against. */
export interface Wanted {
  readonly location: string;
  readonly zone: string | undefined;
  readonly size: Size;
  readonly image: ImageFacts;
  /** The operation is to end with this. */
  readonly failure: OperationFailure | undefined;
}

// --- Bodies -----------------------------------------------------------------------------------------------------------

export function show(call: Call, resource: Resource): Json {
  const machine = machineOf(resource);
  const body = structuredClone(resource.body);
  const expand = (call.query['$expand'] ?? '').toLowerCase();
  if (expand !== '' && expand !== 'instanceview' && expand !== 'userdata')
    throw unknown(`$expand=${expand} of a VM`);
  if (expand === 'instanceview') body['properties'].instanceView = instanceView(call.world, resource);
  if (expand === 'userdata' && machine.userData !== undefined) body['properties'].userData = machine.userData;
  // "If not specified, Standard will be returned starting api version 2025-11-01" (REST reference).
  if (call.apiVersion >= '2025-11-01' && body['properties'].securityProfile?.securityType === undefined) {
    body['properties'].securityProfile = { ...body['properties'].securityProfile, securityType: 'Standard' };
  }
  if (call.apiVersion >= '2024-07-01') body['etag'] = `"${machine.revision}"`;
  return body;
}

export function found(call: Call, resource: Resource, status = 200): Answer {
  const headers: Record<string, string> =
    call.apiVersion >= '2024-07-01' && call.query['$expand'] === undefined
      ? { ETag: `"${machineOf(resource).revision}"` }
      : {};
  return { status, headers, body: show(call, resource) };
}

export function instanceView(world: World, resource: Resource): Json {
  const machine = machineOf(resource);
  const properties: Json = resource.body['properties'];
  const storage: Json = properties['storageProfile'];
  const windows = machine.image.osType === 'Windows';
  const ready = agentReady(world, resource);
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
