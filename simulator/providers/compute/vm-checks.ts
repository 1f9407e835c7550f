// Whether a PUT of a virtual machine may go ahead: everything that the world has to say about it.
import type { Call } from '../../http/provider.ts';
import { ArmError, refuse, notModelled } from '../../model/arm-error.ts';
import type { Json } from '../../model/contract.ts';
import type { Resource } from '../../model/entities.ts';
import { termsAccepted } from '../marketplace.ts';
import { allRegions, findRegion } from '../regions.ts';
import { checkTags } from '../resources/tags.ts';
import { allocateCapacity, requireSize } from './capacity.ts';
import { checkImageCompatibility } from './image-compatibility.ts';
import { resolveImage } from './image-resolution.ts';
import { checkNics } from './nics.ts';
import { checkOsProfile, checkUserData } from './os-profile-rules.ts';
import { settings } from './settings.ts';
import { findSize, type Size } from './skus.ts';
import { checkDataDisks, checkDiskNames } from './vm-disks.ts';
import {
  checkDiskTypes,
  checkVmName,
  checkPlan,
  checkSpot,
  invalidParameter,
  unmodelledReferences,
} from './vm-rules.ts';
import { checkVmBody } from './vm-schema.ts';
import { vmStateOf, vmType, type VmRequest } from './vm.ts';

function checkPlacement(call: Call): { location: string; zone: string | undefined } {
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
      `The provided location '${location}' is not available for resource type '${vmType}'. List of available regions for the resource type is '${available.join(',')}'.`,
      { gateway: true },
    );
  }
  if (zones !== undefined && zones !== null && !Array.isArray(zones))
    throw notModelled('zones that are not a list');
  const zone: string | undefined = zones?.[0];
  if (zones?.length > 1) throw notModelled('a VM in several zones');
  if (zone !== undefined) {
    const what = `${vmType}/${call.name}`;
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

export function checkIdentity(call: Call): void {
  const identity: Json | undefined = call.body['identity'] ?? undefined;
  if (identity === undefined) return;
  const kinds = String(identity['type'] ?? '')
    .split(',')
    .map((one) => one.trim());
  if (kinds.some((one) => !['SystemAssigned', 'UserAssigned', 'None'].includes(one))) {
    throw notModelled(`identity type '${identity['type']}'`);
  }
  const assigned = Object.keys(identity['userAssignedIdentities'] ?? {});
  if (kinds.includes('UserAssigned') !== assigned.length > 0)
    throw notModelled('identity type without its identities');
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
export function checkVmRequest(call: Call, existing: Resource | undefined): VmRequest {
  const body = call.body;
  checkVmBody(body);
  checkTags(body['tags']);
  const { location, zone } = checkPlacement(call);
  const properties: Json | undefined = body['properties'];
  if (properties === undefined)
    throw invalidParameter('properties', "Required parameter 'properties' is missing (null).");
  const size = requireSize(properties['hardwareProfile']?.vmSize, location);
  const storage: Json | undefined = properties['storageProfile'];
  if (storage === undefined || storage === null) {
    throw invalidParameter('storageProfile', "Required parameter 'storageProfile' is missing (null).");
  }
  const reference: Json | undefined = storage['imageReference'];
  if (reference === undefined || reference === null) {
    throw notModelled('a VM without imageReference (attached disks are not modelled)');
  }
  const create: string = storage['osDisk']?.createOption ?? 'missing';
  if (storage['osDisk'] !== undefined && create.toLowerCase() !== 'fromimage') {
    throw notModelled(`osDisk.createOption '${create}'`);
  }
  const image = existing ? vmStateOf(existing).image : resolveImage(call, reference, location);
  checkVmName(call.name, image.osType === 'Windows');
  const osType: string | undefined = storage['osDisk']?.osType;
  if (osType !== undefined && osType !== image.osType) throw notModelled(`osDisk.osType '${osType}'`);
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
  checkImageCompatibility(properties, image, size, standardAllowed, encryptionAllowed);
  checkDiskTypes(storage, size);
  checkDiskNames(storage);
  for (const id of unmodelledReferences(properties)) {
    // Sets, groups, hosts and key sets are not modelled; a scenario may put one in the world as a plain resource.
    if (!call.world.resources.has(id)) throw notModelled(`a VM placed in or encrypted with ${id}`);
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
  const failure = needsAllocation(existing, size) ? allocateCapacity(call, size, location, zone) : undefined;
  return { location, zone, size, image, failure };
}

export function needsAllocation(existing: Resource | undefined, size: Size): boolean {
  if (existing === undefined) return true;
  const machine = vmStateOf(existing);
  const before = findSize(existing.body['properties'].hardwareProfile.vmSize);
  return !machine.allocated || before?.name !== size.name;
}
