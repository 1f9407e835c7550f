import { createHash } from 'node:crypto';
import type { VirtualMachine } from '@azure/arm-compute';
import type {
  NetworkInterface,
  NetworkSecurityGroup,
  PublicIPAddress,
  VirtualNetwork,
} from '@azure/arm-network';
import { isPatched } from './guarantees.ts';
import type { DeployInputs, InboundRule, MergePatch, OverrideTarget } from './inputs.ts';
import type { ResolvedImage, SecurityType } from './image.ts';
import { resourceId } from './resource-id.ts';
import { isTrustedLaunchOptional } from './size.ts';

/** A resource that this action makes: where it goes and the body of its PUT, in the shape of the SDK's models. */
export interface PlannedResource<Body> {
  readonly id: string;
  readonly name: string;
  readonly body: Body;
}

/** A part of the deployment: made by us, or given by ID and never touched. */
export type ResourcePlan<Body> =
  | ({ readonly origin: 'made' } & PlannedResource<Body>)
  | { readonly origin: 'given'; readonly id: string };

/** One try at placing the machine. */
export interface Placement {
  readonly size: string;
  readonly zone?: string;
  /** Without the Trusted Launch that the image allows: the size turned out not to have it. */
  readonly withoutTrustedLaunch?: true;
}

/**
 * Everything that will be sent, known before the first write. `create` carries it out, `check` judges it, a rerun
 * compares it with what exists, the summary draws it.
 */
export interface Plan {
  readonly deployment: string;
  readonly subscriptionId: string;
  readonly resourceGroup: string;
  readonly location: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly nsg?: ResourcePlan<NetworkSecurityGroup>;
  readonly vnet?: PlannedResource<VirtualNetwork>;
  readonly subnetId?: string;
  readonly publicIp?: ResourcePlan<PublicIPAddress>;
  readonly nic: ResourcePlan<NetworkInterface>;
  readonly vm: {
    readonly id: string;
    readonly name: string;
    readonly osDiskName: string;
    readonly osType: 'Linux' | 'Windows';
    readonly imageReferenceId: string;
    readonly attempts: readonly Placement[];
    /** Whether an attempt that is refused for want of Trusted Launch may be made again as a plain one. */
    readonly plainWillDo: boolean;
    /** Body of the PUT for one attempt; the image's ID, network and identity do not depend on it. */
    readonly body: (attempt: Placement) => VirtualMachine;
  };
  /** User-assigned identities of this deployment, by the plain names that the input gave. */
  readonly identities: readonly { readonly id: string; readonly name: string }[];
  /** Merge patches by lower-cased ID of the resource whose PUT they change. */
  readonly patches: ReadonlyMap<string, MergePatch>;
  /** Decisions that the reader of the log should know of. */
  readonly notices: readonly string[];
  readonly warnings: readonly string[];
}

export interface ResourceNames {
  readonly vm: string;
  readonly nsg: string;
  readonly vnet: string;
  readonly publicIp: string;
  readonly nic: string;
  readonly osDisk: string;
}

/** Name of the subnet in a virtual network that this action makes. */
export const subnetName = 'default';

/**
 * Names of everything that a deployment makes, from the machine's name alone: known before anything is asked or sent.
 * Network names allow fewer characters and other lengths than a machine's
 * (https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules).
 */
export function resourceNames(vmName: string): ResourceNames {
  return {
    vm: vmName,
    nsg: derivedName(vmName, '-nsg', 80),
    vnet: derivedName(vmName, '-vnet', 64),
    publicIp: derivedName(vmName, '-ip', 80),
    nic: derivedName(vmName, '-nic', 80),
    osDisk: derivedName(vmName, '-osdisk', 80),
  };
}

function derivedName(vmName: string, suffix: string, longest: number): string {
  const allowed = vmName.replace(/[^A-Za-z0-9_.-]/g, '-').replace(/^[^A-Za-z0-9]/, 'x');
  if (allowed === vmName && allowed.length + suffix.length <= longest) return allowed + suffix;
  // Cut or changed names could collide; six digits of a hash of the whole name keep them apart.
  const mark = `-${createHash('sha256').update(vmName.toLowerCase()).digest('hex').slice(0, 6)}`;
  return allowed.slice(0, longest - suffix.length - mark.length) + mark + suffix;
}

/** IDs under which the parts of a deployment are looked up, whether or not they are to be made. */
export function resourceIds(subscriptionId: string, resourceGroup: string, names: ResourceNames) {
  const id = (type: string, name: string): string => resourceId(subscriptionId, resourceGroup, type, name);
  return {
    vm: id('Microsoft.Compute/virtualMachines', names.vm),
    nsg: id('Microsoft.Network/networkSecurityGroups', names.nsg),
    vnet: id('Microsoft.Network/virtualNetworks', names.vnet),
    publicIp: id('Microsoft.Network/publicIPAddresses', names.publicIp),
    nic: id('Microsoft.Network/networkInterfaces', names.nic),
    osDisk: id('Microsoft.Compute/disks', names.osDisk),
  } as const;
}

export interface DeploymentContext {
  readonly subscriptionId: string;
  /** Region of the deployment, normalised. */
  readonly location: string;
  /** Ownership tags of this run. */
  readonly ownership: Readonly<Record<string, string>>;
  /** Credentials made by this run, where the inputs gave none. */
  readonly generated: { readonly sshPublicKey?: string; readonly password?: string };
}

/**
 * Makes the plan. Pure: the same inputs, image and surroundings give the same plan, and nothing is asked or sent.
 */
export function createPlan(inputs: DeployInputs, image: ResolvedImage, around: DeploymentContext): Plan {
  const names = resourceNames(inputs.vmName);
  const ids = resourceIds(around.subscriptionId, inputs.resourceGroup, names);
  const common = { location: around.location, tags: { ...inputs.tags, ...around.ownership } };
  const network = planNetwork(inputs, names, ids, common);
  const warnings = openPortWarnings(inputs);
  return {
    deployment: inputs.vmName,
    subscriptionId: around.subscriptionId,
    resourceGroup: inputs.resourceGroup,
    ...common,
    ...network,
    vm: {
      id: ids.vm,
      name: names.vm,
      osDiskName: names.osDisk,
      osType: image.osType,
      imageReferenceId: image.referenceId,
      attempts: placementsInOrder(inputs, image),
      plainWillDo: isTrustedLaunchOptional(inputs, image),
      body: (attempt) => vmBody(inputs, image, around, network, names, common, attempt),
    },
    identities: inputs.identity.named.map((name) => ({
      name,
      id: identityId(around.subscriptionId, inputs.resourceGroup, name),
    })),
    patches: patchesByResourceId(inputs, ids),
    notices: network.notices,
    warnings,
  };
}

function identityId(subscriptionId: string, resourceGroup: string, name: string): string {
  return resourceId(subscriptionId, resourceGroup, 'Microsoft.ManagedIdentity/userAssignedIdentities', name);
}

type ResourceIds = ReturnType<typeof resourceIds>;
interface Common {
  readonly location: string;
  readonly tags: Readonly<Record<string, string>>;
}

interface PlannedNetwork {
  readonly nsg?: ResourcePlan<NetworkSecurityGroup>;
  readonly vnet?: PlannedResource<VirtualNetwork>;
  readonly subnetId?: string;
  readonly publicIp?: ResourcePlan<PublicIPAddress>;
  readonly nic: ResourcePlan<NetworkInterface>;
  readonly notices: readonly string[];
}

function planNetwork(
  { network, overrides }: DeployInputs,
  names: ResourceNames,
  ids: ResourceIds,
  common: Common,
): PlannedNetwork {
  if (network.kind === 'given-nic') return { nic: { origin: 'given', id: network.nicId.id }, notices: [] };
  const notices: string[] = [];
  const publicIp = network.publicIp;
  let vnet: PlannedResource<VirtualNetwork> | undefined;
  let subnetId: string;
  if (network.subnet.kind === 'given') {
    subnetId = network.subnet.id.id;
  } else {
    subnetId = `${ids.vnet}/subnets/${subnetName}`;
    // From Network's api-version 2025-07-01 on, a subnet that says nothing has no way out; older ones had one. So it is said.
    const defaultOutboundAccess = publicIp.kind === 'none';
    const saidByOverrides = isPatched(overrides.vnet, 'properties.subnets');
    if (defaultOutboundAccess && !saidByOverrides) {
      notices.push(
        'The machine gets no public IP, so the new subnet keeps default outbound access on: without it nothing could ' +
          'be downloaded from inside. To use a NAT gateway or firewall instead, switch it off with `overrides`.',
      );
    }
    vnet = {
      id: ids.vnet,
      name: names.vnet,
      body: {
        ...common,
        addressSpace: { addressPrefixes: [network.subnet.addressPrefix] },
        subnets: [{ name: subnetName, addressPrefix: network.subnet.subnetPrefix, defaultOutboundAccess }],
      },
    };
  }
  const nsg: ResourcePlan<NetworkSecurityGroup> =
    network.nsg.kind === 'given'
      ? { origin: 'given', id: network.nsg.id.id }
      : {
          origin: 'made',
          id: ids.nsg,
          name: names.nsg,
          body: { ...common, securityRules: network.nsg.inbound.map(securityRule) },
        };
  const ip: ResourcePlan<PublicIPAddress> | undefined =
    publicIp.kind === 'none'
      ? undefined
      : publicIp.kind === 'given'
        ? { origin: 'given', id: publicIp.id.id }
        : {
            origin: 'made',
            id: ids.publicIp,
            name: names.publicIp,
            body: {
              ...common,
              // Basic is retired since 2025-09-30. No zones: zone-redundant, so it fits a machine in any zone.
              sku: { name: 'Standard' },
              publicIPAllocationMethod: 'Static',
              publicIPAddressVersion: 'IPv4',
              idleTimeoutInMinutes: 4,
              ...(publicIp.dnsLabel ? { dnsSettings: { domainNameLabel: publicIp.dnsLabel } } : {}),
            },
          };
  return {
    nsg,
    ...(vnet ? { vnet } : {}),
    subnetId,
    ...(ip ? { publicIp: ip } : {}),
    nic: {
      origin: 'made',
      id: ids.nic,
      name: names.nic,
      body: {
        ...common,
        networkSecurityGroup: { id: nsg.id },
        enableAcceleratedNetworking: network.acceleratedNetworking,
        ipConfigurations: [
          {
            name: 'ipconfig1',
            primary: true,
            privateIPAddressVersion: 'IPv4',
            ...(network.privateIpAddress
              ? { privateIPAllocationMethod: 'Static', privateIPAddress: network.privateIpAddress }
              : { privateIPAllocationMethod: 'Dynamic' }),
            subnet: { id: subnetId },
            // An address that was given by ID outlives the machine; ours goes along with the interface.
            ...(ip
              ? { publicIPAddress: { id: ip.id, deleteOption: ip.origin === 'made' ? 'Delete' : 'Detach' } }
              : {}),
          },
        ],
      },
    },
    notices,
  };
}

/**
 * Azure takes priorities 100 to 4096, and 1000 rules; from 1000 on in steps of ten there is room for others before and
 * between.
 */
function securityRule(rule: InboundRule, index: number, { length }: readonly InboundRule[]) {
  const ports = rule.fromPort === rule.toPort ? `${rule.fromPort}` : `${rule.fromPort}-${rule.toPort}`;
  const anyPort = rule.fromPort === 0 && rule.toPort === 65535;
  const priority = 1000 + index * (length > 300 ? 3 : 10);
  return {
    name: `allow-${anyPort ? 'any' : ports}-${rule.protocol === '*' ? 'any' : rule.protocol.toLowerCase()}-${priority}`,
    priority,
    direction: 'Inbound',
    access: 'Allow',
    protocol: rule.protocol,
    sourceAddressPrefix: rule.source,
    sourcePortRange: '*',
    destinationAddressPrefix: '*',
    destinationPortRange: anyPort ? '*' : ports,
  };
}

/** Whether `securityRule` could have given that name. Rules of others in our group are theirs. */
export function isGeneratedRule({ name }: { readonly name?: string }): boolean {
  return /^allow-(any|\d+(-\d+)?)-(any|tcp|udp)-[1-4]\d{3}$/i.test(name ?? '');
}

const adminPorts = [
  [22, 'SSH'],
  [3389, 'RDP'],
] as const;
const anySource = new Set(['*', '0.0.0.0/0', '::/0', 'internet', 'any']);

function openPortWarnings({ network }: DeployInputs): string[] {
  if (network.kind === 'given-nic' || network.nsg.kind === 'given') return [];
  return network.nsg.inbound
    .filter((rule) => rule.protocol !== 'Udp' && anySource.has(rule.source.toLowerCase()))
    .flatMap((rule) =>
      adminPorts
        .filter(([port]) => rule.fromPort <= port && port <= rule.toPort)
        .map(
          ([port, name]) =>
            `\`allow-inbound\` opens port ${port} (${name}) to the whole internet. Name the addresses that need it instead, e.g. \`${port} from 203.0.113.0/24\`.`,
        ),
    );
}

/** Sizes in the author's order, each in every zone in the author's order. */
function placementsInOrder(inputs: DeployInputs, image: ResolvedImage): readonly Placement[] {
  const sizes =
    inputs.sizes.length > 0
      ? inputs.sizes
      : [image.architecture === 'Arm64' ? 'Standard_D2ps_v5' : 'Standard_D2s_v5'];
  return sizes.flatMap((size) =>
    inputs.zones.length > 0 ? inputs.zones.map((zone) => ({ size, zone })) : [{ size }],
  );
}

function vmBody(
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

function patchesByResourceId({ overrides }: DeployInputs, ids: ResourceIds): ReadonlyMap<string, MergePatch> {
  const target: Readonly<Record<OverrideTarget, string>> = {
    vm: ids.vm,
    nic: ids.nic,
    vnet: ids.vnet,
    nsg: ids.nsg,
    'public-ip': ids.publicIp,
  };
  return new Map(
    Object.entries(overrides).map(
      ([key, patch]) => [target[key as OverrideTarget].toLowerCase(), patch] as const,
    ),
  );
}
