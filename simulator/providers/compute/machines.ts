// Virtual machines: create, change, delete, look at. Answers as recorded in vm-linux-put-full-lifecycle.json,
// vm-deployment-from-gallery-image.json, vm-instance-view.json and vm-with-user-assigned-identity.json.
import type { Answer, Json, OperationFailure } from '../../model/contract.ts';
import type { Call, LinkedResource, Route } from '../../http/provider.ts';
import { refuse, unknown } from '../../model/arm-error.ts';
import { checkTags } from '../resources.ts';
import type { Resource } from '../../model/entities.ts';
import type { World } from '../../world/world.ts';
import { blobUrl } from './blobs.ts';
import { type ImageFacts, linkedImage } from './galleries.ts';
import {
  conflict,
  findMachine,
  found,
  instanceView,
  type Machine,
  machineId,
  machineOf,
  machineType,
  pollBudgets,
  readBudgets,
  show,
  tombstones,
  type Wanted,
  writeBudgets,
} from './machine.ts';
import { check, checkChange, checkIdentity, needsAllocation } from './machine-checks.ts';
import { makeDisks, withoutDiskIds } from './machine-disks.ts';
import { checkModel } from './machine-model.ts';
import { attachNic, detachNic, removeNic, reserveNic } from './nics.ts';
import { osProvisioningTimedOut, settings } from './settings.ts';

// --- Parts of the body that Azure fills in ---------------------------------------------------------------------------

function makeIdentity(call: Call, before: Json | undefined): Json | undefined {
  const asked: Json | undefined = call.body['identity'] ?? undefined;
  if (asked === undefined || asked['type'] === 'None') return before === undefined ? undefined : before;
  const { world } = call;
  const identity: Json = { type: asked['type'] };
  if (String(asked['type']).includes('SystemAssigned')) {
    const known: string | undefined = before?.['principalId'];
    const principalId =
      known ??
      world.addPrincipal({
        oid: world.uuid(),
        tenant: call.tenant.id,
        app: world.uuid(),
        type: 'ManagedIdentity',
        displayName: call.name,
        visibleAt: world.clock.now() + world.latency('principalVisible'),
      }).oid;
    identity['principalId'] = principalId;
    identity['tenantId'] = call.tenant.id;
  }
  const assigned = Object.keys(asked['userAssignedIdentities'] ?? {});
  if (assigned.length > 0) {
    identity['userAssignedIdentities'] = Object.fromEntries(
      assigned.map((id) => {
        const properties: Json = world.resources.get(id)?.body['properties'] ?? {};
        return [id, { principalId: properties['principalId'], clientId: properties['clientId'] }];
      }),
    );
  }
  return identity;
}

function makeOsProfile(asked: Json | undefined, image: ImageFacts): Json | undefined {
  if (asked === undefined || asked === null) return undefined;
  const { adminPassword: _password, customData: _data, ...rest } = asked;
  const patch = { patchMode: 'ImageDefault', assessmentMode: 'ImageDefault' };
  const configuration: Json =
    image.osType === 'Windows'
      ? {
          windowsConfiguration: {
            provisionVMAgent: true,
            enableAutomaticUpdates: true,
            patchSettings: { patchMode: 'AutomaticByOS', assessmentMode: 'ImageDefault' },
            enableVMAgentPlatformUpdates: false,
            ...rest['windowsConfiguration'],
          },
        }
      : {
          linuxConfiguration: {
            disablePasswordAuthentication: false,
            provisionVMAgent: true,
            patchSettings: patch,
            enableVMAgentPlatformUpdates: false,
            ...rest['linuxConfiguration'],
          },
        };
  return {
    secrets: [],
    allowExtensionOperations: true,
    requireGuestProvisionSignal: true,
    ...rest,
    ...configuration,
  };
}

// --- PUT -------------------------------------------------------------------------------------------------------------

function put(call: Call): Answer {
  const { world } = call;
  const existing = world.resources.get(call.resourceId);
  const onlyNew = call.headers['if-none-match'];
  if (onlyNew !== undefined && onlyNew !== '*') throw unknown(`If-None-Match: ${onlyNew} on a VM`);
  refuseIfMatch(call);
  if (onlyNew === '*' && existing !== undefined) {
    // Code and status as the header's documentation and HTTP have it; text assumed.
    throw refuse(
      412,
      'PreconditionFailed',
      `The resource '${existing.id}' already exists; the precondition 'If-None-Match: *' is not met.`,
    );
  }
  if (existing === undefined) return create(call);
  if (['Creating', 'Updating', 'Deleting'].includes(existing.body['properties'].provisioningState))
    throw conflict();
  return change(call, existing);
}

/** Documented for etags that a GET gave; what Azure makes of it was not recorded. */
function refuseIfMatch(call: Call): void {
  const match = call.headers['if-match'];
  if (match !== undefined) throw unknown(`If-Match: ${match} on ${call.method} of a VM`);
}

function create(call: Call): Answer {
  const { world } = call;
  const wanted = check(call, undefined);
  const asked: Json = call.body['properties'];
  const now = world.clock.now();
  const storageProfile = makeDisks(call, wanted, asked['storageProfile']);
  const identity = makeIdentity(call, undefined);
  const osProfile = makeOsProfile(asked['osProfile'], wanted.image);
  const properties: Json = {
    hardwareProfile: { ...asked['hardwareProfile'], vmSize: wanted.size.name },
    provisioningState: 'Creating',
    vmId: world.uuid(),
    ...kept(asked),
    storageProfile,
    ...(osProfile === undefined ? {} : { osProfile }),
    networkProfile: asked['networkProfile'],
    timeCreated: world.clock.timestamp(now),
  };
  const machine: Machine = {
    generation: 1,
    image: wanted.image,
    allocated: true,
    failure: undefined,
    provisionedAt: undefined,
    agentReadyAt: Number.POSITIVE_INFINITY,
    powerState: undefined,
    userData: asked['userData'],
    customData: asked['osProfile']?.customData,
    revision: 1,
    changedAt: now,
    guest: false,
  };
  tombstones(world).delete(call.resourceId.toLowerCase());
  const resource = world.resources.put({
    id: call.resourceId,
    type: machineType,
    body: {
      name: call.name,
      id: call.resourceId,
      type: machineType,
      location: wanted.location,
      ...(call.body['tags'] === undefined ? {} : { tags: call.body['tags'] }),
      ...(call.body['zones'] === undefined ? {} : { zones: call.body['zones'] }),
      ...(call.body['plan'] === undefined ? {} : { plan: call.body['plan'] }),
      ...(call.body['placement'] === undefined ? {} : { placement: call.body['placement'] }),
      ...(call.body['extendedLocation'] === undefined
        ? {}
        : { extendedLocation: call.body['extendedLocation'] }),
      ...(identity === undefined ? {} : { identity }),
      properties,
    },
    internal: machine,
  });
  for (const nic of asked['networkProfile'].networkInterfaces as Json[])
    attachNic(world, nic['id'], resource.id);
  return provision(
    call,
    resource,
    wanted,
    201,
    withoutDiskIds(show(call, resource), asked['storageProfile']),
  );
}

/** Parts of the body that come back as they were sent. */
function kept(asked: Json): Json {
  const names = [
    'securityProfile',
    'diagnosticsProfile',
    'priority',
    'evictionPolicy',
    'billingProfile',
    'licenseType',
    'additionalCapabilities',
    'scheduledEventsProfile',
    'scheduledEventsPolicy',
    'extensionsTimeBudget',
    'applicationProfile',
    'resiliencyProfile',
    'platformFaultDomain',
    'capacityReservation',
    'availabilitySet',
    'proximityPlacementGroup',
    'host',
    'hostGroup',
    'virtualMachineScaleSet',
  ];
  return Object.fromEntries(
    names.filter((name) => asked[name] !== undefined).map((name) => [name, asked[name]]),
  );
}

/** The operation that places and boots a VM. */
function provision(call: Call, resource: Resource, wanted: Wanted, status: number, body: Json): Answer {
  const { world } = call;
  const machine = machineOf(resource);
  const generation = machine.generation;
  const current = (): boolean =>
    world.resources.get(resource.id) === resource && machine.generation === generation;
  const windows = wanted.image.osType === 'Windows';
  const boot = wanted.failure === undefined ? bootFailure(world, resource) : undefined;
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
        preempted(world, resource.id);
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

function bootFailure(
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
function preempted(world: World, id: string): void {
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

function change(call: Call, existing: Resource): Answer {
  const { world } = call;
  checkChange(call, existing);
  const wanted = check(call, existing);
  const machine = machineOf(existing);
  const boots = needsAllocation(existing, wanted.size);
  const asked: Json = call.body['properties'];
  const body = existing.body;
  if (call.body['tags'] !== undefined) body['tags'] = call.body['tags'];
  const identity = makeIdentity(call, body['identity']);
  if (identity !== undefined) body['identity'] = identity;
  const properties: Json = body['properties'];
  properties['hardwareProfile'] = { ...asked['hardwareProfile'], vmSize: wanted.size.name };
  Object.assign(properties, kept(asked));
  const storage: Json = asked['storageProfile'];
  const osDisk: Json = properties['storageProfile'].osDisk;
  if (storage['osDisk']?.deleteOption !== undefined) osDisk['deleteOption'] = storage['osDisk'].deleteOption;
  if (storage['osDisk']?.caching !== undefined) osDisk['caching'] = storage['osDisk'].caching;
  for (const disk of (storage['dataDisks'] ?? []) as Json[]) {
    const known = (properties['storageProfile'].dataDisks as Json[]).find(
      (one) => one['lun'] === disk['lun'],
    );
    if (known === undefined) throw unknown('a data disk added to an existing VM');
    if (disk['deleteOption'] !== undefined) known['deleteOption'] = disk['deleteOption'];
  }
  const nicsBefore = new Set(
    (properties['networkProfile'].networkInterfaces as Json[]).map((nic) => String(nic['id']).toLowerCase()),
  );
  const nicsAfter = asked['networkProfile'].networkInterfaces as Json[];
  if (
    nicsAfter.some((nic) => !nicsBefore.has(String(nic['id']).toLowerCase())) ||
    nicsBefore.size !== nicsAfter.length
  ) {
    throw unknown('other NICs on an existing VM');
  }
  properties['networkProfile'] = asked['networkProfile'];
  if (asked['userData'] !== undefined) machine.userData = asked['userData'];
  machine.revision += 1;
  machine.generation += 1;
  properties['provisioningState'] = 'Updating';
  if (boots) {
    for (const nic of nicsAfter) attachNic(world, nic['id'], existing.id);
    machine.provisionedAt = undefined;
    return provision(call, existing, wanted, 200, show(call, existing));
  }
  return settleChange(call, existing, show(call, existing));
}

/** A change that nothing in the guest notices. Recorded: 0.2 s (cross-tenant-vm-deployment-aux-header.json). */
function settleChange(call: Call, resource: Resource, body: Json): Answer {
  const { world } = call;
  const machine = machineOf(resource);
  const generation = machine.generation;
  const failedBefore = machine.failure;
  return call.accept({
    family: 'compute',
    latency: 0.2,
    status: 200,
    body,
    location: resource.body['location'],
    resourceId: resource.id,
    name: 'UpdateVMOperation',
    pollBudgets: pollBudgets(call),
    complete: () => {
      if (world.resources.get(resource.id) !== resource || machine.generation !== generation) return;
      machine.changedAt = world.clock.now();
      resource.body['properties'].provisioningState = failedBefore === undefined ? 'Succeeded' : 'Failed';
    },
  });
}

function patch(call: Call): Answer {
  refuseIfMatch(call);
  const existing = findMachine(call);
  if (['Creating', 'Updating', 'Deleting'].includes(existing.body['properties'].provisioningState))
    throw conflict();
  for (const name of Object.keys(call.body)) {
    if (!['tags', 'identity', 'properties'].includes(name)) throw unknown(`PATCH of '${name}' of a VM`);
  }
  checkModel(call.body);
  if (call.body['properties'] !== undefined) patchDeleteOptions(existing, call.body['properties']);
  checkTags(call.body['tags']);
  if (call.body['tags'] !== undefined) existing.body['tags'] = call.body['tags'];
  if (call.body['identity'] !== undefined) {
    checkIdentity(call);
    existing.body['identity'] = makeIdentity(call, existing.body['identity']);
  }
  const machine = machineOf(existing);
  machine.revision += 1;
  machine.generation += 1;
  existing.body['properties'].provisioningState = 'Updating';
  return settleChange(call, existing, show(call, existing));
}

/** Of the properties only the delete options of NICs and disks are modelled. */
function patchDeleteOptions(existing: Resource, asked: Json): void {
  const other = Object.keys(asked).find((name) => name !== 'networkProfile' && name !== 'storageProfile');
  if (other !== undefined) throw unknown(`PATCH of 'properties.${other}' of a VM`);
  const properties: Json = existing.body['properties'];
  const sameId = (one: unknown, another: unknown): boolean =>
    String(one).toLowerCase() === String(another).toLowerCase();
  for (const nic of (asked['networkProfile']?.networkInterfaces ?? []) as Json[]) {
    const known = (properties['networkProfile'].networkInterfaces as Json[]).find((one) =>
      sameId(one['id'], nic['id']),
    );
    if (known === undefined) throw unknown('other NICs on an existing VM');
    if (nic['properties']?.deleteOption !== undefined)
      known['properties'] = { ...known['properties'], deleteOption: nic['properties'].deleteOption };
  }
  const storage: Json = asked['storageProfile'] ?? {};
  const pairs: [asked: Json, known: Json | undefined][] = [
    ...(storage['osDisk'] ? [[storage['osDisk'], properties['storageProfile'].osDisk] as [Json, Json]] : []),
    ...((storage['dataDisks'] ?? []) as Json[]).map((disk): [Json, Json | undefined] => [
      disk,
      (properties['storageProfile'].dataDisks as Json[]).find((one) => one['lun'] === disk['lun']),
    ]),
  ];
  for (const [disk, known] of pairs) {
    if (known === undefined) throw unknown('a data disk added to an existing VM');
    if (disk['deleteOption'] !== undefined) known['deleteOption'] = disk['deleteOption'];
  }
}

// --- DELETE ----------------------------------------------------------------------------------------------------------

function remove(call: Call): Answer {
  const { world } = call;
  refuseIfMatch(call);
  const forced = call.query['forcedeletion']?.toLowerCase() ?? 'false';
  if (forced !== 'true' && forced !== 'false') throw unknown(`forceDeletion=${forced}`);
  const force = forced === 'true';
  const existing = world.resources.get(call.resourceId);
  if (existing === undefined) return { status: 204 };
  const machine = machineOf(existing);
  machine.generation += 1;
  existing.body['properties'].provisioningState = 'Deleting';
  return call.accept({
    family: 'compute',
    // "forceDeletion shortens it" (REST reference); by how much was not recorded: half.
    latency: force ? world.latency('vmDelete') / 2 : 'vmDelete',
    status: 202,
    location: existing.body['location'],
    resourceId: existing.id,
    name: 'DeleteVMOperation',
    pollBudgets: pollBudgets(call),
    complete: () => {
      if (world.resources.get(existing.id) !== existing) return;
      world.resources.remove(existing.id);
      tombstones(world).set(existing.id.toLowerCase(), world.clock.now());
      releaseParts(world, existing);
    },
    failed: (error) => {
      machine.failure = error;
      existing.body['properties'].provisioningState = 'Failed';
    },
  });
}

/** Carries out the delete options; the system-assigned identity goes with the VM, its role assignments stay. */
function releaseParts(world: World, machine: Resource): void {
  const properties: Json = machine.body['properties'];
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
    else detachNic(world, nic['id'], machine.id);
  }
  const principal: unknown = machine.body['identity']?.principalId;
  if (typeof principal === 'string') world.removePrincipal(principal);
}

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
