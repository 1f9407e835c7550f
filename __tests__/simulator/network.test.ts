/** Microsoft.Network: what is refused, and what depends on what. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { networkSettings } from '../../simulator/providers/network/index.ts';
import { type Simulator, startSimulator } from '../../simulator/index.ts';
import { type Body, type Client, connect, type Reply } from '../support/simulator-client.ts';

let simulator: Simulator;
let client: Client;
const location = 'westeurope';

beforeAll(async () => {
  simulator = await startSimulator({ timeScale: 0.002 });
  client = await connect(simulator);
  await client.settle(await put('virtualNetworks/net', network('10.0.0.0/16', ['default', '10.0.1.0/24'])));
});

afterAll(async () => {
  await simulator.close();
});

function url(what: string, version = '2026-01-01'): string {
  return `${client.group}/providers/Microsoft.Network/${what}?api-version=${version}`;
}

function put(what: string, properties: Body, more: Body = {}, version?: string): Promise<Reply> {
  return client.arm('PUT', url(what, version), { location, properties, ...more });
}

function network(space: string, ...subnets: [string, string][]): Body {
  return {
    addressSpace: { addressPrefixes: [space] },
    subnets: subnets.map(([name, addressPrefix]) => ({ name, properties: { addressPrefix } })),
  };
}

function nic(properties: Body = {}): Body {
  return {
    ipConfigurations: [
      {
        name: 'a',
        properties: {
          subnet: { id: `${client.group}/providers/Microsoft.Network/virtualNetworks/net/subnets/default` },
          ...properties,
        },
      },
    ],
  };
}

const standard = { sku: { name: 'Standard' } };

function rule(more: Body = {}, name = 'ssh'): Body {
  return {
    name,
    properties: {
      protocol: 'Tcp',
      access: 'Allow',
      direction: 'Inbound',
      priority: 100,
      sourceAddressPrefix: '203.0.113.0/24',
      sourcePortRange: '*',
      destinationAddressPrefix: '*',
      destinationPortRange: '22',
      ...more,
    },
  };
}

describe('security rules', () => {
  test.each([
    ['SecurityRuleInvalidPriority', [rule({ priority: 99 })]],
    ['SecurityRuleInvalidPortRange', [rule({ destinationPortRange: '70000' })]],
    ['SecurityRuleInvalidPortRange', [rule({ destinationPortRange: '20-10' })]],
    ['SecurityRuleInvalidAddressPrefix', [rule({ sourceAddressPrefix: 'my-office' })]],
    ['SecurityRuleConflict', [rule(), rule({}, 'web')]],
    ['DuplicateResourceName', [rule(), rule({ priority: 110 }, 'SSH')]],
  ])('%s', async (code, securityRules) => {
    const reply = await put('networkSecurityGroups/rules', { securityRules });
    expect([reply.status, reply.body.error.code]).toEqual([400, code]);
  });

  test('service tags and lists are taken', async () => {
    const securityRules = [
      rule({ sourceAddressPrefix: 'AzureCloud.WestEurope' }),
      rule({ priority: 110, destinationPortRange: undefined, destinationPortRanges: ['80', '8000-8100'] }, 'web'),
    ];
    const reply = await put('networkSecurityGroups/accepted', { securityRules });
    expect(reply.status).toBe(201);
    expect(reply.body.properties.securityRules[1].properties.destinationPortRanges).toEqual(['80', '8000-8100']);
  });
});

describe('virtual networks', () => {
  test.each([
    ['InvalidAddressPrefixFormat', network('10.0/16')],
    ['InvalidCIDRNotation', network('10.0.0.1/16')],
    ['NetcfgSubnetRangeOutsideVnet', network('10.0.0.0/16', ['a', '10.1.0.0/24'])],
    ['NetcfgSubnetRangesOverlap', network('10.0.0.0/16', ['a', '10.0.0.0/24'], ['b', '10.0.0.128/25'])],
    ['NetcfgInvalidSubnet', network('10.0.0.0/16', ['a', '10.0.0.0/30'])],
  ])('%s', async (code, properties) => {
    const reply = await put('virtualNetworks/wrong', properties);
    expect([reply.status, reply.body.error.code]).toEqual([400, code]);
  });

  test('subnets of new networks are private from 2025-07-01 on, unless they say otherwise', async () => {
    const subnetOf = (reply: Reply): Body => reply.body.properties.subnets[0].properties;
    const space = network('10.9.0.0/16', ['a', '10.9.0.0/24']);
    expect(subnetOf(await put('virtualNetworks/new', space)).defaultOutboundAccess).toBe(false);
    expect(subnetOf(await put('virtualNetworks/old', space, {}, '2025-05-01')).defaultOutboundAccess).toBeUndefined();
    const open = structuredClone(space);
    open.subnets[0].properties.defaultOutboundAccess = true;
    expect(subnetOf(await put('virtualNetworks/open', open)).defaultOutboundAccess).toBe(true);
  });

  test('a subnet cannot be written while the network is: AnotherOperationInProgress with the uri', async () => {
    simulator.world.latencies['subnetPut'] = 500;
    const one = await client.arm('PUT', url('virtualNetworks/net/subnets/b'), {
      properties: { addressPrefix: '10.0.2.0/24' },
    });
    expect(one.status).toBe(201);
    delete simulator.world.latencies['subnetPut'];
    const two = await client.arm('PUT', url('virtualNetworks/net/subnets/c'), {
      properties: { addressPrefix: '10.0.3.0/24' },
    });
    expect([two.status, two.body.error.code]).toEqual([409, 'AnotherOperationInProgress']);
    expect(two.body.error.message).toContain('/providers/Microsoft.Network/locations/westeurope/operations/');
    const early = await put('networkInterfaces/early', nic());
    expect([early.status, early.body.error.code]).toEqual([409, 'ReferencedResourceNotProvisioned']);
    await client.settle(one);
  });
});

describe('public IP addresses', () => {
  test('Basic is retired, Dynamic is not for Standard, idle timeout and label have limits', async () => {
    const fixed = { publicIPAllocationMethod: 'Static' };
    const codes = [];
    for (const [properties, more] of [
      [fixed, {}],
      [{}, standard],
      [{ ...fixed, idleTimeoutInMinutes: 31 }, standard],
      [{ ...fixed, dnsSettings: { domainNameLabel: 'My_VM' } }, standard],
    ]) {
      const reply = await put('publicIPAddresses/wrong', properties, more);
      expect(reply.status).toBe(400);
      codes.push(reply.body.error.code);
    }
    expect(codes).toEqual([
      'IPv4BasicSkuPublicIpCountLimitReached',
      'StandardAndStandardV2SkuPublicIPAddressesMustBeStatic',
      'InvalidIdleTimeout',
      'InvalidDomainNameLabel',
    ]);
  });

  test('a label is taken once per region; the address comes with the end of the operation', async () => {
    const properties = { publicIPAllocationMethod: 'Static', dnsSettings: { domainNameLabel: 'my-vm' } };
    const made = await put('publicIPAddresses/one', properties, standard);
    expect(made.body.properties.ipAddress).toBeUndefined();
    await client.settle(made);
    const got = await client.arm('GET', url('publicIPAddresses/one'));
    expect(got.body.properties).toMatchObject({
      ipAddress: expect.stringMatching(/^198\.1[89]\./),
      dnsSettings: { fqdn: 'my-vm.westeurope.cloudapp.azure.com' },
    });
    const again = await put('publicIPAddresses/two', properties, standard);
    expect(again.body.error.code).toBe('DnsRecordInUse');
  });

  test('the quota of the region', async () => {
    const { limits } = networkSettings(simulator.world);
    limits['PublicIPAddresses'] = 0;
    const reply = await put('publicIPAddresses/many', { publicIPAllocationMethod: 'Static' }, standard);
    limits['PublicIPAddresses'] = 1000;
    expect(reply.body.error.code).toBe('PublicIPCountLimitReached');
  });
});

describe('network interfaces', () => {
  test.each([
    ['PrivateIPAddressNotInSubnet', '10.0.2.9'],
    ['PrivateIPAddressInReservedRange', '10.0.1.3'],
  ])('%s', async (code, privateIPAddress) => {
    const reply = await put('networkInterfaces/wrong', nic({ privateIPAllocationMethod: 'Static', privateIPAddress }));
    expect([reply.status, reply.body.error.code]).toEqual([400, code]);
  });

  test('addresses are taken once; what is missing is named; deletion gives back', async () => {
    const fixed = nic({ privateIPAllocationMethod: 'Static', privateIPAddress: '10.0.1.9' });
    expect((await put('networkInterfaces/first', fixed)).status).toBe(201);
    expect((await put('networkInterfaces/second', fixed)).body.error.code).toBe('PrivateIPAddressInUse');
    const dynamic = await put('networkInterfaces/third', nic());
    expect(dynamic.body.properties.ipConfigurations[0].properties.privateIPAddress).toBe('10.0.1.4');
    const nowhere = nic({
      publicIPAddress: { id: `${client.group}/providers/Microsoft.Network/publicIPAddresses/none` },
    });
    expect((await put('networkInterfaces/fourth', nowhere)).body.error.code).toBe('InvalidResourceReference');
    await client.settle(await client.arm('DELETE', url('networkInterfaces/first')));
    expect((await put('networkInterfaces/second', fixed)).status).toBe(201);
    expect((await client.arm('DELETE', url('networkInterfaces/first'))).status).toBe(204);
  });

  test('one of a failed machine is reserved for 180 seconds; a used one stays', async () => {
    const fixed = nic({ privateIPAllocationMethod: 'Static', privateIPAddress: '10.0.1.20' });
    const { id } = (await put('networkInterfaces/held', fixed)).body;
    const held = simulator.world.resources.get(id);
    if (!held) throw new Error('no interface');
    held.internal['reservation'] = { vm: '/vm', until: simulator.world.clock.now() + 180 };
    const reply = await client.arm('DELETE', url('networkInterfaces/held'));
    expect([reply.status, reply.body.error.code]).toEqual([400, 'NicReservedForAnotherVm']);
    held.internal['reservation'] = undefined;
    const vm = `${client.group}/providers/Microsoft.Compute/virtualMachines/vm`;
    simulator.world.resources.put({ id: vm, type: 'Microsoft.Compute/virtualMachines', body: { location } });
    held.body['properties'].virtualMachine = { id: vm };
    expect((await client.arm('DELETE', url('networkInterfaces/held'))).body.error.code).toBe('NicInUse');
  });
});

test('tags at a scope, and the list of resources by tag: without tags, and late', async () => {
  const scope = `${client.group}/providers/Microsoft.Network/virtualNetworks/net`;
  const tags = `${scope}/providers/Microsoft.Resources/tags/default?api-version=2025-04-01`;
  const merged = await client.arm('PATCH', tags, {
    operation: 'Merge',
    properties: { tags: { 'cross-tenant-vm': 'a' } },
  });
  expect(merged.status).toBe(200);
  expect((await client.arm('GET', url('virtualNetworks/net'))).body.tags).toEqual({ 'cross-tenant-vm': 'a' });
  const filter = encodeURIComponent("tagName eq 'cross-tenant-vm' and tagValue eq 'a'");
  const list = await client.arm('GET', `${client.group}/resources?api-version=2025-04-01&$filter=${filter}`);
  expect(list.body.value).toEqual([
    {
      id: expect.stringMatching(/virtualNetworks\/net$/),
      name: 'net',
      type: 'Microsoft.Network/virtualNetworks',
      location,
    },
  ]);
  const many = Object.fromEntries(Array.from({ length: 51 }, (_, index) => [`t${index}`, 'v']));
  expect((await client.arm('PATCH', tags, { operation: 'Replace', properties: { tags: many } })).status).toBe(400);
});
