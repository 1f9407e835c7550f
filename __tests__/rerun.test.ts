import { describe, expect, test } from '@jest/globals';
import type { VirtualMachine } from '@azure/arm-compute';
import type { NetworkInterface } from '@azure/arm-network';
import type { ImageFacts } from '../src/image.ts';
import type { DeployInputs, NetworkChoice } from '../src/inputs.ts';
import { makePlan, type Plan } from '../src/plan.ts';
import { compare, compareNetwork } from '../src/rerun.ts';

const subscriptionId = '11111111-1111-4111-8111-111111111111';
const group = `/subscriptions/${subscriptionId}/resourceGroups/rg`;
const versionId =
  '/subscriptions/22222222-2222-4222-8222-222222222222/resourceGroups/g/providers/Microsoft.Compute/galleries/images/images/linux/versions/1.2.3';

type NewNic = Extract<NetworkChoice, { kind: 'new-nic' }>;
const newNetwork: NewNic = {
  kind: 'new-nic',
  subnet: { kind: 'new', addressPrefix: '192.168.0.0/16', subnetPrefix: '192.168.1.0/24' },
  nsg: { kind: 'new', inbound: [] },
  publicIp: { kind: 'new' },
  acceleratedNetworking: false,
};

const inputs: DeployInputs = {
  operation: 'create',
  clientId: 'c',
  proof: { kind: 'secret', secret: 's' },
  tenantId: 't',
  environment: { kind: 'known', name: 'azurecloud' },
  resourceGroup: 'rg',
  timeoutMinutes: 60,
  summary: true,
  cleanup: 'on-failure',
  waitFor: 'provisioned',
  imageTenantId: 'i',
  auxiliaryTenantIds: [],
  tags: {},
  image: {
    kind: 'version',
    id: versionId,
    subscriptionId: '22222222-2222-4222-8222-222222222222',
    resourceGroup: 'g',
    gallery: 'images',
    definition: 'linux',
    version: '1.2.3',
  },
  imageWaitMinutes: 0,
  vmName: 'vm1',
  sizes: [],
  zones: [],
  adminUsername: 'azureuser',
  sshPublicKeys: [],
  identity: { system: false, given: [], named: [] },
  roleAssignments: [],
  overrides: {},
  network: newNetwork,
};

const image: ImageFacts = {
  reference: { id: versionId },
  referenceId: versionId,
  version: '1.2.3',
  osType: 'Linux',
  osState: 'Generalized',
  architecture: 'x64',
  securityType: 'Standard',
  dataDiskLuns: [],
  notices: [],
  warnings: [],
};

type Change = Partial<Omit<DeployInputs, 'network'>> & { readonly network?: Partial<NewNic> };

function planOf({ network, ...change }: Change = {}, location = 'westeurope'): Plan {
  const changed = { ...inputs, ...change, network: { ...newNetwork, ...network } };
  return makePlan(changed, image, { subscriptionId, location, ownership: {}, generated: {} });
}

/** A part as an earlier run with these inputs has left it. */
function made<Part extends 'nic'>(part: Part, change: Change = {}): NonNullable<unknown> {
  const planned = planOf(change)[part];
  if (planned?.origin !== 'made') throw new Error(`no ${part} is made`);
  return { ...planned.body, name: planned.name, provisioningState: 'Succeeded' };
}

const machineOf = (change: Partial<VirtualMachine> = {}): VirtualMachine => ({
  location: 'westeurope',
  provisioningState: 'Succeeded',
  hardwareProfile: { vmSize: 'Standard_D2s_v5' },
  storageProfile: { imageReference: { id: versionId } },
  networkProfile: {
    networkInterfaces: [{ id: `${group}/providers/Microsoft.Network/networkInterfaces/vm1-nic` }],
  },
  ...change,
});

describe('the region', () => {
  const elsewhere = { has: 'northeurope', wanted: 'westeurope' };

  test.each<[string, string, readonly object[]]>([
    ['West Europe', 'westeurope', []],
    ['northeurope', 'westeurope', [{ what: 'region', ...elsewhere }]],
    ['northeurope', '', []],
  ])('a machine in %s, wanted in "%s"', (location, wanted, expected) => {
    const { differences } = compare(machineOf({ location }), planOf({}, wanted), image, inputs);
    expect(differences).toEqual(expected);
  });

  test('of an interface', () => {
    const nic: NetworkInterface = { ...made('nic'), location: 'North Europe' };
    expect(compareNetwork(nic, planOf())).toEqual([
      { what: 'region of the network interface', ...elsewhere },
    ]);
    expect(compareNetwork({ ...nic, location: 'West Europe' }, planOf())).toEqual([]);
  });
});
