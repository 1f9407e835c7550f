import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { defaults, type Simulator, startSimulator, type World } from '../../simulator/index.ts';
import { addVersion } from '../../simulator/providers/compute/galleries.ts';
import { settings } from '../../simulator/providers/compute/settings.ts';
import { networkSettings } from '../../simulator/providers/network/usages.ts';
import { addRegistry } from '../../simulator/providers/registry.ts';
import { policyAssignments } from '../../simulator/world/policies.ts';
import type { Finding } from '../../src/check/facts.ts';
import { defaultInputs, runAction } from '../support/harness.ts';

const subscription = `/subscriptions/${defaults.subscriptionId}`;
const group = `${subscription}/resourceGroups/${defaults.resourceGroup}`;
const networkGroup = `${subscription}/resourceGroups/network-rg`;
const subnetId = `${networkGroup}/providers/Microsoft.Network/virtualNetworks/hub/subnets/apps`;
const registryId = `${networkGroup}/providers/Microsoft.ContainerRegistry/registries/pictures`;

interface Scenario {
  readonly name: string;
  /** The refusal in Azure's words, as in docs/check.md; none if create succeeds. */
  readonly refusal?: string;
  readonly world?: (world: World) => void;
  readonly inputs?: Readonly<Record<string, string>>;
  readonly fault?: Parameters<Simulator['faults']['add']>[0];
  /** Inputs of a run before, which leaves a deployment. */
  readonly earlier?: Readonly<Record<string, string>>;
  /** The finding that predicts the refusal; `skipped` if the app may not read what decides, `not predicted` if nothing does. */
  readonly finding?: string;
  /** Without permission to read the subscription. */
  readonly groupOnly?: true;
}

function addExisting(world: World, id: string, properties: object): void {
  const [, type = '', name = ''] = /\/providers\/([^/]+\/[^/]+)\/([^/]+)$/.exec(id) ?? [];
  world.resources.put({ id, type, body: { id, name, type, location: defaults.location, properties } });
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

function addHub(world: World, role?: string): void {
  world.addGroup(defaults.subscriptionId, 'network-rg', defaults.location);
  const id = `${networkGroup}/providers/Microsoft.Network/virtualNetworks/hub`;
  const properties = { provisioningState: 'Succeeded', addressPrefix: '10.1.0.0/29' };
  addExisting(world, id, {
    provisioningState: 'Succeeded',
    addressSpace: { addressPrefixes: ['10.1.0.0/16'] },
    subnets: [{ name: 'apps', id: `${id}/subnets/apps`, properties }],
  });
  if (role) world.grant(defaults.clientId, role, networkGroup);
}

const useNic = (world: World, name: string, address: string): void => {
  addExisting(world, `${networkGroup}/providers/Microsoft.Network/networkInterfaces/${name}`, {
    provisioningState: 'Succeeded',
    ipConfigurations: [
      {
        name: 'primary',
        id: `${networkGroup}/providers/Microsoft.Network/networkInterfaces/${name}/ipConfigurations/primary`,
        properties: {
          provisioningState: 'Succeeded',
          privateIPAddress: address,
          privateIPAllocationMethod: 'Dynamic',
          subnet: { id: subnetId },
          primary: true,
        },
      },
    ],
  });
};

const fullCoreQuota = (world: World): void => {
  settings(world).quota['cores'] = { limit: 10, used: 10 };
};

const scenarios: readonly Scenario[] = [
  { name: 'everything in order' },
  { name: 'permissions on the group only', groupOnly: true },
  {
    name: 'an auxiliary tenant without consent',
    refusal: 'AADSTS700016',
    inputs: { 'auxiliary-tenant-ids': defaults.otherTenantId },
    finding: `sign-in/auxiliary/${defaults.otherTenantId}`,
  },
  {
    name: 'an image tenant without consent',
    refusal: 'AADSTS700016',
    world: (world) => world.uninstallApp(defaults.clientId, defaults.imageTenantId),
    finding: 'sign-in/image-tenant',
  },
  {
    name: 'no role at all',
    refusal: 'AuthorizationFailed',
    world: (world) => {
      world.revoke(defaults.clientId, group);
      world.revoke(defaults.clientId, subscription);
    },
    finding: 'resource-group',
  },
  {
    name: 'a missing permission on the group',
    refusal: 'AuthorizationFailed',
    world: (world) => revokeAction(world, 'Microsoft.Network/publicIPAddresses/write'),
    finding: 'rights/resource-group',
  },
  {
    name: 'an unregistered resource provider',
    refusal: 'MissingSubscriptionRegistration',
    world: (world) => world.subscriptions.get(defaults.subscriptionId)?.providers.delete('microsoft.managedidentity'),
    inputs: { identity: 'puller' },
    finding: 'provider/Microsoft.ManagedIdentity',
  },
  {
    name: 'an image version that does not exist',
    refusal: 'NotFound',
    inputs: { 'image-id': defaults.imageId('linux', '9.9.9') },
    finding: 'image',
  },
  {
    name: 'an image version that is not replicated',
    refusal: 'GalleryImageNotFound',
    world: (world) => addVersion(world, defaults.imageId('linux'), '3.0.0', { regions: ['North Europe'] }),
    inputs: { 'image-id': defaults.imageId('linux', '3.0.0') },
    finding: 'image',
  },
  {
    name: 'Marketplace terms that are not accepted',
    refusal: 'MarketplacePurchaseEligibilityFailed',
    inputs: { 'image-id': defaults.imageId('linux-plan') },
    finding: 'terms',
  },
  {
    name: 'a subnet that the app may not join',
    refusal: 'LinkedAuthorizationFailed',
    world: (world) => addHub(world),
    inputs: { 'subnet-id': subnetId },
    finding: 'rights/subnet',
  },
  {
    name: 'a subnet that does not exist',
    refusal: 'InvalidResourceReference',
    world: (world) => addHub(world, 'Network Contributor'),
    inputs: { 'subnet-id': subnetId.replace('apps', 'none') },
    finding: 'given/subnet',
  },
  {
    name: 'a private address that is in use',
    refusal: 'PrivateIPAddressInUse',
    world: (world) => {
      addHub(world, 'Network Contributor');
      useNic(world, 'other', '10.1.0.5');
    },
    inputs: { 'subnet-id': subnetId, 'private-ip-address': '10.1.0.5' },
    finding: 'private-ip-address',
  },
  {
    name: 'a private address outside the subnet',
    refusal: 'PrivateIPAddressNotInSubnet',
    world: (world) => addHub(world, 'Network Contributor'),
    inputs: { 'subnet-id': subnetId, 'private-ip-address': '10.2.0.5' },
    finding: 'given/subnet',
  },
  {
    name: 'a private address that Azure reserves',
    refusal: 'PrivateIPAddressInReservedRange',
    world: (world) => addHub(world, 'Network Contributor'),
    inputs: { 'subnet-id': subnetId, 'private-ip-address': '10.1.0.2' },
    finding: 'given/subnet',
  },
  {
    name: 'a subnet without a free address',
    refusal: 'SubnetIsFull',
    world: (world) => {
      addHub(world, 'Network Contributor');
      for (const last of [4, 5, 6]) useNic(world, `other${last}`, `10.1.0.${last}`);
    },
    inputs: { 'subnet-id': subnetId },
    finding: 'given/subnet',
  },
  {
    name: 'a role that the app may not grant',
    refusal: 'AuthorizationFailed',
    world: (world) => {
      addHub(world, 'Reader');
      addRegistry(world, { subscription: defaults.subscriptionId, group: 'network-rg', name: 'pictures' });
    },
    inputs: { identity: 'system', 'role-assignments': `AcrPull on ${registryId}` },
    finding: 'role-assignment/1',
  },
  {
    name: 'a name that another resource has',
    refusal: 'none: the action refuses it',
    world: (world) =>
      addExisting(world, `${group}/providers/Microsoft.Network/networkSecurityGroups/vm1-nsg`, {
        securityRules: [],
      }),
    finding: 'name/network-security-group',
  },
  {
    name: 'a size that is restricted',
    refusal: 'SkuNotAvailable',
    world: (world) =>
      settings(world).restrictions.push({
        location: 'westeurope',
        size: 'Standard_D2as_v5',
        reasonCode: 'NotAvailableForSubscription',
      }),
    inputs: { 'vm-size': 'Standard_D2as_v5' },
    finding: 'size/Standard_D2as_v5',
  },
  {
    name: 'a size of another architecture',
    refusal: 'BadRequest',
    inputs: { 'vm-size': 'Standard_D2ps_v5' },
    finding: 'size/Standard_D2ps_v5',
  },
  {
    name: 'a size that does not exist',
    refusal: 'InvalidParameter',
    inputs: { 'vm-size': 'Standard_Z9_v9' },
    finding: 'size/Standard_Z9_v9',
  },
  {
    name: 'an OS disk that is smaller than that of the image',
    refusal: 'OperationNotAllowed',
    inputs: { 'os-disk-size-gb': '20' },
    finding: 'input/os-disk-size-gb',
  },
  {
    name: 'a security type that the image does not allow',
    refusal: 'BadRequest',
    inputs: { 'security-type': 'ConfidentialVM' },
    finding: 'security-type',
  },
  { name: 'a full core quota', refusal: 'QuotaExceeded', world: fullCoreQuota, finding: 'quota/cores' },
  {
    name: 'a full core quota that the app may not read',
    refusal: 'QuotaExceeded',
    world: fullCoreQuota,
    groupOnly: true,
    finding: 'skipped',
  },
  {
    name: 'a full public IP quota',
    refusal: 'PublicIPCountLimitReached',
    world: (world) => {
      networkSettings(world).limits['PublicIPAddresses'] = 0;
    },
    finding: 'quota/public-ip',
  },
  {
    name: 'a DNS label that is taken',
    refusal: 'DnsRecordInUse',
    world: (world) => {
      addHub(world);
      addExisting(world, `${networkGroup}/providers/Microsoft.Network/publicIPAddresses/other`, {
        provisioningState: 'Succeeded',
        publicIPAddressVersion: 'IPv4',
        dnsSettings: { domainNameLabel: 'shop', fqdn: 'shop.westeurope.cloudapp.azure.com' },
      });
    },
    inputs: { 'dns-label': 'shop' },
    finding: 'name/dns-label',
  },
  {
    name: 'a ReadOnly lock',
    refusal: 'ScopeLocked',
    world: (world) => world.addLock(group, 'ReadOnly', 'frozen'),
    finding: 'locks',
  },
  {
    name: 'a shortage of capacity',
    refusal: 'AllocationFailed',
    world: (world) => settings(world).shortages.push({ code: 'AllocationFailed', at: 'operation' }),
    finding: 'not predicted',
  },
  {
    name: 'a guest that does not start',
    refusal: 'OSProvisioningTimedOut',
    world: (world) =>
      settings(world).provisioning.push({
        failure: { code: 'OSProvisioningTimedOut', message: '' },
        afterSeconds: 30,
      }),
    finding: 'not predicted',
  },
  {
    name: 'a policy that denies public IPs',
    refusal: 'RequestDisallowedByPolicy',
    world: deny(({ type }) => type === 'Microsoft.Network/publicIPAddresses'),
    finding: 'policy/vm1-ip',
  },
  {
    name: 'a policy that denies the size, which the app may not have evaluated',
    refusal: 'RequestDisallowedByPolicy',
    world: (world) => {
      deny(({ properties }) => properties.hardwareProfile?.vmSize === 'Standard_D2s_v5')(world);
      revokeAction(world, 'Microsoft.PolicyInsights/checkPolicyRestrictions/read');
    },
    groupOnly: true,
    finding: 'skipped',
  },
  {
    name: 'a policy that denies the region',
    refusal: 'RequestDisallowedByPolicy',
    world: deny(({ location }) => location === 'westeurope'),
    finding: 'policy/vm1',
  },
  {
    name: 'a policy that denies subnets without a network security group',
    world: deny(
      ({ type, properties }) =>
        type === 'Microsoft.Network/virtualNetworks' &&
        properties.subnets.some((subnet: any) => !subnet.properties.networkSecurityGroup?.id),
    ),
  },
  {
    name: 'a policy that denies subnets without a network security group, which an override removes',
    refusal: 'RequestDisallowedByPolicy',
    world: deny(
      ({ type, properties }) =>
        type === 'Microsoft.Network/virtualNetworks' &&
        properties.subnets.some((subnet: any) => !subnet.properties.networkSecurityGroup?.id),
    ),
    inputs: {
      overrides: JSON.stringify({
        vnet: { properties: { subnets: [{ name: 'default', properties: { addressPrefix: '192.168.1.0/24' } }] } },
      }),
    },
    finding: 'policy/vm1-vnet',
  },
  {
    name: 'a resource group that is being deleted',
    refusal: 'ResourceGroupBeingDeleted',
    world: (world) => {
      const found = [...world.groups.values()].find(({ name }) => name === defaults.resourceGroup);
      if (found) found.provisioningState = 'Deleting';
    },
    finding: 'resource-group',
  },
  {
    name: 'an existing VM that differs',
    refusal: 'none: the action refuses it',
    earlier: {},
    inputs: { 'vm-size': 'Standard_D4s_v5' },
    finding: 'rerun',
  },
  { name: 'an existing VM that matches', earlier: {} },
];

async function runScenario({ world, fault, inputs, earlier, groupOnly }: Scenario) {
  const sim: Simulator = await startSimulator({
    timeScale: 0.02,
    world: (created) => {
      if (!groupOnly) created.grant(defaults.clientId, 'Reader', subscription);
      world?.(created);
    },
  });
  if (fault) sim.faults.add(fault);
  try {
    const common = { ...defaultInputs(sim), 'vm-name': 'vm1', 'ssh-public-key': key };
    if (earlier) await runAction({ sim, inputs: { ...common, ...earlier }, phases: ['main'] });
    const check = await runAction({
      sim,
      inputs: { ...common, ...inputs, operation: 'check' },
      phases: ['main'],
    });
    const create = await runAction({ sim, inputs: { ...common, ...inputs }, phases: ['main'] });
    const findings = JSON.parse(check.outputs['findings'] ?? '[]') as readonly Finding[];
    return { check, create, findings };
  } finally {
    await sim.close();
  }
}

const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD0NLGbY4HbU8Z1ahbDX4n8Y0WqYnVtfL9XWq8m2cB someone@example.org';

/** Rows of docs/check.md: Azure's code and whether a finding predicts it. */
const documented = readFileSync('docs/check.md', 'utf8')
  .split('\n')
  .flatMap((line) => /^\| `(\w+)` \|.*\| (.*) \|$/.exec(line)?.slice(1, 3).join(' ') ?? []);

test('docs/check.md has a row for every refusal, and a scenario for every row', () => {
  const rows = documented.map((row) => {
    const [code, isPredicted] = [row.split(' ')[0], !row.includes('not predicted')];
    return `${code} ${isPredicted}`;
  });
  const tested = scenarios.flatMap(({ refusal, finding }) =>
    refusal === undefined || refusal.startsWith('none') || finding === 'skipped'
      ? []
      : [`${refusal} ${finding !== 'not predicted'}`],
  );
  expect(new Set(rows)).toEqual(new Set(tested));
});

describe('check and create agree', () => {
  test.each(scenarios.map((scenario) => [scenario.name, scenario] as const))('on %s', async (_, scenario) => {
    const { check, create, findings } = await runScenario(scenario);
    const faults = findings.filter(({ level }) => level === 'fault').map(({ id }) => id);
    const isSkipped = findings.some(({ level }) => level === 'unknown');
    const isPredicted = scenario.finding !== 'skipped' && scenario.finding !== 'not predicted';
    if (scenario.finding === undefined || !isPredicted) expect(faults).toEqual([]);
    else expect(faults).toContain(scenario.finding);
    expect(create.exitCode).toBe(scenario.refusal === undefined ? 0 : 1);
    if (scenario.finding === 'not predicted') expect(check.exitCode).toBe(0);
    else if (!isSkipped || check.exitCode === 1) expect(check.exitCode).toBe(create.exitCode);
    else expect(check.summary).toContain('skipped');
  });

  test('on a size name without its prefix, before any request', async () => {
    const { check, create } = await runScenario({ name: '', inputs: { 'vm-size': 'D2s_v5' } });
    expect([check.exitCode, create.exitCode]).toEqual([1, 1]);
    for (const { stdout } of [check, create]) expect(stdout).toContain('did you mean Standard_D2s_v5?');
  });
});
