/** Virtual networks and their subnets. Subnets are stored in the network's body. */
import { checkBody, networkSchemaError } from '../../http/body-schema.ts';
import type { Call, Route } from '../../http/provider.ts';
import { type ArmError, parentNotFound, refuseNetwork, resourceNotFound, notModelled } from '../../model/arm-error.ts';
import type { Json } from '../../model/contract.ts';
import type { Resource } from '../../model/entities.ts';
import type { World } from '../../world/world.ts';
import { regionName } from '../regions.ts';
import { contains, overlaps, parseRange, type AddressRange } from './addressing.ts';
import { subnetSchema, virtualNetworkSchema } from './body-schemas.ts';
import { networkPath, type NetworkResourceType, setState } from './lifecycle.ts';
import { allIpConfigurations, findSubnet, requireReference, isSameId, securityGroupLink } from './references.ts';

/** Since this api-version, subnets of new virtual networks have no default outbound access. */
const privateSubnetsSince = '2025-07-01';

export const virtualNetworks: NetworkResourceType = {
  type: 'virtualNetworks',
  operationNoun: 'VirtualNetwork',
  kind: 'vnet',
  schema: virtualNetworkSchema,
  putLatency: 'vnetPut',
  deleteLatency: 'vnetDelete',
  minNameLength: 2,
  maxNameLength: 64,
  linkedResources: (call) =>
    ((call.body['properties']?.subnets ?? []) as Json[]).flatMap((subnet) => securityGroupLink(subnet)),
  buildBody: (call, before) => {
    const sent: Json = call.body['properties'] ?? {};
    const prefixes: string[] = sent['addressSpace']?.addressPrefixes ?? [];
    if (prefixes.length === 0) throw notModelled('a virtual network without address space');
    const ranges = prefixes.map((prefix) => parseRange(prefix, call.resourceId));
    const subnets = ((sent['subnets'] ?? []) as Json[]).map((subnet) =>
      buildSubnet(call, call.resourceId, subnet, before === undefined),
    );
    checkSubnets(call.resourceId, ranges, subnets);
    for (const old of (before?.body['properties'].subnets ?? []) as Json[]) {
      if (!subnets.some((subnet) => isSameId(subnet['id'], old['id'])))
        checkSubnetUnused(call.world, String(old['id']));
    }
    return {
      properties: {
        addressSpace: { addressPrefixes: prefixes, ipamPoolPrefixAllocations: [] },
        ...(sent['dhcpOptions'] ? { dhcpOptions: sent['dhcpOptions'] } : {}),
        privateEndpointVNetPolicies: sent['privateEndpointVNetPolicies'] ?? 'Disabled',
        subnets: subnets,
        virtualNetworkPeerings: [],
        enableDdosProtection: sent['enableDdosProtection'] ?? false,
      },
    };
  },
  checkDelete: (call, resource) => {
    for (const subnet of resource.body['properties'].subnets as Json[]) checkSubnetUnused(call.world, subnet['id']);
  },
  toResponse: (world, resource) => ({
    ...resource.body,
    properties: {
      ...resource.body['properties'],
      subnets: (resource.body['properties'].subnets as Json[]).map((subnet) => subnetBody(world, subnet)),
    },
  }),
};

const subnetPath = `${networkPath}/virtualNetworks/:virtualNetwork/subnets/:subnet`;

/** Routes of subnets as resources. */
export const subnetRoutes: Route[] = [
  {
    method: 'GET',
    path: subnetPath,
    kind: 'subnet.get',
    action: 'Microsoft.Network/virtualNetworks/subnets/read',
    handle: (call) => {
      const subnet = findSubnet(call.world, call.resourceId);
      if (!subnet) throw subnetNotFoundError(call);
      return {
        status: 200,
        headers: { etag: subnet.body['etag'] },
        body: subnetBody(call.world, subnet.body),
      };
    },
  },
  {
    method: 'GET',
    path: `${networkPath}/virtualNetworks/:virtualNetwork/subnets`,
    kind: 'subnet.list',
    action: 'Microsoft.Network/virtualNetworks/subnets/read',
    handle: (call) => {
      const vnet = call.world.resources.get(parentOf(call, /\/subnets$/));
      if (!vnet) throw resourceNotFound(parentOf(call, /\/subnets$/));
      const list: Json[] = vnet.body['properties'].subnets;
      return { status: 200, body: { value: list.map((item) => subnetBody(call.world, item)) } };
    },
  },
  {
    method: 'PUT',
    path: subnetPath,
    kind: 'subnet.put',
    action: 'Microsoft.Network/virtualNetworks/subnets/write',
    linkedResources: (call) => securityGroupLink(call.body),
    handle: (call) => {
      checkBody(call.body, subnetSchema, networkSchemaError);
      const vnet = call.world.resources.get(parentOf(call));
      if (!vnet) throw parentNotFound(call.params['virtualNetwork'] ?? '');
      checkVnetNotBusy(call, vnet);
      const list: Json[] = vnet.body['properties'].subnets;
      const before = list.find((item) => isSameId(item['name'], call.name));
      const subnet = buildSubnet(call, vnet.id, { ...call.body, name: before?.['name'] ?? call.name }, false);
      const after = [...list.filter((item) => item !== before), subnet];
      const space: string[] = vnet.body['properties'].addressSpace.addressPrefixes;
      checkSubnets(
        vnet.id,
        space.map((prefix) => parseRange(prefix, vnet.id)),
        after,
      );
      vnet.body['properties'].subnets = after;
      setState(vnet, 'Updating');
      return call.accept({
        family: 'network',
        latency: 'subnetPut',
        status: before ? 200 : 201,
        location: vnet.body['location'],
        resourceId: String(subnet['id']),
        name: 'PutSubnetOperation',
        body: subnetBody(call.world, subnet),
        complete: () => {
          setState(vnet, 'Succeeded');
        },
      });
    },
  },
  {
    method: 'DELETE',
    path: subnetPath,
    kind: 'subnet.delete',
    action: 'Microsoft.Network/virtualNetworks/subnets/delete',
    handle: (call) => {
      const subnet = findSubnet(call.world, call.resourceId);
      if (!subnet) {
        // Recorded: a missing parent is an error, a missing subnet is not.
        if (!call.world.resources.has(parentOf(call))) throw resourceNotFound(parentOf(call));
        return { status: 204 };
      }
      checkVnetNotBusy(call, subnet.vnet);
      checkSubnetUnused(call.world, String(subnet.body['id']));
      setState(subnet.vnet, 'Updating');
      return call.accept({
        family: 'network',
        latency: 'subnetDelete',
        status: 202,
        location: subnet.vnet.body['location'],
        resourceId: String(subnet.body['id']),
        name: 'DeleteSubnetOperation',
        complete: () => {
          const properties: Json = subnet.vnet.body['properties'];
          properties['subnets'] = (properties['subnets'] as Json[]).filter((item) => item['id'] !== subnet.body['id']);
          setState(subnet.vnet, 'Succeeded');
        },
      });
    },
  },
];

function parentOf(call: Call, tail = /\/subnets\/[^/]+$/): string {
  return call.resourceId.replace(tail, '');
}

function subnetNotFoundError(call: Call): ArmError {
  if (!call.world.resources.has(parentOf(call))) return resourceNotFound(parentOf(call));
  return refuseNetwork('NotFound', `Resource ${call.resourceId} not found.`, 404);
}

/** Recorded: parallel writes in a virtual network get 409 AnotherOperationInProgress with the URL of the operation. */
function checkVnetNotBusy(call: Call, vnet: Resource): void {
  const busy = call.world.operations.findRunning(vnet.id);
  if (!busy) return;
  throw refuseNetwork(
    'AnotherOperationInProgress',
    `Another operation on this or dependent resource is in progress. To retrieve status of the operation use uri: ${call.world.operations.url(busy, call.origin).replace(/&t=.*$/, '')}.`,
    409,
  );
}

function checkSubnetName(name: string): void {
  if (!/^[a-z0-9]([\w.-]{0,78}\w)?$/i.test(name)) {
    throw refuseNetwork(
      'InvalidResourceName',
      `Resource name ${name} is invalid. The name can be up to 80 characters long. It must begin with a word character, and it must end with a word character or with '_'. The name may contain word characters or '.', '-', '_'.`,
    );
  }
}

function buildSubnet(call: Call, vnetId: string, sent: Json, isNewNetwork: boolean): Json {
  const name = String(sent['name'] ?? '');
  checkSubnetName(name);
  const properties: Json = sent['properties'] ?? {};
  const groupId: string | undefined = properties['networkSecurityGroup']?.id;
  if (groupId !== undefined) {
    const vnet = call.world.resources.get(vnetId);
    requireReference(call, groupId, vnet?.body['location'] ?? regionName(String(call.body['location'])));
  }
  return {
    name,
    id: `${vnetId}/subnets/${name}`,
    etag: '',
    properties: {
      provisioningState: 'Updating',
      ...(properties['addressPrefixes']?.length > 0
        ? { addressPrefixes: properties['addressPrefixes'] }
        : { addressPrefix: properties['addressPrefix'] }),
      ...(groupId === undefined ? {} : { networkSecurityGroup: { id: groupId } }),
      ipamPoolPrefixAllocations: [],
      delegations: [],
      privateEndpointNetworkPolicies: properties['privateEndpointNetworkPolicies'] ?? 'Disabled',
      privateLinkServiceNetworkPolicies: properties['privateLinkServiceNetworkPolicies'] ?? 'Enabled',
      ...defaultOutboundAccess(properties, isNewNetwork && call.apiVersion >= privateSubnetsSince),
    },
    type: 'Microsoft.Network/virtualNetworks/subnets',
  };
}

function defaultOutboundAccess(properties: Json, isPrivateByDefault: boolean): Json {
  const access: boolean | undefined = properties['defaultOutboundAccess'] ?? (isPrivateByDefault ? false : undefined);
  return access === undefined ? {} : { defaultOutboundAccess: access };
}

/** The subnet's prefix, from either of two members. */
export function prefixOf(subnet: Json): string {
  const properties: Json = subnet['properties'];
  return properties['addressPrefix'] ?? properties['addressPrefixes']?.[0] ?? '';
}

function checkSubnets(vnetId: string, space: readonly AddressRange[], list: readonly Json[]): void {
  const vnet = vnetId.split('/').at(-1);
  for (const [index, range] of space.entries()) {
    if (space.slice(0, index).some((other) => overlaps(range, other))) {
      throw notModelled('address prefixes of one virtual network that overlap');
    }
  }
  const seen: { name: string; range: AddressRange }[] = [];
  for (const subnet of list) {
    const name = String(subnet['name']);
    if (seen.some((other) => isSameId(other.name, name))) {
      throw refuseNetwork(
        'DuplicateResourceName',
        `Resource ${vnetId} has two child resources with the same name (${name}).`,
      );
    }
    if ((subnet['properties'].addressPrefixes?.length ?? 0) > 1) throw notModelled('subnets with several prefixes');
    const range = parseRange(prefixOf(subnet), String(subnet['id']));
    if (!space.some((outer) => contains(outer, range))) {
      throw refuseNetwork(
        'NetcfgSubnetRangeOutsideVnet',
        `Subnet '${name}' is not valid because its IP address range is outside the IP address range of virtual network '${vnet}'.`,
      );
    }
    // Azure reserves five addresses, so anything smaller than /29 has none left.
    if (range.last - range.first < 7) {
      throw refuseNetwork('NetcfgInvalidSubnet', `Subnet '${name}' is not valid in virtual network '${vnet}'.`);
    }
    if (seen.some((other) => overlaps(other.range, range))) {
      throw refuseNetwork(
        'NetcfgSubnetRangesOverlap',
        `Subnet '${name}' is not valid because its IP address range overlaps with that of an existing subnet in virtual network '${vnet}'.`,
      );
    }
    seen.push({ name, range });
  }
}

function checkSubnetUnused(world: World, id: string): void {
  const users = allIpConfigurations(world).filter((configuration) =>
    isSameId(configuration['properties'].subnet?.id, id),
  );
  if (users.length === 0) return;
  const name = id.split('/').at(-1);
  throw refuseNetwork(
    'InUseSubnetCannotBeDeleted',
    `Subnet ${name} is in use by ${users.map((configuration) => configuration['id']).join(', ')} and cannot be deleted. In order to delete the subnet, delete all the resources within the subnet. See aka.ms/deletesubnet.`,
  );
}

function subnetBody(world: World, subnet: Json): Json {
  const users = allIpConfigurations(world).filter((configuration) =>
    isSameId(configuration['properties'].subnet?.id, subnet['id']),
  );
  return {
    ...subnet,
    properties: {
      ...subnet['properties'],
      ...(users.length > 0 ? { ipConfigurations: users.map((configuration) => ({ id: configuration['id'] })) } : {}),
    },
  };
}
