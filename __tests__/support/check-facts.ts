/** Facts and findings for the tests of the check rules: everything is in order but for what a test changes. */
import { expect } from '@jest/globals';
import type { ResourceSku, VirtualMachine } from '@azure/arm-compute';
import { requiredPermissions, type Permission } from '../../src/access/required-permissions.ts';
import { evaluateChecks } from '../../src/check/evaluate.ts';
import type { SubscriptionFacts } from '../../src/check/collect.ts';
import type { CheckFacts, Finding } from '../../src/check/facts.ts';
import { type AzureErrorInfo, ActionError, AzureError } from '../../src/errors/errors.ts';
import type { ResolvedImage } from '../../src/image/image.ts';
import type { DeployInputs } from '../../src/inputs/inputs.ts';
import { createPlan } from '../../src/plan/create-plan.ts';
import { deployInputs, group, linuxImage, type NewNic, newNetwork, subscriptionId, versionId } from './values.ts';

export const subscription = `/subscriptions/${subscriptionId}`;
export const hub = `${subscription}/resourceGroups/hub`;
export const objectId = 'a1b2c3d4-0002-4aaa-8bbb-000000000002';

export const inputs: DeployInputs = { ...deployInputs, operation: 'check', subscriptionId };
export const image: ResolvedImage = {
  ...linuxImage,
  generation: 'V2',
  securityType: 'TrustedLaunch',
  securityFeature: 'TrustedLaunchSupported',
};

export const network = 'Microsoft.Network';
export const subnetId = `${hub}/providers/${network}/virtualNetworks/hub/subnets/machines`;
export const nsgId = `${hub}/providers/${network}/networkSecurityGroups/shared`;
export const addressId = `${hub}/providers/${network}/publicIPAddresses/front`;
export const nicId = `${group}/providers/${network}/networkInterfaces/ready`;
export const identityId = `${hub}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/puller`;
export const registryId = `${hub}/providers/Microsoft.ContainerRegistry/registries/pictures`;

function sku(name: string, capabilities: Readonly<Record<string, string>> = {}, more: object = {}): ResourceSku {
  const all = {
    MaxDataDiskCount: '4',
    vCPUs: '2',
    MemoryGB: '8',
    HyperVGenerations: 'V1,V2',
    CpuArchitectureType: 'x64',
    PremiumIO: 'True',
    LowPriorityCapable: 'True',
    AcceleratedNetworkingEnabled: 'True',
    ...capabilities,
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

export const usage = (value: string, limit = 100, currentValue = 0) => ({
  name: { value },
  limit,
  currentValue,
});
export const ok = <T>(value: T) => ({ value });

export function refusal(status: number, code: string, message = 'words', more: Partial<AzureErrorInfo> = {}) {
  const fault = { status, code, message, details: [], method: 'GET', url: '/', body: '', ...more };
  return { error: new AzureError(fault) };
}
export const later = new ActionError('choosing the image version', {
  message: 'No usable version: later.',
  reason: 'It is on its way.',
  who: 'the owner',
  fix: ['Wait.'],
});
export const denied = refusal(403, 'AuthorizationFailed', 'no');

export interface Change {
  readonly inputs?: Partial<DeployInputs>;
  readonly image?: Partial<ResolvedImage>;
  readonly facts?: Partial<SubscriptionFacts>;
  readonly check?: Partial<CheckFacts>;
  /** No token of the tenant, or no subscription. */
  readonly noSubscription?: true;
  /** What the app may do on every scope. */
  readonly permissions?: readonly Permission[];
}

export function findingsFor(change: Change): Finding[] {
  const theInputs = { ...inputs, ...change.inputs };
  const theImage = { ...image, ...change.image };
  const held = ok(change.permissions ?? [{ actions: ['*'] }]);
  const subscriptionFacts = {
    subscriptionId,
    objectId,
    group: ok({ location: 'westeurope', exists: true }),
    existing: { vm: ok(undefined), nsg: ok(undefined) },
    osDisk: ok(undefined),
    referenced: [],
    permissions: requiredPermissions(theInputs, { subscriptionId, groupExists: true }).map((required) => ({
      required,
      held,
    })),
    roles: [],
    providers: [{ namespace: 'Microsoft.Compute', state: ok('Registered') }],
    locks: ok([]),
    denyAssignments: ok([]),
    skus: ok([sku('Standard_D2s_v5'), sku('Standard_D4s_v5', { vCPUs: '4' }), ...specialSizes]),
    computeUsages: ok([usage('cores'), usage('lowPriorityCores')]),
    networkUsages: ok([usage('StandardSkuPublicIpAddresses'), usage('PublicIPAddresses')]),
    image: ok({ facts: theImage }),
    ...change.facts,
  } as SubscriptionFacts;
  const plan = createPlan(theInputs, theImage, {
    subscriptionId,
    location: 'westeurope',
    ownership: {},
    generated: {},
  });
  const facts: CheckFacts = {
    inputs: theInputs,
    run: {
      serverUrl: 'https://github.com',
      repository: 'contoso/deploy',
      runId: '1',
      runAttempt: '1',
      job: 'deploy',
      action: 'vm',
    },
    errorContext: {
      clientId: 'app',
      tenantId: 'deploy-tenant',
      imageTenantId: 'image-tenant',
      subscriptionId,
    },
    signIns: [
      { tenant: 'deploy-tenant', role: 'tenant', result: ok({ tenantId: 'deploy-tenant', objectId }) },
      { tenant: 'image-tenant', role: 'image-tenant', result: ok({ tenantId: 'image-tenant', objectId }) },
    ],
    subscription: ok({ subscriptionId, displayName: 'Sub', state: 'Enabled', tenantId: 'deploy-tenant' }),
    ...(change.noSubscription ? {} : { subscriptionFacts }),
    ...change.check,
  };
  return evaluateChecks(facts, change.noSubscription ? undefined : plan);
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

export const openToAll: NewNic = {
  ...newNetwork,
  nsg: { kind: 'new', inbound: [{ fromPort: 22, toPort: 22, protocol: 'Tcp', source: '*' }] },
};
export const labelled: NewNic = { ...newNetwork, publicIp: { kind: 'new', dnsLabel: 'shop' } };
export const subscriptionIn = (state: string) => ({
  subscription: ok({ subscriptionId, displayName: 'Sub', state, tenantId: 'deploy-tenant' }),
});
export const referenced = (
  kind: SubscriptionFacts['referenced'][number]['kind'],
  id: string,
  found: SubscriptionFacts['referenced'][number]['found'],
) => ({
  referenced: [{ kind, id, found }],
});
export const role = (resolved: SubscriptionFacts['roles'][number]['resolved'], permissions: readonly Permission[]) => ({
  roles: [{ request: 'AcrPull on x', scope: registryId, resolved, held: ok(permissions) }],
});
export const everyone = { id: '00000000-0000-0000-0000-000000000000', type: 'SystemDefined' };
export const denial = (properties: object) => ({
  denyAssignments: ok([
    { properties: { denyAssignmentName: 'frozen', permissions: [{ actions: ['*/write'] }], ...properties } },
  ]),
});
export const lock = (level: string, ...scopes: readonly string[]) => ({
  locks: ok(
    (scopes.length > 0 ? scopes : [group]).map((scope) => ({
      name: 'l',
      id: `${scope}/providers/Microsoft.Authorization/locks/l`,
      properties: { level },
    })),
  ),
});
export const own = {
  'cross-tenant-vm': 'vm1',
  'github-server-url': 'https://github.com',
  'github-repository': 'contoso/deploy',
};
export const vmOf = (size: string, provisioningState = 'Succeeded', tags: object = own): VirtualMachine => ({
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

/** The network interface as this deployment would create it, with changes. */
export const ownNic = (
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
export const failed = (hasRun: boolean) => ({
  existing: { vm: ok(vmOf('Standard_D4s_v5', 'Failed')) },
  provisioningFailure: ok({ fault: refusal(200, 'OSProvisioningTimedOut', 'too slow').error, hasRun }),
});

/** Name, change, and all findings that are not `ok`, with a pattern that the answer must match. */
export type Case = [
  name: string,
  change: Change,
  expected: readonly (readonly [id: string, level: Finding['level'], answer?: RegExp])[],
];

/** Expects these findings and no others, but for those that are `ok`. */
export function expectFindings(change: Change, expected: Case[2]): void {
  const found = findingsFor(change).filter(({ level }) => level !== 'ok');
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
}
