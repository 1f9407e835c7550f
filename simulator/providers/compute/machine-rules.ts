// What Compute refuses in the body of a virtual machine before it starts anything: pure checks of the body against
// the image and the size. Codes and texts are those of __tests__/azure/errors.json and of Microsoft's pages; where
// only the code is known and the text was completed by hand, the comment says "text assumed".
import type { Json } from '../../model/contract.ts';
import { refuse, unknown } from '../../model/arm-error.ts';
import type { ImageFacts } from './galleries.ts';
import type { Size } from './skus.ts';

/** InvalidParameter: how Compute names one bad value. */
export function invalid(target: string, message: string): Error {
  return refuse(400, 'InvalidParameter', message, { target });
}

function missing(target: string, name = target.slice(target.lastIndexOf('.') + 1)): Error {
  return invalid(target, `Required parameter '${name}' is missing (null).`);
}

/** IDs of what is not modelled: what a machine may be placed in or encrypted with, and what its disks are copies of. */
export function placementIds(properties: Json): string[] {
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

// https://learn.microsoft.com/azure/virtual-machines/linux/faq#what-are-the-username-requirements-when-creating-a-vm-
const reservedUsers = new Set(
  (
    'administrator admin user user1 test user2 test1 user3 admin1 1 123 a actuser adm admin2 aspnet backup console ' +
    'david guest john owner root server sql support support_388945a0 sys test2 test3 user4 user5'
  ).split(' '),
);
const reservedPasswords = new Set([
  'abc@123',
  'P@$$w0rd',
  'P@ssw0rd',
  'P@ssword123',
  'Pa$$word',
  'pass@word1',
  'Password!',
  'Password1',
  'Password22',
  'iloveyou!',
]);
const hostNameCharacters = '` ~ ! @ # $ % ^ & * ( ) = + _ [ ] { } \\ | ; : . \' " , < > / ?';
const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
/** 65,535 bytes in base64. */
const largestCustomData = 87_380;

function checkPassword(password: string, windows: boolean): void {
  const [least, most] = windows ? [8, 123] : [6, 72];
  const classes = [/[A-Z]/, /[a-z]/, /[0-9]/, /[^A-Za-z0-9]/].filter((one) => one.test(password)).length;
  const control = /\p{Cc}/u.test(password);
  // The refused ready-made passwords get the same target; that their text is the same is assumed.
  if (
    password.length < least ||
    password.length > most ||
    classes < 3 ||
    control ||
    reservedPasswords.has(password)
  ) {
    throw invalid(
      'adminPassword',
      `The supplied password must be between ${least}-${most} characters long and must satisfy at least 3 of password complexity requirements from the following:\r\n1) Contains an uppercase character\r\n2) Contains a lowercase character\r\n3) Contains a numeric digit\r\n4) Contains a special character\r\n5) Control characters are not allowed`,
    );
  }
}

function checkComputerName(name: string, windows: boolean): void {
  if (windows) {
    if (name.length > 15 || /^\d+$/.test(name) || /[\s`~!@#$%^&*()=+_[\]{}\\|;:.'",<>/?]/.test(name)) {
      throw invalid(
        'computerName',
        `Windows computer name cannot be more than 15 characters long, be entirely numeric, or contain the following characters: ${hostNameCharacters}.`,
      );
    }
  } else if (name.length > 64 || /[\s`~!@#$%^&*()=+_[\]{}\\|;:'",<>/?]/.test(name)) {
    throw invalid(
      'computerName',
      `Linux host name cannot exceed 64 characters in length or contain the following characters: ${hostNameCharacters.replace(' .', '')}.`,
    );
  }
}

/** RSA of 2048 bits or more, or ed25519, in OpenSSH's one-line form with a body that says the same. */
export function isSshPublicKey(text: unknown): boolean {
  if (typeof text !== 'string') return false;
  const match = /^(ssh-rsa|ssh-ed25519)\s+([A-Za-z0-9+/]+={0,2})(?:\s.*)?$/s.exec(text.trim());
  if (match === null) return false;
  const blob = Buffer.from(match[2] ?? '', 'base64');
  const parts: Buffer[] = [];
  for (let at = 0; at + 4 <= blob.length; ) {
    const length = blob.readUInt32BE(at);
    if (at + 4 + length > blob.length) return false;
    parts.push(blob.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  if (parts[0]?.toString('latin1') !== match[1]) return false;
  if (match[1] === 'ssh-ed25519') return parts.length === 2 && parts[1]?.length === 32;
  // A leading zero byte keeps the modulus positive.
  return parts.length === 3 && (parts[2]?.length ?? 0) >= 256;
}

function checkLinux(profile: Json): void {
  const linux: Json = profile['linuxConfiguration'] ?? {};
  const keys: unknown = linux['ssh']?.publicKeys;
  const passwordOff = linux['disablePasswordAuthentication'] === true;
  const password: unknown = profile['adminPassword'];
  if (passwordOff && password !== undefined) {
    throw invalid('adminPassword', "Parameter 'adminPassword' is not allowed.");
  }
  if (passwordOff && (!Array.isArray(keys) || keys.length === 0)) {
    throw invalid(
      'linuxConfiguration',
      'Authentication using either SSH or by user name and password must be enabled in Linux profile.',
    );
  }
  if (!passwordOff && password === undefined) throw missing('adminPassword');
  if (Array.isArray(keys)) {
    const path = `/home/${profile['adminUsername']}/.ssh/authorized_keys`;
    for (const key of keys as Json[]) {
      if (key['path'] !== path) {
        throw invalid(
          'linuxConfiguration.ssh.publicKeys.path',
          `Destination path for SSH public keys is currently limited to its default value ${path} due to a known issue in Linux provisioning agent.`,
        );
      }
      if (!isSshPublicKey(key['keyData'])) {
        throw invalid(
          'linuxConfiguration.ssh.publicKeys.keyData',
          'The value of parameter linuxConfiguration.ssh.publicKeys.keyData is invalid.',
        );
      }
    }
  }
  if (typeof password === 'string') checkPassword(password, false);
}

/** The account, host name and custom data against what the image is. */
export function checkOsProfile(properties: Json, image: ImageFacts): void {
  const profile: Json | null | undefined = properties['osProfile'];
  if (image.osState === 'Specialized') {
    if (profile !== undefined && profile !== null) {
      throw invalid('osProfile', "Parameter 'osProfile' is not allowed.");
    }
    return;
  }
  if (profile === undefined || profile === null) throw missing('osProfile');
  const windows = image.osType === 'Windows';
  if (windows && profile['linuxConfiguration'] !== undefined) {
    throw invalid('linuxConfiguration', "Parameter 'linuxConfiguration' is not allowed.");
  }
  if (!windows && profile['windowsConfiguration'] !== undefined) {
    throw invalid('windowsConfiguration', "Parameter 'windowsConfiguration' is not allowed.");
  }
  const computerName: unknown = profile['computerName'];
  if (typeof computerName !== 'string' || computerName === '') throw missing('computerName');
  checkComputerName(computerName, windows);
  const user: unknown = profile['adminUsername'];
  if (typeof user !== 'string' || user === '') throw missing('adminUsername');
  // Length and, of Windows alone, a final period: code and target are certain, text assumed to be the same.
  const [most, period] = windows ? [20, user.endsWith('.')] : [64, false];
  if (reservedUsers.has(user.toLowerCase()) || user.length > most || period) {
    throw invalid('adminUsername', 'The Admin Username specified is not allowed.');
  }
  if (windows) {
    const password: unknown = profile['adminPassword'];
    if (typeof password !== 'string') throw missing('adminPassword');
    checkPassword(password, true);
  } else {
    checkLinux(profile);
  }
  const customData: unknown = profile['customData'];
  if (customData !== undefined) {
    if (typeof customData !== 'string' || customData.length > largestCustomData || !base64.test(customData)) {
      throw invalid(
        'customData',
        `Custom data in OSProfile must be in Base64 encoding and with a maximum length of ${largestCustomData} characters.`,
      );
    }
  }
}

/** 64 KiB in base64: https://learn.microsoft.com/azure/virtual-machines/user-data */
const largestUserData = 87_384;

/** Text assumed by analogy with custom data. */
export function checkUserData(properties: Json): void {
  const userData: unknown = properties['userData'];
  if (userData === undefined || userData === null) return;
  if (typeof userData !== 'string' || userData.length > largestUserData || !base64.test(userData)) {
    throw invalid(
      'userData',
      `User data must be in Base64 encoding and with a maximum length of ${largestUserData} characters.`,
    );
  }
}

function badRequest(message: string): Error {
  return refuse(400, 'BadRequest', message);
}

function sizeAndSecurity(size: Size, securityType: string): Error {
  return badRequest(
    `The VM size '${size.name}' is not supported for creation of VMs and Virtual Machine Scale Set with '${securityType}' security type.`,
  );
}

/**
 * Generation, architecture, disk controller and security type of image and size.
 * The rules by feature: https://learn.microsoft.com/azure/virtual-machines/trusted-launch
 */
export function checkFit(
  properties: Json,
  image: ImageFacts,
  size: Size,
  /** The subscription has registered Microsoft.Compute/UseStandardSecurityType. */
  standardAllowed: boolean,
  /** The subscription has registered Microsoft.Compute/EncryptionAtHost. */
  encryptionAtHostAllowed: boolean,
): void {
  const security: Json = properties['securityProfile'] ?? {};
  const securityType: string | undefined = security['securityType'];
  const uefi: Json | undefined = security['uefiSettings'];
  const feature = image.features['SecurityType'] ?? 'None';

  if (securityType !== undefined && !['Standard', 'TrustedLaunch', 'ConfidentialVM'].includes(securityType)) {
    throw unknown(`securityType '${securityType}'`);
  }
  if (security['encryptionAtHost'] === true && !encryptionAtHostAllowed) {
    // https://learn.microsoft.com/azure/virtual-machines/linux/disks-enable-host-based-encryption-cli
    throw invalid(
      'securityProfile.encryptionAtHost',
      "The property 'securityProfile.encryptionAtHost' is not valid because the 'Microsoft.Compute/EncryptionAtHost' feature is not enabled for this subscription.",
    );
  }
  if (properties['storageProfile']?.osDisk?.diffDiskSettings !== undefined && !size.ephemeralDisks) {
    throw unknown(`the refusal of an ephemeral OS disk on ${size.name}`);
  }
  if (securityType === 'Standard' && !standardAllowed) {
    // Text assumed; that it is refused: azure-cli's help of --security-type and Microsoft's Trusted Launch FAQ.
    throw badRequest(
      "The value 'Standard' of securityProfile.securityType is not allowed until the feature 'Microsoft.Compute/UseStandardSecurityType' is registered for the subscription.",
    );
  }
  if (image.architecture !== size.architecture) {
    throw badRequest(
      `Cannot create a VM of size '${size.name}' because this VM size only supports a CPU Architecture of '${size.architecture}', but an image or disk with CPU Architecture '${image.architecture}' was given. Please check that the CPU Architecture of the image or disk is compatible with that of the VM size.`,
    );
  }
  if (!size.generations.includes(image.generation)) {
    const generation = image.generation === 'V2' ? '2' : '1';
    throw badRequest(
      `The selected VM size '${size.name}' cannot boot Hypervisor Generation '${generation}'. If this was a Create operation please check that the Hypervisor Generation of the Image matches the Hypervisor Generation of the selected VM Size. If this was an Update operation please select a Hypervisor Generation '${generation}' VM Size. For more information, see https://aka.ms/azuregen2vm`,
    );
  }
  const controllers = (image.features['DiskControllerTypes'] ?? 'SCSI').split(',').map((one) => one.trim());
  const wanted: string | undefined = properties['storageProfile']?.diskControllerType;
  const usable = size.diskControllers.filter((one) => controllers.includes(one));
  if (usable.length === 0 || (wanted !== undefined && !usable.includes(wanted as 'SCSI' | 'NVMe'))) {
    throw refuse(
      400,
      'InvalidParameter',
      `The VM size '${size.name}' cannot boot with OS image or disk. Please check that disk controller types supported by the OS image or disk is one of the supported disk controller types for the VM size '${size.name}'. Please query sku api at https://aka.ms/azure-compute-skus  to determine supported disk controller types for the VM size.`,
    );
  }
  if (uefi !== undefined && image.generation === 'V1') {
    throw badRequest('UEFI settings are not supported for VMs and VM Scale Sets using Generation 1 Image.');
  }
  if (securityType === 'TrustedLaunch') {
    if (
      !['TrustedLaunch', 'TrustedLaunchSupported', 'TrustedLaunchAndConfidentialVmSupported'].includes(
        feature,
      )
    ) {
      throw badRequest(
        'Use of TrustedLaunch setting is not supported for the provided image. Please select Trusted Launch Supported Gen2 OS Image. For more information, see https://aka.ms/TrustedLaunch-FAQ.',
      );
    }
    if (!size.trustedLaunch) throw sizeAndSecurity(size, 'TrustedLaunch');
  } else if (securityType === 'ConfidentialVM') {
    if (
      !['ConfidentialVM', 'ConfidentialVmSupported', 'TrustedLaunchAndConfidentialVmSupported'].includes(
        feature,
      )
    ) {
      // Text assumed, on the pattern of TrustedLaunch.
      throw badRequest('Use of ConfidentialVM setting is not supported for the provided image.');
    }
    if (!size.confidential) throw sizeAndSecurity(size, 'ConfidentialVM');
    const encryption: unknown =
      properties['storageProfile']?.osDisk?.managedDisk?.securityProfile?.securityEncryptionType;
    if (encryption === undefined) throw missing('osDisk.managedDisk.securityProfile.securityEncryptionType');
    // https://learn.microsoft.com/rest/api/compute/virtual-machines/create-or-update#securityencryptiontypes
    if (uefi?.['vTpmEnabled'] !== true) throw missing('securityProfile.uefiSettings.vTpmEnabled');
  } else {
    if (feature === 'TrustedLaunch' || feature === 'ConfidentialVM') {
      throw badRequest(
        `The provided gallery image only supports creation of VMs and VM Scale Sets with '${feature}' security type.`,
      );
    }
    if (size.confidential) throw sizeAndSecurity(size, securityType ?? '<NULL>');
    if (uefi !== undefined) {
      // "uefiSettings only with a securityType other than Standard" (REST reference); text assumed.
      throw invalid(
        'securityProfile.uefiSettings',
        'The value of parameter securityProfile.uefiSettings is invalid.',
      );
    }
  }
}

/** Premium disks, where the size takes any. How Azure refuses them was not recorded. */
export function checkDiskTypes(storage: Json, size: Size): void {
  if (size.premiumDisks) return;
  for (const disk of [storage['osDisk'] ?? {}, ...((storage['dataDisks'] ?? []) as Json[])]) {
    const type = String(disk['managedDisk']?.storageAccountType ?? '');
    if (type.startsWith('Premium')) throw unknown(`the refusal of a ${type} disk on ${size.name}`);
  }
}

/** The purchase plan of the image against the plan in the body. Terms are the caller's matter. */
export function checkPlan(body: Json, image: ImageFacts, vmId: string): void {
  const plan: Json | undefined = body['plan'] ?? undefined;
  const wanted = image.purchasePlan;
  if (wanted === undefined) {
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
    plan['name'] !== wanted.name ||
    plan['publisher'] !== wanted.publisher ||
    plan['product'] !== wanted.product
  ) {
    throw refuse(
      400,
      'VMMarketplaceInvalidInput',
      `Unable to deploy from the Marketplace image or a custom image sourced from Marketplace image. The part number in the purchase information for VM '${vmId}' is not as expected. Beware that the Plan object's properties are case-sensitive. Learn more about common virtual machine error codes at https://aka.ms/vm-error-codes`,
    );
  }
}

/** Spot: which of priority, eviction policy and price go together. */
export function checkSpot(properties: Json, size: Size): void {
  const priority: string | undefined = properties['priority'];
  if (priority !== undefined && !['Regular', 'Low', 'Spot'].includes(priority)) {
    throw invalid('priority', 'The value of parameter priority is invalid.');
  }
  const spot = priority === 'Spot' || priority === 'Low';
  const eviction: string | undefined = properties['evictionPolicy'];
  if (eviction !== undefined && !['Deallocate', 'Delete'].includes(eviction)) {
    throw invalid('evictionPolicy', 'The value of parameter evictionPolicy is invalid.');
  }
  if (!spot) {
    if (eviction !== undefined) throw invalid('evictionPolicy', "Parameter 'evictionPolicy' is not allowed.");
    if (properties['billingProfile'] !== undefined) {
      throw invalid('billingProfile', "Parameter 'billingProfile' is not allowed.");
    }
    return;
  }
  const price: unknown = properties['billingProfile']?.maxPrice;
  if (price !== undefined && (typeof price !== 'number' || (price !== -1 && price <= 0))) {
    throw invalid('billingProfile.maxPrice', 'The value of parameter billingProfile.maxPrice is invalid.');
  }
  if (!size.spot) {
    // Text assumed; the rule: https://learn.microsoft.com/azure/virtual-machines/spot-vms#limitations
    throw refuse(
      400,
      'BadRequest',
      `VM size '${size.name}' is not supported for Azure Spot Virtual Machines.`,
    );
  }
}

/** Names of the VM itself: https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules */
export function checkName(name: string, windows: boolean): void {
  const bad =
    name.length > 64 ||
    /[\s~!@#$%^&*()=+_[\]{}\\|;:'",<>/?`]/.test(name) ||
    (windows ? name.includes('.') || name.endsWith('-') : name.endsWith('.') || name.endsWith('-'));
  if (bad)
    throw refuse(400, 'InvalidParameter', `The value '${name}' of parameter vmName is invalid.`, {
      target: 'vmName',
    });
}
