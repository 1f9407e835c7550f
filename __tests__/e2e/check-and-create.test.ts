/** `check` predicts what `create` runs into. The prediction of each refusal: __tests__/unit/check/evaluate.test.ts */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { defaults, type Simulator, type World } from '../../simulator/index.ts';
import { addDefinition, addVersion } from '../../simulator/providers/compute/galleries.ts';
import { settings } from '../../simulator/providers/compute/settings.ts';
import { addRegistry } from '../../simulator/providers/registry.ts';
import { policyAssignments } from '../../simulator/world/policies.ts';
import type { Finding } from '../../src/check/facts.ts';
import { act, addStranger, group, startWorld } from '../support/lifecycle.ts';

const subscription = `/subscriptions/${defaults.subscriptionId}`;
const networkGroup = `${subscription}/resourceGroups/network-rg`;
const network = `${networkGroup}/providers/Microsoft.Network`;
const subnetId = `${network}/virtualNetworks/hub/subnets/apps`;
const front = `${network}/publicIPAddresses/front`;
const registryId = `${networkGroup}/providers/Microsoft.ContainerRegistry/registries/pictures`;
const gallery = defaults.imageId('x').replace(/\/images\/x$/, '');

type Inputs = Readonly<Record<string, string>>;

/** Faults that the check must find, or why it finds none although `create` fails; undefined if both pass. */
type Prediction = readonly string[] | 'skipped' | 'not predicted' | undefined;

interface Changes {
  readonly inputs?: Inputs;
  readonly world?: (world: World) => void;
  /** Without permission to read the subscription. */
  readonly groupOnly?: true;
}

type Row = readonly [name: string, prediction: Prediction, changes: Changes];

function addExisting(world: World, id: string, properties: object): void {
  const [, type = '', name = ''] = /\/providers\/([^/]+\/[^/]+)\/([^/]+)$/.exec(id) ?? [];
  const body = { id, name, type, location: defaults.location };
  world.resources.put({ id, type, body: { ...body, properties: { provisioningState: 'Succeeded', ...properties } } });
}

/** Replaces Contributor by a role that lacks one action. */
function revokeAction(world: World, action: string): void {
  world.revoke(defaults.clientId, group);
  const { actions, notActions } = world.role('Contributor') ?? { actions: [], notActions: [] };
  world.addRole({
    id: '11111111-2222-4333-8444-555555555555',
    name: 'Almost Contributor',
    custom: true,
    actions,
    notActions: [...notActions, action],
  });
  world.grant(defaults.clientId, 'Almost Contributor', group);
}

/** An assignment of a policy on the resource group whose effect is deny. */
function deny(denies: (resource: any) => boolean) {
  return (world: World): void => {
    policyAssignments(world).push({ name: 'p1', displayName: 'Policy 1', scope: group, denies });
  };
}

const denySubnetsWithoutNsg = deny(
  ({ type, properties }) =>
    type === 'Microsoft.Network/virtualNetworks' &&
    properties.subnets.some((subnet: any) => !subnet.properties.networkSecurityGroup?.id),
);

/** A virtual network of others; its subnet has three addresses for VMs. */
function addHub(world: World, role: string): void {
  world.addGroup(defaults.subscriptionId, 'network-rg', defaults.location);
  const id = `${network}/virtualNetworks/hub`;
  const properties = { provisioningState: 'Succeeded', addressPrefix: '10.1.0.0/29' };
  addExisting(world, id, {
    addressSpace: { addressPrefixes: ['10.1.0.0/16'] },
    subnets: [{ name: 'apps', id: subnetId, properties }],
  });
  world.grant(defaults.clientId, role, networkGroup);
}

function useAddress(world: World, privateIPAddress: string, more: object = {}): void {
  const id = `${network}/networkInterfaces/nic${privateIPAddress}`;
  const properties = {
    provisioningState: 'Succeeded',
    privateIPAddress,
    privateIPAllocationMethod: 'Dynamic',
    subnet: { id: subnetId },
    primary: true,
    ...more,
  };
  addExisting(world, id, {
    ipConfigurations: [{ name: 'primary', id: `${id}/ipConfigurations/primary`, properties }],
  });
}

const fullCoreQuota = (world: World): void => {
  settings(world).quota['cores'] = { limit: 10, used: 10 };
};

/** Not all of it is a reason for a refusal: only what a row refers to. */
function fillCommonWorld(world: World): void {
  addHub(world, 'Reader');
  addRegistry(world, { subscription: defaults.subscriptionId, group: 'network-rg', name: 'pictures' });
  addVersion(world, addDefinition(world, gallery, 'elsewhere', { osType: 'Linux' }), '1.0.0', {
    regions: ['North Europe'],
  });
  addStranger(world, `${group}/providers/Microsoft.Network/networkSecurityGroups/taken-nsg`);
  addExisting(world, front, {
    publicIPAddressVersion: 'IPv4',
    dnsSettings: { domainNameLabel: 'shop', fqdn: 'shop.westeurope.cloudapp.azure.com' },
  });
  const location = 'westeurope';
  const reasonCode = 'NotAvailableForSubscription';
  settings(world).restrictions.push({ location, size: 'Standard_D2as_v5', reasonCode });
  const leaving = world.addGroup(defaults.subscriptionId, 'leaving', location);
  leaving.provisioningState = 'Deleting';
  world.grant(defaults.clientId, 'Contributor', `${subscription}/resourceGroups/leaving`);
}

/** Each of these is the only fault of a world where everything else is in order. */
const inCommonWorld: readonly (readonly [name: string, prediction: Prediction, inputs: Inputs])[] = [
  ['everything in order', undefined, {}],
  [
    'an auxiliary tenant without consent',
    [`sign-in/auxiliary/${defaults.otherTenantId}`],
    { 'auxiliary-tenant-ids': defaults.otherTenantId },
  ],
  ['an image version that does not exist', ['image'], { 'image-id': defaults.imageId('linux', '9.9.9') }],
  ['an image version that is not replicated', ['image'], { 'image-id': defaults.imageId('elsewhere', '1.0.0') }],
  ['Marketplace terms that are not accepted', ['terms'], { 'image-id': defaults.imageId('linux-plan') }],
  ['a subnet that the app may not join', ['rights/subnet'], { 'subnet-id': subnetId }],
  [
    'a role that the app may not grant',
    ['role-assignment/1'],
    { identity: 'system', 'role-assignments': `AcrPull on ${registryId}` },
  ],
  [
    'a role that does not exist',
    ['role-assignment/1'],
    { identity: 'system', 'role-assignments': `No Such Role on ${group}` },
  ],
  ['a name that another resource has', ['name/network-security-group'], { 'vm-name': 'taken' }],
  ['a size that is restricted', ['size/Standard_D2as_v5'], { 'vm-size': 'Standard_D2as_v5' }],
  ['a size of another architecture', ['size/Standard_D2ps_v5'], { 'vm-size': 'Standard_D2ps_v5' }],
  ['a DNS label that is taken', ['name/dns-label'], { 'dns-label': 'shop' }],
  ['a resource group that is being deleted', ['resource-group'], { 'resource-group': 'leaving' }],
  ['a subscription of another tenant', ['subscription'], { 'subscription-id': defaults.imageSubscriptionId }],
  ['swapped tenants', ['subscription'], { 'tenant-id': defaults.imageTenantId, 'image-tenant-id': defaults.tenantId }],
  ['an image of another tenant than image-tenant-id', ['image'], { 'image-tenant-id': defaults.tenantId }],
];

const inOwnWorld: readonly Row[] = [
  ['permissions on the group only', undefined, { groupOnly: true }],
  [
    'an image tenant without consent',
    ['sign-in/image-tenant'],
    { world: (world) => world.uninstallApp(defaults.clientId, defaults.imageTenantId) },
  ],
  [
    'no role at all',
    ['resource-group'],
    {
      world: (world) => {
        world.revoke(defaults.clientId, group);
        world.revoke(defaults.clientId, subscription);
      },
    },
  ],
  [
    'a missing permission on the group',
    ['rights/resource-group'],
    { world: (world) => revokeAction(world, 'Microsoft.Network/publicIPAddresses/write') },
  ],
  [
    'an unregistered resource provider',
    ['provider/Microsoft.ManagedIdentity'],
    {
      world: (world) => world.subscriptions.get(defaults.subscriptionId)?.providers.delete('microsoft.managedidentity'),
      inputs: { identity: 'puller' },
    },
  ],
  ['a full core quota', ['quota/cores'], { world: fullCoreQuota }],
  ['a full core quota that the app may not read', 'skipped', { world: fullCoreQuota, groupOnly: true }],
  ['a ReadOnly lock', ['locks'], { world: (world) => world.addLock(group, 'ReadOnly', 'frozen') }],
  [
    'a shortage of capacity',
    'not predicted',
    { world: (world) => settings(world).shortages.push({ code: 'AllocationFailed', at: 'operation' }) },
  ],
  [
    'a policy that denies public IPs',
    ['policy/vm1-ip'],
    { world: deny(({ type }) => type === 'Microsoft.Network/publicIPAddresses') },
  ],
  [
    'a policy that denies the size, which the app may not have evaluated',
    'skipped',
    {
      world: (world) => {
        deny(({ properties }) => properties.hardwareProfile?.vmSize === 'Standard_D2s_v5')(world);
        revokeAction(world, 'Microsoft.PolicyInsights/checkPolicyRestrictions/read');
      },
      groupOnly: true,
    },
  ],
  ['a policy that denies subnets without a network security group', undefined, { world: denySubnetsWithoutNsg }],
  [
    'a policy that denies subnets without a network security group, which an override removes',
    ['policy/vm1-vnet'],
    {
      world: denySubnetsWithoutNsg,
      inputs: {
        overrides: JSON.stringify({
          vnet: { properties: { subnets: [{ name: 'default', properties: { addressPrefix: '192.168.1.0/24' } }] } },
        }),
      },
    },
  ],
  [
    'many faults of sizes, image, disks, Spot and network at once',
    [
      'encryption-at-host',
      'given/identity/gone',
      'given/public-ip',
      'given/subnet',
      'input/os-disk-size-gb',
      'name/disk',
      'private-ip-address',
      'size/Standard_A1_v2',
      'size/Standard_B2s',
      'size/Standard_D1_v2',
      'size/Standard_D2s_v5',
      'size/Standard_D2s_v6',
      'size/Standard_DC2as_v5',
      'size/Standard_Z9_v9',
      'spot-price',
    ],
    {
      world: (world) => {
        addHub(world, 'Network Contributor');
        addExisting(world, front, { publicIPAddressVersion: 'IPv4', ipAddress: '203.0.113.7' });
        for (const last of [4, 5]) useAddress(world, `10.1.0.${last}`);
        useAddress(world, '10.1.0.6', { publicIPAddress: { id: front } });
        addStranger(world, `${group}/providers/Microsoft.Compute/disks/vm1-osdisk`);
        settings(world).spotPrices['Standard_D2s_v5'] = 0.05;
      },
      inputs: {
        identity: `${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/gone`,
        'subnet-id': subnetId,
        'private-ip-address': '10.1.0.5',
        'public-ip': front,
        'os-disk-size-gb': '20',
        'data-disk-sizes-gb': '4,4,4,4,4',
        'encryption-at-host': 'true',
        'accelerated-networking': 'true',
        spot: 'true',
        'max-price': '0.04',
        zone: '1',
        'vm-size': [
          'Standard_D2s_v5',
          'Standard_D1_v2',
          'Standard_DC2as_v5',
          'Standard_D2s_v6',
          'Standard_B2s',
          'Standard_A1_v2',
          'Standard_Z9_v9',
        ].join(','),
      },
    },
  ],
];

const mayReadAll = (world: World) => world.grant(defaults.clientId, 'Reader', subscription);

async function checkAndCreate(sim: Simulator, inputs: Inputs) {
  const check = await act(sim, { ...inputs, operation: 'check' });
  const create = await act(sim, inputs);
  return { check, create, findings: JSON.parse(check.outputs['findings'] ?? '[]') as readonly Finding[] };
}

async function expectAgreement(sim: Simulator, prediction: Prediction, inputs: Inputs = {}): Promise<void> {
  const { check, create, findings } = await checkAndCreate(sim, inputs);
  const faults = findings.filter(({ level }) => level === 'fault').map(({ id }) => id);
  const isPredicted = typeof prediction === 'object';
  expect(faults.toSorted()).toEqual(isPredicted ? prediction : []);
  expect([check.exitCode, create.exitCode]).toEqual([isPredicted ? 1 : 0, prediction === undefined ? 0 : 1]);
  if (prediction === 'skipped') expect(check.summary).toContain('skipped');
}

describe('check and create agree', () => {
  let common: Simulator;
  beforeAll(async () => {
    common = await startWorld({
      world: (world) => {
        mayReadAll(world);
        fillCommonWorld(world);
      },
    });
  });

  test.each(inCommonWorld.map((row, index) => [...row, index] as const))(
    'on %s',
    async (_, prediction, inputs, index) => {
      await expectAgreement(common, prediction, { 'vm-name': `vm${index}`, ...inputs });
    },
  );

  test('on a size name without its prefix, before any request', async () => {
    const before = common.journal.length;
    const { check, create } = await checkAndCreate(common, { 'vm-size': 'D2s_v5' });
    expect([check.exitCode, create.exitCode]).toEqual([1, 1]);
    for (const { stdout } of [check, create]) expect(stdout).toContain('did you mean Standard_D2s_v5?');
    expect(common.journal.length).toBe(before);
  });

  test.each(inOwnWorld)('on %s', async (_, prediction, { world, inputs, groupOnly }) => {
    const sim = await startWorld({
      world: (made) => {
        if (!groupOnly) mayReadAll(made);
        world?.(made);
      },
    });
    await expectAgreement(sim, prediction, inputs);
    await sim.close();
  });

  describe('on an existing VM', () => {
    const existing = { zone: '1' };
    beforeAll(async () => {
      const { exitCode } = await act(common, { ...existing, 'vm-name': 'existing' });
      expect(exitCode).toBe(0);
    });

    test.each<[string, Prediction, Inputs]>([
      ['that matches', undefined, existing],
      ['of another size', ['rerun'], { ...existing, 'vm-size': 'Standard_D4s_v5' }],
      ['in another zone', ['rerun'], { zone: '2' }],
      ['in another region', ['rerun', 'rerun/network'], { location: 'northeurope' }],
    ])('%s', (_, prediction, inputs) => expectAgreement(common, prediction, { 'vm-name': 'existing', ...inputs }));
  });
});
