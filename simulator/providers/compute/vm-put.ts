import type { Call } from '../../http/provider.ts';
import { refuse, notModelled } from '../../model/arm-error.ts';
import type { Answer, Json } from '../../model/contract.ts';
import type { Resource } from '../../model/entities.ts';
import { checkTags } from '../resources/tags.ts';
import { attachNic } from './nics.ts';
import { storedMembers, storedProperties, buildIdentity, buildOsProfile } from './vm-body.ts';
import { pollBudgets } from './vm-budgets.ts';
import { checkVmChange } from './vm-change-checks.ts';
import { checkVmRequest, checkIdentity, needsAllocation } from './vm-checks.ts';
import { createDisks, hideDiskIds } from './vm-disks.ts';
import { startProvisioning } from './vm-provision.ts';
import { checkVmBody } from './vm-schema.ts';
import { vmBody } from './vm-view.ts';
import {
  concurrentRequestError,
  requireVm,
  type VmRequest,
  type VmState,
  vmStateOf,
  vmType,
  deletedVms,
} from './vm.ts';

export function putVm(call: Call): Answer {
  const { world } = call;
  const existing = world.resources.get(call.resourceId);
  const onlyNew = call.headers['if-none-match'];
  if (onlyNew !== undefined && onlyNew !== '*') throw notModelled(`If-None-Match: ${onlyNew} on a VM`);
  rejectIfMatch(call);
  if (onlyNew === '*' && existing !== undefined) {
    // Status and code follow HTTP and the header's documentation; the text is assumed.
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

/** Documented for ETags from a GET, but Azure's answer was not recorded. */
export function rejectIfMatch(call: Call): void {
  const match = call.headers['if-match'];
  if (match !== undefined) throw notModelled(`If-Match: ${match} on ${call.method} of a VM`);
}

function createVm(call: Call): Answer {
  const { world } = call;
  const request = checkVmRequest(call, undefined);
  const sent: Json = call.body['properties'];
  const storageProfile = createDisks(call, request, sent['storageProfile']);
  const identity = buildIdentity(call, undefined);
  const osProfile = buildOsProfile(sent['osProfile'], request.image);
  deletedVms(world).delete(call.resourceId.toLowerCase());
  const resource = world.resources.put({
    id: call.resourceId,
    type: vmType,
    body: {
      name: call.name,
      id: call.resourceId,
      type: vmType,
      location: request.location,
      ...storedMembers(call.body),
      ...(identity === undefined ? {} : { identity }),
      properties: {
        hardwareProfile: { ...sent['hardwareProfile'], vmSize: request.size.name },
        provisioningState: 'Creating',
        vmId: world.uuid(),
        ...storedProperties(sent),
        storageProfile,
        ...(osProfile === undefined ? {} : { osProfile }),
        networkProfile: sent['networkProfile'],
        timeCreated: world.clock.timestamp(),
      },
    },
    internal: initialState(request, sent, world.clock.now()),
  });
  for (const { id } of sent['networkProfile'].networkInterfaces as Json[]) attachNic(world, id, resource.id);
  const body = hideDiskIds(vmBody(call, resource), sent['storageProfile']);
  return startProvisioning(call, resource, request, { status: 201, body });
}

function initialState(request: VmRequest, sent: Json, now: number): VmState {
  return {
    generation: 1,
    image: request.image,
    allocated: true,
    failure: undefined,
    provisionedAt: undefined,
    agentReadyAt: Number.POSITIVE_INFINITY,
    powerState: undefined,
    userData: sent['userData'],
    customData: sent['osProfile']?.customData,
    revision: 1,
    changedAt: now,
    guest: false,
  };
}

function updateVm(call: Call, existing: Resource): Answer {
  const { world } = call;
  checkVmChange(call, existing);
  const request = checkVmRequest(call, existing);
  const vm = vmStateOf(existing);
  const mustAllocate = needsAllocation(existing, request.size);
  const sent: Json = call.body['properties'];
  const { body } = existing;
  if (call.body['tags'] !== undefined) body['tags'] = call.body['tags'];
  const identity = buildIdentity(call, body['identity']);
  if (identity !== undefined) body['identity'] = identity;
  const properties: Json = body['properties'];
  properties['hardwareProfile'] = { ...sent['hardwareProfile'], vmSize: request.size.name };
  Object.assign(properties, storedProperties(sent));
  updateDisks(properties['storageProfile'], sent['storageProfile']);
  checkSameNics(properties['networkProfile'], sent['networkProfile']);
  properties['networkProfile'] = sent['networkProfile'];
  if (sent['userData'] !== undefined) vm.userData = sent['userData'];
  vm.revision += 1;
  vm.generation += 1;
  properties['provisioningState'] = 'Updating';
  if (!mustAllocate) return startUpdate(call, existing, vmBody(call, existing));
  for (const { id } of sent['networkProfile'].networkInterfaces as Json[]) attachNic(world, id, existing.id);
  vm.provisionedAt = undefined;
  return startProvisioning(call, existing, request, { status: 200, body: vmBody(call, existing) });
}

function updateDisks(stored: Json, sent: Json): void {
  const { osDisk } = sent;
  if (osDisk?.deleteOption !== undefined) stored['osDisk'].deleteOption = osDisk.deleteOption;
  if (osDisk?.caching !== undefined) stored['osDisk'].caching = osDisk.caching;
  for (const disk of (sent['dataDisks'] ?? []) as Json[]) {
    const existing = (stored['dataDisks'] as Json[]).find(({ lun }) => lun === disk['lun']);
    if (existing === undefined) throw notModelled('a data disk added to an existing VM');
    if (disk['deleteOption'] !== undefined) existing['deleteOption'] = disk['deleteOption'];
  }
}

function checkSameNics(stored: Json, sent: Json): void {
  const ids = (profile: Json): string[] =>
    (profile['networkInterfaces'] as Json[]).map(({ id }) => String(id).toLowerCase());
  const before = new Set(ids(stored));
  const after = ids(sent);
  if (before.size !== after.length || after.some((id) => !before.has(id))) {
    throw notModelled('other NICs on an existing VM');
  }
}

/** An update without a restart. Recorded: 0.2 s (cross-tenant-vm-deployment-aux-header.json). */
function startUpdate(call: Call, resource: Resource, body: Json): Answer {
  const { world } = call;
  const vm = vmStateOf(resource);
  const { generation } = vm;
  const failedBefore = vm.failure;
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
      if (world.resources.get(resource.id) !== resource || vm.generation !== generation) return;
      vm.changedAt = world.clock.now();
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
  const vm = vmStateOf(existing);
  vm.revision += 1;
  vm.generation += 1;
  existing.body['properties'].provisioningState = 'Updating';
  return startUpdate(call, existing, vmBody(call, existing));
}

/** Only the delete options of NICs and disks are modelled. */
function patchDeleteOptions(existing: Resource, sent: Json): void {
  const other = Object.keys(sent).find((name) => name !== 'networkProfile' && name !== 'storageProfile');
  if (other !== undefined) throw notModelled(`PATCH of 'properties.${other}' of a VM`);
  const { networkProfile, storageProfile }: Json = existing.body['properties'];
  for (const nic of (sent['networkProfile']?.networkInterfaces ?? []) as Json[]) {
    const stored = (networkProfile.networkInterfaces as Json[]).find(
      ({ id }) => String(id).toLowerCase() === String(nic['id']).toLowerCase(),
    );
    if (stored === undefined) throw notModelled('other NICs on an existing VM');
    if (nic['properties']?.deleteOption !== undefined)
      stored['properties'] = { ...stored['properties'], deleteOption: nic['properties'].deleteOption };
  }
  const { osDisk, dataDisks }: Json = sent['storageProfile'] ?? {};
  if (osDisk?.deleteOption !== undefined) storageProfile.osDisk.deleteOption = osDisk.deleteOption;
  for (const disk of (dataDisks ?? []) as Json[]) {
    const stored = (storageProfile.dataDisks as Json[]).find(({ lun }) => lun === disk['lun']);
    if (stored === undefined) throw notModelled('a data disk added to an existing VM');
    if (disk['deleteOption'] !== undefined) stored['deleteOption'] = disk['deleteOption'];
  }
}
