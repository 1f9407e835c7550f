import { describe, expect, test } from '@jest/globals';
import type { ResourceSku, VirtualMachine } from '@azure/arm-compute';
import { ActionError } from '../../../src/errors/action-error.ts';
import { AzureError, type AzureErrorInfo } from '../../../src/errors/azure-error.ts';
import type { ResolvedImage } from '../../../src/image/image.ts';
import type { DeployInputs } from '../../../src/inputs/inputs.ts';
import type { MergePatch } from '../../../src/lib/json.ts';
import { evaluateChecks } from '../../../src/check/evaluate.ts';
import type { CheckFacts, Finding, SubscriptionFacts } from '../../../src/check/facts.ts';
import { createPlan } from '../../../src/plan/create-plan.ts';
import { parseResourceId, type ResourceId } from '../../../src/azure/resource-id.ts';
import { customRole, features } from '../../../scripts/docs/custom-role.ts';
import { requiredPermissions } from '../../../src/access/required-permissions.ts';
import { evaluatePermissions, type Permission } from '../../../src/azure/permissions.ts';
import {
  capabilitiesFromName,
  overridesAffectSize,
  incompatibilities,
  retirementDate,
  securityTypeIncompatibility,
} from '../../../src/vm/sizes.ts';
import {
  definitionId,
  deployInputs,
  group,
  linuxImage,
  type NewNic,
  newNetwork,
  subscriptionId,
  versionId,
} from '../../support/values.ts';

const subscription = `/subscriptions/${subscriptionId}`;
const hub = `${subscription}/resourceGroups/hub`;
const objectId = 'a1b2c3d4-0002-4aaa-8bbb-000000000002';
const idOf = (text: string): ResourceId => parseResourceId(text) as ResourceId;

const inputs: DeployInputs = { ...deployInputs, operation: 'check', subscriptionId };
const image: ResolvedImage = {
  ...linuxImage,
  generation: 'V2',
  securityType: 'TrustedLaunch',
  securityFeature: 'TrustedLaunchSupported',
};

const networkPart = 'Microsoft.Network';
const subnetId = `${hub}/providers/${networkPart}/virtualNetworks/hub/subnets/machines`;
const nsgId = `${hub}/providers/${networkPart}/networkSecurityGroups/shared`;
const addressId = `${hub}/providers/${networkPart}/publicIPAddresses/front`;
const nicId = `${group}/providers/${networkPart}/networkInterfaces/ready`;
const identityId = `${hub}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/puller`;
const registryId = `${hub}/providers/Microsoft.ContainerRegistry/registries/pictures`;

test.each<[string, MergePatch, boolean]>([
  ['the size', { properties: { hardwareProfile: { vmSize: 'X' } } }, true],
  ['the size in another case', { Properties: { HardwareProfile: { VmSize: 'X' } } }, true],
  ['the priority', { properties: { Priority: 'Spot' } }, true],
  ['something else', { properties: { licenseType: 'RHEL_BYOS' } }, false],
])('an override of %s decides whether sizes can be checked', (_, vm, expected) => {
  expect(overridesAffectSize({ overrides: { vm } })).toBe(expected);
});

describe('allows', () => {
  const contributor: Permission = { actions: ['*'], notActions: ['Microsoft.Authorization/*/Write'] };
  const granter: Permission = { actions: ['Microsoft.Authorization/roleAssignments/write'] };
  const write = 'Microsoft.Compute/virtualMachines/write';
  const grantRole = 'Microsoft.Authorization/roleAssignments/write';
  const assign = 'Microsoft.ManagedIdentity/userAssignedIdentities/assign/action';

  test.each<[string, readonly Permission[], string, string]>([
    ['nothing', [], write, 'denied'],
    ['a permission without actions', [{}], write, 'denied'],
    ['the action itself', [{ actions: [write] }], write, 'allowed'],
    ['another case', [{ actions: [write.toUpperCase()] }], write, 'allowed'],
    ['everything', [{ actions: ['*'] }], write, 'allowed'],
    ['a wildcard at the end', [{ actions: ['Microsoft.Compute/virtualMachines/*'] }], write, 'allowed'],
    ['a wildcard in front', [{ actions: ['*/write'] }], write, 'allowed'],
    ['a wildcard of another type', [{ actions: ['Microsoft.Compute/disks/*'] }], write, 'denied'],
    [
      'a longer name is another one',
      [{ actions: ['Microsoft.Compute/virtualMachines/writ'] }],
      write,
      'denied',
    ],
    ['a dot is a dot', [{ actions: ['MicrosoftXCompute/virtualMachines/write'] }], write, 'denied'],
    [
      'a wildcard between slashes may be empty',
      [{ actions: ['Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action'] }],
      assign,
      'allowed',
    ],
    ['taken out again', [contributor], grantRole, 'denied'],
    ['taken out of one role, given by another', [contributor, granter], grantRole, 'allowed'],
    ['taken out of the role that gives it', [{ actions: ['*'], notActions: ['*/write'] }], write, 'denied'],
    ['under a condition', [contributor, { ...granter, condition: '(…)' }], grantRole, 'conditional'],
    ['under a condition and without', [granter, { ...granter, condition: '(…)' }], grantRole, 'allowed'],
    ['a condition that is null is none', [{ ...granter, condition: null }], grantRole, 'allowed'],
  ])('%s', (_, permissions, action, verdict) => {
    expect(evaluatePermissions(permissions, action)).toBe(verdict);
  });
});

describe('neededRights', () => {
  const ground = { subscriptionId, groupExists: true };
  const needed = (change: Partial<DeployInputs>, where = ground) =>
    Object.fromEntries(
      requiredPermissions({ ...inputs, ...change }, where)
        .filter(({ weight }) => weight !== 'for checking')
        .map(({ id, scope, actions }) => [id, { scope, actions: actions.toSorted() }]),
    );
  const machine = [
    'Microsoft.Compute/disks/write',
    'Microsoft.Compute/virtualMachines/read',
    'Microsoft.Compute/virtualMachines/write',
    'Microsoft.Resources/subscriptions/resourceGroups/read',
  ];
  const actionsOn = (type: string, ...verbs: string[]) =>
    verbs.map((verb) => `Microsoft.Network/${type}/${verb}`);
  const nic = actionsOn('networkInterfaces', 'join/action', 'read', 'write');

  test('of the least: everything new in the group', () => {
    expect(needed({})).toEqual({
      'rights/image': {
        scope: definitionId,
        actions: [
          'Microsoft.Compute/galleries/images/read',
          'Microsoft.Compute/galleries/images/versions/read',
        ],
      },
      'rights/resource-group': {
        scope: group,
        actions: [
          ...machine,
          ...nic,
          ...actionsOn('networkSecurityGroups', 'join/action', 'read', 'write'),
          ...actionsOn('publicIPAddresses', 'join/action', 'read', 'write'),
          ...actionsOn('virtualNetworks', 'read', 'subnets/join/action', 'write'),
        ].toSorted(),
      },
      'rights/clean-up': {
        scope: group,
        actions: [
          'Microsoft.Compute/disks/delete',
          'Microsoft.Compute/disks/read',
          'Microsoft.Compute/virtualMachines/delete',
          'Microsoft.Network/networkInterfaces/delete',
          'Microsoft.Network/networkSecurityGroups/delete',
          'Microsoft.Network/publicIPAddresses/delete',
          'Microsoft.Network/virtualNetworks/delete',
        ],
      },
      'rights/rerun': { scope: group, actions: ['Microsoft.Resources/tags/write'] },
    });
  });

  test('of what is given: a join, where it is', () => {
    const network: NewNic = {
      ...newNetwork,
      subnet: { kind: 'given', id: idOf(subnetId) },
      nsg: { kind: 'given', id: idOf(nsgId) },
      publicIp: { kind: 'given', id: idOf(addressId) },
    };
    expect(needed({ network, cleanup: 'never' })).toMatchObject({
      'rights/resource-group': { scope: group, actions: [...machine, ...nic].toSorted() },
      'rights/subnet': { scope: subnetId, actions: actionsOn('virtualNetworks', 'subnets/join/action') },
      'rights/network-security-group': {
        scope: nsgId,
        actions: actionsOn('networkSecurityGroups', 'join/action'),
      },
      'rights/public-ip': {
        scope: addressId,
        actions: actionsOn('publicIPAddresses', 'join/action', 'read'),
      },
    });
  });

  test('of a given interface: no network at all', () => {
    expect(needed({ network: { kind: 'given-nic', nicId: idOf(nicId) }, cleanup: 'never' })).toMatchObject({
      'rights/resource-group': { scope: group, actions: machine },
      'rights/network-interface': {
        scope: nicId,
        actions: actionsOn('networkInterfaces', 'join/action', 'read'),
      },
    });
  });

  test('of identities, roles, agent and script', () => {
    const rights = needed({
      identity: { system: true, given: [idOf(identityId)], named: ['own'] },
      roleAssignments: [{ role: { kind: 'name', name: 'AcrPull' }, scope: registryId }],
      script: { text: 'true', timeoutMinutes: 30, parameters: {}, secrets: {} },
    });
    const identities = 'Microsoft.ManagedIdentity/userAssignedIdentities';
    expect(rights['rights/identity/puller']).toEqual({
      scope: identityId,
      actions: [`${identities}/assign/action`, `${identities}/read`],
    });
    expect(rights['rights/role-assignment/1']).toEqual({
      scope: registryId,
      actions: ['Microsoft.Authorization/roleAssignments/write'],
    });
    expect(rights['rights/role-assignment/1/clean-up']?.scope).toBe(registryId);
    expect(rights['rights/resource-group']?.actions).toEqual(
      expect.arrayContaining([
        `${identities}/write`,
        `${identities}/assign/action`,
        'Microsoft.Compute/virtualMachines/instanceView/read',
        'Microsoft.Compute/virtualMachines/runCommands/write',
      ]),
    );
    expect(rights['rights/clean-up']?.actions).toContain(`${identities}/delete`);
  });

  test('of a group that does not exist: all of it from the subscription', () => {
    const rights = needed({}, { subscriptionId, groupExists: false });
    expect(rights['rights/new-resource-group']).toEqual({
      scope: subscription,
      actions: [
        'Microsoft.Resources/subscriptions/resourceGroups/read',
        'Microsoft.Resources/subscriptions/resourceGroups/write',
      ],
    });
    expect(rights['rights/resource-group']?.scope).toBe(subscription);
  });

  test('a shared image needs no right in the other tenant', () => {
    const shared = {
      kind: 'shared',
      id: '/sharedGalleries/x/images/linux',
      gallery: 'x',
      definition: 'linux',
    } as const;
    expect(needed({ image: shared })).not.toHaveProperty('rights/image');
  });

  test('custom roles hold each action once, and with it what deletes again', () => {
    const role = customRole(['machine', 'new interface', 'machine'], {
      name: 'Deployer',
      description: 'Makes machines.',
      scopes: [group],
    });
    expect(role.AssignableScopes).toEqual([group]);
    expect(role.Actions).toEqual([...new Set(role.Actions)].toSorted());
    expect(role.Actions).toContain('Microsoft.Network/networkInterfaces/delete');
    const all = customRole(features, { name: 'All', description: '', scopes: [] });
    for (const action of all.Actions) expect(action).toMatch(/^Microsoft\.\w+(\/\w+)+$/);
  });
});

describe('sizes by name', () => {
  test.each<[string, object]>([
    ['Standard_D2s_v5', { architecture: 'x64' }],
    ['Standard_D2ps_v5', { architecture: 'Arm64', generations: ['V2'] }],
    ['standard_b2pts_v2', { architecture: 'Arm64', generations: ['V2'] }],
    ['Standard_D1_v2', { architecture: 'x64', generations: ['V1'] }],
    ['Standard_A1_v2', { architecture: 'x64', generations: ['V1'] }],
    ['Standard_DS1_v2', { architecture: 'x64' }],
    ['Standard_D4ds_v6', { architecture: 'x64', generations: ['V2'], diskControllers: ['NVMe'] }],
    ['Standard_E4-2s_v7', { architecture: 'x64', generations: ['V2'], diskControllers: ['NVMe'] }],
  ])('%s', (size, abilities) => {
    expect(capabilitiesFromName(size)).toMatchObject(abilities);
    if (!('generations' in abilities)) expect(capabilitiesFromName(size)).not.toHaveProperty('generations');
  });

  test.each([
    'Standard_NC24ads_A100_v4',
    'Standard_ND128isr_NDR_GB200_v6',
    'Standard_NP10s',
    'Standard_DC2as_v5',
    'huge',
  ])('nothing is certain of %s', (size) => {
    expect(capabilitiesFromName(size)).toEqual({});
  });

  test.each([
    ['Standard_D1_v2', '2028-05-01'],
    ['Standard_DS2_v2', '2028-05-01'],
    ['Standard_D2', '2028-05-01'],
    ['Standard_L8s', '2028-05-01'],
    ['Standard_L8s_v2', '2028-11-15'],
    ['Standard_F2s_v2', '2028-11-15'],
    ['Standard_A2m_v2', '2028-11-15'],
    ['Standard_B2ms', '2028-11-15'],
    ['Standard_B2s_v2', undefined],
    ['Standard_D2s_v3', undefined],
    ['Standard_D2s_v5', undefined],
    ['Standard_L8s_v3', undefined],
  ])('%s is retired: %s', (size, end) => {
    expect(retirementDate(size)).toBe(end);
  });

  const plain = {
    securityType: 'Standard',
    acceleratedNetworking: false,
    premiumDisks: false,
    spot: false,
  } as const;
  test('a definition that was not read says nothing of the image', () => {
    const { generation: _, ...unread } = image;
    expect(incompatibilities(capabilitiesFromName('Standard_D2ps_v5'), unread, plain)).toEqual([]);
    expect(securityTypeIncompatibility(unread, 'TrustedLaunch')).toBeUndefined();
  });

  test.each<[string | undefined, 'V1' | 'V2', ResolvedImage['securityType'], RegExp | undefined]>([
    [undefined, 'V2', 'Standard', undefined],
    [undefined, 'V2', 'TrustedLaunch', /does not allow TrustedLaunch/],
    [undefined, 'V1', 'TrustedLaunch', /generation 1/],
    ['TrustedLaunchSupported', 'V2', 'Standard', undefined],
    ['TrustedLaunchSupported', 'V2', 'TrustedLaunch', undefined],
    ['TrustedLaunchSupported', 'V2', 'ConfidentialVM', /does not allow ConfidentialVM/],
    ['TrustedLaunch', 'V2', 'Standard', /no plain machines/],
    ['ConfidentialVM', 'V2', 'Standard', /no plain machines/],
    ['ConfidentialVmSupported', 'V2', 'ConfidentialVM', undefined],
    ['TrustedLaunchAndConfidentialVmSupported', 'V2', 'ConfidentialVM', undefined],
    ['TrustedLaunchAndConfidentialVmSupported', 'V2', 'TrustedLaunch', undefined],
  ])('feature %s, generation %s, asked for %s', (feature, generation, securityType, answer) => {
    const { securityFeature: _, ...rest } = image;
    const misfit = securityTypeIncompatibility(
      { ...rest, generation, ...(feature ? { securityFeature: feature } : {}) },
      securityType,
    );
    if (answer) expect(misfit).toMatch(answer);
    else expect(misfit).toBeUndefined();
  });
});

// judge

function sku(name: string, abilities: Readonly<Record<string, string>> = {}, more: object = {}): ResourceSku {
  const all = {
    vCPUs: '2',
    MemoryGB: '8',
    HyperVGenerations: 'V1,V2',
    CpuArchitectureType: 'x64',
    PremiumIO: 'True',
    LowPriorityCapable: 'True',
    AcceleratedNetworkingEnabled: 'True',
    ...abilities,
  };
  return {
    resourceType: 'virtualMachines',
    name,
    family: `family of ${name}`,
    locationInfo: [{ location: 'westeurope', zones: ['3', '1', '2'] }],
    capabilities: Object.entries(all).map(([key, value]) => ({ name: key, value })),
    restrictions: [],
    ...more,
  };
}

const usage = (value: string, limit = 100, currentValue = 0) => ({ name: { value }, limit, currentValue });
const ok = <T>(value: T) => ({ value });

function refusal(status: number, code: string, message = 'words', more: Partial<AzureErrorInfo> = {}) {
  const fault = { status, code, message, details: [], method: 'GET', url: '/', body: '', ...more };
  return { error: new AzureError(fault) };
}
const later = new ActionError('choosing the image version', {
  message: 'No usable version: later.',
  explanation: { cause: 'It is on its way.', who: 'the owner', fix: ['Wait.'] },
});
const denied = refusal(403, 'AuthorizationFailed', 'no');

interface Change {
  readonly inputs?: Partial<DeployInputs>;
  readonly image?: Partial<ResolvedImage>;
  readonly site?: Partial<SubscriptionFacts>;
  readonly facts?: Partial<CheckFacts>;
  /** No token of the tenant, or no subscription. */
  readonly noSubscriptionFacts?: true;
  /** What the app may do, everywhere. */
  readonly permissions?: readonly Permission[];
}

function judged(change: Change): Finding[] {
  const theInputs = { ...inputs, ...change.inputs };
  const theImage = { ...image, ...change.image };
  const permissions = ok(change.permissions ?? [{ actions: ['*'] }]);
  const site: SubscriptionFacts = {
    subscriptionId,
    objectId,
    group: ok({ location: 'westeurope', exists: true }),
    existing: { vm: ok(undefined), nsg: ok(undefined) },
    osDisk: ok(undefined),
    given: [],
    rights: requiredPermissions(theInputs, { subscriptionId, groupExists: true })
      .filter(({ tenant, weight }) => tenant === 'tenant' && weight !== 'for checking')
      .map((right) => ({ right, permissions })),
    roles: [],
    providers: [{ namespace: 'Microsoft.Compute', state: ok('Registered') }],
    locks: ok([]),
    denyAssignments: ok([]),
    skus: ok([sku('Standard_D2s_v5'), sku('Standard_D4s_v5', { vCPUs: '4' }), ...specialSizes]),
    computeUsages: ok([usage('cores'), usage('lowPriorityCores')]),
    networkUsages: ok([usage('StandardSkuPublicIpAddresses'), usage('PublicIPAddresses')]),
    image: ok({ facts: theImage }),
    ...change.site,
  };
  const plan = createPlan(theInputs, theImage, {
    subscriptionId,
    location: 'westeurope',
    ownership: {},
    generated: {},
  });
  const facts: CheckFacts = {
    inputs: theInputs,
    run: { runId: '1', job: 'deploy' },
    situation: { clientId: 'app', tenantId: 'deploy-tenant', imageTenantId: 'image-tenant', subscriptionId },
    signIns: [
      { tenant: 'deploy-tenant', role: 'tenant', result: ok({ tenantId: 'deploy-tenant', objectId }) },
      { tenant: 'image-tenant', role: 'image-tenant', result: ok({ tenantId: 'image-tenant', objectId }) },
    ],
    subscription: ok({ subscriptionId, displayName: 'Sub', state: 'Enabled', tenantId: 'deploy-tenant' }),
    ...(change.noSubscriptionFacts ? {} : { subscriptionFacts: site }),
    ...change.facts,
  };
  return evaluateChecks(facts, change.noSubscriptionFacts ? undefined : plan);
}

const specialSizes = [
  sku('Standard_D2ps_v5', { HyperVGenerations: 'V2', CpuArchitectureType: 'Arm64' }),
  sku('Standard_D1_v2', {
    HyperVGenerations: 'V1',
    PremiumIO: 'False',
    AcceleratedNetworkingEnabled: 'False',
  }),
  sku('Standard_D2s_v6', { HyperVGenerations: 'V2', DiskControllerTypes: 'NVMe' }),
  sku('Standard_DC2as_v5', {
    HyperVGenerations: 'V2',
    ConfidentialComputingType: 'SNP',
    TrustedLaunchDisabled: 'True',
  }),
  sku('Standard_B2s_v2', { LowPriorityCapable: 'False' }),
  sku('Standard_A2_v2', { TrustedLaunchDisabled: 'True' }),
  sku('Standard_D8s_v5', {}, { restrictions: [{ type: 'Location', reasonCode: 'QuotaId' }] }),
  sku('Standard_D16s_v5', {}, { restrictions: [{ type: 'Zone', restrictionInfo: { zones: ['1'] } }] }),
  sku('Standard_E2s_v5', {}, { locationInfo: [{ location: 'westeurope', zones: [] }] }),
];

const openToAll: NewNic = {
  ...newNetwork,
  nsg: { kind: 'new', inbound: [{ fromPort: 22, toPort: 22, protocol: 'Tcp', source: '*' }] },
};
const labelled: NewNic = { ...newNetwork, publicIp: { kind: 'new', dnsLabel: 'shop' } };
const subscriptionIn = (state: string) => ({
  subscription: ok({ subscriptionId, displayName: 'Sub', state, tenantId: 'deploy-tenant' }),
});
const given = (
  kind: SubscriptionFacts['given'][number]['kind'],
  id: string,
  found: SubscriptionFacts['given'][number]['found'],
) => ({
  given: [{ kind, id, found }],
});
const role = (survey: SubscriptionFacts['roles'][number]['survey'], permissions: readonly Permission[]) => ({
  roles: [{ request: 'AcrPull on x', scope: registryId, survey, permissions: ok(permissions) }],
});
const everyone = { id: '00000000-0000-0000-0000-000000000000', type: 'SystemDefined' };
const denial = (properties: object) => ({
  denyAssignments: ok([
    { properties: { denyAssignmentName: 'frozen', permissions: [{ actions: ['*/write'] }], ...properties } },
  ]),
});
const lock = (level: string, ...scopes: readonly string[]) => ({
  locks: ok(
    (scopes.length > 0 ? scopes : [group]).map((scope) => ({
      name: 'l',
      id: `${scope}/providers/Microsoft.Authorization/locks/l`,
      properties: { level },
    })),
  ),
});
const own = { 'cross-tenant-vm': 'vm1' };
const machine = (size: string, provisioningState = 'Succeeded', tags: object = own): VirtualMachine => ({
  location: 'westeurope',
  provisioningState,
  tags: { ...tags },
  hardwareProfile: { vmSize: size },
  storageProfile: { imageReference: { id: versionId } },
  securityProfile: { securityType: 'TrustedLaunch' },
  networkProfile: {
    networkInterfaces: [{ id: `${group}/providers/Microsoft.Network/networkInterfaces/vm1-nic` }],
  },
});

/** The interface as this deployment would make it, with other parts. */
const ownNic = (
  change: { readonly nsg?: string; readonly subnet?: string; readonly publicIp?: string } = {},
) => {
  const { nsg = 'networkSecurityGroups/vm1-nsg', publicIp = 'publicIPAddresses/vm1-ip' } = change;
  const { subnet = 'virtualNetworks/vm1-vnet/subnets/default' } = change;
  const at = (path: string) => ({ id: `${group}/providers/Microsoft.Network/${path}` });
  return {
    location: 'westeurope',
    tags: own,
    networkSecurityGroup: at(nsg),
    ipConfigurations: [{ primary: true, subnet: at(subnet), publicIPAddress: at(publicIp) }],
  };
};
const failed = (hasRun: boolean) => ({
  existing: { vm: ok(machine('Standard_D4s_v5', 'Failed')) },
  fate: ok({ fault: refusal(200, 'OSProvisioningTimedOut', 'too slow').error, hasRun }),
});

describe('the size finding', () => {
  const answerOf = (change: Change): string =>
    judged(change).find(({ id }) => id === 'size/Standard_D2s_v5')?.answer ?? '';

  test('says that the image boots when size and image were compared', () => {
    expect(answerOf({})).toMatch(/GiB\. The image boots on it\.$/);
  });

  test.each<[string, Change]>([
    ['the image could not be read', { inputs: { sizes: ['Standard_D2s_v5'] }, site: { image: denied } }],
    ['its definition could not be read', { image: { generation: undefined } as object }],
    [
      '`overrides` change the size',
      { inputs: { overrides: { vm: { properties: { hardwareProfile: { vmSize: 'Standard_D2ps_v5' } } } } } },
    ],
  ])('does not say that the image boots when %s', (_, change) => {
    expect(answerOf(change)).toMatch(/GiB\. Not compared with the image\.$/);
  });
});

describe('judge', () => {
  test('finds nothing against what is well', () => {
    expect(judged({}).filter(({ level }) => level !== 'ok')).toEqual([]);
  });

  test.each<[string, Change, readonly [string, Finding['level'], RegExp?][]]>([
    // Tenants, subscription, group, providers
    [
      'no consent',
      {
        facts: {
          signIns: [
            {
              tenant: 'image-tenant',
              role: 'image-tenant',
              result: refusal(400, 'AADSTS700016', "Application with identifier 'app' was not found", {
                tenant: 'image-tenant',
              }),
            },
          ],
        },
      },
      [['sign-in/image-tenant', 'fault', /no service principal in the image tenant/]],
    ],
    [
      'a disabled subscription',
      { facts: subscriptionIn('Disabled') },
      [['subscription', 'fault', /Disabled/]],
    ],
    ['a warned subscription', { facts: subscriptionIn('Warned') }, [['subscription', 'fault', /Warned/]]],
    [
      'a subscription past due',
      { facts: subscriptionIn('PastDue') },
      [['subscription', 'warning', /past due/]],
    ],
    [
      'an unknown subscription',
      { facts: { subscription: refusal(404, 'SubscriptionNotFound') }, noSubscriptionFacts: true },
      [
        ['subscription', 'fault', /does not exist/],
        ['deployment', 'unknown'],
      ],
    ],
    [
      'a group that may not be seen',
      { site: { group: denied } },
      [['resource-group', 'fault', /AuthorizationFailed|no role/]],
    ],
    [
      'providers',
      {
        site: {
          providers: [
            { namespace: 'A', state: ok('NotRegistered') },
            { namespace: 'B', state: ok('Registering') },
            { namespace: 'C', state: denied },
          ],
        },
      },
      [
        ['provider/A', 'fault', /NotRegistered/],
        ['provider/B', 'warning'],
        ['provider/C', 'unknown', /lacks Microsoft.Resources\/subscriptions\/providers\/read/],
      ],
    ],
    // Image
    [
      'an unreadable image',
      { site: { image: denied } },
      [
        ['image', 'fault'],
        ['size', 'unknown'],
      ],
    ],
    [
      'a version that is on its way',
      { site: { image: ok({ facts: image, unusable: { refusal: later, passing: true } }) } },
      [['image', 'fault', /later/]],
    ],
    [
      'a version that is on its way and waited for',
      {
        inputs: { imageWaitMinutes: 60 },
        site: { image: ok({ facts: image, unusable: { refusal: later, passing: true } }) },
      },
      [['image', 'warning', /later/]],
    ],
    [
      'the end of life',
      { image: { warnings: ['over since'] } },
      [['image/end-of-life', 'warning', /over since/]],
    ],
    [
      'an account that Windows refuses',
      { image: { osType: 'Windows' }, inputs: { adminUsername: 'a'.repeat(21) } },
      [['input/admin-username', 'fault']],
    ],
    [
      'the wrong security type',
      { inputs: { securityType: 'ConfidentialVM' } },
      [
        ['security-type', 'fault'],
        ['size/Standard_D2s_v5', 'fault'],
      ],
    ],
    [
      'terms that are not accepted',
      { image: { plan: { publisher: 'p', product: 'o', name: 'n' } }, site: { terms: ok(false) } },
      [['terms', 'fault', /Not accepted/]],
    ],
    [
      'terms that may not be read',
      { image: { plan: { publisher: 'p', product: 'o', name: 'n' } }, site: { terms: denied } },
      [['terms', 'unknown', /agreements\/read/]],
    ],
    // Rights
    [
      'no right to write addresses',
      { permissions: [{ actions: ['*'], notActions: ['Microsoft.Network/publicIPAddresses/write'] }] },
      [['rights/resource-group', 'fault', /^Missing: Microsoft.Network\/publicIPAddresses\/write\.$/]],
    ],
    [
      'no right to delete, none to tag',
      { permissions: [{ actions: ['*'], notActions: ['*/delete', 'Microsoft.Resources/tags/*'] }] },
      [
        ['rights/clean-up', 'warning', /virtualMachines\/delete/],
        ['rights/rerun', 'warning', /tags\/write/],
      ],
    ],
    [
      'rights under a condition',
      {
        inputs: { cleanup: 'never' },
        permissions: [
          { actions: ['*'], notActions: ['*/disks/write'] },
          { actions: ['*'], condition: 'C1' },
        ],
      },
      [['rights/resource-group', 'unknown', /under a condition.*disks\/write/]],
    ],
    [
      'roles: not grantable, under a condition, granted already',
      {
        site: {
          roles: [
            ...role(denied, []).roles,
            ...role(ok({}), [{ actions: ['*'], condition: 'C2' }]).roles,
            ...role(ok({}), []).roles,
          ],
        },
      },
      [
        ['role-assignment/1', 'fault'],
        ['role-assignment/2', 'unknown', /under a condition/],
      ],
    ],
    // Names and given resources
    [
      'names that are taken',
      {
        site: {
          existing: {
            nsg: ok({ name: 'vm1-nsg', tags: { 'cross-tenant-vm': 'vm2' } }),
            vnet: ok({ name: 'vm1-vnet' }),
            publicIp: ok({ tags: { 'cross-tenant-vm': 'vm1', 'github-run-id': '1', 'github-job': 'other' } }),
            nic: ok({ ...ownNic(), tags: { 'Cross-Tenant-VM': 'vm1' } }),
          },
          osDisk: denied,
        },
      },
      [
        ['name/network-security-group', 'fault', /vm1-nsg/],
        ['name/virtual-network', 'fault', /vm1-vnet/],
        ['name/public-ip', 'fault', /vm1-ip/],
        ['name/disk', 'unknown'],
      ],
    ],
    [
      'a given subnet in another region',
      { site: given('subnet', subnetId, ok({ location: 'North Europe' })) },
      [['given/subnet', 'fault', /northeurope/]],
    ],
    [
      'a given group that is not there',
      { site: given('network security group', nsgId, ok(undefined)) },
      [['given/network-security-group', 'fault']],
    ],
    [
      'a given address in use',
      {
        site: given(
          'public IP',
          addressId,
          ok({ location: 'westeurope', usedBy: `${nicId}/ipConfigurations/a` }),
        ),
      },
      [['given/public-ip', 'fault', /in use by/]],
    ],
    [
      'a given interface in use by this very machine',
      {
        site: given(
          'network interface',
          nicId,
          ok({ location: 'westeurope', usedBy: `${group}/providers/Microsoft.Compute/virtualMachines/VM1` }),
        ),
      },
      [],
    ],
    [
      'a given interface that may not be read',
      { site: given('network interface', nicId, denied) },
      [['given/network-interface', 'fault']],
    ],
    [
      'a given subnet that may not be read',
      { site: given('subnet', subnetId, denied) },
      [['given/subnet', 'unknown', /virtualNetworks\/read/]],
    ],
    [
      'an identity elsewhere is an identity all the same',
      { site: given('identity', identityId, ok({ location: 'eastus' })) },
      [],
    ],
    [
      'a DNS label that is taken',
      { inputs: { network: labelled }, site: { dnsLabelFree: ok(false) } },
      [['name/dns-label', 'fault']],
    ],
    // Sizes
    ['no such size', { inputs: { sizes: ['Standard_Z9'] } }, [['size/Standard_Z9', 'fault', /no size/]]],
    [
      'Arm',
      { inputs: { sizes: ['Standard_D2ps_v5'] } },
      [['size/Standard_D2ps_v5', 'fault', /Arm64 processors/]],
    ],
    [
      'generation 1 only, and old',
      { inputs: { sizes: ['Standard_D1_v2'] } },
      [
        ['size/Standard_D1_v2', 'fault', /boots generation 1/],
        ['retirement/Standard_D1_v2', 'warning', /2028-05-01/],
      ],
    ],
    [
      'NVMe only',
      { inputs: { sizes: ['Standard_D2s_v6'] } },
      [['size/Standard_D2s_v6', 'fault', /NVMe disks only/]],
    ],
    [
      'NVMe that the image boots from',
      { inputs: { sizes: ['Standard_D2s_v6'] }, image: { diskControllers: 'SCSI, NVMe' } },
      [],
    ],
    [
      'confidential',
      { inputs: { sizes: ['Standard_DC2as_v5'] } },
      [['size/Standard_DC2as_v5', 'fault', /confidential machines only/]],
    ],
    [
      'no Trusted Launch',
      { inputs: { sizes: ['Standard_A2_v2'], securityType: 'TrustedLaunch' } },
      [
        ['size/Standard_A2_v2', 'fault', /no Trusted Launch/],
        ['retirement/Standard_A2_v2', 'warning'],
      ],
    ],
    [
      'no Trusted Launch, which nobody insists on',
      { inputs: { sizes: ['Standard_A2_v2'] } },
      [['retirement/Standard_A2_v2', 'warning']],
    ],
    [
      'not sold as Spot',
      { inputs: { sizes: ['Standard_B2s_v2'], spot: { maxPrice: -1, evictionPolicy: 'Delete' } } },
      [['size/Standard_B2s_v2', 'fault', /not sold as Spot/]],
    ],
    [
      'neither premium disks nor accelerated networking',
      {
        image: { generation: 'V1', securityType: 'Standard' },
        inputs: {
          sizes: ['Standard_D1_v2'],
          osDiskType: 'Premium_LRS',
          network: { ...newNetwork, acceleratedNetworking: true },
        },
      },
      [
        ['size/Standard_D1_v2', 'fault', /accelerated networking.*premium disks/],
        ['retirement/Standard_D1_v2', 'warning'],
      ],
    ],
    [
      'a restricted size',
      { inputs: { sizes: ['Standard_D8s_v5'] } },
      [['size/Standard_D8s_v5', 'fault', /QuotaId/]],
    ],
    [
      'a restricted size, and one that can be had',
      { inputs: { sizes: ['Standard_D8s_v5', 'Standard_D2s_v5'] } },
      [['size/Standard_D8s_v5', 'warning']],
    ],
    [
      'a size that cannot boot, before one that can',
      { inputs: { sizes: ['Standard_D2ps_v5', 'Standard_D2s_v5'] } },
      [['size/Standard_D2ps_v5', 'fault']],
    ],
    [
      'a size that cannot boot, after one that can',
      { inputs: { sizes: ['Standard_D2s_v5', 'Standard_D2ps_v5'] } },
      [['size/Standard_D2ps_v5', 'warning']],
    ],
    [
      'a zone that is restricted',
      { inputs: { sizes: ['Standard_D16s_v5'], zones: ['1'] } },
      [['size/Standard_D16s_v5', 'fault', /zone 1/]],
    ],
    [
      'a zone that is restricted, and one that is not',
      { inputs: { sizes: ['Standard_D16s_v5'], zones: ['1', '2'] } },
      [['size/Standard_D16s_v5', 'warning', /zone 1/]],
    ],
    ['a zone restriction without a zone', { inputs: { sizes: ['Standard_D16s_v5'] } }, []],
    [
      'a size without zones',
      { inputs: { sizes: ['Standard_E2s_v5'], zones: ['3'] } },
      [['size/Standard_E2s_v5', 'fault', /no zone at all/]],
    ],
    [
      'sizes that may not be listed',
      { site: { skus: denied } },
      [['size', 'unknown', /Microsoft.Compute\/skus\/read/]],
    ],
    [
      'sizes that may not be listed, and one that cannot boot by its name',
      { inputs: { sizes: ['Standard_D2ps_v5'] }, site: { skus: denied } },
      [
        ['size', 'unknown'],
        ['size/Standard_D2ps_v5', 'fault', /Arm64/],
      ],
    ],
    [
      'a security profile by override',
      {
        inputs: { overrides: { vm: { properties: { securityProfile: null } } }, sizes: ['Standard_D2ps_v5'] },
      },
      [['overrides', 'unknown']],
    ],
    // Quotas
    [
      'cores that are used up',
      { site: { computeUsages: ok([usage('cores', 10, 9), usage('family of Standard_D2s_v5')]) } },
      [['quota/cores', 'fault', /9 of 10 are in use, and Standard_D2s_v5 takes 2/]],
    ],
    ['cores that just suffice', { site: { computeUsages: ok([usage('cores', 10, 8)]) } }, []],
    [
      'a family that is used up, and another size',
      {
        inputs: { sizes: ['Standard_D2s_v5', 'Standard_D4s_v5'] },
        site: { computeUsages: ok([usage('cores'), usage('family of Standard_D2s_v5', 0)]) },
      },
      [['quota/family of Standard_D2s_v5', 'warning']],
    ],
    [
      'Spot has a quota of its own',
      {
        inputs: { spot: { maxPrice: -1, evictionPolicy: 'Delete' } },
        site: { computeUsages: ok([usage('cores', 0), usage('lowPriorityCores', 3, 2)]) },
      },
      [['quota/lowPriorityCores', 'fault']],
    ],
    [
      'quotas that may not be read',
      { site: { computeUsages: denied, networkUsages: denied } },
      [
        ['quota', 'unknown'],
        ['quota/public-ip', 'unknown'],
      ],
    ],
    [
      'addresses that are used up',
      {
        site: {
          networkUsages: ok([usage('StandardSkuPublicIpAddresses', 5, 5), usage('PublicIPAddresses')]),
        },
      },
      [['quota/public-ip', 'fault', /All 5/]],
    ],
    [
      'addresses that are used up, and none is made',
      {
        inputs: { network: { ...newNetwork, publicIp: { kind: 'none' } } },
        site: { networkUsages: ok([usage('PublicIPAddresses', 0)]) },
      },
      [],
    ],
    // Reruns
    [
      'a machine of this deployment takes no quota again',
      {
        site: {
          existing: { vm: ok(machine('Standard_D2s_v5')) },
          computeUsages: ok([usage('cores', 0)]),
        },
      },
      [],
    ],
    [
      'a machine of this deployment in another size',
      { site: { existing: { vm: ok(machine('Standard_D4s_v5')) } } },
      [['rerun', 'fault', /size: it has Standard_D4s_v5, the inputs ask for Standard_D2s_v5/]],
    ],
    [
      'a machine of this deployment that failed after it had run',
      { site: failed(true) },
      [['rerun', 'fault', /has run, so its disk may hold data.*OSProvisioningTimedOut/]],
    ],
    ['a machine of this deployment that was never placed', { site: failed(false) }, []],
    [
      'a machine that was never placed, and no quota for another try',
      { site: { ...failed(false), computeUsages: ok([usage('cores', 0)]) } },
      [['quota/cores', 'fault']],
    ],
    [
      'a machine that failed, and may not be looked into',
      { site: { ...failed(true), fate: denied } },
      [['rerun', 'fault', /virtualMachines\/read/]],
    ],
    ['a machine on its way', { site: { existing: { vm: ok(machine('Standard_D2s_v5', 'Creating')) } } }, []],
    [
      'a machine on its way, and another one than asked for',
      { site: { existing: { vm: ok(machine('Standard_D4s_v5', 'Creating')) } } },
      [['rerun', 'fault', /size/]],
    ],
    [
      'a machine on its way out',
      { site: { existing: { vm: ok(machine('Standard_D4s_v5', 'Deleting')) } } },
      [],
    ],
    [
      "somebody else's machine is no rerun",
      { site: { existing: { vm: ok(machine('Standard_D4s_v5', 'Failed', {})) } } },
      [['name/virtual-machine', 'fault']],
    ],
    [
      "this deployment's disk without its machine",
      { site: { osDisk: ok({ name: 'vm1-osdisk', location: 'westeurope', tags: own }) } },
      [['name/disk', 'fault', /still there, without its machine/]],
    ],
    [
      'a disk whose machine may not be read',
      { site: { existing: { vm: denied }, osDisk: ok({ location: 'westeurope', tags: own }) } },
      [['name/virtual-machine', 'fault', /lacks Microsoft\.Compute\/virtualMachines\/read/]],
    ],
    [
      'network resources that may not be read',
      { site: { existing: { vm: ok(undefined), nsg: denied, publicIp: denied } } },
      [
        ['name/network-security-group', 'fault', /networkSecurityGroups\/read/],
        ['name/public-ip', 'fault', /publicIPAddresses\/read/],
      ],
    ],
    [
      'a group and what is in it that may not be read',
      { site: { group: denied, existing: { vm: denied, nsg: denied }, osDisk: denied } },
      [
        ['resource-group', 'fault'],
        ['name/virtual-machine', 'unknown', /may not read resource group rg/],
        ['name/network-security-group', 'unknown', /may not read resource group rg/],
        ['name/disk', 'unknown'],
      ],
    ],
    [
      'an outage of a name',
      { site: { existing: { vm: refusal(503, 'ServiceUnavailable', 'later') } } },
      [['name/virtual-machine', 'unknown', /ServiceUnavailable: later/]],
    ],
    [
      'the disk of a machine that is there',
      {
        site: {
          existing: { vm: ok(machine('Standard_D2s_v5')) },
          osDisk: ok({ location: 'westeurope' }),
        },
      },
      [],
    ],
    ['an interface of this deployment', { site: { existing: { nic: ok(ownNic()) } } }, []],
    [
      'an interface of this deployment that joins something else',
      {
        site: {
          existing: {
            nic: ok(
              ownNic({
                subnet: 'virtualNetworks/hub/subnets/a',
                publicIp: 'publicIPAddresses/front',
                nsg: 'networkSecurityGroups/shared',
              }),
            ),
          },
        },
      },
      [['rerun/network', 'fault', /subnet: it has .*hub.*public IP: it has .*front.*group: it has .*shared/]],
    ],
    [
      'a security group of this deployment with other rules',
      {
        inputs: { network: openToAll },
        site: {
          existing: {
            nsg: ok({ location: 'westeurope', tags: own, provisioningState: 'Succeeded' as const }),
          },
        },
      },
      [
        ['rerun/network', 'fault', /inbound rules: it has none, the inputs ask for 22\/tcp from \*/],
        ['inbound', 'warning'],
      ],
    ],
    // Locks, deny assignments, ports
    ['a lock', { site: lock('ReadOnly') }, [['locks', 'fault', /ReadOnly/]]],
    ['a lock on deleting', { site: lock('CanNotDelete') }, [['locks', 'warning', /cleaned up/]]],
    ['a lock on deleting what stays', { site: lock('CanNotDelete'), inputs: { cleanup: 'never' } }, []],
    [
      'locks on what is none of ours',
      {
        site: lock(
          'ReadOnly',
          `${group}/providers/Microsoft.Storage/storageAccounts/backup`,
          `${group}/providers/Microsoft.Compute/virtualMachines/vm11`,
          nicId,
        ),
      },
      [],
    ],
    [
      'a lock above the group',
      { site: lock('ReadOnly', subscription.toUpperCase()) },
      [['locks', 'fault', /nothing/]],
    ],
    [
      'a lock on a part of ours',
      { site: lock('CanNotDelete', `${group}/providers/Microsoft.Compute/disks/VM1-osdisk`) },
      [['locks', 'warning', /not all can be cleaned up/]],
    ],
    [
      'a lock on a disk that Azure named',
      {
        site: {
          ...lock('CanNotDelete', `${group}/providers/Microsoft.Compute/disks/vm1_disk2`),
          existing: {
            vm: ok({
              ...machine('Standard_D2s_v5'),
              storageProfile: {
                imageReference: { id: versionId },
                dataDisks: [
                  {
                    lun: 0,
                    createOption: 'FromImage',
                    managedDisk: { id: `${group}/providers/Microsoft.Compute/disks/vm1_disk2` },
                  },
                ],
              },
            }),
          },
        },
      },
      [['locks', 'warning']],
    ],
    [
      'a lock on the network of a given subnet',
      {
        site: {
          ...lock('ReadOnly', subnetId.replace(/\/subnets\/.*/, '')),
          ...given('subnet', subnetId, ok({ location: 'westeurope' })),
        },
      },
      [['locks', 'fault', /hub is ReadOnly: it can neither be changed nor joined/]],
    ],
    [
      'a lock on deleting what is given',
      {
        site: {
          ...lock('CanNotDelete', nsgId),
          ...given('network security group', nsgId, ok({ location: 'westeurope' })),
        },
      },
      [],
    ],
    ['locks that may not be read', { site: { locks: denied } }, [['locks', 'unknown', /locks\/read/]]],
    [
      'everyone denied',
      { site: denial({ principals: [everyone] }) },
      [['deny-assignments', 'fault', /"frozen" blocks/]],
    ],
    [
      'everyone denied but the app',
      { site: denial({ principals: [everyone], excludePrincipals: [{ id: objectId }] }) },
      [],
    ],
    [
      'everyone denied but a group',
      { site: denial({ principals: [everyone], excludePrincipals: [{ id: 'g', type: 'Group' }] }) },
      [['deny-assignments', 'unknown']],
    ],
    [
      'everyone denied but somebody, who the app may be',
      {
        site: {
          ...denial({ principals: [everyone], excludePrincipals: [{ id: 'x' }] }),
          objectId: undefined,
        },
      },
      [['deny-assignments', 'unknown']],
    ],
    [
      'somebody denied, who the app may be',
      { site: { ...denial({ principals: [{ id: 'x' }] }), objectId: undefined } },
      [['deny-assignments', 'unknown']],
    ],
    [
      'everyone denied, whoever the app is',
      { site: { ...denial({ principals: [everyone] }), objectId: undefined } },
      [['deny-assignments', 'fault']],
    ],
    [
      'a group denied',
      { site: denial({ principals: [{ id: 'g', type: 'Group' }] }) },
      [['deny-assignments', 'unknown']],
    ],
    ['someone else denied', { site: denial({ principals: [{ id: 'x', type: 'User' }] }) }, []],
    [
      'something else denied',
      { site: denial({ principals: [everyone], permissions: [{ actions: ['Microsoft.Storage/*'] }] }) },
      [],
    ],
    ['a port open to the world', { inputs: { network: openToAll } }, [['inbound', 'warning', /port 22/]]],
    // What Azure does not answer
    [
      'an outage',
      { site: { locks: refusal(503, 'ServiceUnavailable', 'later') } },
      [['locks', 'unknown', /ServiceUnavailable: later/]],
    ],
  ])('%s', (_, change, expected) => {
    const found = judged(change).filter(({ level }) => level !== 'ok');
    expect(found.map(({ id, level }) => `${id} ${level}`).toSorted()).toEqual(
      expected.map(([id, level]) => `${id} ${level}`).toSorted(),
    );
    for (const [id, , answer] of expected) {
      if (answer) expect(found.find((finding) => finding.id === id)?.answer).toMatch(answer);
    }
    for (const { level, who, fix } of found) {
      if (level === 'fault' || level === 'warning') {
        expect(who).not.toBe('');
        expect(fix).not.toEqual([]);
      }
    }
  });
});
