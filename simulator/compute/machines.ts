// Virtual machines: create, change, delete, look at. Answers as recorded in vm-linux-put-full-lifecycle.json,
// vm-deployment-from-gallery-image.json, vm-instance-view.json and vm-with-user-assigned-identity.json.
import { randomBytes } from 'node:crypto';
import type { Answer, Budget, Call, Json, LinkedResource, OperationFailure, Route } from '../provider.ts';
import { ArmError, refuse, resourceNotFound, unknown } from '../provider.ts';
import { checkTags } from '../resources.ts';
import type { Resource, World } from '../world.ts';
import { blobUrl } from './blobs.ts';
import { allocate, offeredSize } from './capacity.ts';
import { type ImageFacts, linkedImage, resolveImage } from './galleries.ts';
import {
  checkFit,
  checkKnownProperties,
  checkName,
  checkOsProfile,
  checkPlan,
  checkSpot,
  checkUserData,
  invalid,
  placementIds,
} from './machine-rules.ts';
import { attachNic, checkNics, detachNic, removeNic, reserveNic } from './nics.ts';
import { allRegions, findRegion, regionName } from './regions.ts';
import { osProvisioningTimedOut, settings } from './settings.ts';
import { findSize, type Size } from './skus.ts';
import { termsAccepted } from '../marketplace.ts';

export const machineType = 'Microsoft.Compute/virtualMachines';
const diskType = 'Microsoft.Compute/disks';

// --- Budgets: https://learn.microsoft.com/azure/virtual-machines/compute-throttling-limits -------------------------

function subscriptionBudget(call: Call, name: string, size: number): Budget {
  return { name: `Microsoft.Compute/${name}`, key: call.subscription.id, size, perMinute: size / 3 };
}

/** The VM that a path belongs to: run commands and instance views are charged to it. */
function machineId(call: Call): string {
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

/** Polls of one VM's operations: 45, refilled by 15 a minute. */
export function pollBudget(call: Call): Budget {
  return { name: 'Microsoft.Compute/GetOperationResource', key: machineId(call), size: 45, perMinute: 15 };
}

// --- What the simulator knows of a VM besides its body ---------------------------------------------------------------

interface Machine {
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

function machineOf(resource: Resource): Machine {
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

function tombstones(world: World): Map<string, number> {
  return world.extension('deleted machines', () => new Map<string, number>());
}

/** Whether the VM agent reports, and so whether scripts can run. */
export function agentReady(world: World, resource: Resource): boolean {
  const machine = machineOf(resource);
  return machine.powerState === 'running' && machine.guest && world.clock.now() >= machine.agentReadyAt;
}

function conflict(): Error {
  return refuse(
    409,
    'Conflict',
    'The request failed due to conflict with a concurrent request. To resolve it, please refer to https://aka.ms/activitylog to get more details on the conflicting requests.',
  );
}

// --- Bodies -----------------------------------------------------------------------------------------------------------

function show(call: Call, resource: Resource): Json {
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

function found(call: Call, resource: Resource, status = 200): Answer {
  const headers: Record<string, string> =
    call.apiVersion >= '2024-07-01' && call.query['$expand'] === undefined
      ? { ETag: `"${machineOf(resource).revision}"` }
      : {};
  return { status, headers, body: show(call, resource) };
}

function instanceView(world: World, resource: Resource): Json {
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

// --- Checks of a PUT ---------------------------------------------------------------------------------------------------

interface Wanted {
  readonly location: string;
  readonly zone: string | undefined;
  readonly size: Size;
  readonly image: ImageFacts;
  /** The operation is to end with this. */
  readonly failure: OperationFailure | undefined;
}

function checkPlace(call: Call): { location: string; zone: string | undefined } {
  const { location, zones } = call.body;
  if (typeof location !== 'string' || location === '') {
    throw new ArmError(400, 'LocationRequired', 'The location property is required for this definition.', {
      gateway: true,
    });
  }
  const region = findRegion(location);
  if (region === undefined) {
    const available = allRegions().map((one) => one.name);
    throw new ArmError(
      400,
      'LocationNotAvailableForResourceType',
      `The provided location '${location}' is not available for resource type '${machineType}'. List of available regions for the resource type is '${available.join(',')}'.`,
      { gateway: true },
    );
  }
  if (zones !== undefined && zones !== null && !Array.isArray(zones))
    throw unknown('zones that are not a list');
  const zone: string | undefined = zones?.[0];
  if (zones?.length > 1) throw unknown('a VM in several zones');
  if (zone !== undefined) {
    const what = `${machineType}/${call.name}`;
    if (region.zones.length === 0) {
      throw new ArmError(
        400,
        'LocationNotSupportAvailabilityZones',
        `The resource '${what}' does not support availability zones at location '${region.name}'.`,
        { gateway: true },
      );
    }
    if (!region.zones.includes(zone)) {
      throw new ArmError(
        400,
        'InvalidAvailabilityZone',
        `The zone(s) '${zone}' for resource '${what}' is not supported. The supported zones for location '${region.name}' are '${region.zones.join(',')}'`,
        { gateway: true },
      );
    }
  }
  return { location: region.name, zone };
}

function checkDataDisks(call: Call, properties: Json, image: ImageFacts, size: Size): void {
  const disks: Json[] = properties['storageProfile'].dataDisks ?? [];
  if (disks.length === 0) return;
  const luns = new Set<number>();
  for (const disk of disks) {
    const lun: unknown = disk['lun'];
    if (typeof lun !== 'number')
      throw invalid('dataDisk.lun', "Required parameter 'dataDisk.lun' is missing (null).");
    if (luns.has(lun)) throw unknown('two data disks with one LUN');
    luns.add(lun);
    const create = String(disk['createOption'] ?? '').toLowerCase();
    if (create === 'fromimage') {
      if (!image.dataDisks.some((one) => one.lun === lun)) throw wrongLuns();
    } else if (create === 'attach') {
      checkAttachable(call, disk['managedDisk']?.id);
    } else if (create !== 'empty') {
      throw unknown(`data disk with createOption '${disk['createOption']}'`);
    }
  }
  // Either none is listed and Azure makes them all, or every LUN of the image has its entry.
  if (image.dataDisks.some((one) => !luns.has(one.lun))) throw wrongLuns();
  if (luns.size > size.maxDataDisks) {
    throw refuse(
      409,
      'OperationNotAllowed',
      `The maximum number of data disks allowed to be attached to a VM of this size is ${size.maxDataDisks}.`,
      { target: 'dataDisks' },
    );
  }
}

function checkAttachable(call: Call, id: unknown): void {
  const disk = typeof id === 'string' ? call.world.resources.get(id) : undefined;
  if (disk === undefined) throw unknown(`the refusal of a data disk that is not there: ${String(id)}`);
  const holder: string | undefined = disk.internal['attachedTo'];
  if (holder === undefined) return;
  throw refuse(
    409,
    'ConflictingUserInput',
    `Disk '${disk.id}' cannot be attached as the disk is already owned by VM '${holder}'.`,
    { target: 'dataDisks' },
  );
}

function wrongLuns(): Error {
  return invalid(
    'storageProfile',
    'StorageProfile.dataDisks.lun  does not have required value(s) for image specified in storage profile.',
  );
}

function checkIdentity(call: Call): void {
  const identity: Json | undefined = call.body['identity'] ?? undefined;
  if (identity === undefined) return;
  const kinds = String(identity['type'] ?? '')
    .split(',')
    .map((one) => one.trim());
  if (kinds.some((one) => !['SystemAssigned', 'UserAssigned', 'None'].includes(one))) {
    throw unknown(`identity type '${identity['type']}'`);
  }
  const assigned = Object.keys(identity['userAssignedIdentities'] ?? {});
  if (kinds.includes('UserAssigned') !== assigned.length > 0)
    throw unknown('identity type without its identities');
  for (const id of assigned) {
    if (call.world.resources.has(id)) continue;
    throw refuse(
      400,
      'FailedIdentityOperation',
      `Identity operation for resource '${call.resourceId}' failed with error 'Failed to perform resource identity operation. Status: 'BadRequest'. Response: '{"error":{"code":"BadRequest","message":"Resource '${id}' was not found."}}'.'.`,
    );
  }
}

/** Everything that can refuse a creation, in the order: body, place, size, image, account, fit, plan, NICs, capacity. */
function check(call: Call, existing: Resource | undefined): Wanted {
  const body = call.body;
  checkKnownProperties(body);
  checkTags(body['tags']);
  const { location, zone } = checkPlace(call);
  const properties: Json | undefined = body['properties'];
  if (properties === undefined)
    throw invalid('properties', "Required parameter 'properties' is missing (null).");
  const size = offeredSize(properties['hardwareProfile']?.vmSize, location);
  const storage: Json | undefined = properties['storageProfile'];
  if (storage === undefined || storage === null) {
    throw invalid('storageProfile', "Required parameter 'storageProfile' is missing (null).");
  }
  const reference: Json | undefined = storage['imageReference'];
  if (reference === undefined || reference === null) {
    throw unknown('a VM without imageReference (attached disks are not modelled)');
  }
  const create: string = storage['osDisk']?.createOption ?? 'missing';
  if (storage['osDisk'] !== undefined && create.toLowerCase() !== 'fromimage') {
    throw unknown(`osDisk.createOption '${create}'`);
  }
  const image = existing ? machineOf(existing).image : resolveImage(call, reference, location);
  checkName(call.name, image.osType === 'Windows');
  const osType: string | undefined = storage['osDisk']?.osType;
  if (osType !== undefined && osType !== image.osType) throw unknown(`osDisk.osType '${osType}'`);
  const diskSize: unknown = storage['osDisk']?.diskSizeGB;
  if (typeof diskSize === 'number' && diskSize < image.osDiskSizeGB) {
    // https://learn.microsoft.com/troubleshoot/azure/virtual-machines/linux/error-messages
    throw refuse(
      409,
      'OperationNotAllowed',
      `The specified disk size ${diskSize} GB is smaller than the size of the corresponding disk in the VM image: ${image.osDiskSizeGB} GB. This is not allowed. Please choose equal or greater size or do not specify an explicit size.`,
      { target: 'osDisk.diskSizeGB' },
    );
  }
  if (!existing) {
    checkOsProfile(properties, image);
    checkUserData(properties);
  }
  const standardAllowed = settings(call.world).standardSecurityType.has(call.subscription.id);
  const encryptionAllowed = settings(call.world).encryptionAtHost.has(call.subscription.id);
  checkFit(properties, image, size, standardAllowed, encryptionAllowed);
  for (const id of placementIds(properties)) {
    // Sets, groups, hosts and key sets are not modelled; a scenario may put one in the world as a plain resource.
    if (!call.world.resources.has(id)) throw unknown(`a VM placed in or encrypted with ${id}`);
  }
  if (!existing) checkDataDisks(call, properties, image, size);
  checkSpot(properties, size);
  checkPlan(body, image, call.resourceId);
  if (
    image.purchasePlan !== undefined &&
    !termsAccepted(call.world, call.subscription.id, image.purchasePlan)
  ) {
    const { publisher, product, name } = image.purchasePlan;
    throw refuse(
      400,
      'ResourcePurchaseValidationFailed',
      `User failed validation to purchase resources. Error message: 'You have not accepted the legal terms on this subscription: '${call.subscription.id}' for this plan. Before the subscription can be used, you need to accept the legal terms of the image. To read and accept legal terms, use the Azure CLI commands described at https://go.microsoft.com/fwlink/?linkid=2110637 or the PowerShell commands available at https://go.microsoft.com/fwlink/?linkid=862451. Alternatively, deploying via the Azure portal provides a UI experience for reading and accepting the legal terms. Offer details: publisher='${publisher}' offer = '${product}', sku = '${name}', Correlation Id: '${call.headers['x-ms-correlation-request-id'] ?? call.world.uuid()}'.'`,
    );
  }
  checkIdentity(call);
  checkNics(call, location, size);
  const failure = needsAllocation(existing, size) ? allocate(call, size, location, zone) : undefined;
  return { location, zone, size, image, failure };
}

function needsAllocation(existing: Resource | undefined, size: Size): boolean {
  if (existing === undefined) return true;
  const machine = machineOf(existing);
  const before = findSize(existing.body['properties'].hardwareProfile.vmSize);
  return !machine.allocated || before?.name !== size.name;
}

function notChangeable(target: string): Error {
  return refuse(409, 'PropertyChangeNotAllowed', `Changing property '${target}' is not allowed.`, { target });
}

function same(a: unknown, b: unknown): boolean {
  if (typeof a === 'string' && typeof b === 'string') return a.toLowerCase() === b.toLowerCase();
  return JSON.stringify(a) === JSON.stringify(b);
}

/** What a PUT over an existing VM may not change. */
function checkChange(call: Call, existing: Resource): void {
  const before: Json = existing.body['properties'];
  const after: Json = call.body['properties'] ?? {};
  const location: unknown = call.body['location'];
  if (typeof location === 'string' && regionName(location) !== existing.body['location']) {
    const group = call.params['resourceGroup'];
    throw new ArmError(
      409,
      'InvalidResourceLocation',
      `The resource '${call.name}' already exists in location '${existing.body['location']}' in resource group '${group}'. A resource with the same name cannot be created in location '${regionName(location)}'. Please select a new resource name.`,
      { gateway: true },
    );
  }
  const zonesBefore: string[] = existing.body['zones'] ?? [];
  const zonesAfter: string[] = call.body['zones'] ?? [];
  if (zonesBefore.join() !== zonesAfter.join()) {
    throw new ArmError(
      400,
      'ResourceAvailabilityZonesCannotBeModified',
      `The resource '${call.resourceId}' has an existing availability zone constraint '${zonesBefore.join(',')}' and the request has availability zone constraint '${zonesAfter.join(',')}', which do not match. Zones cannot be added/updated/removed once the resource is created. The resource cannot be updated from regional to zonal or vice-versa.`,
      { gateway: true },
    );
  }
  const image: Json = after['storageProfile']?.imageReference ?? {};
  const imageBefore: Json = before['storageProfile'].imageReference;
  for (const key of ['id', 'sharedGalleryImageId', 'communityGalleryImageId']) {
    if (!same(image[key], imageBefore[key])) throw notChangeable('imageReference');
  }
  const diskName: unknown = after['storageProfile']?.osDisk?.name;
  if (diskName !== undefined && !same(diskName, before['storageProfile'].osDisk.name))
    throw notChangeable('osDisk.name');
  const profile: Json | undefined = after['osProfile'] ?? undefined;
  const profileBefore: Json | undefined = before['osProfile'];
  if (profile !== undefined && profileBefore === undefined) throw notChangeable('osProfile');
  for (const key of ['computerName', 'adminUsername'] as const) {
    if (profile?.[key] !== undefined && profile[key] !== profileBefore?.[key])
      throw notChangeable(`osProfile.${key}`);
  }
  if (profile?.['customData'] !== undefined && profile['customData'] !== machineOf(existing).customData) {
    throw notChangeable('osProfile.customData');
  }
  const keys: unknown = profile?.['linuxConfiguration']?.ssh;
  if (keys !== undefined && !same(keys, profileBefore?.['linuxConfiguration']?.ssh)) {
    throw notChangeable('osProfile.linuxConfiguration.ssh.publicKeys');
  }
  if ((after['priority'] ?? 'Regular') !== (before['priority'] ?? 'Regular')) throw notChangeable('priority');
  if (call.body['plan'] !== undefined && !same(call.body['plan'], existing.body['plan']))
    throw notChangeable('plan');
}

// --- Disks and identity of a VM -----------------------------------------------------------------------------------------

function diskId(call: Call, name: string): string {
  return `/subscriptions/${call.subscription.id}/resourceGroups/${call.params['resourceGroup']}/providers/${diskType}/${name}`;
}

/** The VM's disks as the body names them once they are there; the simulator makes them with the PUT. */
function makeDisks(call: Call, wanted: Wanted, storage: Json): Json {
  const { world } = call;
  const usual = wanted.size.premiumDisks ? 'Premium_LRS' : 'Standard_LRS';
  const suffix = (): string => randomBytes(16).toString('hex');
  const attach = (disk: Json): Json => {
    const resource = world.resources.get(disk['managedDisk'].id);
    if (resource === undefined) throw new Error('an attached disk is gone');
    resource.body['managedBy'] = call.resourceId;
    resource.body['properties'].diskState = 'Attached';
    resource.internal['attachedTo'] = call.resourceId;
    return {
      ...disk,
      name: resource.body['name'],
      managedDisk: { storageAccountType: resource.body['sku'].name, ...disk['managedDisk'] },
      deleteOption: disk['deleteOption'] ?? 'Detach',
      diskSizeGB: resource.body['properties'].diskSizeGB,
    };
  };
  const make = (disk: Json, name: string, sizeGB: number, osType: string | undefined): Json => {
    if (String(disk['createOption']).toLowerCase() === 'attach') return attach(disk);
    const sku: string = disk['managedDisk']?.storageAccountType ?? usual;
    const id = diskId(call, name);
    const taken = world.resources.get(id);
    if (taken !== undefined) {
      // Text as in public reports of `az vm create` with a disk name that is taken.
      throw refuse(
        409,
        'ConflictingUserInput',
        `Disk ${name} already exists in resource group ${call.params['resourceGroup']?.toUpperCase()}. Only CreateOption.Attach is supported.`,
        { target: osType === undefined ? 'dataDisk.name' : 'osDisk.name' },
      );
    }
    world.resources.put({
      id,
      type: diskType,
      body: {
        name,
        id,
        type: diskType,
        location: wanted.location,
        // Disks made with the VM carry its tags.
        ...(call.body['tags'] === undefined ? {} : { tags: { ...call.body['tags'] } }),
        ...(wanted.zone === undefined ? {} : { zones: [wanted.zone] }),
        managedBy: call.resourceId,
        sku: { name: sku, tier: sku.split('_')[0] },
        properties: {
          ...(osType === undefined ? {} : { osType, hyperVGeneration: wanted.image.generation }),
          creationData: {
            createOption: disk['createOption'] === 'Empty' ? 'Empty' : 'FromImage',
          },
          diskSizeGB: sizeGB,
          timeCreated: world.clock.timestamp(),
          provisioningState: 'Succeeded',
          diskState: 'Attached',
          diskSizeBytes: sizeGB * 1024 ** 3,
          uniqueId: world.uuid(),
        },
      },
      internal: { attachedTo: call.resourceId },
    });
    return {
      ...disk,
      name,
      managedDisk: { ...disk['managedDisk'], storageAccountType: sku, id },
      deleteOption: disk['deleteOption'] ?? 'Detach',
      diskSizeGB: sizeGB,
    };
  };
  const os: Json = { createOption: 'FromImage', caching: 'ReadWrite', ...storage['osDisk'] };
  // Azure writes enum values in its own spelling whatever the request said.
  os['createOption'] = 'FromImage';
  const listed: Json[] = storage['dataDisks'] ?? [];
  const entries: Json[] =
    listed.length > 0
      ? listed
      : wanted.image.dataDisks.map((disk) => ({ lun: disk.lun, createOption: 'FromImage', caching: 'None' }));
  // Names must be free before anything is made.
  for (const disk of [os, ...entries]) {
    if (disk['name'] !== undefined && world.resources.has(diskId(call, disk['name']))) {
      make(disk, disk['name'], 0, disk === os ? wanted.image.osType : undefined);
    }
  }
  return {
    imageReference: { ...storage['imageReference'], exactVersion: wanted.image.version },
    osDisk: {
      osType: wanted.image.osType,
      ...make(
        os,
        os['name'] ?? `${call.name}_OsDisk_1_${suffix()}`,
        os['diskSizeGB'] ?? wanted.image.osDiskSizeGB,
        wanted.image.osType,
      ),
    },
    dataDisks: entries.map((disk, index) => ({
      caching: 'None',
      toBeDetached: false,
      ...make(
        disk,
        disk['name'] ?? `${call.name}_lun_${disk['lun']}_${index + 2}_${suffix()}`,
        disk['diskSizeGB'] ?? wanted.image.dataDisks.find((one) => one.lun === disk['lun'])?.sizeInGB ?? 4,
        undefined,
      ),
    })),
    ...(storage['diskControllerType'] === undefined
      ? wanted.size.diskControllers[0] === 'NVMe'
        ? { diskControllerType: 'NVMe' }
        : {}
      : { diskControllerType: storage['diskControllerType'] }),
  };
}

/** Recorded: the first answer knows neither the IDs of the disks nor names that Azure chose. */
function withoutDiskIds(body: Json, asked: Json): Json {
  const copy = structuredClone(body);
  const strip = (disk: Json, wanted: Json | undefined): void => {
    if (wanted?.['name'] === undefined) delete disk['name'];
    delete disk['managedDisk'].id;
  };
  const storage: Json = copy['properties'].storageProfile;
  strip(storage['osDisk'], asked['osDisk']);
  for (const disk of storage['dataDisks'] as Json[]) {
    strip(
      disk,
      (asked['dataDisks'] ?? []).find((one: Json) => one['lun'] === disk['lun']),
    );
  }
  return copy;
}

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
    pollBudget: pollBudget(call),
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
    pollBudget: pollBudget(call),
    complete: () => {
      if (world.resources.get(resource.id) !== resource || machine.generation !== generation) return;
      machine.changedAt = world.clock.now();
      resource.body['properties'].provisioningState = failedBefore === undefined ? 'Succeeded' : 'Failed';
    },
  });
}

function patch(call: Call): Answer {
  const existing = findMachine(call);
  if (['Creating', 'Updating', 'Deleting'].includes(existing.body['properties'].provisioningState))
    throw conflict();
  for (const name of Object.keys(call.body)) {
    if (name !== 'tags' && name !== 'identity') throw unknown(`PATCH of '${name}' of a VM`);
  }
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

// --- DELETE ----------------------------------------------------------------------------------------------------------

function remove(call: Call): Answer {
  const { world } = call;
  const existing = world.resources.get(call.resourceId);
  if (existing === undefined) return { status: 204 };
  const machine = machineOf(existing);
  machine.generation += 1;
  existing.body['properties'].provisioningState = 'Deleting';
  const force = call.query['forcedeletion']?.toLowerCase() === 'true';
  return call.accept({
    family: 'compute',
    // "forceDeletion shortens it" (REST reference); by how much was not recorded: half.
    latency: force ? world.latency('vmDelete') / 2 : 'vmDelete',
    status: 202,
    location: existing.body['location'],
    resourceId: existing.id,
    name: 'DeleteVMOperation',
    pollBudget: pollBudget(call),
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
      return call.accept({
        family: 'compute',
        // Recorded: 0.3 s (restart), 3 s (power off), 6 s (start).
        latency: action === 'start' ? 6 : 3,
        status: 202,
        location: existing.body['location'],
        resourceId: existing.id,
        name: `${action}VMOperation`,
        pollBudget: pollBudget(call),
        result: () => undefined,
        complete: () => {
          machine.powerState =
            action === 'powerOff' ? 'stopped' : action === 'deallocate' ? 'deallocated' : 'running';
          machine.allocated = action !== 'deallocate';
          if (machine.powerState === 'running') {
            machine.guest = true;
            machine.agentReadyAt = world(call).clock.now() + settings(world(call)).agentDelay;
          }
        },
      });
    },
  };
}

function world(call: Call): World {
  return call.world;
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
    action: readAction,
    budgets: readBudgets,
    handle: (call) => found(call, findMachine(call)),
  },
  {
    method: 'DELETE',
    path: onePath,
    kind: 'vm.delete',
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
