import type { VirtualMachine } from '@azure/arm-compute';
import { createHash } from 'node:crypto';
import { resourceId } from '../azure/resource-id.ts';
import type { ResourceNames } from '../deployment/resources.ts';
import type { Common, Placement, PlannedNetwork } from '../deployment/plan.ts';
import type { ResolvedImage, SecurityType } from '../image/image.ts';
import type { DeployInputs } from '../inputs/inputs.ts';

export interface DeploymentContext {
  readonly subscriptionId: string;
  /** Region of the deployment, normalised. */
  readonly location: string;
  /** Ownership tags of this run. */
  readonly ownership: Readonly<Record<string, string>>;
  /** Credentials made by this run, where the inputs gave none. */
  readonly generated: { readonly sshPublicKey?: string; readonly password?: string };
}

export function identityId(subscriptionId: string, resourceGroup: string, name: string): string {
  return resourceId(subscriptionId, resourceGroup, 'Microsoft.ManagedIdentity/userAssignedIdentities', name);
}

/** Sizes in the author's order, each in every zone in the author's order. */
export function placementsInOrder(inputs: DeployInputs, image: ResolvedImage): readonly Placement[] {
  const sizes =
    inputs.sizes.length > 0
      ? inputs.sizes
      : [image.architecture === 'Arm64' ? 'Standard_D2ps_v5' : 'Standard_D2s_v5'];
  return sizes.flatMap((size) =>
    inputs.zones.length > 0 ? inputs.zones.map((zone) => ({ size, zone })) : [{ size }],
  );
}

export function vmBody(
  inputs: DeployInputs,
  image: ResolvedImage,
  around: DeploymentContext,
  network: PlannedNetwork,
  names: ResourceNames,
  common: Common,
  attempt: Placement,
): VirtualMachine {
  const managedDisk = {
    ...(inputs.osDiskType ? { storageAccountType: inputs.osDiskType } : {}),
    // A confidential machine has to say what of its disk is encrypted with it; the guest's state is the least of it.
    ...(plannedSecurityType(inputs, image) === 'ConfidentialVM'
      ? { securityProfile: { securityEncryptionType: 'VMGuestStateOnly' } }
      : {}),
  };
  const identity = identityBody(inputs, around);
  const security = attempt.withoutTrustedLaunch ? undefined : securityBody(inputs, image);
  return {
    ...common,
    ...(attempt.zone ? { zones: [attempt.zone] } : {}),
    // imageReference carries no plan: it has to be said again, or Azure refuses (VMMarketplaceInvalidInput).
    ...(image.plan ? { plan: image.plan } : {}),
    ...(identity ? { identity } : {}),
    hardwareProfile: { vmSize: attempt.size },
    storageProfile: {
      imageReference: image.reference,
      osDisk: {
        name: names.osDisk,
        createOption: 'FromImage',
        deleteOption: 'Delete',
        ...(inputs.osDiskSizeGb ? { diskSizeGB: inputs.osDiskSizeGb } : {}),
        ...(Object.keys(managedDisk).length > 0 ? { managedDisk } : {}),
      },
      // Azure makes the image's data disks either way; only those that are named here get a delete option.
      ...(image.dataDiskLuns.length > 0
        ? {
            dataDisks: image.dataDiskLuns.map((lun) => ({
              lun,
              createOption: 'FromImage',
              deleteOption: 'Delete',
            })),
          }
        : {}),
    },
    ...(image.osState === 'Generalized' ? { osProfile: osProfile(inputs, image, around) } : {}),
    networkProfile: {
      networkInterfaces: [
        {
          id: network.nic.id,
          primary: true,
          deleteOption: network.nic.origin === 'made' ? 'Delete' : 'Detach',
        },
      ],
    },
    ...(security ? { securityProfile: security } : {}),
    // Without a storage account: managed storage. It holds the serial log that explains a guest that does not come up.
    diagnosticsProfile: { bootDiagnostics: { enabled: true } },
    ...(inputs.spot
      ? {
          priority: 'Spot',
          evictionPolicy: inputs.spot.evictionPolicy,
          billingProfile: { maxPrice: inputs.spot.maxPrice },
        }
      : {}),
    ...(inputs.licenseType ? { licenseType: inputs.licenseType } : {}),
    ...(inputs.userData ? { userData: inputs.userData } : {}),
  };
}

function osProfile(
  inputs: DeployInputs,
  image: ResolvedImage,
  { generated }: DeploymentContext,
): NonNullable<VirtualMachine['osProfile']> {
  const computerName = inputs.computerName ?? resolveComputerName(inputs.vmName, image.osType);
  const common = {
    computerName,
    adminUsername: inputs.adminUsername,
    ...(inputs.customData ? { customData: inputs.customData } : {}),
  };
  const password = inputs.adminPassword ?? generated.password;
  if (image.osType === 'Windows') {
    return {
      ...common,
      ...(password ? { adminPassword: password } : {}),
      windowsConfiguration: { provisionVMAgent: true },
    };
  }
  const keys = generated.sshPublicKey ? [generated.sshPublicKey] : inputs.sshPublicKeys;
  return {
    ...common,
    ...(password ? { adminPassword: password } : {}),
    linuxConfiguration: {
      disablePasswordAuthentication: password === undefined,
      provisionVMAgent: true,
      ...(keys.length > 0
        ? {
            ssh: {
              publicKeys: keys.map((keyData) => ({
                path: `/home/${inputs.adminUsername}/.ssh/authorized_keys`,
                keyData,
              })),
            },
          }
        : {}),
    },
  };
}

/** Windows takes 15 characters and not only digits; Linux 64. A cut name keeps apart by a hash. */
export function resolveComputerName(vmName: string, osType: 'Linux' | 'Windows'): string {
  const longest = osType === 'Windows' ? 15 : 64;
  const allowed = vmName.replace(/[^A-Za-z0-9-]/g, '-').replace(/^-+|-+$/g, '');
  let name = allowed;
  if (name.length > longest) {
    const mark = createHash('sha256').update(vmName.toLowerCase()).digest('hex').slice(0, 6);
    name = `${allowed.slice(0, longest - mark.length - 1).replace(/-+$/, '')}-${mark}`;
  }
  return osType === 'Windows' && /^\d+$/.test(name) ? `vm${name.slice(0, longest - 2)}` : name || 'vm';
}

function identityBody(inputs: DeployInputs, around: DeploymentContext): VirtualMachine['identity'] {
  const { system, given, named } = inputs.identity;
  const assigned = [
    ...given.map(({ id }) => id),
    ...named.map((name) => identityId(around.subscriptionId, inputs.resourceGroup, name)),
  ];
  if (!system && assigned.length === 0) return undefined;
  return {
    type: assigned.length === 0 ? 'SystemAssigned' : system ? 'SystemAssigned, UserAssigned' : 'UserAssigned',
    ...(assigned.length > 0
      ? { userAssignedIdentities: Object.fromEntries(assigned.map((id) => [id, {}])) }
      : {}),
  };
}

/**
 * The security type follows the image definition unless the author asks for another. `Standard` is never sent: it is the
 * API's default, and naming it is refused where Trusted Launch is the subscription's default.
 */
function securityBody(inputs: DeployInputs, image: ResolvedImage): VirtualMachine['securityProfile'] {
  switch (plannedSecurityType(inputs, image)) {
    case 'TrustedLaunch':
      return { securityType: 'TrustedLaunch', uefiSettings: { secureBootEnabled: true, vTpmEnabled: true } };
    case 'ConfidentialVM':
      return { securityType: 'ConfidentialVM', uefiSettings: { secureBootEnabled: true, vTpmEnabled: true } };
    default:
      return undefined;
  }
}

function plannedSecurityType(inputs: DeployInputs, image: ResolvedImage): SecurityType {
  return inputs.securityType ?? image.securityType;
}
