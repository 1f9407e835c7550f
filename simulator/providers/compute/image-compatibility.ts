import { refuse, notModelled } from '../../model/arm-error.ts';
import type { Json } from '../../model/contract.ts';
import type { VmImage } from './image-resolution.ts';
import type { Size } from './skus.ts';
import { invalidParameter, missingParameter } from './vm-rules.ts';

function badRequestError(message: string): Error {
  return refuse(400, 'BadRequest', message);
}

function securityTypeError(size: Size, securityType: string): Error {
  return badRequestError(
    `The VM size '${size.name}' is not supported for creation of VMs and Virtual Machine Scale Set with '${securityType}' security type.`,
  );
}

/** Preview features that the subscription has registered. */
export interface SubscriptionFeatures {
  /** Microsoft.Compute/UseStandardSecurityType. */
  readonly standardSecurityType: boolean;
  /** Microsoft.Compute/EncryptionAtHost. */
  readonly encryptionAtHost: boolean;
}

/**
 * Checks image against size: generation, architecture, disk controller, security type.
 * Rules of the security types: https://learn.microsoft.com/azure/virtual-machines/trusted-launch
 */
export function checkImageCompatibility(
  properties: Json,
  image: VmImage,
  size: Size,
  features: SubscriptionFeatures,
): void {
  checkSecurityFeatures(properties, size, features);
  checkHardware(properties, image, size);
  const security: Json = properties['securityProfile'] ?? {};
  if (security['uefiSettings'] !== undefined && image.generation === 'V1') {
    throw badRequestError('UEFI settings are not supported for VMs and VM Scale Sets using Generation 1 Image.');
  }
  switch (security['securityType']) {
    case 'TrustedLaunch':
      checkTrustedLaunch(image, size);
      return;
    case 'ConfidentialVM':
      checkConfidential(properties, image, size);
      return;
    default:
      checkStandard(security, image, size);
  }
}

function checkSecurityFeatures(properties: Json, size: Size, features: SubscriptionFeatures): void {
  const security: Json = properties['securityProfile'] ?? {};
  const securityType: string | undefined = security['securityType'];
  if (securityType !== undefined && !['Standard', 'TrustedLaunch', 'ConfidentialVM'].includes(securityType)) {
    throw notModelled(`securityType '${securityType}'`);
  }
  if (security['encryptionAtHost'] === true && !features.encryptionAtHost) {
    // https://learn.microsoft.com/azure/virtual-machines/linux/disks-enable-host-based-encryption-cli
    throw invalidParameter(
      'securityProfile.encryptionAtHost',
      "The property 'securityProfile.encryptionAtHost' is not valid because the 'Microsoft.Compute/EncryptionAtHost' feature is not enabled for this subscription.",
    );
  }
  if (properties['storageProfile']?.osDisk?.diffDiskSettings !== undefined && !size.ephemeralDisks) {
    throw notModelled(`the refusal of an ephemeral OS disk on ${size.name}`);
  }
  if (securityType === 'Standard' && !features.standardSecurityType) {
    // Text assumed; that it is refused: azure-cli's help of --security-type and Microsoft's Trusted Launch FAQ.
    throw badRequestError(
      "The value 'Standard' of securityProfile.securityType is not allowed until the feature 'Microsoft.Compute/UseStandardSecurityType' is registered for the subscription.",
    );
  }
}

function checkHardware(properties: Json, image: VmImage, size: Size): void {
  if (image.architecture !== size.architecture) {
    throw badRequestError(
      `Cannot create a VM of size '${size.name}' because this VM size only supports a CPU Architecture of '${size.architecture}', but an image or disk with CPU Architecture '${image.architecture}' was given. Please check that the CPU Architecture of the image or disk is compatible with that of the VM size.`,
    );
  }
  if (!size.generations.includes(image.generation)) {
    const generation = image.generation === 'V2' ? '2' : '1';
    throw badRequestError(
      `The selected VM size '${size.name}' cannot boot Hypervisor Generation '${generation}'. If this was a Create operation please check that the Hypervisor Generation of the Image matches the Hypervisor Generation of the selected VM Size. If this was an Update operation please select a Hypervisor Generation '${generation}' VM Size. For more information, see https://aka.ms/azuregen2vm`,
    );
  }
  const controllers = (image.features['DiskControllerTypes'] ?? 'SCSI').split(',').map((name) => name.trim());
  const requested: string | undefined = properties['storageProfile']?.diskControllerType;
  const usable = size.diskControllers.filter((name) => controllers.includes(name));
  if (usable.length === 0 || (requested !== undefined && !usable.includes(requested as 'SCSI' | 'NVMe'))) {
    throw refuse(
      400,
      'InvalidParameter',
      `The VM size '${size.name}' cannot boot with OS image or disk. Please check that disk controller types supported by the OS image or disk is one of the supported disk controller types for the VM size '${size.name}'. Please query sku api at https://aka.ms/azure-compute-skus  to determine supported disk controller types for the VM size.`,
    );
  }
}

function securityFeature(image: VmImage): string {
  return image.features['SecurityType'] ?? 'None';
}

function checkTrustedLaunch(image: VmImage, size: Size): void {
  const feature = securityFeature(image);
  if (!['TrustedLaunch', 'TrustedLaunchSupported', 'TrustedLaunchAndConfidentialVmSupported'].includes(feature)) {
    throw badRequestError(
      'Use of TrustedLaunch setting is not supported for the provided image. Please select Trusted Launch Supported Gen2 OS Image. For more information, see https://aka.ms/TrustedLaunch-FAQ.',
    );
  }
  if (!size.trustedLaunch) throw securityTypeError(size, 'TrustedLaunch');
}

function checkConfidential(properties: Json, image: VmImage, size: Size): void {
  const feature = securityFeature(image);
  if (!['ConfidentialVM', 'ConfidentialVmSupported', 'TrustedLaunchAndConfidentialVmSupported'].includes(feature)) {
    // Text assumed, on the pattern of TrustedLaunch.
    throw badRequestError('Use of ConfidentialVM setting is not supported for the provided image.');
  }
  if (!size.confidential) throw securityTypeError(size, 'ConfidentialVM');
  const encryption: unknown =
    properties['storageProfile']?.osDisk?.managedDisk?.securityProfile?.securityEncryptionType;
  if (encryption === undefined) throw missingParameter('osDisk.managedDisk.securityProfile.securityEncryptionType');
  // https://learn.microsoft.com/rest/api/compute/virtual-machines/create-or-update#securityencryptiontypes
  if (properties['securityProfile'].uefiSettings?.vTpmEnabled !== true)
    throw missingParameter('securityProfile.uefiSettings.vTpmEnabled');
}

function checkStandard(security: Json, image: VmImage, size: Size): void {
  const feature = securityFeature(image);
  if (feature === 'TrustedLaunch' || feature === 'ConfidentialVM') {
    throw badRequestError(
      `The provided gallery image only supports creation of VMs and VM Scale Sets with '${feature}' security type.`,
    );
  }
  if (size.confidential) throw securityTypeError(size, security['securityType'] ?? '<NULL>');
  if (security['uefiSettings'] !== undefined) {
    // "uefiSettings only with a securityType other than Standard" (REST reference); text assumed.
    throw invalidParameter(
      'securityProfile.uefiSettings',
      'The value of parameter securityProfile.uefiSettings is invalid.',
    );
  }
}
