// Checks a PUT of a virtual machine against the state of the world.
import type { Call } from '../../http/provider.ts';
import { ArmError, refuse, notModelled } from '../../model/arm-error.ts';
import type { Json } from '../../model/contract.ts';
import type { Resource } from '../../model/entities.ts';
import { termsAccepted } from '../marketplace.ts';
import { allRegions, findRegion } from '../regions.ts';
import { checkTags } from '../resources/tags.ts';
import { allocateCapacity, requireSize } from './capacity.ts';
import { checkImageCompatibility } from './image-compatibility.ts';
import { resolveImage, type VmImage } from './image-resolution.ts';
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
  checkSpotPrice,
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
    const available = allRegions().map(({ name }) => name);
    throw new ArmError(
      400,
      'LocationNotAvailableForResourceType',
      `The provided location '${location}' is not available for resource type '${vmType}'. List of available regions for the resource type is '${available.join(',')}'.`,
      { gateway: true },
    );
  }
  if (zones !== undefined && zones !== null && !Array.isArray(zones)) throw notModelled('zones that are not a list');
  const zone: string | undefined = zones?.[0];
  if (zones?.length > 1) throw notModelled('a VM in several zones');
  if (zone !== undefined) {
    const resource = `${vmType}/${call.name}`;
    if (region.zones.length === 0) {
      throw new ArmError(
        400,
        'LocationNotSupportAvailabilityZones',
        `The resource '${resource}' does not support availability zones at location '${region.name}'.`,
        { gateway: true },
      );
    }
    if (!region.zones.includes(zone)) {
      throw new ArmError(
        400,
        'InvalidAvailabilityZone',
        `The zone(s) '${zone}' for resource '${resource}' is not supported. The supported zones for location '${region.name}' are '${region.zones.join(',')}'`,
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
    .map((kind) => kind.trim());
  if (kinds.some((kind) => !['SystemAssigned', 'UserAssigned', 'None'].includes(kind))) {
    throw notModelled(`identity type '${identity['type']}'`);
  }
  const assigned = Object.keys(identity['userAssignedIdentities'] ?? {});
  if (kinds.includes('UserAssigned') !== assigned.length > 0) throw notModelled('identity type without its identities');
  for (const id of assigned) {
    if (call.world.resources.has(id)) continue;
    throw refuse(
      400,
      'FailedIdentityOperation',
      `Identity operation for resource '${call.resourceId}' failed with error 'Failed to perform resource identity operation. Status: 'BadRequest'. Response: '{"error":{"code":"BadRequest","message":"Resource '${id}' was not found."}}'.'.`,
    );
  }
}

/**
 * All checks of a VM PUT, in Azure's order: body, placement, size, image, account, compatibility, plan, NICs, capacity.
 *
 * @throws ArmError for the first check that fails.
 */
export function checkVmRequest(call: Call, existing: Resource | undefined): VmRequest {
  const { body } = call;
  checkVmBody(body);
  checkTags(body['tags']);
  const { location, zone } = checkPlacement(call);
  const properties: Json | undefined = body['properties'];
  if (properties === undefined)
    throw invalidParameter('properties', "Required parameter 'properties' is missing (null).");
  const size = requireSize(properties['hardwareProfile']?.vmSize, location);
  const storage: Json | undefined = properties['storageProfile'] ?? undefined;
  if (storage === undefined) {
    throw invalidParameter('storageProfile', "Required parameter 'storageProfile' is missing (null).");
  }
  const reference = checkOsDiskSource(storage);
  const image = existing ? vmStateOf(existing).image : resolveImage(call, reference, location);
  checkVmName(call.name, image.osType === 'Windows');
  checkOsDisk(storage, image);
  if (!existing) {
    checkOsProfile(properties, image);
    checkUserData(properties);
  }
  const { standardSecurityType, encryptionAtHost, trustedLaunchByDefault } = settings(call.world);
  if (!existing && trustedLaunchByDefault.has(call.subscription.id)) applyTrustedLaunch(properties, image);
  checkImageCompatibility(properties, image, size, {
    // An ordinary value since 2025-11-01 (azure-rest-api-specs#39957).
    standardSecurityType: call.apiVersion >= '2025-11-01' || standardSecurityType.has(call.subscription.id),
    encryptionAtHost: encryptionAtHost.has(call.subscription.id),
  });
  checkDiskTypes(storage, size);
  checkDiskNames(storage);
  for (const id of unmodelledReferences(properties)) {
    // Availability sets, host groups and disk encryption sets: a test may add one as a plain resource.
    if (!call.world.resources.has(id)) throw notModelled(`a VM placed in or encrypted with ${id}`);
  }
  if (!existing) checkDataDisks(call, properties, image, size);
  checkSpot(properties, size);
  checkSpotPrice(body, size, settings(call.world).spotPrices[size.name]);
  checkPlan(body, image, call.resourceId);
  checkTermsAccepted(call, image);
  checkIdentity(call);
  checkNics(call, location, size);
  const failure = needsAllocation(existing, size) ? allocateCapacity(call, size, location, zone) : undefined;
  return { location, zone, size, image, failure };
}

function checkOsDiskSource(storage: Json): Json {
  const reference: Json | undefined = storage['imageReference'] ?? undefined;
  if (reference === undefined) {
    throw notModelled('a VM without imageReference (attached disks are not modelled)');
  }
  if (storage['osDisk'] === undefined) return reference;
  const createOption: string = storage['osDisk']?.createOption ?? 'missing';
  if (createOption.toLowerCase() !== 'fromimage') {
    throw notModelled(`osDisk.createOption '${createOption}'`);
  }
  return reference;
}

function applyTrustedLaunch(properties: Json, image: VmImage): void {
  const supported = /^trustedlaunch/i.test(image.features['SecurityType'] ?? '');
  if (!supported || properties['securityProfile']?.securityType !== undefined) return;
  properties['securityProfile'] = {
    ...properties['securityProfile'],
    securityType: 'TrustedLaunch',
    uefiSettings: { secureBootEnabled: true, vTpmEnabled: true },
  };
}

function checkOsDisk(storage: Json, image: VmImage): void {
  const osType: string | undefined = storage['osDisk']?.osType;
  if (osType !== undefined && osType !== image.osType) throw notModelled(`osDisk.osType '${osType}'`);
  const diskSize: unknown = storage['osDisk']?.diskSizeGB;
  if (typeof diskSize !== 'number' || diskSize >= image.osDiskSizeGB) return;
  // https://learn.microsoft.com/troubleshoot/azure/virtual-machines/linux/error-messages
  throw refuse(
    409,
    'OperationNotAllowed',
    `The specified disk size ${diskSize} GB is smaller than the size of the corresponding disk in the VM image: ${image.osDiskSizeGB} GB. This is not allowed. Please choose equal or greater size or do not specify an explicit size.`,
    { target: 'osDisk.diskSizeGB' },
  );
}

function checkTermsAccepted(call: Call, image: VmImage): void {
  const { purchasePlan } = image;
  if (purchasePlan === undefined || termsAccepted(call.world, call.subscription.id, purchasePlan)) return;
  const { publisher, product, name } = purchasePlan;
  throw refuse(
    400,
    'ResourcePurchaseValidationFailed',
    `User failed validation to purchase resources. Error message: 'You have not accepted the legal terms on this subscription: '${call.subscription.id}' for this plan. Before the subscription can be used, you need to accept the legal terms of the image. To read and accept legal terms, use the Azure CLI commands described at https://go.microsoft.com/fwlink/?linkid=2110637 or the PowerShell commands available at https://go.microsoft.com/fwlink/?linkid=862451. Alternatively, deploying via the Azure portal provides a UI experience for reading and accepting the legal terms. Offer details: publisher='${publisher}' offer = '${product}', sku = '${name}', Correlation Id: '${call.headers['x-ms-correlation-request-id'] ?? call.world.uuid()}'.'`,
  );
}

export function needsAllocation(existing: Resource | undefined, size: Size): boolean {
  if (existing === undefined) return true;
  const currentSize = findSize(existing.body['properties'].hardwareProfile.vmSize);
  return !vmStateOf(existing).allocated || currentSize?.name !== size.name;
}
