import { describe, expect, test } from '@jest/globals';
import type { VirtualMachine } from '@azure/arm-compute';
import type { SecurityRule } from '@azure/arm-network';
import type { ExistingResources, Plan } from '../../../src/deployment/resources.ts';
import { parseInboundRule } from '../../../src/inputs/read-network.ts';
import type { ResolvedImage } from '../../../src/image/image.ts';
import type { DeployInputs } from '../../../src/inputs/inputs.ts';
import { createPlan } from '../../../src/plan/create-plan.ts';
import { driftFix, compareNetwork } from '../../../src/plan/drift.ts';
import { compareVm } from '../../../src/plan/vm-drift.ts';
import {
  type Change as AnswerChange,
  changes,
  comparedProperties,
  inputs as driftInputs,
} from '../../support/drift-changes.ts';
import { least, network, readDeployment, subscription as ownSubscription } from '../../support/read-inputs.ts';
import {
  deployInputs,
  group,
  linuxImage,
  type NewNic,
  newNetwork,
  subscriptionId,
  versionId,
} from '../../support/values.ts';

const inputs = deployInputs;
const image = linuxImage;

describe('a deployment', () => {
  const identity = `${ownSubscription}/resourceGroups/deploy-rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/puller`;
  const id = (path: string) => ({ id: `${network}/${path}` });
  const dataDisk = (lun: number) => ({
    lun,
    name: `vm1_disk${lun}`,
    createOption: 'Empty',
    deleteOption: 'Delete',
    diskSizeGB: 32,
    managedDisk: { storageAccountType: 'Premium_LRS' },
  });
  /** What GET returns after a create with these inputs. */
  const answers = {
    machine: {
      location: 'westeurope',
      zones: ['1'],
      identity: { type: 'UserAssigned', userAssignedIdentities: { [identity]: { principalId: 'p', clientId: 'c' } } },
      properties: {
        provisioningState: 'Succeeded',
        hardwareProfile: { vmSize: 'Standard_D2s_v5' },
        licenseType: 'RHEL_BYOS',
        priority: 'Spot',
        evictionPolicy: 'Deallocate',
        billingProfile: { maxPrice: 0.5 },
        osProfile: {
          adminUsername: 'alice',
          computerName: 'web',
          linuxConfiguration: { ssh: { publicKeys: [{ keyData: driftInputs['ssh-public-key'] }] } },
        },
        securityProfile: { encryptionAtHost: true, securityType: 'TrustedLaunch' },
        storageProfile: {
          diskControllerType: 'SCSI',
          imageReference: { id: versionId },
          osDisk: {
            osType: 'Linux',
            createOption: 'FromImage',
            diskSizeGB: 64,
            managedDisk: { storageAccountType: 'Premium_LRS' },
          },
          dataDisks: [dataDisk(0), dataDisk(1)],
        },
        networkProfile: {
          networkInterfaces: [{ ...id('networkInterfaces/vm1-nic'), properties: { primary: true } }],
        },
      },
    },
    nic: {
      location: 'westeurope',
      properties: {
        provisioningState: 'Succeeded',
        enableAcceleratedNetworking: true,
        networkSecurityGroup: id('networkSecurityGroups/vm1-nsg'),
        ipConfigurations: [
          {
            properties: {
              primary: true,
              privateIPAddress: '192.168.1.10',
              subnet: id('virtualNetworks/vm1-vnet/subnets/default'),
              publicIPAddress: id('publicIPAddresses/vm1-ip'),
            },
          },
        ],
      },
    },
    nsg: {
      location: 'westeurope',
      properties: {
        provisioningState: 'Succeeded',
        securityRules: [
          {
            name: 'allow-22-tcp-1000',
            properties: {
              access: 'Allow',
              direction: 'Inbound',
              priority: 1000,
              protocol: 'Tcp',
              sourceAddressPrefix: '203.0.113.0/24',
              sourcePortRange: '*',
              destinationAddressPrefix: '*',
              destinationPortRange: '22',
            },
          },
        ],
      },
    },
    vnet: {
      location: 'westeurope',
      properties: {
        provisioningState: 'Succeeded',
        addressSpace: { addressPrefixes: ['192.168.0.0/16'] },
        subnets: [{ name: 'default', properties: { addressPrefix: '192.168.1.0/24' } }],
      },
    },
    publicIp: {
      location: 'westeurope',
      properties: { provisioningState: 'Succeeded', dnsSettings: { domainNameLabel: 'shop' } },
    },
  };
  const wanted = readDeployment({
    ...least,
    ...driftInputs,
    'vm-name': 'vm1',
    'image-id': versionId,
    'subscription-id': subscriptionId,
  });
  const gen2: ResolvedImage = { ...image, generation: 'V2', securityType: 'TrustedLaunch' };
  const around = {
    subscriptionId: ownSubscription.split('/')[2] ?? '',
    location: 'westeurope',
    ownership: {},
    generated: {},
  };

  /** The SDK moves what is below `properties` of a resource up. */
  const flatten = (value: any): any => {
    if (Array.isArray(value)) return value.map(flatten);
    if (typeof value !== 'object' || value === null) return value;
    const { properties, ...rest } = value;
    const entries = Object.entries({ ...rest, ...properties });
    return Object.fromEntries(entries.map(([name, inner]) => [name, flatten(inner)]));
  };

  function differences(change?: AnswerChange): readonly string[] {
    const changed = structuredClone(answers);
    change?.apply(changed[change.part]);
    const { machine, ...existing } = flatten(changed);
    const plan = createPlan(wanted, gen2, around);
    return [...compareVm(machine, plan, gen2, wanted).differences, ...compareNetwork(existing, plan).differences].map(
      ({ property }) => property,
    );
  }

  test('does not differ when nothing changed', () => {
    expect(differences()).toEqual([]);
  });

  test.each(comparedProperties)('differs when %s alone changed', (property) => {
    expect(differences(changes[property])).toEqual([property]);
  });
});

type Change = Partial<Omit<DeployInputs, 'network'>> & { readonly network?: Partial<NewNic> };

function planOf({ network, ...change }: Change = {}, location = 'westeurope'): Plan {
  const changed = { ...inputs, ...change, network: { ...newNetwork, ...network } };
  return createPlan(changed, image, { subscriptionId, location, ownership: {}, generated: {} });
}

/** The network as an earlier run with these inputs has left it. */
function madeBy(change: Change = {}): ExistingResources {
  const { nic, nsg, vnet, publicIp } = planOf(change);
  const whole = <Body>(part: { readonly name: string; readonly body: Body }) => ({
    ...part.body,
    name: part.name,
    provisioningState: 'Succeeded' as const,
  });
  return {
    ...(nic.origin === 'made' ? { nic: whole(nic) } : {}),
    ...(nsg?.origin === 'made' ? { nsg: whole(nsg) } : {}),
    ...(vnet ? { vnet: whole(vnet) } : {}),
    ...(publicIp?.origin === 'made' ? { publicIp: whole(publicIp) } : {}),
  };
}

const inbound = (...entries: readonly string[]): Change => ({
  network: {
    nsg: {
      kind: 'new',
      inbound: entries.map((entry) => {
        const rule = parseInboundRule(entry);
        if ('error' in rule) throw new Error(rule.error);
        return rule;
      }),
    },
  },
});
const label = (dnsLabel: string): Change => ({ network: { publicIp: { kind: 'new', dnsLabel } } });
const addresses = (addressPrefix: string, subnetPrefix: string): Change => ({
  network: { subnet: { kind: 'new', addressPrefix, subnetPrefix } },
});

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

const dataDisks = (...disks: NonNullable<NonNullable<VirtualMachine['storageProfile']>['dataDisks']>) => ({
  storageProfile: { imageReference: { id: versionId }, dataDisks: disks },
});

describe('the region', () => {
  const elsewhere = { actual: 'northeurope', expected: 'westeurope' };

  test.each<[string, string, readonly object[]]>([
    ['West Europe', 'westeurope', []],
    ['northeurope', 'westeurope', [{ property: 'region', ...elsewhere }]],
    ['', 'westeurope', []],
    ['northeurope', '', []],
  ])('a machine in %s, wanted in "%s"', (location, wanted, expected) => {
    const { differences } = compareVm(machineOf({ location }), planOf({}, wanted), image, inputs);
    expect(differences).toEqual(expected);
  });

  test('of the network', () => {
    const there = madeBy();
    const moved = Object.fromEntries(
      Object.entries(there).map(([part, body]) => [part, { ...body, location: 'North Europe' }]),
    );
    expect(compareNetwork(moved, planOf()).differences).toEqual(
      ['network security group', 'virtual network', 'public IP', 'network interface'].map((what) => ({
        property: `region of the ${what}`,
        ...elsewhere,
      })),
    );
    const named = { nic: { ...there.nic, location: 'West Europe' } };
    expect(compareNetwork(named, planOf()).differences).toEqual([]);
  });
});

describe('identities', () => {
  const at = `${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities`;
  const nothing = { system: false, given: [], named: [] };
  const assigned = (...names: readonly string[]) => ({
    type: 'UserAssigned' as const,
    userAssignedIdentities: Object.fromEntries(names.map((name) => [`${at}/${name}`, {}])),
  });
  const lower = (name: string): string => `${at}/${name}`.toLowerCase();

  test.each<
    [
      string,
      VirtualMachine['identity'],
      Partial<DeployInputs['identity']>,
      readonly [actual: string, expected: string] | undefined,
      readonly string[],
    ]
  >([
    ['none, and none is wanted', undefined, {}, undefined, []],
    ['one by policy', { type: 'SystemAssigned' }, {}, undefined, ['system']],
    ['those that are wanted', assigned('B', 'a'), { named: ['a', 'b'] }, undefined, []],
    [
      'one more added by policy',
      { ...assigned('a', 'policy'), type: 'SystemAssigned, UserAssigned' },
      { named: ['a'] },
      undefined,
      ['system', lower('policy')],
    ],
    ['none, and one is wanted', undefined, { system: true }, ['none', 'system'], []],
    ['another one', assigned('a'), { system: true }, [lower('a'), 'system'], [lower('a')]],
  ])('%s', (_, identity, wanted, differs, added) => {
    const asked = { ...inputs, identity: { ...nothing, ...wanted } };
    const machine = machineOf(identity ? { identity } : {});
    const comparison = compareVm(machine, planOf({ identity: asked.identity }), image, asked);
    expect(comparison.differences).toEqual(
      differs ? [{ property: 'identity', actual: differs[0], expected: differs[1] }] : [],
    );
    expect(comparison.addedIdentities).toEqual(added);
  });

  test('by override', () => {
    const asked = { ...inputs, overrides: { vm: { identity: { type: 'SystemAssigned' } } } };
    const machine = machineOf({ identity: { type: 'SystemAssigned' } });
    expect(compareVm(machine, planOf({ overrides: asked.overrides }), image, asked)).toMatchObject({
      differences: [],
      addedIdentities: [],
    });
  });
});

describe('settings of the VM', () => {
  const gen2: ResolvedImage = { ...image, generation: 'V2', securityFeature: 'TrustedLaunchSupported' };
  const trusted: ResolvedImage = { ...gen2, securityType: 'TrustedLaunch' };
  const spot = { maxPrice: -1, evictionPolicy: 'Delete' } as const;
  const withDisk = (osDisk: object): Partial<VirtualMachine> => ({
    storageProfile: { imageReference: { id: versionId }, osDisk: { createOption: 'FromImage', ...osDisk } },
  });
  const keys = (...keyData: readonly string[]) => ({
    adminUsername: 'azureuser',
    linuxConfiguration: { ssh: { publicKeys: keyData.map((one) => ({ keyData: one })) } },
  });
  const patched = (properties: object): Partial<DeployInputs> => ({ overrides: { vm: { properties } } });

  test.each<
    [
      name: string,
      machine: Partial<VirtualMachine>,
      expected: Partial<DeployInputs>,
      image: ResolvedImage,
      expected: readonly string[],
    ]
  >([
    ['the same user', { osProfile: { adminUsername: 'azureuser' } }, {}, image, []],
    [
      'another user',
      { osProfile: { adminUsername: 'alice' } },
      { adminUsername: 'bob' },
      image,
      ['admin user: alice -> bob'],
    ],
    [
      'a user in another case on Linux',
      { osProfile: { adminUsername: 'Alice' } },
      { adminUsername: 'alice' },
      image,
      ['admin user: Alice -> alice'],
    ],
    [
      'a user in another case on Windows',
      { osProfile: { adminUsername: 'Alice' } },
      { adminUsername: 'alice' },
      { ...image, osType: 'Windows' },
      [],
    ],
    [
      'a user by override',
      { osProfile: { adminUsername: 'alice' } },
      patched({ osProfile: { adminUsername: 'alice' } }),
      image,
      [],
    ],
    ['a user of a specialized image', {}, { adminUsername: 'bob' }, { ...image, osState: 'Specialized' }, []],
    [
      'another host name',
      { osProfile: { adminUsername: 'azureuser', computerName: 'web' } },
      { computerName: 'db' },
      image,
      ['host name: web -> db'],
    ],
    ['Spot when the VM is not', {}, { spot }, image, ['priority: Regular -> Spot']],
    ['no Spot when the VM is', { priority: 'Spot' }, {}, image, ['priority: Spot -> Regular']],
    ['Spot under its former name', { priority: 'Low' }, { spot }, image, []],
    [
      'another Spot price and policy',
      { priority: 'Spot', evictionPolicy: 'Deallocate', billingProfile: { maxPrice: 0.5 } },
      { spot },
      image,
      ['eviction policy: Deallocate -> Delete', 'Spot price limit: 0.5 -> -1'],
    ],
    [
      'another disk size',
      withDisk({ diskSizeGB: 30 }),
      { osDiskSizeGb: 200 },
      image,
      ['OS disk size in GB: 30 -> 200'],
    ],
    ['a disk size that is not set', withDisk({ diskSizeGB: 30 }), {}, image, []],
    ['a disk size of a deallocated VM', withDisk({}), { osDiskSizeGb: 200, osDiskType: 'Premium_LRS' }, image, []],
    [
      'another disk type',
      withDisk({ managedDisk: { storageAccountType: 'Standard_LRS' } }),
      { osDiskType: 'Premium_LRS' },
      image,
      ['OS disk type: Standard_LRS -> Premium_LRS'],
    ],
    [
      'another security type',
      { securityProfile: { securityType: 'TrustedLaunch' } },
      { securityType: 'Standard' },
      trusted,
      ['security type: TrustedLaunch -> Standard'],
    ],
    [
      'Trusted Launch by input',
      {},
      { securityType: 'TrustedLaunch' },
      trusted,
      ['security type: Standard -> TrustedLaunch'],
    ],
    ['Trusted Launch that is optional', {}, {}, trusted, []],
    [
      'a security type of a definition that could not be read',
      { securityProfile: { securityType: 'TrustedLaunch' } },
      {},
      image,
      [],
    ],
    ['another license', {}, { licenseType: 'RHEL_BYOS' }, image, ['license: None -> RHEL_BYOS']],
    ['no encryption at host', {}, { encryptionAtHost: true }, image, ['encryption at host: false -> true']],
    ['encryption at host that a policy enabled', { securityProfile: { encryptionAtHost: true } }, {}, image, []],
    [
      'a data disk of another size',
      dataDisks({ lun: 0, createOption: 'Empty', diskSizeGB: 64 }),
      { dataDiskSizesGb: [128] },
      image,
      ['sizes of data disks in GB: LUN 0: 64 -> LUN 0: 128'],
    ],
    [
      'a data disk that an earlier run created and the inputs no longer request',
      dataDisks({ lun: 0, createOption: 'Empty', deleteOption: 'Delete', diskSizeGB: 64 }),
      {},
      image,
      ['LUNs of data disks: 0 -> none'],
    ],
    [
      'another type of data disk by override',
      dataDisks({ lun: 0, createOption: 'Empty', managedDisk: { storageAccountType: 'Standard_LRS' } }),
      patched({
        storageProfile: {
          DataDisks: [{ LUN: 0, createOption: 'Empty', managedDisk: { storageAccountType: 'Premium_LRS' } }],
        },
      }),
      image,
      ['types of data disks: LUN 0: Standard_LRS -> LUN 0: Premium_LRS'],
    ],
    [
      'another disk controller by override',
      { storageProfile: { imageReference: { id: versionId }, diskControllerType: 'SCSI' } },
      patched({ storageProfile: { diskControllerType: 'NVMe' } }),
      image,
      ['disk controller: SCSI -> NVMe'],
    ],
    [
      'another SSH key',
      { osProfile: keys('ssh-ed25519 AAAA alice') },
      { sshPublicKeys: ['ssh-ed25519 aaaa alice'] },
      image,
      ['SSH public keys: ssh-ed25519 AAAA -> ssh-ed25519 aaaa'],
    ],
    [
      'an SSH key with another comment',
      { osProfile: keys('ssh-ed25519 AAAA alice') },
      { sshPublicKeys: ['ssh-ed25519 AAAA bob'] },
      image,
      [],
    ],
    ['an SSH key when the inputs name none', { osProfile: keys('ssh-ed25519 AAAA alice') }, {}, image, []],
    ['a missing data disk', {}, { dataDiskSizesGb: [128] }, image, ['LUNs of data disks: none -> 0']],
    ['a data disk that somebody added', dataDisks({ lun: 5, createOption: 'Attach', diskSizeGB: 64 }), {}, image, []],
    ['a licence in another case', { licenseType: 'rhel_byos' }, { licenseType: 'RHEL_BYOS' }, image, []],
    ['a licence that somebody added', { licenseType: 'RHEL_BYOS' }, {}, image, []],
  ])('%s', (_, machine, wanted, from, expected) => {
    const changed = { ...inputs, ...wanted };
    const around = { subscriptionId, location: 'westeurope', ownership: {}, generated: {} };
    const { differences } = compareVm(machineOf(machine), createPlan(changed, from, around), from, changed);
    expect(differences.map(({ property, actual, expected: other }) => `${property}: ${actual} -> ${other}`)).toEqual(
      expected,
    );
  });
});

describe('the network', () => {
  /** Made with the first inputs, wanted with the second. */
  const differences = (
    there: Change,
    wanted: Change,
    change: (survey: ExistingResources) => ExistingResources = (same) => same,
  ) =>
    compareNetwork(change(madeBy(there)), planOf(wanted)).differences.map(
      ({ property, actual, expected: asked }) => `${property}: ${actual} -> ${asked}`,
    );
  const override = (target: string, properties: object): Change => ({
    overrides: { [target]: { properties } },
  });
  const ssh = { destinationPortRange: '22', protocol: 'Tcp', sourceAddressPrefix: '*' };
  const open: SecurityRule = {
    ...ssh,
    access: 'Allow',
    direction: 'Inbound',
    priority: 300,
    sourcePortRange: '*',
    destinationAddressPrefix: '*',
  };
  const withRules =
    (change: (rules: readonly SecurityRule[]) => SecurityRule[]) =>
    (survey: ExistingResources): ExistingResources => ({
      ...survey,
      nsg: {
        ...survey.nsg,
        securityRules: change(survey.nsg?.securityRules ?? []),
      },
    });

  test.each<[string, Change, Change, readonly string[]]>([
    ['the same', inbound('22 from 203.0.113.0/24', '443 from *'), inbound('22 from 203.0.113.0/24', '443 from *'), []],
    ['another order', inbound('22 from 1.2.3.4', '443 from *'), inbound('443 from *', '22 from 1.2.3.4'), []],
    ['another case', inbound('22 from VirtualNetwork'), inbound('22 from virtualnetwork'), []],
    ['a port that is to be closed', inbound('22 from *'), {}, ['inbound rules: 22/tcp from * -> none']],
    ['a port that is to be opened', {}, inbound('22 from *'), ['inbound rules: none -> 22/tcp from *']],
    [
      'another source',
      inbound('22 from 203.0.113.0/24', '80-90/* from *'),
      inbound('22 from 198.51.100.0/24', '80-90/* from *'),
      ['inbound rules: 22/tcp from 203.0.113.0/24, 80-90/* from * -> 22/tcp from 198.51.100.0/24, 80-90/* from *'],
    ],
    ['rules by override', inbound('22 from *'), override('nsg', { securityRules: [] }), []],
    [
      'something else by override',
      inbound('22 from *'),
      override('nsg', { flushConnection: true }),
      ['inbound rules: 22/tcp from * -> none'],
    ],
    ['the same label', label('shop'), label('shop'), []],
    ['another label', label('shop'), label('store'), ['DNS label: shop -> store']],
    ['a label that nobody asks for', label('shop'), {}, []],
    ['a label that is new', {}, label('shop'), ['DNS label: none -> shop']],
    [
      'another label by override',
      {},
      override('public-ip', { dnsSettings: { domainNameLabel: 'x' } }),
      ['DNS label: none -> x'],
    ],
    ['the same label by override', label('x'), override('public-ip', { dnsSettings: { domainNameLabel: 'x' } }), []],
    [
      'other addresses',
      addresses('10.0.0.0/16', '10.0.1.0/24'),
      addresses('10.0.0.0/8', '10.0.2.0/24'),
      ['address prefix: 10.0.0.0/16 -> 10.0.0.0/8', 'subnet prefix: 10.0.1.0/24 -> 10.0.2.0/24'],
    ],
    [
      'other addresses by override',
      addresses('10.0.0.0/16', '10.0.1.0/24'),
      override('vnet', {
        addressSpace: { addressPrefixes: ['10.0.0.0/16'] },
        subnets: [{ name: 'default' }],
      }),
      [],
    ],
  ])('%s', (_, there, wanted, expected) => {
    expect(differences(there, wanted)).toEqual(expected);
  });

  test.each<[string, (rules: readonly SecurityRule[]) => SecurityRule[], readonly string[]]>([
    ['a rule of others beside ours', (rules) => [...rules, { ...open, name: 'office' }], []],
    ['ours made again under another name', () => [{ ...open, name: 'by-hand' }], []],
    ['ours deleted', () => [], ['inbound rules: none -> 22/tcp from *']],
    [
      'ours turned round',
      (rules) => rules.map((rule) => ({ ...rule, access: 'Deny' })),
      ['inbound rules: deny 22/tcp from * -> 22/tcp from *'],
    ],
    [
      'ours narrowed',
      (rules) =>
        rules.map((rule) => ({
          ...rule,
          sourceAddressPrefix: '1.2.3.4',
          sourceAddressPrefixes: ['5.6.7.8'],
          destinationAddressPrefix: '10.0.0.4',
          sourcePortRange: '1000',
        })),
      ['inbound rules: 22/tcp from 1.2.3.4 and 5.6.7.8 port 1000 to 10.0.0.4 -> 22/tcp from *'],
    ],
  ])('%s', (_, change, expected) => {
    expect(differences(inbound('22 from *'), inbound('22 from *'), withRules(change))).toEqual(expected);
  });

  test('rules of others are named', () => {
    const there = withRules((rules) => [...rules, { ...open, name: 'office' }])(madeBy(inbound('22 from *')));
    expect(compareNetwork(there, planOf(inbound('22 from *'))).otherRules).toEqual(['office']);
  });

  test('what failed will be made again, and is not compared', () => {
    const failed = ({ nsg, ...survey }: ExistingResources): ExistingResources => ({
      ...survey,
      nsg: { ...nsg, provisioningState: 'Failed' },
    });
    expect(differences(inbound('22 from *'), {}, failed)).toEqual([]);
  });

  test('a network that grew since is the one that was asked for', () => {
    const grown = ({ vnet, ...survey }: ExistingResources): ExistingResources => ({
      ...survey,
      vnet: {
        ...vnet,
        addressSpace: { addressPrefixes: ['192.168.0.0/16', '10.0.0.0/16'] },
        subnets: [
          { name: 'other', addressPrefix: '10.0.0.0/24' },
          { name: 'Default', addressPrefixes: ['192.168.1.0/24'] },
        ],
      },
    });
    expect(differences({}, {}, grown)).toEqual([]);
  });

  test('nothing is there', () => {
    expect(compareNetwork({}, planOf())).toEqual({ differences: [], otherRules: [] });
  });

  test('what can be changed in place comes with the commands', () => {
    const there = madeBy({
      network: { ...label('shop').network, ...inbound('22 from *', '443 from *').network },
    });
    const plan = planOf({
      network: { ...label('store').network, ...inbound('443 from *', '53/udp from 1.2.3.4').network },
    });
    const place = `--subscription ${subscriptionId} -g rg`;
    const rule = (verb: string, name: string) => `az network nsg rule ${verb} ${place} --nsg-name vm1-nsg -n ${name}`;
    const create = '--access Allow --protocol';
    expect(driftFix(plan, 'network', compareNetwork(there, plan).differences)).toEqual([
      expect.stringContaining('operation: delete'),
      expect.stringContaining('another `vm-name`'),
      expect.stringContaining('the existing label'),
      `az network public-ip update ${place} -n vm1-ip --dns-name store`,
      expect.stringContaining('the existing rules'),
      rule('delete', 'allow-22-tcp-1000'),
      rule('delete', 'allow-443-tcp-1010'),
      `${rule('create', 'allow-443-tcp-1000')} --priority 1000 ${create} Tcp --source-address-prefixes '*' --destination-port-ranges 443`,
      `${rule('create', 'allow-53-udp-1010')} --priority 1010 ${create} Udp --source-address-prefixes 1.2.3.4 --destination-port-ranges 53`,
    ]);
  });
});

test.each([
  ['vm', { Properties: { HardwareProfile: { VmSize: 'Standard_D2s_v5' } } }, 'size'],
  ['vm', { Zones: ['2'] }, 'zone'],
  ['vm', { Identity: { type: 'SystemAssigned' } }, 'identity'],
  ['nic', { properties: { NetworkSecurityGroup: null } }, 'network security group'],
  ['nsg', { properties: { SecurityRules: [] } }, 'inbound rules'],
  ['vnet', { properties: { AddressSpace: { addressPrefixes: [] } } }, 'address prefix'],
  ['public-ip', { properties: { DNSSettings: { domainNameLabel: 'shop' } } }, 'DNS label'],
] as const)('an override of %s in another case is not reported as drift: %j', (target, patch, what) => {
  const wanted: Change = {
    sizes: ['Standard_D8s_v5'],
    zones: ['1'],
    identity: { system: true, given: [], named: [] },
    network: {
      ...inbound('22 from *').network,
      ...addresses('10.0.0.0/8', '10.1.0.0/16').network,
      ...label('wanted').network,
    },
  };
  const differences = (change: Change): string[] => {
    const plan = planOf(change);
    const network = madeBy(label('shop'));
    const { nic } = network;
    const existing = nic ? { ...network, nic: { ...nic, networkSecurityGroup: { id: '/other' } } } : network;
    const machine = compareVm(machineOf({ zones: ['2'] }), plan, image, { ...inputs, ...change, network: newNetwork });
    return [...machine.differences, ...compareNetwork(existing, plan).differences].map((one) => one.property);
  };
  const drift = differences(wanted);
  expect(drift).toContain(what);
  expect(differences({ ...wanted, overrides: { [target]: patch } })).toEqual(drift.filter((one) => one !== what));
});
