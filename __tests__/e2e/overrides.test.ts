/** Overrides on the wire: applied last, to the request itself, so that also what no SDK knows gets through. */
import { afterEach, expect, test } from '@jest/globals';
import { defaults, type Simulator, startSimulator } from '../../simulator/index.ts';
import { defaultInputs, type Run, runAction } from '../support/harness.ts';

let sim: Simulator;
afterEach(() => sim?.close());

const create = (inputs: Record<string, string>): Promise<Run> =>
  runAction({ sim, phases: ['main'], inputs: { ...defaultInputs(sim), 'vm-name': 'vm1', ...inputs } });
const puts = () => sim.journal.filter(({ method, host }) => method === 'PUT' && host === 'arm');
const bodyOf = (name: string): any => puts().find(({ path }) => path.endsWith(`/${name}`))?.requestBody;
const errors = (run: Run): string[] =>
  run.annotations.filter(({ level }) => level === 'error').map(({ message }) => message);

const patches = `
vm:
  tags: { tier: gold }
  zones: ["3"]
  Properties:
    HardwareProfile: { VmSize: Standard_D4s_v5 }
    DiagnosticsProfile: null
    storageProfile: { osDisk: { caching: ReadOnly } }
nic:
  properties:
    networkSecurityGroup: null
    dnsSettings: { dnsServers: [10.0.0.4] }
vnet:
  properties:
    dhcpOptions: { dnsServers: [10.0.0.5] }
    subnets:
      - name: default
        properties: { addressPrefix: 192.168.1.0/24, defaultOutboundAccess: true }
nsg:
  tags: { team: null, tier: gold }
  properties:
    securityRules:
      - name: deny-all
        properties: { access: Deny, direction: Inbound, protocol: "*", priority: 4000, sourcePortRange: "*", sourceAddressPrefixes: [203.0.113.0/24, 198.51.100.0/24], destinationAddressPrefix: "*", destinationPortRanges: ["22", 8000-8080] }
public-ip:
  zones: ["1", "2", "3"]
  properties: { idleTimeoutInMinutes: 30, dnsSettings: null }
`;

test('merges, removes and replaces properties of all five bodies, in any case, and finds no drift when rerun', async () => {
  sim = await startSimulator({ timeScale: 0.002 });
  const inputs = { overrides: patches, tags: 'team: images', 'dns-label': 'my-label' };
  const run = await create(inputs);
  expect(errors(run)).toEqual([]);

  const vm = bodyOf('virtualMachines/vm1');
  expect(vm.tags).toMatchObject({ team: 'images', tier: 'gold', 'cross-tenant-vm': 'vm1' });
  expect(vm.zones).toEqual(['3']);
  expect(vm).not.toHaveProperty('Properties');
  expect(vm.properties.hardwareProfile).toEqual({ vmSize: 'Standard_D4s_v5' });
  expect(Object.keys(vm.properties).filter((key) => /hardware|diagnostics/i.test(key))).toEqual(['hardwareProfile']);
  expect(run.outputs['vm-size']).toBe('Standard_D4s_v5');
  expect(vm.properties.storageProfile.osDisk).toEqual({
    name: 'vm1-osdisk',
    createOption: 'FromImage',
    deleteOption: 'Delete',
    caching: 'ReadOnly',
  });
  expect(run.outputs['zone']).toBe('3');
  const nic = bodyOf('networkInterfaces/vm1-nic').properties;
  expect(nic).not.toHaveProperty('networkSecurityGroup');
  expect(nic.dnsSettings).toEqual({ dnsServers: ['10.0.0.4'] });
  expect(nic.ipConfigurations).toHaveLength(1);
  const vnet = bodyOf('virtualNetworks/vm1-vnet').properties;
  expect(vnet.addressSpace).toEqual({ addressPrefixes: ['192.168.0.0/16'] });
  expect(vnet.dhcpOptions).toEqual({ dnsServers: ['10.0.0.5'] });
  expect(vnet.subnets).toEqual([
    { name: 'default', properties: { addressPrefix: '192.168.1.0/24', defaultOutboundAccess: true } },
  ]);
  const nsg = bodyOf('networkSecurityGroups/vm1-nsg');
  expect(nsg.tags).toMatchObject({ tier: 'gold', 'cross-tenant-vm': 'vm1' });
  expect(nsg.tags).not.toHaveProperty('team');
  expect(nsg.properties.securityRules.map(({ name }: { name: string }) => name)).toEqual(['deny-all']);
  const ip = bodyOf('publicIPAddresses/vm1-ip');
  expect(ip.zones).toEqual(['1', '2', '3']);
  expect(ip.properties.idleTimeoutInMinutes).toBe(30);
  expect(ip.properties).not.toHaveProperty('dnsSettings');

  const before = puts().length;
  const again = await create(inputs);
  expect(errors(again)).toEqual([]);
  expect(puts()).toHaveLength(before);
  expect(again.outputs['vm-instance-id']).toBe(run.outputs['vm-instance-id']);
  expect(again.outputs['created']).toBe('[]');
});

test('sends unknown properties unchanged and reports Azure’s error', async () => {
  sim = await startSimulator({ timeScale: 0.002 });
  const run = await create({
    overrides: '{"nsg": {"properties": {"notYetInvented": {"deep": [1, {"null": false}]}}}}',
  });
  expect(bodyOf('networkSecurityGroups/vm1-nsg').properties.notYetInvented).toEqual({
    deep: [1, { null: false }],
  });
  expect(errors(run)).toHaveLength(1);
  expect(errors(run)[0]).toContain('InvalidRequestFormat');
  expect(errors(run)[0]).toContain("Could not find member 'notYetInvented'");
  expect([...sim.world.resources.under(`/subscriptions/${defaults.subscriptionId}`)]).toEqual([]);
});
