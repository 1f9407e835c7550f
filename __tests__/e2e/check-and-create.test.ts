/**
 * `check` predicts what `create` runs into: here what only a run of both can prove, and many faults in one check.
 * The finding of each refusal: __tests__/unit/check/evaluate.test.ts. That Azure refuses in each of these states:
 * refusals, compute, network and gateway in __tests__/simulator. Other faults in one run: check.test.ts.
 */
import { describe, expect, test } from '@jest/globals';
import { defaults, type Simulator, type World } from '../../simulator/index.ts';
import { settings } from '../../simulator/providers/compute/settings.ts';
import { policyAssignments } from '../../simulator/world/policies.ts';
import type { Finding } from '../../src/check/facts.ts';
import { act, addStranger, group, startWorld } from '../support/lifecycle.ts';

const subscription = `/subscriptions/${defaults.subscriptionId}`;
const networkGroup = `${subscription}/resourceGroups/network-rg`;
const network = `${networkGroup}/providers/Microsoft.Network`;
const subnetId = `${network}/virtualNetworks/hub/subnets/apps`;
const front = `${network}/publicIPAddresses/front`;

type Inputs = Readonly<Record<string, string>>;

/** Faults that the check must find, or why it finds none although `create` fails; undefined if both pass. */
type Prediction = readonly string[] | 'skipped' | undefined;

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
function deny(world: World, denies: (resource: any) => boolean): void {
  policyAssignments(world).push({ name: 'p1', displayName: 'Policy 1', scope: group, denies });
}

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

const mayReadAll = (world: World) => world.grant(defaults.clientId, 'Reader', subscription);

async function expectAgreement(sim: Simulator, prediction: Prediction, inputs: Inputs = {}) {
  const check = await act(sim, { ...inputs, operation: 'check' });
  const create = await act(sim, inputs);
  const findings = JSON.parse(check.outputs['findings'] ?? '[]') as readonly Finding[];
  const faults = findings.filter(({ level }) => level === 'fault').map(({ id }) => id);
  const isPredicted = typeof prediction === 'object';
  expect(faults.toSorted()).toEqual(isPredicted ? prediction : []);
  expect([check.exitCode, create.exitCode]).toEqual([isPredicted ? 1 : 0, prediction === undefined ? 0 : 1]);
  return findings;
}

describe('check and create agree', () => {
  test.concurrent('when everything is in order, and when that VM exists with other settings', async () => {
    const sim = await startWorld({ world: mayReadAll });
    await expectAgreement(sim, undefined, { zone: '1' });
    const other = { zone: '2', 'vm-size': 'Standard_D4s_v5', location: 'northeurope' };
    const findings = await expectAgreement(sim, ['rerun', 'rerun/network'], other);
    const rerun = findings.find(({ id }) => id === 'rerun')?.answer;
    for (const setting of ['zone', 'size', 'region']) expect(rerun).toContain(setting);
  });

  test.concurrent('when a quota and a policy are violated that the app may not read', async () => {
    const sim = await startWorld({
      world: (world) => {
        settings(world).quota['cores'] = { limit: 10, used: 10 };
        deny(world, ({ properties }) => properties.hardwareProfile?.vmSize === 'Standard_D2s_v5');
        revokeAction(world, 'Microsoft.PolicyInsights/checkPolicyRestrictions/read');
      },
    });
    const findings = await expectAgreement(sim, 'skipped');
    const unknown = findings.filter(({ level }) => level === 'unknown').map(({ id }) => id);
    expect(unknown).toEqual(expect.arrayContaining(['quota', 'policy']));
  });

  test.concurrent('when a policy denies subnets without a network security group', async () => {
    const sim = await startWorld({
      world: (world) => {
        mayReadAll(world);
        deny(
          world,
          ({ type, properties }) =>
            type === 'Microsoft.Network/virtualNetworks' &&
            properties.subnets.some((subnet: any) => !subnet.properties.networkSecurityGroup?.id),
        );
      },
    });
    await expectAgreement(sim, undefined);
    const subnets = [{ name: 'default', properties: { addressPrefix: '192.168.1.0/24' } }];
    const overrides = JSON.stringify({ vnet: { properties: { subnets } } });
    await expectAgreement(sim, ['policy/vm2-vnet'], { 'vm-name': 'vm2', overrides });
  });

  // Both end at a request that all others need, so each is a run.
  test.concurrent.each<[string, Prediction, Inputs]>([
    ['the resource group is being deleted', ['resource-group'], { 'resource-group': 'leaving' }],
    [
      'the tenants are swapped',
      ['subscription'],
      { 'tenant-id': defaults.imageTenantId, 'image-tenant-id': defaults.tenantId },
    ],
  ])('when %s', async (_, prediction, inputs) => {
    const sim = await startWorld({
      world: (world) => {
        mayReadAll(world);
        const leaving = world.addGroup(defaults.subscriptionId, 'leaving', defaults.location);
        leaving.provisioningState = 'Deleting';
        world.grant(defaults.clientId, 'Contributor', `${subscription}/resourceGroups/leaving`);
      },
    });
    await expectAgreement(sim, prediction, inputs);
  });

  test.concurrent('when sizes, image, disks, Spot, network and policies have many faults', async () => {
    const sim = await startWorld({
      world: (world) => {
        mayReadAll(world);
        addHub(world, 'Network Contributor');
        addExisting(world, front, { publicIPAddressVersion: 'IPv4', ipAddress: '203.0.113.7' });
        for (const last of [4, 5]) useAddress(world, `10.1.0.${last}`);
        useAddress(world, '10.1.0.6', { publicIPAddress: { id: front } });
        addStranger(world, `${group}/providers/Microsoft.Compute/disks/vm1-osdisk`);
        deny(world, ({ type }) => type === 'Microsoft.Network/networkInterfaces');
        settings(world).spotPrices['Standard_D2s_v5'] = 0.05;
      },
    });
    const sizes = ['D2s_v5', 'D1_v2', 'DC2as_v5', 'D2s_v6', 'D2ps_v5', 'B2s', 'A1_v2', 'Z9_v9'];
    await expectAgreement(
      sim,
      [
        'encryption-at-host',
        'given/identity/gone',
        'given/public-ip',
        'given/subnet',
        'input/os-disk-size-gb',
        'name/disk',
        'policy/vm1-nic',
        'private-ip-address',
        ...sizes.map((size) => `size/Standard_${size}`).toSorted(),
        'spot-price',
      ],
      {
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
        'vm-size': sizes.map((size) => `Standard_${size}`).join(','),
      },
    );
  });
});
