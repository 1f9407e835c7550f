/** Public IP addresses and their DNS labels. */
import type { Call } from '../../http/provider.ts';
import { refuseNetwork, notModelled } from '../../model/arm-error.ts';
import type { Json } from '../../model/contract.ts';
import type { Resource } from '../../model/entities.ts';
import type { World } from '../../world/world.ts';
import { findRegion } from '../regions.ts';
import { publicIpSchema } from './body-schemas.ts';
import type { NetworkResourceType } from './lifecycle.ts';
import { allIpConfigurations, isSameId } from './references.ts';
import { checkQuota } from './usages.ts';

export const publicIps: NetworkResourceType = {
  type: 'publicIPAddresses',
  operationNoun: 'PublicIpAddress',
  kind: 'publicIp',
  schema: publicIpSchema,
  putLatency: 'publicIpPut',
  deleteLatency: 'publicIpDelete',
  minNameLength: 1,
  maxNameLength: 80,
  linkedResources: () => [],
  buildBody: buildPublicIp,
  onSucceeded: (call, resource) => {
    resource.body['properties'].ipAddress ??= allocatePublicAddress(call.world);
  },
  checkDelete: (call, resource) => {
    const user = allIpConfigurations(call.world).find((configuration) =>
      isSameId(configuration['properties'].publicIPAddress?.id, resource.id),
    );
    if (!user) return;
    throw refuseNetwork(
      'PublicIPAddressCannotBeDeleted',
      `Public IP address ${resource.id} can not be deleted since it is still allocated to resource ${user['id']}. In order to delete the public IP, disassociate/detach the Public IP address from the resource.  To learn how to do this, see aka.ms/deletepublicip.`,
    );
  },
  toResponse: (world, resource) => {
    const user = allIpConfigurations(world).find((configuration) =>
      isSameId(configuration['properties'].publicIPAddress?.id, resource.id),
    );
    const { ipConfiguration: _stored, ...properties } = resource.body['properties'];
    return {
      ...resource.body,
      properties: { ...properties, ...(user ? { ipConfiguration: { id: user['id'] } } : {}) },
    };
  },
};

function buildPublicIp(call: Call, existing: Resource | undefined, location: string): Json {
  const sent: Json = call.body['properties'] ?? {};
  checkSku(call, existing);
  checkZones(call, location);
  const { deleteOption } = sent;
  const idleTimeoutInMinutes: number = sent['idleTimeoutInMinutes'] ?? 4;
  checkIdleTimeout(call, idleTimeoutInMinutes);
  const label: string | undefined = sent['dnsSettings']?.domainNameLabel;
  if (label !== undefined) checkLabel(call, label, location);
  if (!existing) checkAddressQuota(call, location);
  const ipAddress: string | undefined = existing?.body['properties'].ipAddress;
  return {
    properties: {
      ...(ipAddress ? { ipAddress } : {}),
      publicIPAddressVersion: 'IPv4',
      publicIPAllocationMethod: 'Static',
      idleTimeoutInMinutes,
      ...(label === undefined
        ? {}
        : { dnsSettings: { domainNameLabel: label, fqdn: `${label}.${location}.cloudapp.azure.com` } }),
      ipTags: [],
      ddosSettings: { protectionMode: sent['ddosSettings']?.protectionMode ?? 'VirtualNetworkInherited' },
      ...(deleteOption === undefined ? {} : { deleteOption }),
    },
    sku: { name: 'Standard', tier: 'Regional' },
    ...(call.body['zones'] ? { zones: call.body['zones'] } : {}),
  };
}

function checkSku(call: Call, existing: Resource | undefined): void {
  const sent: Json = call.body['properties'] ?? {};
  // Without a SKU the API assumes Basic, which is retired.
  const sku: string = call.body['sku']?.name ?? 'Basic';
  const tier: string = call.body['sku']?.tier ?? 'Regional';
  if (sku.toLowerCase() === 'basic' && !existing) {
    throw refuseNetwork(
      'IPv4BasicSkuPublicIpCountLimitReached',
      'Cannot create more than 0 IPv4 Basic SKU public IP addresses for this subscription in this region.',
    );
  }
  if (sku !== 'Standard' || tier !== 'Regional') throw notModelled(`public IP addresses of SKU ${sku} ${tier}`);
  if ((sent['publicIPAddressVersion'] ?? 'IPv4') !== 'IPv4') throw notModelled('IPv6 public IP addresses');
  if ((sent['publicIPAllocationMethod'] ?? 'Dynamic') !== 'Static') {
    throw refuseNetwork(
      'StandardAndStandardV2SkuPublicIPAddressesMustBeStatic',
      `Standard sku publicIp ${call.resourceId} must have AllocationMethod set to Static.`,
    );
  }
}

function checkZones(call: Call, location: string): void {
  for (const zone of (call.body['zones'] ?? []) as string[]) {
    if (!findRegion(location)?.zones.includes(zone)) throw notModelled(`a public IP address in zone '${zone}'`);
  }
}

function checkIdleTimeout(call: Call, minutes: number): void {
  if (minutes < 4 || minutes > 30) {
    // The text is from public reports; the code is assumed.
    throw refuseNetwork(
      'InvalidIdleTimeout',
      `Public IP address ${call.name} has invalid Idle Timeout. The value must be between 4 and 30.`,
    );
  }
}

function checkAddressQuota(call: Call, location: string): void {
  checkQuota(call, 'PublicIPAddresses', location, (limit) =>
    refuseNetwork(
      'PublicIPCountLimitReached',
      `Cannot create more than ${limit} public IP addresses for this subscription in this region.`,
    ),
  );
}

function checkLabel(call: Call, label: string, location: string): void {
  if (!/^[a-z][a-z0-9-]{1,61}[a-z0-9]$/.test(label)) {
    throw refuseNetwork(
      'InvalidDomainNameLabel',
      `The domain name label ${label} is invalid. It must conform to the following regular expression: ^[a-z][a-z0-9-]{1,61}[a-z0-9]$.`,
    );
  }
  if (findByLabel(call.world, label, location, call.resourceId)) {
    throw refuseNetwork(
      'DnsRecordInUse',
      `DNS record ${label}.${location}.cloudapp.azure.com is already used by another public IP.`,
    );
  }
}

/** The public IP with that label in the region. */
export function findByLabel(world: World, label: string, location: string, except?: string): Resource | undefined {
  return [...world.resources.ofType('Microsoft.Network/publicIPAddresses')].find(
    (address) =>
      address.body['location'] === location &&
      address.body['properties'].dnsSettings?.domainNameLabel === label &&
      !isSameId(address.id, except),
  );
}

function allocatePublicAddress(world: World): string {
  const used = new Set(
    [...world.resources.ofType('Microsoft.Network/publicIPAddresses')].map(
      (address) => address.body['properties'].ipAddress,
    ),
  );
  for (;;) {
    // From 198.18.0.0/15, which is reserved for benchmarks; TEST-NET-2 and -3 are too small.
    const address = `198.${18 + Math.floor(world.random() * 2)}.${Math.floor(world.random() * 256)}.${1 + Math.floor(world.random() * 254)}`;
    if (!used.has(address)) return address;
  }
}
