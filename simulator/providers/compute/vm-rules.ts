// Checks of a VM's body against image and size. Codes and texts are from __tests__/fixtures/errors.json and Microsoft's
// documentation; "text assumed" marks texts for which only the code is known.
import { refuse, notModelled } from '../../model/arm-error.ts';
import type { Json } from '../../model/contract.ts';
import type { VmImage } from './image-resolution.ts';
import type { Size } from './skus.ts';

/** Compute's error for one invalid value. */
export function invalidParameter(target: string, message: string): Error {
  return refuse(400, 'InvalidParameter', message, { target });
}

export function missingParameter(target: string, name = target.slice(target.lastIndexOf('.') + 1)): Error {
  return invalidParameter(target, `Required parameter '${name}' is missing (null).`);
}

/** IDs of resources that are not modelled: placement, encryption, and sources of disk copies. */
export function unmodelledReferences(properties: Json): string[] {
  const storage: Json = properties['storageProfile'] ?? {};
  const disks: Json[] = [storage['osDisk'] ?? {}, ...((storage['dataDisks'] ?? []) as Json[])];
  return [
    properties['availabilitySet']?.id,
    properties['proximityPlacementGroup']?.id,
    properties['host']?.id,
    properties['hostGroup']?.id,
    properties['virtualMachineScaleSet']?.id,
    properties['capacityReservation']?.capacityReservationGroup?.id,
    ...disks.flatMap(({ managedDisk, sourceResource }) => [
      managedDisk?.diskEncryptionSet?.id,
      managedDisk?.securityProfile?.diskEncryptionSet?.id,
      sourceResource?.id,
    ]),
  ].filter((id): id is string => typeof id === 'string');
}

/** Azure's error for a premium disk on an unsupported size was not recorded. */
export function checkDiskTypes(storage: Json, size: Size): void {
  if (size.premiumDisks) return;
  for (const disk of [storage['osDisk'] ?? {}, ...((storage['dataDisks'] ?? []) as Json[])]) {
    const type = String(disk['managedDisk']?.storageAccountType ?? '');
    if (type.startsWith('Premium')) throw notModelled(`the refusal of a ${type} disk on ${size.name}`);
  }
}

/** Compares the plan in the body with the image's purchase plan. Terms are checked elsewhere. */
export function checkPlan(body: Json, image: VmImage, vmId: string): void {
  const plan: Json | undefined = body['plan'] ?? undefined;
  const requiredPlan = image.purchasePlan;
  if (requiredPlan === undefined) {
    if (plan !== undefined) {
      throw refuse(
        400,
        'VMMarketplaceInvalidInput',
        `Creating a virtual machine from a non Marketplace image or a custom image sourced from a non Marketplace image does not need Plan information in the request. Please remove the Plan information in the request for VM '${vmId}'.`,
      );
    }
    return;
  }
  if (plan === undefined) {
    throw refuse(
      400,
      'VMMarketplaceInvalidInput',
      `Creating a virtual machine from Marketplace image or a custom image sourced from a Marketplace image requires Plan information in the request. VM: '${vmId}'.`,
    );
  }
  if (
    plan['name'] !== requiredPlan.name ||
    plan['publisher'] !== requiredPlan.publisher ||
    plan['product'] !== requiredPlan.product
  ) {
    throw refuse(
      400,
      'VMMarketplaceInvalidInput',
      `Unable to deploy from the Marketplace image or a custom image sourced from Marketplace image. The part number in the purchase information for VM '${vmId}' is not as expected. Beware that the Plan object's properties are case-sensitive. Learn more about common virtual machine error codes at https://aka.ms/vm-error-codes`,
    );
  }
}

/** Consistency of priority, eviction policy and price. */
export function checkSpot(properties: Json, size: Size): void {
  const priority: string | undefined = properties['priority'];
  if (priority !== undefined && !['Regular', 'Low', 'Spot'].includes(priority)) {
    throw invalidParameter('priority', 'The value of parameter priority is invalid.');
  }
  const spot = priority === 'Spot' || priority === 'Low';
  const eviction: string | undefined = properties['evictionPolicy'];
  if (eviction !== undefined && !['Deallocate', 'Delete'].includes(eviction)) {
    throw invalidParameter('evictionPolicy', 'The value of parameter evictionPolicy is invalid.');
  }
  if (!spot) {
    if (eviction !== undefined) throw invalidParameter('evictionPolicy', "Parameter 'evictionPolicy' is not allowed.");
    if (properties['billingProfile'] !== undefined) {
      throw invalidParameter('billingProfile', "Parameter 'billingProfile' is not allowed.");
    }
    return;
  }
  const price: unknown = properties['billingProfile']?.maxPrice;
  if (price !== undefined && (typeof price !== 'number' || (price !== -1 && price <= 0))) {
    throw invalidParameter('billingProfile.maxPrice', 'The value of parameter billingProfile.maxPrice is invalid.');
  }
  if (!size.spot) {
    // Text assumed; the rule: https://learn.microsoft.com/azure/virtual-machines/spot-vms#limitations
    throw refuse(400, 'BadRequest', `VM size '${size.name}' is not supported for Azure Spot Virtual Machines.`);
  }
}

/** @param current in US dollars an hour; 0 if it is not known. */
export function checkSpotPrice({ properties }: Json, size: Size, current = 0): void {
  const price: unknown = properties.billingProfile?.maxPrice;
  if (typeof price === 'number' && price !== -1 && price < current) {
    throw refuse(
      409,
      'OperationNotAllowed',
      `Unable to perform operation 'Create VM' since the provided max price '${price} USD' is lower than the current spot price '${current} USD' for Azure Spot VM size '${size.name}'. For more information, see http://aka.ms/AzureSpot/errormessages.`,
    );
  }
}

/** https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules */
export function checkVmName(name: string, windows: boolean): void {
  const bad =
    name.length > 64 ||
    /[\s~!@#$%^&*()=+_[\]{}\\|;:'",<>/?`]/.test(name) ||
    (windows ? name.includes('.') || name.endsWith('-') : name.endsWith('.') || name.endsWith('-'));
  if (bad)
    throw refuse(400, 'InvalidParameter', `The value '${name}' of parameter vmName is invalid.`, {
      target: 'vmName',
    });
}
