import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { type ResourceId, parseResourceId } from '../../../src/azure/resource-id.ts';
import { catalogue } from '../../../src/error-catalog/explain.ts';
import {
  addressId,
  type Case,
  type Change,
  denied,
  expectFindings,
  findingsFor,
  identityId,
  labelled,
  later,
  lock,
  nicId,
  ok,
  openToAll,
  own,
  referenced,
  refusal,
  role,
  subnetId,
  subscriptionIn,
  usage,
  vmOf,
} from '../../support/check-facts.ts';
import { imageSubscriptionId, linuxImage, type NewNic, newNetwork, versionId } from '../../support/values.ts';

describe('everything else', () => {
  test.each<Case>([
    ['a port open to the world', { inputs: { network: openToAll } }, [['inbound', 'warning', /port 22/]]],
    [
      'an outage',
      { facts: { locks: refusal(503, 'ServiceUnavailable', 'later') } },
      [['locks', 'unknown', /ServiceUnavailable: later/]],
    ],
    ['policies that may not be evaluated', { facts: { policyDenials: denied } }, [['policy', 'unknown']]],
  ])('reports findings for %s', (_, change, expected) => {
    expectFindings(change, expected);
  });
});

test('finds no problem when everything is in order', () => {
  expect(findingsFor({}).filter(({ level }) => level !== 'ok')).toEqual([]);
});

const inSubnet = (more: object = {}): NewNic => ({
  ...newNetwork,
  subnet: { kind: 'given', id: parseResourceId(subnetId) as ResourceId },
  ...more,
});
const subnet = (usedAddresses = 0) =>
  referenced('subnet', subnetId, ok({ location: 'westeurope', prefixes: ['10.1.0.0/29'], usedAddresses }));
const subscriptionRefused = (...args: Parameters<typeof refusal>): Change => ({
  check: { subscription: refusal(...args) },
  noSubscription: true,
});
const imageRefused = (...args: Parameters<typeof refusal>): Change => ({ facts: { image: refusal(...args) } });
const groupRefused = (...args: Parameters<typeof refusal>): Change => ({ facts: { group: refusal(...args) } });
const unusableVersion = (temporary: boolean): Change => ({
  facts: { image: ok({ facts: linuxImage, unusable: { refusal: later, temporary } }) },
});
const withoutAction = (...notActions: readonly string[]) => ({ permissions: [{ actions: ['*'], notActions }] });
const ofSize = (size: string, more: Change['inputs'] = {}): Change => ({ inputs: { sizes: [size], ...more } });
const spot = { maxPrice: 0.04, evictionPolicy: 'Delete' } as const;
const terms: Change = {
  image: { plan: { publisher: 'p', product: 'o', name: 'n' } },
  facts: { terms: ok(false) },
};
const noAccess = (action: string, scope: string): [number, string, string] => [
  403,
  'AuthorizationFailed',
  `The client 'c' does not have authorization to perform action '${action}' over scope '${scope}' or the scope is invalid.`,
];

/** Entry of the catalogue, the finding that predicts this refusal, and the facts. */
const predicted: readonly (readonly [entry: string, finding: string, change: Change])[] = [
  ...catalogue.flatMap(({ id, says }): (typeof predicted)[number][] => {
    const code = /^(AADSTS\d+):/.exec(says)?.[1];
    if (!code) return [];
    const result = refusal(401, code, says);
    return [[id, 'sign-in/tenant', { check: { signIns: [{ tenant: 'deploy-tenant', role: 'tenant', result }] } }]];
  }),
  [
    'token-of-wrong-tenant',
    'subscription',
    subscriptionRefused(401, 'InvalidAuthenticationTokenTenant', 'The access token is from the wrong issuer.'),
  ],
  [
    'token-without-principal',
    'subscription',
    subscriptionRefused(401, 'InvalidAuthenticationToken', "one of the claims 'puid' or 'oid' should be present."),
  ],
  ['tenants-swapped', 'resource-group', groupRefused(404, 'ResourceGroupNotFound', "Resource group 'rg' not found.")],
  [
    'image-tenant-not-linked',
    'image',
    imageRefused(
      403,
      'LinkedAuthorizationFailed',
      `the current tenant 'a' is not authorized to access linked subscription '${imageSubscriptionId}'.`,
    ),
  ],
  [
    'other-tenant-not-linked',
    'given/identity/puller',
    { facts: referenced('identity', identityId, refusal(401, 'InvalidAuthenticationTokenTenant', 'wrong issuer')) },
  ],
  [
    'linked-scope-denied',
    'rights/subnet',
    {
      inputs: { network: inSubnet() },
      facts: subnet(),
      ...withoutAction('Microsoft.Network/virtualNetworks/subnets/join/action'),
    },
  ],
  ['image-denied', 'image', imageRefused(...noAccess('Microsoft.Compute/galleries/images/versions/read', versionId))],
  ['role-grant-denied', 'role-assignment/1', { facts: role(denied, []) }],
  ['group-denied', 'resource-group', { facts: { group: denied } }],
  ['denied', 'rights/resource-group', withoutAction('Microsoft.Network/publicIPAddresses/write')],
  ['role-not-found', 'role-assignment/1', { facts: role({ error: later }, []) }],
  ['identity-not-found', 'given/identity/puller', { facts: referenced('identity', identityId, ok(undefined)) }],
  ['policy', 'policy/vm1-ip', { facts: { policyDenials: ok([{ resource: 'vm1-ip', policyAssignmentId: '/p' }]) } }],
  ['group-not-found', 'resource-group', groupRefused(404, 'ResourceGroupNotFound', "Resource group 'rg' not found.")],
  ['group-being-deleted', 'resource-group', groupRefused(409, 'ResourceGroupBeingDeleted', 'in deprovisioning state')],
  [
    'resource-elsewhere',
    'rerun/network',
    { facts: { existing: { vnet: ok({ location: 'northeurope', tags: own, provisioningState: 'Succeeded' }) } } },
  ],
  ['subscription-not-found', 'subscription', subscriptionRefused(404, 'SubscriptionNotFound')],
  ['subscription-disabled', 'subscription', { check: subscriptionIn('Disabled') }],
  ['provider-not-registered', 'provider/A', { facts: { providers: [{ namespace: 'A', state: ok('NotRegistered') }] } }],
  ['region-not-offered', 'size/Standard_D2s_v5', { facts: { skus: ok([]) } }],
  ['image-not-in-region', 'image', unusableVersion(false)],
  ['image-no-latest', 'image', imageRefused(404, 'NotFound', 'There is no latest image version exists for x.')],
  ['image-not-found', 'image', imageRefused(404, 'ResourceNotFound', "The Resource 'x/versions/1' was not found.")],
  ['image-being-created', 'image', unusableVersion(true)],
  ['terms-not-accepted', 'terms', terms],
  ['marketplace-not-eligible', 'terms', terms],
  [
    'image-security-type',
    'security-type',
    { image: { securityFeature: 'TrustedLaunch' }, inputs: { securityType: 'Standard' } },
  ],
  [
    'trusted-launch-image',
    'security-type',
    { image: { securityFeature: 'None' }, inputs: { securityType: 'TrustedLaunch' } },
  ],
  ['uefi-on-generation-1', 'security-type', { image: { generation: 'V1' }, inputs: { securityType: 'TrustedLaunch' } }],
  ['hypervisor-generation', 'size/Standard_D1_v2', ofSize('Standard_D1_v2')],
  ['architecture', 'size/Standard_D2ps_v5', ofSize('Standard_D2ps_v5')],
  ['vm-differs', 'rerun', { facts: { existing: { vm: ok(vmOf('Standard_D4s_v5')) } } }],
  [
    'zones-differ',
    'rerun',
    { inputs: { zones: ['2'] }, facts: { existing: { vm: ok({ ...vmOf('Standard_D2s_v5'), zones: ['1'] }) } } },
  ],
  ['disk-name-taken', 'name/disk', { facts: { osDisk: ok({ location: 'westeurope' }) } }],
  ['disk-too-small', 'input/os-disk-size-gb', { image: { osDiskSizeGb: 30 }, inputs: { osDiskSizeGb: 20 } }],
  ['too-many-data-disks', 'size/Standard_D2s_v5', { inputs: { dataDiskSizesGb: [4, 4, 4, 4, 4] } }],
  ['size-and-security-type', 'size/Standard_DC2as_v5', ofSize('Standard_DC2as_v5')],
  ['disk-controller', 'size/Standard_D2s_v6', ofSize('Standard_D2s_v6')],
  [
    'accelerated-networking',
    'size/Standard_D1_v2',
    ofSize('Standard_D1_v2', { network: { ...newNetwork, acceleratedNetworking: true } }),
  ],
  ['encryption-at-host', 'encryption-at-host', { facts: { encryptionAtHost: ok('NotRegistered') } }],
  ['size-not-available', 'size/Standard_D8s_v5', ofSize('Standard_D8s_v5')],
  ['size-unknown', 'size/Standard_Z9', ofSize('Standard_Z9')],
  ['zone-not-in-region', 'size/Standard_E2s_v5', ofSize('Standard_E2s_v5', { zones: ['3'] })],
  [
    'spot-quota',
    'quota/lowPriorityCores',
    { inputs: { spot }, facts: { computeUsages: ok([usage('lowPriorityCores', 0)]) } },
  ],
  ['quota', 'quota/cores', { facts: { computeUsages: ok([usage('cores', 0)]) } }],
  [
    'spot-price',
    'spot-price',
    { inputs: { spot }, facts: { spotPrices: ok([{ size: 'Standard_D2s_v5', price: 0.05 }]) } },
  ],
  ['dns-label-taken', 'name/dns-label', { inputs: { network: labelled }, facts: { dnsLabelFree: ok(false) } }],
  ['subnet-full', 'given/subnet', { inputs: { network: inSubnet() }, facts: subnet(3) }],
  [
    'private-ip-taken',
    'private-ip-address',
    {
      inputs: { network: inSubnet({ privateIpAddress: '10.1.0.5' }) },
      facts: { ...subnet(), privateAddressFree: ok(false) },
    },
  ],
  [
    'private-ip-outside',
    'given/subnet',
    { inputs: { network: inSubnet({ privateIpAddress: '10.2.0.5' }) }, facts: subnet() },
  ],
  [
    'public-ip-taken',
    'given/public-ip',
    {
      facts: referenced('public IP', addressId, ok({ location: 'westeurope', usedBy: `${nicId}/ipConfigurations/a` })),
    },
  ],
  ['reference-not-found', 'given/subnet', { facts: referenced('subnet', subnetId, ok(undefined)) }],
  ['public-ip-quota', 'quota/public-ip', { facts: { networkUsages: ok([usage('PublicIPAddresses', 0)]) } }],
  ['locked', 'locks', { facts: lock('ReadOnly') }],
];

/** Rows of docs/check.md: the refusal, and what predicts it. */
const documented = readFileSync('docs/check.md', 'utf8')
  .split('\n')
  .flatMap((line) => {
    const [, title, , check] = line.split(' | ').length === 3 ? (/^\| (.+) \| (.+) \| (.+) \|$/.exec(line) ?? []) : [];
    return title && check && title !== 'Refusal' ? [{ title, check }] : [];
  });

describe('docs/check.md', () => {
  test('has a row for each refusal of the catalogue', () => {
    expect(documented.map(({ title }) => title)).toEqual(catalogue.map(({ title }) => title));
    const texts = documented.map(({ check }) => check.replaceAll(/`[a-z-]+(\/[\w…-]+)*`(, )?/g, ''));
    expect(
      texts.filter((text) => !/^(not predicted: .+|before any request|the first request fails|)$/.test(text)),
    ).toEqual([]);
  });

  test('names the finding of each refusal that has one, and of no other', () => {
    const tested = new Map(predicted.map(([id, finding]) => [id, finding]));
    for (const [index, { check }] of documented.entries()) {
      const id = catalogue[index]?.id ?? '';
      const patterns = [...check.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name.replace('…', '.+'));
      if (/^(not|before|the first)/.test(check)) expect([id, tested.get(id)]).toEqual([id, undefined]);
      else expect(`${id}: ${tested.get(id)}`).toMatch(new RegExp(`: (${patterns.join('|')})$`));
    }
  });
});

test.each(predicted)('predicts %s by a fault of %s', (_, finding, change) => {
  const faults = findingsFor(change).filter(({ level }) => level === 'fault');
  expect(faults.map(({ id }) => id)).toContain(finding);
});
