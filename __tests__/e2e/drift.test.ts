/** Each compared property, changed alone in Azure's answers: on a rerun it is refused, after a create it draws a warning. */
import { beforeAll, afterAll, describe, expect, test } from '@jest/globals';
import { settings } from '../../simulator/providers/compute/settings.ts';
import { defaults, type Simulator, startSimulator } from '../../simulator/index.ts';
import { comparedProperties } from '../../src/plan/drift.ts';
import { act, errorOf, partsOf, warningsOf } from '../support/lifecycle.ts';

const parts = partsOf('vm1');
const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD0NLGbY4HbU8Z1ahbDX4n8Y0WqYnVtfL9XWq8m2cB';

/** Inputs that request every compared property. */
const inputs = {
  location: 'westeurope',
  'vm-size': 'Standard_D2s_v5',
  zone: '1',
  identity: 'puller',
  'admin-username': 'alice',
  'ssh-public-key': key,
  'computer-name': 'web',
  'license-type': 'RHEL_BYOS',
  spot: 'true',
  'max-price': '0.5',
  'eviction-policy': 'Deallocate',
  'os-disk-size-gb': '64',
  'os-disk-type': 'Premium_LRS',
  'encryption-at-host': 'true',
  'security-type': 'TrustedLaunch',
  'private-ip-address': '192.168.1.10',
  'accelerated-networking': 'true',
  'dns-label': 'shop',
  'allow-inbound': '22 from 203.0.113.0/24',
  overrides: JSON.stringify({
    vm: {
      properties: {
        storageProfile: {
          diskControllerType: 'SCSI',
          dataDisks: [0, 1].map((lun) => ({
            lun,
            createOption: 'Empty',
            deleteOption: 'Delete',
            diskSizeGB: 32,
            managedDisk: { storageAccountType: 'Premium_LRS' },
          })),
        },
      },
    },
  }),
};

type Part = keyof typeof parts;

/** For each property: in whose body, and how it changes. */
const changes: Readonly<Record<(typeof comparedProperties)[number], readonly [Part, (body: any) => void]>> = {
  region: ['machine', (vm) => (vm.location = 'northeurope')],
  image: [
    'machine',
    ({ properties }) => (properties.storageProfile.imageReference.id = defaults.imageId('linux-data-disks', '1.0.0')),
  ],
  'operating system': ['machine', ({ properties }) => (properties.storageProfile.osDisk.osType = 'Windows')],
  size: ['machine', ({ properties }) => (properties.hardwareProfile.vmSize = 'Standard_D4s_v5')],
  zone: ['machine', (vm) => (vm.zones = ['2'])],
  'network interface': [
    'machine',
    ({ properties }) => (properties.networkProfile.networkInterfaces[0].id = `${parts.nic}2`),
  ],
  identity: ['machine', (vm) => (vm.identity = { type: 'SystemAssigned' })],
  'admin user': ['machine', ({ properties }) => (properties.osProfile.adminUsername = 'Alice')],
  'SSH public keys': [
    'machine',
    ({ properties }) => {
      const [first] = properties.osProfile.linuxConfiguration.ssh.publicKeys;
      first.keyData = first.keyData.replace('JdD0', 'jdD0');
    },
  ],
  'host name': ['machine', ({ properties }) => (properties.osProfile.computerName = 'db')],
  license: ['machine', ({ properties }) => delete properties.licenseType],
  priority: ['machine', ({ properties }) => (properties.priority = 'Regular')],
  'eviction policy': ['machine', ({ properties }) => (properties.evictionPolicy = 'Delete')],
  'Spot price limit': ['machine', ({ properties }) => (properties.billingProfile.maxPrice = -1)],
  'OS disk size in GB': ['machine', ({ properties }) => (properties.storageProfile.osDisk.diskSizeGB = 128)],
  'OS disk type': [
    'machine',
    ({ properties }) => (properties.storageProfile.osDisk.managedDisk.storageAccountType = 'Standard_LRS'),
  ],
  'disk controller': ['machine', ({ properties }) => (properties.storageProfile.diskControllerType = 'NVMe')],
  'LUNs of data disks': ['machine', ({ properties }) => properties.storageProfile.dataDisks.pop()],
  'sizes of data disks in GB': [
    'machine',
    ({ properties }) => (properties.storageProfile.dataDisks[1].diskSizeGB = 64),
  ],
  'types of data disks': [
    'machine',
    ({ properties }) => (properties.storageProfile.dataDisks[1].managedDisk.storageAccountType = 'Standard_LRS'),
  ],
  'encryption at host': ['machine', ({ properties }) => delete properties.securityProfile.encryptionAtHost],
  'security type': ['machine', ({ properties }) => delete properties.securityProfile.securityType],
  'region of the network interface': ['nic', (nic) => (nic.location = 'northeurope')],
  'region of the network security group': ['nsg', (nsg) => (nsg.location = 'northeurope')],
  'region of the virtual network': ['vnet', (vnet) => (vnet.location = 'northeurope')],
  'region of the public IP': ['publicIp', (ip) => (ip.location = 'northeurope')],
  subnet: ['nic', (nic) => (primary(nic).subnet.id += '2')],
  'public IP': ['nic', (nic) => delete primary(nic).publicIPAddress],
  'private address': ['nic', (nic) => (primary(nic).privateIPAddress = '192.168.1.11')],
  'network security group': ['nic', ({ properties }) => delete properties.networkSecurityGroup],
  'accelerated networking': ['nic', ({ properties }) => (properties.enableAcceleratedNetworking = false)],
  'address prefix': ['vnet', ({ properties }) => (properties.addressSpace.addressPrefixes = ['10.0.0.0/16'])],
  'subnet prefix': ['vnet', ({ properties }) => (properties.subnets[0].properties.addressPrefix = '192.168.2.0/24')],
  'DNS label': ['publicIp', ({ properties }) => (properties.dnsSettings.domainNameLabel = 'store')],
  'inbound rules': ['nsg', ({ properties }) => (properties.securityRules[0].properties.access = 'Deny')],
};

function primary({ properties }: any): any {
  return properties.ipConfigurations[0].properties;
}

function start(): Promise<Simulator> {
  return startSimulator({
    timeScale: 0.002,
    world: (world) => {
      settings(world).encryptionAtHost.add(defaults.subscriptionId);
      settings(world).quota['lowPriorityCores'] = { limit: 10 };
    },
  });
}

/** Answers about the part have the change from now on, as if Azure Policy or somebody had made it. */
function changeAnswers(sim: Simulator, [part, changeAnswer]: readonly [Part, (body: any) => void]): void {
  for (const method of ['GET', 'PUT']) {
    const match = { method, path: new RegExp(`${parts[part]}\\?`, 'i'), times: Number.POSITIVE_INFINITY };
    sim.faults.add({ match, effect: { changeAnswer } });
  }
}

/** The compared properties that a message lists. */
const listed = (message: string): string[] =>
  [...message.matchAll(/^- ([^:\n]+): .*; the inputs request /gm)].map(([, property = '']) => property);

const rows = comparedProperties.map((property) => [property, changes[property]] as const);

describe('a rerun lists and refuses', () => {
  let sim: Simulator;
  beforeAll(async () => {
    sim = await start();
    const run = await act(sim, inputs, { phases: ['main'] });
    expect([errorOf(run), run.exitCode]).toEqual(['', 0]);
  }, 60_000);
  afterAll(() => sim.close());

  test.each(rows)('a change of %s alone', async (property, change) => {
    changeAnswers(sim, change);
    const run = await act(sim, inputs, { phases: ['main'] });
    sim.faults.clear();
    expect([listed(errorOf(run)), run.exitCode]).toEqual([[property], 1]);
  });

  test('nothing when all is as requested', async () => {
    const run = await act(sim, inputs, { phases: ['main'] });
    expect([errorOf(run), run.outputs['outcome']]).toEqual(['', 'kept']);
  });
});

describe('a create warns of', () => {
  test.each(rows)('a change of %s alone', async (property, change) => {
    const sim = await start();
    try {
      changeAnswers(sim, change);
      const run = await act(sim, inputs, { phases: ['main'] });
      expect([errorOf(run), run.exitCode]).toEqual(['', 0]);
      expect(listed(warningsOf(run))).toEqual([property]);
      expect(run.summary).toContain('other settings than requested');
    } finally {
      await sim.close();
    }
  });

  test('nothing when all is as requested', async () => {
    const sim = await start();
    const run = await act(sim, inputs, { phases: ['main'] });
    await sim.close();
    expect([errorOf(run), listed(warningsOf(run))]).toEqual(['', []]);
  });
});

test('every compared property is changed', () => {
  expect(Object.keys(changes)).toEqual(comparedProperties);
});
