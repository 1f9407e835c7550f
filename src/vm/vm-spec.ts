import type { StorageProfile, VirtualMachine } from '@azure/arm-compute';
import { hash } from 'node:crypto';
import type { ResourceNames, Common, Placement, Plan, PlannedNetwork } from '../deployment/resources.ts';
import type { ResolvedImage } from '../image/image.ts';
import type { DeployInputs } from '../inputs/inputs.ts';

export interface DeploymentContext {
  readonly subscriptionId: string;
  /** Region of the deployment, normalised. */
  readonly location: string;
  readonly ownership: Readonly<Record<string, string>>;
  readonly generated: { readonly sshPublicKey?: string; readonly password?: string };
}

/** Sizes in the order of the input, each in every zone in the order of the input; with `spot: prefer`, all as Spot first. */
export function placementsInOrder(inputs: DeployInputs, image: ResolvedImage): readonly Placement[] {
  // Only v6 can do Trusted Launch on Arm64, and not every region has it.
  const defaults = image.architecture === 'Arm64' ? ['Standard_D2ps_v6', 'Standard_D2ps_v5'] : ['Standard_D2s_v5'];
  const sizes = inputs.sizes.length > 0 ? inputs.sizes : defaults;
  const zones = inputs.zones.length > 0 ? inputs.zones : [undefined];
  const regular = sizes.flatMap((size) => zones.map((zone): Placement => ({ size, zone })));
  if (!inputs.spot) return regular;
  const spot = regular.map((placement): Placement => ({ ...placement, spot: true }));
  return inputs.spot.isOptional ? [...spot, ...regular] : spot;
}

interface VmSpec {
  readonly inputs: DeployInputs;
  readonly image: ResolvedImage;
  readonly context: DeploymentContext;
  readonly network: Pick<PlannedNetwork, 'nic'>;
  readonly identities: Plan['identities'];
  readonly names: ResourceNames;
  readonly common: Common;
}

export function vmBody(spec: VmSpec, placement: Placement): VirtualMachine {
  const { inputs, image, network, common } = spec;
  const spot = placement.spot && inputs.spot;
  return {
    ...common,
    hardwareProfile: { vmSize: placement.size },
    storageProfile: storageProfile(spec),
    networkProfile: {
      networkInterfaces: [
        { id: network.nic.id, primary: true, deleteOption: network.nic.origin === 'made' ? 'Delete' : 'Detach' },
      ],
    },
    // Without a storage account: managed storage. The serial log shows why a guest does not boot.
    diagnosticsProfile: { bootDiagnostics: { enabled: true } },
    zones: placement.zone ? [placement.zone] : undefined,
    // The image reference does not include the plan; without it Azure answers VMMarketplaceInvalidInput.
    plan: image.plan,
    identity: identityBody(spec),
    osProfile: image.osState === 'Generalized' ? osProfile(spec) : undefined,
    securityProfile: securityBody(spec, placement),
    priority: spot && 'Spot',
    evictionPolicy: spot?.evictionPolicy,
    billingProfile: spot && { maxPrice: spot.maxPrice },
    licenseType: inputs.licenseType,
    userData: inputs.userData,
  };
}

function storageProfile({ inputs, image, names }: VmSpec): StorageProfile {
  const isConfidential = (inputs.securityType ?? image.securityType) === 'ConfidentialVM';
  // A confidential VM must name what is encrypted; the guest state is the minimum.
  const securityProfile = isConfidential ? { securityEncryptionType: 'VMGuestStateOnly' } : undefined;
  const { osDiskType: storageAccountType } = inputs;
  // Azure creates the image's data disks in any case; only those named here get a delete option.
  const imageDisks = image.dataDiskLuns.map((lun) => ({ lun, createOption: 'FromImage', deleteOption: 'Delete' }));
  const freeLuns = [...Array(64 + imageDisks.length).keys()].filter((lun) => !image.dataDiskLuns.includes(lun));
  const emptyDisks = inputs.dataDiskSizesGb.map((diskSizeGB, index) => {
    return { lun: freeLuns[index] ?? index, createOption: 'Empty', deleteOption: 'Delete', diskSizeGB };
  });
  const dataDisks = [...imageDisks, ...emptyDisks];
  return {
    imageReference: image.reference,
    osDisk: {
      name: names.osDisk,
      createOption: 'FromImage',
      deleteOption: 'Delete',
      diskSizeGB: inputs.osDiskSizeGb,
      managedDisk: storageAccountType || securityProfile ? { storageAccountType, securityProfile } : undefined,
    },
    dataDisks: dataDisks.length > 0 ? dataDisks : undefined,
  };
}

function osProfile({ inputs, image, context: { generated } }: VmSpec): NonNullable<VirtualMachine['osProfile']> {
  const password = inputs.adminPassword ?? generated.password;
  const common = {
    computerName: inputs.computerName ?? resolveComputerName(inputs.vmName, image.osType),
    adminUsername: inputs.adminUsername,
    adminPassword: password,
    customData: inputs.customData,
  };
  if (image.osType === 'Windows') return { ...common, windowsConfiguration: { provisionVMAgent: true } };
  const keys = generated.sshPublicKey ? [generated.sshPublicKey] : inputs.sshPublicKeys;
  const path = `/home/${inputs.adminUsername}/.ssh/authorized_keys`;
  const publicKeys = keys.map((keyData) => ({ path, keyData }));
  return {
    ...common,
    linuxConfiguration: {
      disablePasswordAuthentication: password === undefined,
      provisionVMAgent: true,
      ssh: keys.length > 0 ? { publicKeys } : undefined,
    },
  };
}

/** Windows allows at most 15 characters, and not only digits; Linux any VM name. A hash keeps shortened names distinct. */
export function resolveComputerName(vmName: string, osType: 'Linux' | 'Windows'): string {
  if (osType === 'Linux') return vmName;
  if (vmName.length > 15) {
    return `${vmName.slice(0, 8).replace(/-+$/, '')}-${hash('sha256', vmName.toLowerCase()).slice(0, 6)}`;
  }
  return /^\d+$/.test(vmName) ? `vm${vmName.slice(0, 13)}` : vmName;
}

function identityBody({ inputs, identities }: VmSpec): VirtualMachine['identity'] {
  const { system, given } = inputs.identity;
  const assigned = [...given, ...identities].map(({ id }) => id);
  if (assigned.length === 0) return system ? { type: 'SystemAssigned' } : undefined;
  return {
    type: system ? 'SystemAssigned, UserAssigned' : 'UserAssigned',
    userAssignedIdentities: Object.fromEntries(assigned.map((id) => [id, {}])),
  };
}

/** Without a type, Azure creates a Trusted Launch VM where that is the default of the subscription (azure-cli#30728). */
function securityBody({ inputs, image }: VmSpec, placement: Placement): VirtualMachine['securityProfile'] {
  const fromImage = image.securityType === 'Standard' ? undefined : image.securityType;
  const securityType = placement.withoutTrustedLaunch ? 'Standard' : (inputs.securityType ?? fromImage);
  const encryptionAtHost = inputs.encryptionAtHost || undefined;
  if (!securityType) return encryptionAtHost && { encryptionAtHost };
  const uefiSettings = securityType === 'Standard' ? undefined : { secureBootEnabled: true, vTpmEnabled: true };
  return { securityType, encryptionAtHost, uefiSettings };
}

/** ID of the image version that a VM was created from; empty if it was created from a disk. */
export function imageIdOf(vm: VirtualMachine | undefined): string {
  const { id, sharedGalleryImageId, communityGalleryImageId } = vm?.storageProfile?.imageReference ?? {};
  return id ?? sharedGalleryImageId ?? communityGalleryImageId ?? '';
}
