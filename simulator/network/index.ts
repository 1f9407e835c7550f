/**
 * Microsoft.Network: network security groups, virtual networks with subnets, public IP addresses, network interfaces.
 *
 * What one resource says of another (`networkInterfaces` of a group, `ipConfigurations` of a subnet) is worked out from
 * the network interfaces on each GET, never stored: whoever removes an interface need not know who mentioned it.
 */
import { regionName } from '../compute/regions.ts';
import {
  type Answer,
  ArmError,
  type Call,
  type Json,
  type LinkedResource,
  parentNotFound,
  type Provider,
  type ProviderType,
  type Route,
  refuseNetwork,
  resourceNotFound,
  unknown,
} from '../provider.ts';
import { checkTags } from '../resources.ts';
import { checkShape, networkShapeRefusal, type ObjectShape } from '../shape.ts';
import type { Resource, World } from '../world.ts';
import {
  contains,
  isIn,
  isReserved,
  nextFree,
  number,
  overlap,
  parseRange,
  type Range,
  text,
} from './addressing.ts';
import {
  interfaceModel,
  publicIpModel,
  securityGroupModel,
  subnetModel,
  tagsModel,
  virtualNetworkModel,
} from './models.ts';
import { checkRules, defaultRules, ruleBody } from './security-rules.ts';

const base = '/subscriptions/:subscriptionId/resourceGroups/:resourceGroup/providers/Microsoft.Network';

/** From this api-version on the subnets of new virtual networks are private unless they say otherwise. */
const privateSubnetsSince = '2025-07-01';

/** Quotas that a scenario may lower: `networkSettings(world).limits.PublicIPAddresses = 0`. */
export interface NetworkSettings {
  readonly limits: Record<string, number>;
}

export function networkSettings(world: World): NetworkSettings {
  return world.extension('network', () => ({
    limits: {
      VirtualNetworks: 1000,
      PublicIPAddresses: 1000,
      StaticPublicIPAddresses: 1000,
      StandardSkuPublicIpAddresses: 1000,
      NetworkSecurityGroups: 5000,
      NetworkInterfaces: 65536,
    },
  }));
}

/** One type of top-level resource: how a body is judged and made, and what its life takes. */
interface Kind {
  /** `networkSecurityGroups`. */
  readonly type: string;
  /** As in Azure's operation names: `PutNetworkSecurityGroupOperation`. */
  readonly noun: string;
  readonly journal: string;
  readonly model: ObjectShape;
  readonly put: string;
  readonly delete: string;
  readonly longestName: number;
  linked(call: Call): readonly LinkedResource[];
  /** Judges the request and makes the resource's JSON without id, name, type, etag, location, tags. */
  make(call: Call, before: Resource | undefined, location: string): Json;
  /** Once the operation has ended. */
  finish?(call: Call, resource: Resource): void;
  /** Throws when something needs it still. */
  checkDelete(call: Call, resource: Resource): void;
  /** Adds what is worked out on reading. */
  view(world: World, resource: Resource): Json;
}

// --- The four kinds ----------------------------------------------------------------------------------------------

const securityGroups: Kind = {
  type: 'networkSecurityGroups',
  noun: 'NetworkSecurityGroup',
  journal: 'nsg',
  model: securityGroupModel,
  put: 'nsgPut',
  delete: 'nsgDelete',
  longestName: 80,
  linked: () => [],
  make: (call) => {
    const rules: Json[] = call.body['properties']?.securityRules ?? [];
    checkRules(call.resourceId, rules);
    return { properties: { securityRules: rules } };
  },
  checkDelete: (call, resource) => {
    const users = [
      ...interfaces(call.world)
        .filter((nic) => same(nic.body['properties'].networkSecurityGroup?.id, resource.id))
        .map((nic) => nic.id),
      ...subnets(call.world)
        .filter(({ body }) => same(body['properties'].networkSecurityGroup?.id, resource.id))
        .map(({ body }) => String(body['id'])),
    ];
    if (users.length === 0) return;
    throw refuseNetwork(
      'InUseNetworkSecurityGroupCannotBeDeleted',
      `Network security group ${resource.id} cannot be deleted because it is in use by the following resources: ${users.join(', ')}. In order to delete the Network security group, remove the association with the resource(s). To learn how to do this, see aka.ms/deletensg.`,
    );
  },
  view: (world, resource) => {
    const { properties, etag } = resource.body;
    const state: string = properties.provisioningState;
    const nics = interfaces(world).filter((nic) =>
      same(nic.body['properties'].networkSecurityGroup?.id, resource.id),
    );
    return {
      ...resource.body,
      properties: {
        ...properties,
        securityRules: (properties.securityRules as Json[]).map((rule) =>
          ruleBody(resource.id, rule, etag, state),
        ),
        defaultSecurityRules: defaultRules(resource.id, etag, state),
        ...(nics.length > 0 ? { networkInterfaces: nics.map(({ id }) => ({ id })) } : {}),
      },
    };
  },
};

const virtualNetworks: Kind = {
  type: 'virtualNetworks',
  noun: 'VirtualNetwork',
  journal: 'vnet',
  model: virtualNetworkModel,
  put: 'vnetPut',
  delete: 'vnetDelete',
  longestName: 64,
  linked: (call) =>
    ((call.body['properties']?.subnets ?? []) as Json[]).flatMap((subnet) => securityGroupLink(subnet)),
  make: (call, before) => {
    const given: Json = call.body['properties'] ?? {};
    const prefixes: string[] = given['addressSpace']?.addressPrefixes ?? [];
    if (prefixes.length === 0) throw unknown('a virtual network without address space');
    const ranges = prefixes.map((prefix) => parseRange(prefix, call.resourceId));
    const made = ((given['subnets'] ?? []) as Json[]).map((subnet) =>
      makeSubnet(call, call.resourceId, subnet, before === undefined),
    );
    checkSubnets(call.resourceId, ranges, made);
    for (const old of (before?.body['properties'].subnets ?? []) as Json[]) {
      if (!made.some((one) => same(one['id'], old['id']))) checkSubnetFree(call.world, String(old['id']));
    }
    return {
      properties: {
        addressSpace: { addressPrefixes: prefixes, ipamPoolPrefixAllocations: [] },
        ...(given['dhcpOptions'] ? { dhcpOptions: given['dhcpOptions'] } : {}),
        privateEndpointVNetPolicies: given['privateEndpointVNetPolicies'] ?? 'Disabled',
        subnets: made,
        virtualNetworkPeerings: [],
        enableDdosProtection: given['enableDdosProtection'] ?? false,
      },
    };
  },
  checkDelete: (call, resource) => {
    for (const subnet of resource.body['properties'].subnets as Json[])
      checkSubnetFree(call.world, subnet['id']);
  },
  view: (world, resource) => ({
    ...resource.body,
    properties: {
      ...resource.body['properties'],
      subnets: (resource.body['properties'].subnets as Json[]).map((subnet) => subnetView(world, subnet)),
    },
  }),
};

const publicIps: Kind = {
  type: 'publicIPAddresses',
  noun: 'PublicIpAddress',
  journal: 'publicIp',
  model: publicIpModel,
  put: 'publicIpPut',
  delete: 'publicIpDelete',
  longestName: 80,
  linked: () => [],
  make: (call, before, location) => {
    const given: Json = call.body['properties'] ?? {};
    // Basic is what the API means when no SKU is given, and Basic is retired.
    const sku: string = call.body['sku']?.name ?? 'Basic';
    const tier: string = call.body['sku']?.tier ?? 'Regional';
    if (sku.toLowerCase() === 'basic' && !before) {
      throw refuseNetwork(
        'IPv4BasicSkuPublicIpCountLimitReached',
        'Cannot create more than 0 IPv4 Basic SKU public IP addresses for this subscription in this region.',
      );
    }
    if (sku !== 'Standard' || tier !== 'Regional') throw unknown(`public IP addresses of SKU ${sku} ${tier}`);
    if ((given['publicIPAddressVersion'] ?? 'IPv4') !== 'IPv4') throw unknown('IPv6 public IP addresses');
    if ((given['publicIPAllocationMethod'] ?? 'Dynamic') !== 'Static') {
      throw refuseNetwork(
        'StandardAndStandardV2SkuPublicIPAddressesMustBeStatic',
        `Standard sku publicIp ${call.resourceId} must have AllocationMethod set to Static.`,
      );
    }
    const idle: number = given['idleTimeoutInMinutes'] ?? 4;
    if (idle < 4 || idle > 30) {
      // The text is quoted in public reports; its code was not found.
      throw refuseNetwork(
        'InvalidIdleTimeout',
        `Public IP address ${call.name} has invalid Idle Timeout. The value must be between 4 and 30.`,
      );
    }
    const label: string | undefined = given['dnsSettings']?.domainNameLabel;
    if (label !== undefined) checkLabel(call, label, location);
    if (!before) {
      checkLimit(call, 'PublicIPAddresses', location, (limit) =>
        refuseNetwork(
          'PublicIPCountLimitReached',
          `Cannot create more than ${limit} public IP addresses for this subscription in this region.`,
        ),
      );
    }
    return {
      properties: {
        ...(before?.body['properties'].ipAddress ? { ipAddress: before.body['properties'].ipAddress } : {}),
        publicIPAddressVersion: 'IPv4',
        publicIPAllocationMethod: 'Static',
        idleTimeoutInMinutes: idle,
        ...(label === undefined
          ? {}
          : { dnsSettings: { domainNameLabel: label, fqdn: `${label}.${location}.cloudapp.azure.com` } }),
        ipTags: [],
        ddosSettings: { protectionMode: given['ddosSettings']?.protectionMode ?? 'VirtualNetworkInherited' },
        ...(given['deleteOption'] === undefined ? {} : { deleteOption: given['deleteOption'] }),
      },
      sku: { name: 'Standard', tier: 'Regional' },
      ...(call.body['zones'] ? { zones: call.body['zones'] } : {}),
    };
  },
  finish: (call, resource) => {
    resource.body['properties'].ipAddress ??= freePublicAddress(call.world);
  },
  checkDelete: (call, resource) => {
    const user = configurations(call.world).find((one) =>
      same(one['properties'].publicIPAddress?.id, resource.id),
    );
    if (!user) return;
    throw refuseNetwork(
      'PublicIPAddressCannotBeDeleted',
      `Public IP address ${resource.id} can not be deleted since it is still allocated to resource ${user['id']}. In order to delete the public IP, disassociate/detach the Public IP address from the resource.  To learn how to do this, see aka.ms/deletepublicip.`,
    );
  },
  view: (world, resource) => {
    const user = configurations(world).find((one) =>
      same(one['properties'].publicIPAddress?.id, resource.id),
    );
    const { ipConfiguration: _stored, ...properties } = resource.body['properties'];
    return {
      ...resource.body,
      properties: { ...properties, ...(user ? { ipConfiguration: { id: user['id'] } } : {}) },
    };
  },
};

const networkInterfaces: Kind = {
  type: 'networkInterfaces',
  noun: 'NetworkInterface',
  journal: 'nic',
  model: interfaceModel,
  put: 'nicPut',
  delete: 'nicDelete',
  longestName: 80,
  linked: (call) => {
    const given: Json = call.body['properties'] ?? {};
    const links: LinkedResource[] = [];
    for (const configuration of (given['ipConfigurations'] ?? []) as Json[]) {
      const { subnet, publicIPAddress } = configuration['properties'] ?? {};
      if (subnet?.id !== undefined) {
        links.push({ id: subnet.id, action: 'Microsoft.Network/virtualNetworks/subnets/join/action' });
      }
      if (publicIPAddress?.id !== undefined) {
        links.push({ id: publicIPAddress.id, action: 'Microsoft.Network/publicIPAddresses/join/action' });
      }
    }
    return [...links, ...securityGroupLink(call.body)];
  },
  make: makeInterface,
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
  view: (_world, resource) => {
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

const kinds: readonly Kind[] = [securityGroups, virtualNetworks, publicIps, networkInterfaces];

// --- Routes of a kind --------------------------------------------------------------------------------------------

function routesOf(kind: Kind): Route[] {
  const path = `${base}/${kind.type}/:name`;
  const type = `Microsoft.Network/${kind.type}`;
  return [
    {
      method: 'GET',
      path,
      kind: `${kind.journal}.get`,
      action: `${type}/read`,
      handle: (call) => {
        refuseQuery(call, '$expand');
        return answer(kind, call.world, found(call));
      },
    },
    {
      method: 'GET',
      path: `${base}/${kind.type}`,
      kind: `${kind.journal}.list`,
      action: `${type}/read`,
      scope: (call) => call.resourceId.replace(/\/providers\/.*$/, ''),
      handle: (call) => ({
        status: 200,
        body: {
          value: [...call.world.resources.under(call.resourceId.replace(/\/providers\/.*$/, ''), type)].map(
            (one) => kind.view(call.world, one),
          ),
        },
      }),
    },
    {
      method: 'PUT',
      path,
      kind: `${kind.journal}.put`,
      action: `${type}/write`,
      linked: kind.linked,
      handle: (call) => put(kind, call),
    },
    {
      method: 'PATCH',
      path,
      kind: `${kind.journal}.patch`,
      action: `${type}/write`,
      handle: (call) => {
        checkShape(call.body, tagsModel, networkShapeRefusal);
        checkTags(call.body['tags']);
        const resource = found(call);
        resource.body['tags'] = call.body['tags'] ?? {};
        stamp(resource);
        return answer(kind, call.world, resource);
      },
    },
    {
      method: 'DELETE',
      path,
      kind: `${kind.journal}.delete`,
      action: `${type}/delete`,
      handle: (call) => remove(kind, call),
    },
  ];
}

function found(call: Call): Resource {
  const resource = call.world.resources.get(call.resourceId);
  if (!resource) throw resourceNotFound(call.resourceId);
  return resource;
}

function answer(kind: Kind, world: World, resource: Resource): Answer {
  return { status: 200, headers: { etag: resource.body['etag'] }, body: kind.view(world, resource) };
}

function put(kind: Kind, call: Call): Answer {
  const { world } = call;
  checkShape(call.body, kind.model, networkShapeRefusal);
  checkTags(call.body['tags']);
  checkName(kind, call.name);
  const before = world.resources.get(call.resourceId);
  const location = checkLocation(kind, call, before);
  checkPreconditions(call, before);
  checkIdle(call, before?.id ?? call.resourceId);
  const made = kind.make(call, before, location);
  const state = 'Updating';
  const resource = world.resources.put({
    id: before?.id ?? call.resourceId,
    type: `Microsoft.Network/${kind.type}`,
    body: {
      name: before?.body['name'] ?? call.name,
      id: before?.id ?? call.resourceId,
      etag: '',
      type: `Microsoft.Network/${kind.type}`,
      location,
      ...(call.body['tags'] ? { tags: call.body['tags'] } : {}),
      ...made,
      properties: {
        provisioningState: state,
        resourceGuid: before?.body['properties'].resourceGuid ?? world.uuid(),
        ...made['properties'],
      },
      ...(kind === networkInterfaces ? { kind: 'Regular' } : {}),
    },
  });
  setState(resource, state);
  const latency = world.latency(kind.put);
  const finish = (): void => {
    setState(resource, 'Succeeded');
    kind.finish?.(call, resource);
  };
  const status = before ? 200 : 201;
  // Recorded: an interface's first answer says Succeeded already, and often there is nothing to poll.
  if (kind === networkInterfaces && !before) {
    finish();
    if (latency === 0) return { status, body: kind.view(world, resource) };
  }
  return call.accept({
    family: 'network',
    latency,
    status,
    location,
    resourceId: resource.id,
    name: `Put${kind.noun}Operation`,
    body: kind.view(world, resource),
    complete: finish,
    failed: () => {
      setState(resource, 'Failed');
    },
  });
}

function remove(kind: Kind, call: Call): Answer {
  const { world } = call;
  const resource = world.resources.get(call.resourceId);
  if (!resource) return { status: 204 };
  checkIdle(call, resource.id);
  kind.checkDelete(call, resource);
  setState(resource, 'Deleting');
  return call.accept({
    family: 'network',
    latency: kind.delete,
    status: 202,
    location: resource.body['location'],
    resourceId: resource.id,
    name: `Delete${kind.noun}Operation`,
    complete: () => {
      world.resources.remove(resource.id);
    },
    failed: () => {
      setState(resource, 'Failed');
    },
  });
}

// --- Checks that all kinds share ---------------------------------------------------------------------------------

function checkName(kind: Kind, name: string): void {
  const shortest = kind === virtualNetworks ? 2 : 1;
  if (name.length >= shortest && name.length <= kind.longestName && /^[a-z0-9]([\w.-]*\w)?$/i.test(name))
    return;
  throw refuseNetwork(
    'InvalidResourceName',
    `Resource name ${name} is invalid. The name can be up to ${kind.longestName} characters long. It must begin with a word character, and it must end with a word character or with '_'. The name may contain word characters or '.', '-', '_'.`,
  );
}

function checkLocation(kind: Kind, call: Call, before: Resource | undefined): string {
  const given: unknown = call.body['location'];
  if (typeof given !== 'string' || given === '') {
    throw new ArmError(400, 'LocationRequired', 'The location property is required for this definition.', {
      gateway: true,
    });
  }
  const location = regionName(given);
  if (before && before.body['location'] !== location) {
    const group = call.params['resourceGroup'];
    throw new ArmError(
      409,
      'InvalidResourceLocation',
      `The resource '${call.name}' already exists in location '${before.body['location']}' in resource group '${group}'. A resource with the same name cannot be created in location '${location}'. Please select a new resource name.`,
      { gateway: true },
    );
  }
  if (!/^[a-z]+[0-9]?$/.test(location)) {
    throw new ArmError(
      400,
      'LocationNotAvailableForResourceType',
      `The provided location '${given}' is not available for resource type 'Microsoft.Network/${kind.type}'.`,
      { gateway: true },
    );
  }
  return location;
}

function checkPreconditions(call: Call, before: Resource | undefined): void {
  if (call.headers['if-none-match'] !== undefined) throw unknown('If-None-Match on Microsoft.Network');
  const match = call.headers['if-match'];
  if (match === undefined || match === '*' || match === before?.body['etag']) return;
  throw new ArmError(412, 'PreconditionFailed', 'Precondition failed.', {
    details: [
      {
        code: 'PreconditionFailedEtagMismatch',
        message: `Etag provided in if-match header ${match} does not match etag ${before?.body['etag'] ?? ''} of resource ${call.resourceId} in NRP data store.`,
      },
    ],
  });
}

/** One write at a time on a resource: 429 RetryableError as recorded, though it is no throttling. */
function checkIdle(call: Call, id: string): void {
  const busy = call.world.operations.busyWith(id);
  if (!busy) return;
  const seconds = Math.max(1, Math.ceil(busy.endsAt - call.world.clock.now()));
  throw new ArmError(429, 'RetryableError', 'A retryable error occurred.', {
    details: [
      {
        code: 'RetryableErrorDueToAnotherOperation',
        message: `Operation ${busy.name} (${busy.id}) is updating resource ${busy.resourceId}. The call can be retried in ${seconds} seconds.`,
      },
    ],
  });
}

function checkLimit(call: Call, limit: string, location: string, refusal: (limit: number) => ArmError): void {
  const allowed = networkSettings(call.world).limits[limit];
  if (allowed === undefined) return;
  if ((usage(call.world, call.subscription.id, location)[limit] ?? 0) >= allowed) throw refusal(allowed);
}

/** The resource must be there, in the same region and settled, for another one to refer to it. */
function referenced(call: Call, id: string, location: string): Resource | undefined {
  const resource = call.world.resources.get(id);
  if (!resource || resource.body['location'] !== location) throw notReferable(call, id);
  const state: string = resource.body['properties'].provisioningState;
  if (state !== 'Succeeded') throw notProvisioned(call, id, state);
  return resource;
}

function notReferable(call: Call, id: string): ArmError {
  return refuseNetwork(
    'InvalidResourceReference',
    `Resource ${id} referenced by resource ${call.resourceId} was not found. Please make sure that the referenced resource exists, and that both resources are in the same region.`,
  );
}

function notProvisioned(call: Call, id: string, state: string): ArmError {
  const operation = call.world.operations.busyWith(id)?.name ?? 'PutOperation';
  return refuseNetwork(
    'ReferencedResourceNotProvisioned',
    `Cannot proceed with operation because resource ${id} used by resource ${call.resourceId} is not in Succeeded state. Resource is in ${state} state and the last operation that updated/is updating the resource is ${operation}.`,
    409,
  );
}

function refuseQuery(call: Call, name: string): void {
  if (call.query[name] !== undefined) throw unknown(`${name}=${call.query[name]} on ${call.path}`);
}

function securityGroupLink(holder: Json): LinkedResource[] {
  const id: string | undefined = holder['properties']?.networkSecurityGroup?.id;
  return id === undefined ? [] : [{ id, action: 'Microsoft.Network/networkSecurityGroups/join/action' }];
}

/** Each change of a resource gives it, and its parts, a new etag. */
function stamp(resource: Resource): void {
  resource.body['etag'] = `W/"${crypto.randomUUID()}"`;
}

function setState(resource: Resource, state: string): void {
  stamp(resource);
  const properties: Json = resource.body['properties'];
  properties['provisioningState'] = state;
  for (const part of [
    ...(properties['subnets'] ?? []),
    ...(properties['ipConfigurations'] ?? []),
  ] as Json[]) {
    part['etag'] = resource.body['etag'];
    part['properties'].provisioningState = state;
  }
}

// --- Subnets -----------------------------------------------------------------------------------------------------

const subnetPath = `${base}/virtualNetworks/:virtualNetwork/subnets/:subnet`;

const subnetRoutes: Route[] = [
  {
    method: 'GET',
    path: subnetPath,
    kind: 'subnet.get',
    action: 'Microsoft.Network/virtualNetworks/subnets/read',
    handle: (call) => {
      refuseQuery(call, '$expand');
      const subnet = findSubnet(call.world, call.resourceId);
      if (!subnet) throw noSubnet(call);
      return {
        status: 200,
        headers: { etag: subnet.body['etag'] },
        body: subnetView(call.world, subnet.body),
      };
    },
  },
  {
    method: 'GET',
    path: `${base}/virtualNetworks/:virtualNetwork/subnets`,
    kind: 'subnet.list',
    action: 'Microsoft.Network/virtualNetworks/subnets/read',
    handle: (call) => {
      const vnet = call.world.resources.get(parentOf(call, /\/subnets$/));
      if (!vnet) throw resourceNotFound(parentOf(call, /\/subnets$/));
      const list: Json[] = vnet.body['properties'].subnets;
      return { status: 200, body: { value: list.map((one) => subnetView(call.world, one)) } };
    },
  },
  {
    method: 'PUT',
    path: subnetPath,
    kind: 'subnet.put',
    action: 'Microsoft.Network/virtualNetworks/subnets/write',
    linked: (call) => securityGroupLink(call.body),
    handle: (call) => {
      checkShape(call.body, subnetModel, networkShapeRefusal);
      const vnet = call.world.resources.get(parentOf(call));
      if (!vnet) throw parentNotFound(call.params['virtualNetwork'] ?? '');
      checkVnetIdle(call, vnet);
      const list: Json[] = vnet.body['properties'].subnets;
      const before = list.find((one) => same(one['name'], call.name));
      const subnet = makeSubnet(call, vnet.id, { ...call.body, name: before?.['name'] ?? call.name }, false);
      const after = [...list.filter((one) => one !== before), subnet];
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
        body: subnetView(call.world, subnet),
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
        // Recorded: the parent's absence is an error, the subnet's own is not.
        if (!call.world.resources.has(parentOf(call))) throw resourceNotFound(parentOf(call));
        return { status: 204 };
      }
      checkVnetIdle(call, subnet.vnet);
      checkSubnetFree(call.world, String(subnet.body['id']));
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
          properties['subnets'] = (properties['subnets'] as Json[]).filter(
            (one) => one['id'] !== subnet.body['id'],
          );
          setState(subnet.vnet, 'Succeeded');
        },
      });
    },
  },
];

function parentOf(call: Call, tail = /\/subnets\/[^/]+$/): string {
  return call.resourceId.replace(tail, '');
}

function noSubnet(call: Call): ArmError {
  if (!call.world.resources.has(parentOf(call))) return resourceNotFound(parentOf(call));
  return refuseNetwork('NotFound', `Resource ${call.resourceId} not found.`, 404);
}

/** Parallel writes in one virtual network: 409 AnotherOperationInProgress, naming the operation to wait for. */
function checkVnetIdle(call: Call, vnet: Resource): void {
  const busy = call.world.operations.busyWith(vnet.id);
  if (!busy) return;
  throw refuseNetwork(
    'AnotherOperationInProgress',
    `Another operation on this or dependent resource is in progress. To retrieve status of the operation use uri: ${call.world.operations.url(busy, call.origin).replace(/&t=.*$/, '')}.`,
    409,
  );
}

function makeSubnet(call: Call, vnetId: string, given: Json, isNewNetwork: boolean): Json {
  const name = String(given['name'] ?? '');
  if (!/^[a-z0-9]([\w.-]{0,78}\w)?$/i.test(name)) {
    throw refuseNetwork(
      'InvalidResourceName',
      `Resource name ${name} is invalid. The name can be up to 80 characters long. It must begin with a word character, and it must end with a word character or with '_'. The name may contain word characters or '.', '-', '_'.`,
    );
  }
  const properties: Json = given['properties'] ?? {};
  const group: string | undefined = properties['networkSecurityGroup']?.id;
  if (group !== undefined) {
    const vnet = call.world.resources.get(vnetId);
    referenced(call, group, vnet?.body['location'] ?? regionName(String(call.body['location'])));
  }
  const outbound: boolean | undefined =
    properties['defaultOutboundAccess'] ??
    (isNewNetwork && call.apiVersion >= privateSubnetsSince ? false : undefined);
  return {
    name,
    id: `${vnetId}/subnets/${name}`,
    etag: '',
    properties: {
      provisioningState: 'Updating',
      ...(properties['addressPrefixes']?.length > 0
        ? { addressPrefixes: properties['addressPrefixes'] }
        : { addressPrefix: properties['addressPrefix'] }),
      ...(group === undefined ? {} : { networkSecurityGroup: { id: group } }),
      ipamPoolPrefixAllocations: [],
      delegations: [],
      privateEndpointNetworkPolicies: properties['privateEndpointNetworkPolicies'] ?? 'Disabled',
      privateLinkServiceNetworkPolicies: properties['privateLinkServiceNetworkPolicies'] ?? 'Enabled',
      ...(outbound === undefined ? {} : { defaultOutboundAccess: outbound }),
    },
    type: 'Microsoft.Network/virtualNetworks/subnets',
  };
}

function prefixOf(subnet: Json): string {
  const properties: Json = subnet['properties'];
  return properties['addressPrefix'] ?? properties['addressPrefixes']?.[0] ?? '';
}

function checkSubnets(vnetId: string, space: readonly Range[], list: readonly Json[]): void {
  const vnet = vnetId.split('/').at(-1);
  for (const [index, range] of space.entries()) {
    if (space.slice(0, index).some((other) => overlap(range, other))) {
      throw unknown('address prefixes of one virtual network that overlap');
    }
  }
  const seen: { name: string; range: Range }[] = [];
  for (const subnet of list) {
    const name = String(subnet['name']);
    if (seen.some((other) => same(other.name, name))) {
      throw refuseNetwork(
        'DuplicateResourceName',
        `Resource ${vnetId} has two child resources with the same name (${name}).`,
      );
    }
    if ((subnet['properties'].addressPrefixes?.length ?? 0) > 1)
      throw unknown('subnets with several prefixes');
    const range = parseRange(prefixOf(subnet), String(subnet['id']));
    if (!space.some((outer) => contains(outer, range))) {
      throw refuseNetwork(
        'NetcfgSubnetRangeOutsideVnet',
        `Subnet '${name}' is not valid because its IP address range is outside the IP address range of virtual network '${vnet}'.`,
      );
    }
    // Smaller than /29 leaves no address: Azure keeps five.
    if (range.last - range.first < 7) {
      throw refuseNetwork(
        'NetcfgInvalidSubnet',
        `Subnet '${name}' is not valid in virtual network '${vnet}'.`,
      );
    }
    if (seen.some((other) => overlap(other.range, range))) {
      throw refuseNetwork(
        'NetcfgSubnetRangesOverlap',
        `Subnet '${name}' is not valid because its IP address range overlaps with that of an existing subnet in virtual network '${vnet}'.`,
      );
    }
    seen.push({ name, range });
  }
}

function checkSubnetFree(world: World, id: string): void {
  const users = configurations(world).filter((one) => same(one['properties'].subnet?.id, id));
  if (users.length === 0) return;
  const name = id.split('/').at(-1);
  throw refuseNetwork(
    'InUseSubnetCannotBeDeleted',
    `Subnet ${name} is in use by ${users.map((one) => one['id']).join(', ')} and cannot be deleted. In order to delete the subnet, delete all the resources within the subnet. See aka.ms/deletesubnet.`,
  );
}

function subnetView(world: World, subnet: Json): Json {
  const users = configurations(world).filter((one) => same(one['properties'].subnet?.id, subnet['id']));
  return {
    ...subnet,
    properties: {
      ...subnet['properties'],
      ...(users.length > 0 ? { ipConfigurations: users.map((one) => ({ id: one['id'] })) } : {}),
    },
  };
}

function* allSubnets(world: World): Generator<{ vnet: Resource; body: Json }> {
  for (const vnet of world.resources.ofType('Microsoft.Network/virtualNetworks')) {
    for (const body of vnet.body['properties'].subnets as Json[]) yield { vnet, body };
  }
}

function subnets(world: World): { vnet: Resource; body: Json }[] {
  return [...allSubnets(world)];
}

function findSubnet(world: World, id: string): { vnet: Resource; body: Json } | undefined {
  const vnet = world.resources.get(id.replace(/\/subnets\/[^/]+$/i, ''));
  const body = (vnet?.body['properties'].subnets as Json[] | undefined)?.find((one) => same(one['id'], id));
  return vnet && body ? { vnet, body } : undefined;
}

// --- Network interfaces ------------------------------------------------------------------------------------------

function interfaces(world: World): Resource[] {
  return [...world.resources.ofType('Microsoft.Network/networkInterfaces')];
}

/** All IP configurations of all network interfaces. */
function configurations(world: World): Json[] {
  return interfaces(world).flatMap((nic) => nic.body['properties'].ipConfigurations as Json[]);
}

function makeInterface(call: Call, before: Resource | undefined, location: string): Json {
  const { world } = call;
  const given: Json = call.body['properties'] ?? {};
  const wanted: Json[] = given['ipConfigurations'] ?? [];
  if (wanted.length === 0) throw unknown('a network interface without IP configurations');
  const group: string | undefined = given['networkSecurityGroup']?.id;
  if (group !== undefined) referenced(call, group, location);
  const made: Json[] = [];
  for (const [index, one] of wanted.entries()) {
    made.push(makeConfiguration(call, before, location, one, index, made));
  }
  const old: Json = before?.body['properties'] ?? {};
  const suffix: string = old['dnsSettings']?.internalDomainNameSuffix ?? networkSuffix(world);
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
  };
}

function makeConfiguration(
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
  if (siblings.some((one) => same(one['id'], id))) {
    throw refuseNetwork(
      'DuplicateResourceName',
      `Resource ${nicId} has two child resources with the same name (${name}).`,
    );
  }
  const properties: Json = given['properties'] ?? {};
  if ((properties['privateIPAddressVersion'] ?? 'IPv4') !== 'IPv4') throw unknown('IPv6 IP configurations');
  const subnetId: string | undefined = properties['subnet']?.id;
  if (subnetId === undefined) throw unknown('an IP configuration without subnet');
  const subnet = findSubnet(world, subnetId);
  if (!subnet || subnet.vnet.body['location'] !== location) throw notReferable(call, subnetId);
  const state: string = subnet.body['properties'].provisioningState;
  if (state !== 'Succeeded') throw notProvisioned(call, subnetId, state);

  const taken = new Map<number, string>();
  const others = configurations(world).filter(
    (one) => !String(one['id']).toLowerCase().startsWith(`${nicId.toLowerCase()}/`),
  );
  for (const one of [...others, ...siblings]) {
    if (same(one['properties'].subnet?.id, subnetId))
      taken.set(number(one['properties'].privateIPAddress), one['id']);
  }
  const range = parseRange(prefixOf(subnet.body), subnetId);
  const method: string = properties['privateIPAllocationMethod'] ?? 'Dynamic';
  const old = (before?.body['properties'].ipConfigurations as Json[] | undefined)?.find((one) =>
    same(one['id'], id),
  );
  let address: number;
  if (method === 'Static') {
    address = staticAddress(id, properties['privateIPAddress'], range, taken);
  } else {
    const kept =
      old && same(old['properties'].subnet?.id, subnetId)
        ? number(old['properties'].privateIPAddress)
        : undefined;
    const free = kept ?? nextFree(range, new Set(taken.keys()));
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
    referenced(call, publicIp, location);
    const user = [...others, ...siblings].find((one) =>
      same(one['properties'].publicIPAddress?.id, publicIp),
    );
    if (user) {
      throw refuseNetwork(
        'PublicIPAddressInUse',
        `Resource ${id} is referencing public IP address ${publicIp} that is already allocated to resource ${user['id']}.`,
      );
    }
  }
  const deleteOption: string | undefined = properties['publicIPAddress']?.properties?.deleteOption;
  return {
    name,
    id,
    etag: '',
    type: 'Microsoft.Network/networkInterfaces/ipConfigurations',
    properties: {
      provisioningState: 'Updating',
      privateIPAddress: text(address),
      privateIPAllocationMethod: method,
      ...(publicIp === undefined
        ? {}
        : { publicIPAddress: { id: publicIp, ...(deleteOption ? { properties: { deleteOption } } : {}) } }),
      subnet: { id: subnetId },
      primary: properties['primary'] ?? index === 0,
      privateIPAddressVersion: 'IPv4',
    },
  };
}

function staticAddress(
  id: string,
  given: string | undefined,
  range: Range,
  taken: ReadonlyMap<number, string>,
): number {
  const address = number(given ?? '');
  if (Number.isNaN(address)) throw unknown(`the static private address '${given}'`);
  if (!isIn(range, address)) {
    throw refuseNetwork(
      'PrivateIPAddressNotInSubnet',
      `Private static IP address ${text(address)} does not belong to the range of subnet prefix ${range.text}.`,
    );
  }
  if (isReserved(range, address)) {
    throw refuseNetwork(
      'PrivateIPAddressInReservedRange',
      `Private static IP address ${text(address)} falls within reserved IP range of subnet prefix ${range.text}.`,
    );
  }
  const holder = taken.get(address);
  if (holder !== undefined) {
    throw refuseNetwork(
      'PrivateIPAddressInUse',
      `IP configuration ${id} is using the private IP address ${text(address)} which is already allocated to resource ${holder}.`,
    );
  }
  return address;
}

function networkSuffix(world: World): string {
  const letters = Array.from(
    { length: 26 },
    () => 'abcdefghijklmnopqrstuvwxyz'[Math.floor(world.random() * 26)],
  );
  return `${letters.join('')}.ax.internal.cloudapp.net`;
}

// --- Public addresses, names, usages -----------------------------------------------------------------------------

function checkLabel(call: Call, label: string, location: string): void {
  if (!/^[a-z][a-z0-9-]{1,61}[a-z0-9]$/.test(label)) {
    throw refuseNetwork(
      'InvalidDomainNameLabel',
      `The domain name label ${label} is invalid. It must conform to the following regular expression: ^[a-z][a-z0-9-]{1,61}[a-z0-9]$.`,
    );
  }
  if (labelHolder(call.world, label, location, call.resourceId)) {
    throw refuseNetwork(
      'DnsRecordInUse',
      `DNS record ${label}.${location}.cloudapp.azure.com is already used by another public IP.`,
    );
  }
}

function labelHolder(world: World, label: string, location: string, except?: string): Resource | undefined {
  return [...world.resources.ofType('Microsoft.Network/publicIPAddresses')].find(
    (one) =>
      one.body['location'] === location &&
      one.body['properties'].dnsSettings?.domainNameLabel === label &&
      !same(one.id, except),
  );
}

function freePublicAddress(world: World): string {
  const used = new Set(
    [...world.resources.ofType('Microsoft.Network/publicIPAddresses')].map(
      (one) => one.body['properties'].ipAddress,
    ),
  );
  for (;;) {
    // TEST-NET-2 and -3 are too small for many runs; 198.18.0.0/15 is set aside for benchmarks and belongs to nobody.
    const address = `198.${18 + Math.floor(world.random() * 2)}.${Math.floor(world.random() * 256)}.${1 + Math.floor(world.random() * 254)}`;
    if (!used.has(address)) return address;
  }
}

function usage(world: World, subscription: string, location: string): Record<string, number> {
  const scope = `/subscriptions/${subscription}`;
  const count = (type: string): number =>
    [...world.resources.under(scope, `Microsoft.Network/${type}`)].filter(
      (one) => one.body['location'] === location,
    ).length;
  const addresses = count('publicIPAddresses');
  return {
    VirtualNetworks: count('virtualNetworks'),
    PublicIPAddresses: addresses,
    StaticPublicIPAddresses: addresses,
    StandardSkuPublicIpAddresses: addresses,
    NetworkSecurityGroups: count('networkSecurityGroups'),
    NetworkInterfaces: count('networkInterfaces'),
  };
}

const usageNames: Record<string, string> = {
  VirtualNetworks: 'Virtual Networks',
  PublicIPAddresses: 'Public IP Addresses',
  StaticPublicIPAddresses: 'Static Public IP Addresses',
  StandardSkuPublicIpAddresses: 'Public IP Addresses - Standard',
  NetworkSecurityGroups: 'Network Security Groups',
  NetworkInterfaces: 'Network Interfaces',
};

const locationPath = '/subscriptions/:subscriptionId/providers/Microsoft.Network/locations/:location';

const locationRoutes: Route[] = [
  {
    method: 'GET',
    path: `${locationPath}/usages`,
    kind: 'network.usages',
    action: 'Microsoft.Network/locations/usages/read',
    scope: (call) => `/subscriptions/${call.subscription.id}`,
    handle: (call) => {
      const location = regionName(call.params['location'] ?? '');
      const { limits } = networkSettings(call.world);
      const used = usage(call.world, call.subscription.id, location);
      const value = Object.entries(used).map(([name, currentValue]) => ({
        currentValue,
        id: `/subscriptions/${call.subscription.id}/providers/Microsoft.Network/locations/${location}/usages/${name}`,
        limit: limits[name],
        name: { localizedValue: usageNames[name], value: name },
        unit: 'Count',
        isAdjustable: true,
      }));
      return { status: 200, body: { value } };
    },
  },
  {
    method: 'GET',
    path: `${locationPath}/CheckDnsNameAvailability`,
    kind: 'network.dnsAvailability',
    action: 'Microsoft.Network/locations/checkDnsNameAvailability/read',
    scope: (call) => `/subscriptions/${call.subscription.id}`,
    handle: (call) => {
      const label = call.query['domainnamelabel'] ?? '';
      const holder = labelHolder(call.world, label, regionName(call.params['location'] ?? ''));
      return { status: 200, body: { available: holder === undefined } };
    },
  },
];

function same(a: unknown, b: unknown): boolean {
  return typeof a === 'string' && typeof b === 'string' && a.toLowerCase() === b.toLowerCase();
}

const apiVersions = [
  '2026-01-01',
  '2025-07-01',
  '2025-05-01',
  '2024-05-01',
  '2023-11-01',
  '2022-11-01',
  '2020-11-01',
];

const providerTypes: ProviderType[] = [
  ...kinds.map((kind) => ({
    name: kind.type,
    apiVersions,
    capabilities:
      'CrossResourceGroupResourceMove, CrossSubscriptionResourceMove, SupportsTags, SupportsLocation',
  })),
  { name: 'virtualNetworks/subnets', apiVersions },
  { name: 'locations/usages', apiVersions },
  { name: 'locations/CheckDnsNameAvailability', apiVersions },
];

/** The provider. */
export const networkProvider: Provider = {
  namespace: 'Microsoft.Network',
  types: providerTypes,
  routes: [...kinds.flatMap(routesOf), ...subnetRoutes, ...locationRoutes],
};
