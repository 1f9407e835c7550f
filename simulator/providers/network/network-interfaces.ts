/** Network interfaces: what they join, and the addresses that they get. */
import type { Call, LinkedResource } from '../../http/provider.ts';
import { refuseNetwork, notModelled } from '../../model/arm-error.ts';
import type { Json } from '../../model/contract.ts';
import type { Resource } from '../../model/entities.ts';
import type { World } from '../../world/world.ts';
import {
  isIn,
  isReserved,
  findFreeAddress,
  toNumber,
  parseRange,
  type AddressRange,
  toAddress,
} from './addressing.ts';
import { interfaceSchema } from './body-schemas.ts';
import type { NetworkResourceType } from './lifecycle.ts';
import {
  allIpConfigurations,
  findSubnet,
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
    const given: Json = call.body['properties'] ?? {};
    const links: LinkedResource[] = [];
    for (const configuration of (given['ipConfigurations'] ?? []) as Json[]) {
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
        ipConfigurations: (properties['ipConfigurations'] as Json[]).map((one) => ({ ...one, etag })),
      },
    };
  },
};

function buildInterface(call: Call, before: Resource | undefined, location: string): Json {
  const { world } = call;
  const given: Json = call.body['properties'] ?? {};
  const wanted: Json[] = given['ipConfigurations'] ?? [];
  if (wanted.length === 0) throw notModelled('a network interface without IP configurations');
  const group: string | undefined = given['networkSecurityGroup']?.id;
  if (group !== undefined) requireReference(call, group, location);
  const made: Json[] = [];
  for (const [index, one] of wanted.entries()) {
    made.push(buildIpConfiguration(call, before, location, one, index, made));
  }
  const old: Json = before?.body['properties'] ?? {};
  const suffix: string = old['dnsSettings']?.internalDomainNameSuffix ?? randomDomainSuffix(world);
  const label: string | undefined = given['dnsSettings']?.internalDnsNameLabel;
  return {
    properties: {
      ipConfigurations: made,
      dnsSettings: {
        dnsServers: given['dnsSettings']?.dnsServers ?? [],
        appliedDnsServers: [],
        ...(label === undefined ? {} : { internalDnsNameLabel: label, internalFqdn: `${label}.${suffix}` }),
        internalDomainNameSuffix: suffix,
      },
      ...(old['macAddress'] === undefined ? {} : { macAddress: old['macAddress'], primary: old['primary'] }),
      ...(old['virtualMachine'] === undefined ? {} : { virtualMachine: old['virtualMachine'] }),
      enableAcceleratedNetworking: given['enableAcceleratedNetworking'] ?? false,
      vnetEncryptionSupported: false,
      enableIPForwarding: given['enableIPForwarding'] ?? false,
      disableTcpStateTracking: given['disableTcpStateTracking'] ?? false,
      ...(group === undefined ? {} : { networkSecurityGroup: { id: group } }),
      hostedWorkloads: [],
      tapConfigurations: [],
      nicType: given['nicType'] ?? 'Standard',
      allowPort25Out: true,
      auxiliaryMode: given['auxiliaryMode'] ?? 'None',
      auxiliarySku: given['auxiliarySku'] ?? 'None',
    },
    kind: 'Regular',
  };
}

function buildIpConfiguration(
  call: Call,
  before: Resource | undefined,
  location: string,
  given: Json,
  index: number,
  siblings: readonly Json[],
): Json {
  const { world } = call;
  const nicId = before?.id ?? call.resourceId;
  const name = String(given['name'] ?? '');
  const id = `${nicId}/ipConfigurations/${name}`;
  if (siblings.some((one) => isSameId(one['id'], id))) {
    throw refuseNetwork(
      'DuplicateResourceName',
      `Resource ${nicId} has two child resources with the same name (${name}).`,
    );
  }
  const properties: Json = given['properties'] ?? {};
  if ((properties['privateIPAddressVersion'] ?? 'IPv4') !== 'IPv4')
    throw notModelled('IPv6 IP configurations');
  const subnetId: string | undefined = properties['subnet']?.id;
  if (subnetId === undefined) throw notModelled('an IP configuration without subnet');
  const subnet = findSubnet(world, subnetId);
  if (!subnet || subnet.vnet.body['location'] !== location) throw invalidReferenceError(call, subnetId);
  const state: string = subnet.body['properties'].provisioningState;
  if (state !== 'Succeeded') throw notProvisionedError(call, subnetId, state);

  const taken = new Map<number, string>();
  const others = allIpConfigurations(world).filter(
    (one) => !String(one['id']).toLowerCase().startsWith(`${nicId.toLowerCase()}/`),
  );
  for (const one of [...others, ...siblings]) {
    if (isSameId(one['properties'].subnet?.id, subnetId))
      taken.set(toNumber(one['properties'].privateIPAddress), one['id']);
  }
  const range = parseRange(prefixOf(subnet.body), subnetId);
  const method: string = properties['privateIPAllocationMethod'] ?? 'Dynamic';
  const old = (before?.body['properties'].ipConfigurations as Json[] | undefined)?.find((one) =>
    isSameId(one['id'], id),
  );
  let address: number;
  if (method === 'Static') {
    address = staticAddress(id, properties['privateIPAddress'], range, taken);
  } else {
    const kept =
      old && isSameId(old['properties'].subnet?.id, subnetId)
        ? toNumber(old['properties'].privateIPAddress)
        : undefined;
    const free = kept ?? findFreeAddress(range, new Set(taken.keys()));
    if (free === undefined) {
      throw refuseNetwork(
        'SubnetIsFull',
        `Subnet ${subnet.body['name']} with address prefix ${range.text} does not have enough capacity for 1 IP addresses.`,
      );
    }
    address = free;
  }

  const publicIp: string | undefined = properties['publicIPAddress']?.id;
  if (publicIp !== undefined) {
    requireReference(call, publicIp, location);
    const user = [...others, ...siblings].find((one) =>
      isSameId(one['properties'].publicIPAddress?.id, publicIp),
    );
    if (user) {
      throw refuseNetwork(
        'PublicIPAddressInUse',
        `Resource ${id} is referencing public IP address ${publicIp} that is already allocated to resource ${user['id']}.`,
      );
    }
  }
  const deleteOption: string | undefined = properties['publicIPAddress']?.properties?.deleteOption;
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
      ...(publicIp === undefined
        ? {}
        : { publicIPAddress: { id: publicIp, ...(deleteOption ? { properties: { deleteOption } } : {}) } }),
      subnet: { id: subnetId },
      ...(groups.length === 0 ? {} : { applicationSecurityGroups: groups }),
      primary: properties['primary'] ?? index === 0,
      privateIPAddressVersion: 'IPv4',
    },
  };
}

function staticAddress(
  id: string,
  given: string | undefined,
  range: AddressRange,
  taken: ReadonlyMap<number, string>,
): number {
  const address = toNumber(given ?? '');
  if (Number.isNaN(address)) throw notModelled(`the static private address '${given}'`);
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
  const letters = Array.from(
    { length: 26 },
    () => 'abcdefghijklmnopqrstuvwxyz'[Math.floor(world.random() * 26)],
  );
  return `${letters.join('')}.ax.internal.cloudapp.net`;
}
