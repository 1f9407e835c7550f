/** `allow-inbound` and the way out, as Network gets them. */
import { afterEach, expect, test } from '@jest/globals';
import { type Simulator, startSimulator } from '../../simulator/index.ts';
import { defaultInputs, runAction } from '../support/harness.ts';

let sim: Simulator;
afterEach(() => sim?.close());

test('creates rules in list order when ranges, protocols, service tags and IPv6 are given', async () => {
  sim = await startSimulator({ timeScale: 0.002 });
  const run = await runAction({
    sim,
    phases: ['main'],
    inputs: {
      ...defaultInputs(sim),
      'vm-name': 'vm1',
      'allow-inbound': `
        22 from 203.0.113.0/24
        22 from 198.51.100.7
        8000-8080/tcp from VirtualNetwork
        53/udp from 2001:db8::/32
        443/* from Storage.WestEurope
        * from AzureLoadBalancer, 3000-4000 from *
        20-25 from Internet
        3389/udp from *
        */* from ::/0`,
    },
  });
  expect(run.annotations.filter(({ level }) => level === 'error')).toEqual([]);
  const body: any = sim.journal.find(
    ({ method, path }) => method === 'PUT' && path.endsWith('/networkSecurityGroups/vm1-nsg'),
  )?.requestBody;
  const rules = body.properties.securityRules.map(({ properties }: any) => [
    properties.priority,
    properties.protocol,
    properties.destinationPortRange,
    properties.sourceAddressPrefix,
  ]);
  expect(rules).toEqual([
    [1000, 'Tcp', '22', '203.0.113.0/24'],
    [1010, 'Tcp', '22', '198.51.100.7'],
    [1020, 'Tcp', '8000-8080', 'VirtualNetwork'],
    [1030, 'Udp', '53', '2001:db8::/32'],
    [1040, '*', '443', 'Storage.WestEurope'],
    [1050, 'Tcp', '*', 'AzureLoadBalancer'],
    [1060, 'Tcp', '3000-4000', '*'],
    [1070, 'Tcp', '20-25', 'Internet'],
    [1080, 'Udp', '3389', '*'],
    [1090, '*', '*', '::/0'],
  ]);
  for (const { properties } of body.properties.securityRules) {
    expect(properties).toMatchObject({
      access: 'Allow',
      direction: 'Inbound',
      sourcePortRange: '*',
      destinationAddressPrefix: '*',
    });
  }
  const warnings = run.annotations.filter(({ level }) => level === 'warning').map(({ message }) => message);
  const open = warnings.filter((message) => message.includes('to the whole internet'));
  // SSH by 20-25 and by everything; RDP by 3000-4000 and by everything, but not by UDP alone.
  expect(open.filter((message) => message.includes('port 22 (SSH)'))).toHaveLength(2);
  expect(open.filter((message) => message.includes('port 3389 (RDP)'))).toHaveLength(2);
});

test('reports outbound access when there is a public IP, none, or an override', async () => {
  sim = await startSimulator({ timeScale: 0.002 });
  const outbound = async (name: string, inputs: Record<string, string>) => {
    const run = await runAction({
      sim,
      phases: ['main'],
      inputs: { ...defaultInputs(sim), 'vm-name': name, 'wait-for': 'accepted', ...inputs },
    });
    const body: any = sim.journal.find(
      ({ method, path }) => method === 'PUT' && path.endsWith(`/virtualNetworks/${name}-vnet`),
    )?.requestBody;
    const told = run.annotations.some(
      ({ level, message }) => level === 'notice' && message.includes('default outbound access'),
    );
    return [body.properties.subnets[0].properties.defaultOutboundAccess, told];
  };
  expect(await outbound('open', {})).toEqual([false, false]);
  expect(await outbound('hidden', { 'public-ip': 'false' })).toEqual([true, true]);
  const subnets = [{ name: 'default', properties: { addressPrefix: '192.168.1.0/24', defaultOutboundAccess: false } }];
  expect(
    await outbound('sealed', {
      'public-ip': 'false',
      overrides: JSON.stringify({ vnet: { properties: { subnets } } }),
    }),
  ).toEqual([false, false]);
});
