import type { Call } from '../../http/provider.ts';
import { refuse, notModelled } from '../../model/arm-error.ts';
import type { Answer, Json } from '../../model/contract.ts';
import type { Resource } from '../../model/entities.ts';
import { checkTags } from '../resources/tags.ts';
import { attachNic } from './nics.ts';
import { storedProperties, buildIdentity, buildOsProfile } from './vm-body.ts';
import { pollBudgets } from './vm-budgets.ts';
import { checkVmChange } from './vm-change-checks.ts';
import { checkVmRequest, checkIdentity, needsAllocation } from './vm-checks.ts';
import { createDisks, hideDiskIds } from './vm-disks.ts';
import { startProvisioning } from './vm-provision.ts';
import { checkVmBody } from './vm-schema.ts';
import { vmBody } from './vm-view.ts';
import { concurrentRequestError, requireVm, type VmState, vmStateOf, vmType, deletedVms } from './vm.ts';

// --- PUT -------------------------------------------------------------------------------------------------------------

export function putVm(call: Call): Answer {
  const { world } = call;
  const existing = world.resources.get(call.resourceId);
  const onlyNew = call.headers['if-none-match'];
  if (onlyNew !== undefined && onlyNew !== '*') throw notModelled(`If-None-Match: ${onlyNew} on a VM`);
  rejectIfMatch(call);
  if (onlyNew === '*' && existing !== undefined) {
    // Code and status as the header's documentation and HTTP have it; text assumed.
    throw refuse(
      412,
      'PreconditionFailed',
      `The resource '${existing.id}' already exists; the precondition 'If-None-Match: *' is not met.`,
    );
  }
  if (existing === undefined) return createVm(call);
  if (['Creating', 'Updating', 'Deleting'].includes(existing.body['properties'].provisioningState))
    throw concurrentRequestError();
  return updateVm(call, existing);
}

/** Documented for etags that a GET gave; what Azure makes of it was not recorded. */
export function rejectIfMatch(call: Call): void {
  const match = call.headers['if-match'];
  if (match !== undefined) throw notModelled(`If-Match: ${match} on ${call.method} of a VM`);
}

function createVm(call: Call): Answer {
  const { world } = call;
  const wanted = checkVmRequest(call, undefined);
  const asked: Json = call.body['properties'];
  const now = world.clock.now();
  const storageProfile = createDisks(call, wanted, asked['storageProfile']);
  const identity = buildIdentity(call, undefined);
  const osProfile = buildOsProfile(asked['osProfile'], wanted.image);
  const properties: Json = {
    hardwareProfile: { ...asked['hardwareProfile'], vmSize: wanted.size.name },
    provisioningState: 'Creating',
    vmId: world.uuid(),
    ...storedProperties(asked),
    storageProfile,
    ...(osProfile === undefined ? {} : { osProfile }),
    networkProfile: asked['networkProfile'],
    timeCreated: world.clock.timestamp(now),
  };
  const machine: VmState = {
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
  deletedVms(world).delete(call.resourceId.toLowerCase());
  const resource = world.resources.put({
    id: call.resourceId,
    type: vmType,
    body: {
      name: call.name,
      id: call.resourceId,
      type: vmType,
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
  return startProvisioning(
    call,
    resource,
    wanted,
    201,
    hideDiskIds(vmBody(call, resource), asked['storageProfile']),
  );
}

function updateVm(call: Call, existing: Resource): Answer {
  const { world } = call;
  checkVmChange(call, existing);
  const wanted = checkVmRequest(call, existing);
  const machine = vmStateOf(existing);
  const boots = needsAllocation(existing, wanted.size);
  const asked: Json = call.body['properties'];
  const body = existing.body;
  if (call.body['tags'] !== undefined) body['tags'] = call.body['tags'];
  const identity = buildIdentity(call, body['identity']);
  if (identity !== undefined) body['identity'] = identity;
  const properties: Json = body['properties'];
  properties['hardwareProfile'] = { ...asked['hardwareProfile'], vmSize: wanted.size.name };
  Object.assign(properties, storedProperties(asked));
  const storage: Json = asked['storageProfile'];
  const osDisk: Json = properties['storageProfile'].osDisk;
  if (storage['osDisk']?.deleteOption !== undefined) osDisk['deleteOption'] = storage['osDisk'].deleteOption;
  if (storage['osDisk']?.caching !== undefined) osDisk['caching'] = storage['osDisk'].caching;
  for (const disk of (storage['dataDisks'] ?? []) as Json[]) {
    const known = (properties['storageProfile'].dataDisks as Json[]).find(
      (one) => one['lun'] === disk['lun'],
    );
    if (known === undefined) throw notModelled('a data disk added to an existing VM');
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
    throw notModelled('other NICs on an existing VM');
  }
  properties['networkProfile'] = asked['networkProfile'];
  if (asked['userData'] !== undefined) machine.userData = asked['userData'];
  machine.revision += 1;
  machine.generation += 1;
  properties['provisioningState'] = 'Updating';
  if (boots) {
    for (const nic of nicsAfter) attachNic(world, nic['id'], existing.id);
    machine.provisionedAt = undefined;
    return startProvisioning(call, existing, wanted, 200, vmBody(call, existing));
  }
  return startUpdate(call, existing, vmBody(call, existing));
}

/** A change that nothing in the guest notices. Recorded: 0.2 s (cross-tenant-vm-deployment-aux-header.json). */
function startUpdate(call: Call, resource: Resource, body: Json): Answer {
  const { world } = call;
  const machine = vmStateOf(resource);
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

export function patchVm(call: Call): Answer {
  rejectIfMatch(call);
  const existing = requireVm(call);
  if (['Creating', 'Updating', 'Deleting'].includes(existing.body['properties'].provisioningState))
    throw concurrentRequestError();
  for (const name of Object.keys(call.body)) {
    if (!['tags', 'identity', 'properties'].includes(name)) throw notModelled(`PATCH of '${name}' of a VM`);
  }
  checkVmBody(call.body);
  if (call.body['properties'] !== undefined) patchDeleteOptions(existing, call.body['properties']);
  checkTags(call.body['tags']);
  if (call.body['tags'] !== undefined) existing.body['tags'] = call.body['tags'];
  if (call.body['identity'] !== undefined) {
    checkIdentity(call);
    existing.body['identity'] = buildIdentity(call, existing.body['identity']);
  }
  const machine = vmStateOf(existing);
  machine.revision += 1;
  machine.generation += 1;
  existing.body['properties'].provisioningState = 'Updating';
  return startUpdate(call, existing, vmBody(call, existing));
}

/** Of the properties only the delete options of NICs and disks are modelled. */
function patchDeleteOptions(existing: Resource, asked: Json): void {
  const other = Object.keys(asked).find((name) => name !== 'networkProfile' && name !== 'storageProfile');
  if (other !== undefined) throw notModelled(`PATCH of 'properties.${other}' of a VM`);
  const properties: Json = existing.body['properties'];
  const sameId = (one: unknown, another: unknown): boolean =>
    String(one).toLowerCase() === String(another).toLowerCase();
  for (const nic of (asked['networkProfile']?.networkInterfaces ?? []) as Json[]) {
    const known = (properties['networkProfile'].networkInterfaces as Json[]).find((one) =>
      sameId(one['id'], nic['id']),
    );
    if (known === undefined) throw notModelled('other NICs on an existing VM');
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
    if (known === undefined) throw notModelled('a data disk added to an existing VM');
    if (disk['deleteOption'] !== undefined) known['deleteOption'] = disk['deleteOption'];
  }
}
