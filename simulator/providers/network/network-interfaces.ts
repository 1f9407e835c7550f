/** Network interfaces: references, IP configurations and addresses. */
import type { Call, LinkedResource } from '../../http/provider.ts';
import { refuseNetwork, notModelled } from '../../model/arm-error.ts';
import type { Json } from '../../model/contract.ts';
import type { Resource } from '../../model/entities.ts';
import type { World } from '../../world/world.ts';
import { isIn, isReserved, findFreeAddress, toNumber, parseRange, type AddressRange, toAddress } from './addressing.ts';
import { interfaceSchema } from './body-schemas.ts';
import type { NetworkResourceType } from './lifecycle.ts';
import {
  allIpConfigurations,
  findSubnet,
  type Subnet,
  notProvisionedError,
  invalidReferenceError,
  requireReference,
  isSameId,
  securityGroupLink,
} from './references.ts';
import { prefixOf } from './virtual-networks.ts';

export const networkInterfaces: NetworkResourceType = {
  type: 'networkInterfaces',
  operationNoun: 'NetworkInterface',
  kind: 'nic',
  schema: interfaceSchema,
  putLatency: 'nicPut',
  deleteLatency: 'nicDelete',
  minNameLength: 1,
  maxNameLength: 80,
  succeedsImmediately: true,
  linkedResources: (call) => {
    const sent: Json = call.body['properties'] ?? {};
    const links: LinkedResource[] = [];
    for (const configuration of (sent['ipConfigurations'] ?? []) as Json[]) {
      const { subnet, publicIPAddress } = configuration['properties'] ?? {};
      if (subnet?.id !== undefined) {
        links.push({ id: subnet.id, action: 'Microsoft.Network/virtualNetworks/subnets/join/action' });
      }
      for (const group of (configuration['properties']?.applicationSecurityGroups ?? []) as Json[]) {
        const action = 'Microsoft.Network/applicationSecurityGroups/joinIpConfiguration/action';
        links.push({ id: group['id'], action });
      }
      if (publicIPAddress?.id !== undefined) {
        links.push({ id: publicIPAddress.id, action: 'Microsoft.Network/publicIPAddresses/join/action' });
      }
    }
    return [...links, ...securityGroupLink(call.body)];
  },
  buildBody: buildInterface,
  checkDelete: (call, resource) => {
    const holder: string | undefined = resource.body['properties'].virtualMachine?.id;
    const held: { vm: string; until: number } | undefined = resource.internal['reservation'];
    if (holder !== undefined && call.world.resources.has(holder)) {
      throw refuseNetwork(
        'NicInUse',
        `Network Interface ${resource.id} is used by existing resource ${holder}. In order to delete the network interface, it must be dissociated from the resource. To learn more, see aka.ms/deletenic.`,
      );
    }
    if (held && held.until > call.world.clock.now()) {
      throw refuseNetwork(
        'NicReservedForAnotherVm',
        `Nic(s) in request is reserved for another Virtual Machine for 180 seconds. Please provide another nic(s) or retry after 180 seconds. Reserved VM: ${held.vm}`,
      );
    }
  },
  toResponse: (_world, resource) => {
    const { etag } = resource.body;
    const properties: Json = resource.body['properties'];
    return {
      ...resource.body,
      properties: {
        ...properties,
        ipConfigurations: (properties['ipConfigurations'] as Json[]).map((configuration) => ({
          ...configuration,
          etag,
        })),
      },
    };
  },
};

function buildInterface(call: Call, existing: Resource | undefined, location: string): Json {
  const sent: Json = call.body['properties'] ?? {};
  const configurations: Json[] = sent['ipConfigurations'] ?? [];
  if (configurations.length === 0) throw notModelled('a network interface without IP configurations');
  const securityGroup = joinSecurityGroup(call, sent, location);
  const nic: NicContext = { call, existing, location, built: [] };
  for (const configuration of configurations) nic.built.push(buildIpConfiguration(nic, configuration));
  const stored: Json = existing?.body['properties'] ?? {};
  return {
    properties: {
      ipConfigurations: nic.built,
      dnsSettings: buildDnsSettings(call.world, stored, sent),
      ...vmMembers(stored),
      enableAcceleratedNetworking: sent['enableAcceleratedNetworking'] ?? false,
      vnetEncryptionSupported: false,
      enableIPForwarding: sent['enableIPForwarding'] ?? false,
      disableTcpStateTracking: sent['disableTcpStateTracking'] ?? false,
      ...securityGroup,
      hostedWorkloads: [],
      tapConfigurations: [],
      nicType: sent['nicType'] ?? 'Standard',
      allowPort25Out: true,
      auxiliaryMode: sent['auxiliaryMode'] ?? 'None',
      auxiliarySku: sent['auxiliarySku'] ?? 'None',
    },
    kind: 'Regular',
  };
}

function joinSecurityGroup(call: Call, sent: Json, location: string): Json {
  const id: string | undefined = sent['networkSecurityGroup']?.id;
  if (id === undefined) return {};
  requireReference(call, id, location);
  return { networkSecurityGroup: { id } };
}

/** Members that attaching the interface to a VM has set. */
function vmMembers({ macAddress, primary, virtualMachine }: Json): Json {
  return {
    ...(macAddress === undefined ? {} : { macAddress, primary }),
    ...(virtualMachine === undefined ? {} : { virtualMachine }),
  };
}

function buildDnsSettings(world: World, stored: Json, sent: Json): Json {
  const suffix: string = stored['dnsSettings']?.internalDomainNameSuffix ?? randomDomainSuffix(world);
  const label: string | undefined = sent['dnsSettings']?.internalDnsNameLabel;
  return {
    dnsServers: sent['dnsSettings']?.dnsServers ?? [],
    appliedDnsServers: [],
    ...(label === undefined ? {} : { internalDnsNameLabel: label, internalFqdn: `${label}.${suffix}` }),
    internalDomainNameSuffix: suffix,
  };
}

interface NicContext {
  readonly call: Call;
  readonly existing: Resource | undefined;
  readonly location: string;
  /** The IP configurations built so far. */
  readonly built: Json[];
}

function buildIpConfiguration(nic: NicContext, sent: Json): Json {
  const { call, existing, location, built } = nic;
  const nicId = existing?.id ?? call.resourceId;
  const name = String(sent['name'] ?? '');
  const id = `${nicId}/ipConfigurations/${name}`;
  if (built.some((sibling) => isSameId(sibling['id'], id))) {
    throw refuseNetwork(
      'DuplicateResourceName',
      `Resource ${nicId} has two child resources with the same name (${name}).`,
    );
  }
  const properties: Json = sent['properties'] ?? {};
  const subnet = requireSubnet(call, properties, location);
  const method: string = properties['privateIPAllocationMethod'] ?? 'Dynamic';
  const address = choosePrivateAddress(nic, id, properties, subnet);
  const publicIPAddress = joinPublicIp(nic, id, properties);
  const groups = ((properties['applicationSecurityGroups'] ?? []) as Json[]).map((group) => {
    requireReference(call, group['id'], location);
    return { id: group['id'] };
  });
  return {
    name,
    id,
    etag: '',
    type: 'Microsoft.Network/networkInterfaces/ipConfigurations',
    properties: {
      provisioningState: 'Updating',
      privateIPAddress: toAddress(address),
      privateIPAllocationMethod: method,
      ...publicIPAddress,
      subnet: { id: properties['subnet'].id },
      ...(groups.length === 0 ? {} : { applicationSecurityGroups: groups }),
      primary: properties['primary'] ?? built.length === 0,
      privateIPAddressVersion: 'IPv4',
    },
  };
}

function requireSubnet(call: Call, properties: Json, location: string): Subnet {
  if ((properties['privateIPAddressVersion'] ?? 'IPv4') !== 'IPv4') throw notModelled('IPv6 IP configurations');
  const id: string | undefined = properties['subnet']?.id;
  if (id === undefined) throw notModelled('an IP configuration without subnet');
  const subnet = findSubnet(call.world, id);
  if (!subnet || subnet.vnet.body['location'] !== location) throw invalidReferenceError(call, id);
  const state: string = subnet.body['properties'].provisioningState;
  if (state !== 'Succeeded') throw notProvisionedError(call, id, state);
  return subnet;
}

/** IP configurations of all other NICs, and those of this NIC built so far. */
function otherConfigurations({ call, existing, built }: NicContext): Json[] {
  const ownPrefix = `${(existing?.id ?? call.resourceId).toLowerCase()}/`;
  const others = allIpConfigurations(call.world).filter(
    (configuration) => !String(configuration['id']).toLowerCase().startsWith(ownPrefix),
  );
  return [...others, ...built];
}

function choosePrivateAddress(nic: NicContext, id: string, properties: Json, subnet: Subnet): number {
  const subnetId: string = properties['subnet'].id;
  const taken = new Map<number, string>();
  for (const other of otherConfigurations(nic)) {
    if (isSameId(other['properties'].subnet?.id, subnetId))
      taken.set(toNumber(other['properties'].privateIPAddress), other['id']);
  }
  const range = parseRange(prefixOf(subnet.body), subnetId);
  if (properties['privateIPAllocationMethod'] === 'Static') {
    return staticAddress(id, properties['privateIPAddress'], range, taken);
  }
  const stored = (nic.existing?.body['properties'].ipConfigurations as Json[] | undefined)?.find((configuration) =>
    isSameId(configuration['id'], id),
  );
  if (stored && isSameId(stored['properties'].subnet?.id, subnetId)) {
    return toNumber(stored['properties'].privateIPAddress);
  }
  const free = findFreeAddress(range, new Set(taken.keys()));
  if (free !== undefined) return free;
  throw refuseNetwork(
    'SubnetIsFull',
    `Subnet ${subnet.body['name']} with address prefix ${range.text} does not have enough capacity for 1 IP addresses.`,
  );
}

/** The `publicIPAddress` member, or nothing if the configuration has no public IP. */
function joinPublicIp(nic: NicContext, id: string, properties: Json): Json {
  const publicIpId: string | undefined = properties['publicIPAddress']?.id;
  if (publicIpId === undefined) return {};
  requireReference(nic.call, publicIpId, nic.location);
  const user = otherConfigurations(nic).find((other) => isSameId(other['properties'].publicIPAddress?.id, publicIpId));
  if (user) {
    throw refuseNetwork(
      'PublicIPAddressInUse',
      `Resource ${id} is referencing public IP address ${publicIpId} that is already allocated to resource ${user['id']}.`,
    );
  }
  const deleteOption: string | undefined = properties['publicIPAddress'].properties?.deleteOption;
  return {
    publicIPAddress: { id: publicIpId, ...(deleteOption ? { properties: { deleteOption } } : {}) },
  };
}

function staticAddress(
  id: string,
  requested: string | undefined,
  range: AddressRange,
  taken: ReadonlyMap<number, string>,
): number {
  const address = toNumber(requested ?? '');
  if (Number.isNaN(address)) throw notModelled(`the static private address '${requested}'`);
  if (!isIn(range, address)) {
    throw refuseNetwork(
      'PrivateIPAddressNotInSubnet',
      `Private static IP address ${toAddress(address)} does not belong to the range of subnet prefix ${range.text}.`,
    );
  }
  if (isReserved(range, address)) {
    throw refuseNetwork(
      'PrivateIPAddressInReservedRange',
      `Private static IP address ${toAddress(address)} falls within reserved IP range of subnet prefix ${range.text}.`,
    );
  }
  const holder = taken.get(address);
  if (holder !== undefined) {
    throw refuseNetwork(
      'PrivateIPAddressInUse',
      `IP configuration ${id} is using the private IP address ${toAddress(address)} which is already allocated to resource ${holder}.`,
    );
  }
  return address;
}

function randomDomainSuffix(world: World): string {
  const letters = Array.from({ length: 26 }, () => 'abcdefghijklmnopqrstuvwxyz'[Math.floor(world.random() * 26)]);
  return `${letters.join('')}.ax.internal.cloudapp.net`;
}
