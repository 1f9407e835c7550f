import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { type ResourceId, parseResourceId } from '../../../src/azure/resource-id.ts';
import { catalogue } from '../../support/azure-errors.ts';
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
  ...catalogue.flatMap(({ title, says }): (typeof predicted)[number][] => {
    const code = /^(AADSTS\d+):/.exec(says)?.[1];
    if (!code) return [];
    const result = refusal(401, code, says);
    return [[title, 'sign-in/tenant', { check: { signIns: [{ tenant: 'deploy-tenant', role: 'tenant', result }] } }]];
  }),
  [
    'The subscription belongs to another tenant',
    'subscription',
    subscriptionRefused(401, 'InvalidAuthenticationTokenTenant', 'The access token is from the wrong issuer.'),
  ],
  [
    'The token has no service principal',
    'subscription',
    subscriptionRefused(401, 'InvalidAuthenticationToken', "one of the claims 'puid' or 'oid' should be present."),
  ],
  [
    'tenant-id and image-tenant-id are swapped',
    'resource-group',
    groupRefused(404, 'ResourceGroupNotFound', "Resource group 'rg' not found."),
  ],
  [
    'No token of the tenant that owns the image',
    'image',
    imageRefused(
      403,
      'LinkedAuthorizationFailed',
      `the current tenant 'a' is not authorized to access linked subscription '${imageSubscriptionId}'.`,
    ),
  ],
  [
    'Another resource belongs to another tenant',
    'given/identity/puller',
    { facts: referenced('identity', identityId, refusal(401, 'InvalidAuthenticationTokenTenant', 'wrong issuer')) },
  ],
  [
    'No permission on a resource that the VM refers to',
    'rights/subnet',
    {
      inputs: { network: inSubnet() },
      facts: subnet(),
      ...withoutAction('Microsoft.Network/virtualNetworks/subnets/join/action'),
    },
  ],
  [
    'The app may not read the image',
    'image',
    imageRefused(...noAccess('Microsoft.Compute/galleries/images/versions/read', versionId)),
  ],
  ['The app may not assign roles', 'role-assignment/1', { facts: role(denied, []) }],
  ['The resource group is missing, or the app may not read it', 'resource-group', { facts: { group: denied } }],
  ['The app lacks a permission', 'rights/resource-group', withoutAction('Microsoft.Network/publicIPAddresses/write')],
  ['The role definition does not exist', 'role-assignment/1', { facts: role({ error: later }, []) }],
  [
    'The user-assigned identity does not exist',
    'given/identity/puller',
    { facts: referenced('identity', identityId, ok(undefined)) },
  ],
  [
    'An Azure Policy denies the resource',
    'policy/vm1-ip',
    { facts: { policyDenials: ok([{ resource: 'vm1-ip', policyAssignmentId: '/p', reason: undefined }]) } },
  ],
  [
    'The resource group does not exist',
    'resource-group',
    groupRefused(404, 'ResourceGroupNotFound', "Resource group 'rg' not found."),
  ],
  [
    'The resource group is being deleted',
    'resource-group',
    groupRefused(409, 'ResourceGroupBeingDeleted', 'in deprovisioning state'),
  ],
  [
    'A resource with this name exists in another region',
    'rerun/network',
    { facts: { existing: { vnet: ok({ location: 'northeurope', tags: own, provisioningState: 'Succeeded' }) } } },
  ],
  ['The subscription does not exist', 'subscription', subscriptionRefused(404, 'SubscriptionNotFound')],
  ['The subscription is disabled', 'subscription', { check: subscriptionIn('Disabled') }],
  [
    'The resource provider is not registered',
    'provider/A',
    { facts: { providers: [{ namespace: 'A', state: ok('NotRegistered') }] } },
  ],
  ['The region does not offer the resource type', 'size/Standard_D2s_v5', { facts: { skus: ok([]) } }],
  ['The image version is not replicated to the region', 'image', unusableVersion(false)],
  [
    'The image definition has no latest version',
    'image',
    imageRefused(404, 'NotFound', 'There is no latest image version exists for x.'),
  ],
  [
    'The image does not exist',
    'image',
    imageRefused(404, 'ResourceNotFound', "The Resource 'x/versions/1' was not found."),
  ],
  ['The image version is still being created', 'image', unusableVersion(true)],
  ['The terms of the Marketplace plan are not accepted', 'terms', terms],
  ['The subscription may not buy from the Marketplace', 'terms', terms],
  [
    'The image requires a security type',
    'security-type',
    { image: { securityFeature: 'TrustedLaunch' }, inputs: { securityType: 'Standard' } },
  ],
  [
    'The image does not support Trusted Launch',
    'security-type',
    { image: { securityFeature: 'None' }, inputs: { securityType: 'TrustedLaunch' } },
  ],
  [
    'A Generation 1 image has no UEFI settings',
    'security-type',
    { image: { generation: 'V1' }, inputs: { securityType: 'TrustedLaunch' } },
  ],
  ['The size cannot boot the generation of the image', 'size/Standard_D1_v2', ofSize('Standard_D1_v2')],
  ['The size has another CPU architecture than the image', 'size/Standard_D2ps_v5', ofSize('Standard_D2ps_v5')],
  [
    'A VM with this name exists with different settings',
    'rerun',
    { facts: { existing: { vm: ok(vmOf('Standard_D4s_v5')) } } },
  ],
  [
    'A VM with this name exists in another zone',
    'rerun',
    { inputs: { zones: ['2'] }, facts: { existing: { vm: ok({ ...vmOf('Standard_D2s_v5'), zones: ['1'] }) } } },
  ],
  ['A disk with this name exists', 'name/disk', { facts: { osDisk: ok({ location: 'westeurope' }) } }],
  [
    'The OS disk is smaller than the image',
    'input/os-disk-size-gb',
    { image: { osDiskSizeGb: 30 }, inputs: { osDiskSizeGb: 20 } },
  ],
  [
    'The size does not support that many data disks',
    'size/Standard_D2s_v5',
    { inputs: { dataDiskSizesGb: [4, 4, 4, 4, 4] } },
  ],
  ['The size does not support the security type', 'size/Standard_DC2as_v5', ofSize('Standard_DC2as_v5')],
  ['The size needs NVMe, which the image does not support', 'size/Standard_D2s_v6', ofSize('Standard_D2s_v6')],
  [
    'The size does not support accelerated networking',
    'size/Standard_D1_v2',
    ofSize('Standard_D1_v2', { network: { ...newNetwork, acceleratedNetworking: true } }),
  ],
  [
    'Encryption at host is not enabled in the subscription',
    'encryption-at-host',
    { facts: { encryptionAtHost: ok('NotRegistered') } },
  ],
  ['The size is not available in the region', 'size/Standard_D8s_v5', ofSize('Standard_D8s_v5')],
  ['The size does not exist in the region', 'size/Standard_Z9', ofSize('Standard_Z9')],
  ['The region does not have the zone', 'size/Standard_E2s_v5', ofSize('Standard_E2s_v5', { zones: ['3'] })],
  [
    'The Spot quota is used up',
    'quota/lowPriorityCores',
    { inputs: { spot }, facts: { computeUsages: ok([usage('lowPriorityCores', 0)]) } },
  ],
  ['The core quota is used up', 'quota/cores', { facts: { computeUsages: ok([usage('cores', 0)]) } }],
  [
    'The Spot price is above max-price',
    'spot-price',
    { inputs: { spot }, facts: { spotPrices: ok([{ size: 'Standard_D2s_v5', price: 0.05 }]) } },
  ],
  ['The DNS label is taken', 'name/dns-label', { inputs: { network: labelled }, facts: { dnsLabelFree: ok(false) } }],
  ['The subnet is full', 'given/subnet', { inputs: { network: inSubnet() }, facts: subnet(3) }],
  [
    'The private IP address is taken',
    'private-ip-address',
    {
      inputs: { network: inSubnet({ privateIpAddress: '10.1.0.5' }) },
      facts: { ...subnet(), privateAddressFree: ok(false) },
    },
  ],
  [
    'The private IP address cannot be used in the subnet',
    'given/subnet',
    { inputs: { network: inSubnet({ privateIpAddress: '10.2.0.5' }) }, facts: subnet() },
  ],
  [
    'The public IP address is in use',
    'given/public-ip',
    {
      facts: referenced('public IP', addressId, ok({ location: 'westeurope', usedBy: `${nicId}/ipConfigurations/a` })),
    },
  ],
  ['A referenced resource does not exist', 'given/subnet', { facts: referenced('subnet', subnetId, ok(undefined)) }],
  [
    'The public IP address quota is used up',
    'quota/public-ip',
    { facts: { networkUsages: ok([usage('PublicIPAddresses', 0)]) } },
  ],
  ['A lock blocks the change', 'locks', { facts: lock('ReadOnly') }],
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
    const tested = new Map(predicted.map(([title, finding]) => [title, finding]));
    for (const { title, check } of documented) {
      const patterns = [...check.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name.replace('…', '.+'));
      if (/^(not|before|the first)/.test(check)) expect([title, tested.get(title)]).toEqual([title, undefined]);
      else expect(`${title}: ${tested.get(title)}`).toMatch(new RegExp(`: (${patterns.join('|')})$`));
    }
  });
});

test.each(predicted)('predicts %s by a fault of %s', (_, finding, change) => {
  const faults = findingsFor(change).filter(({ level }) => level === 'fault');
  expect(faults.map(({ id }) => id)).toContain(finding);
});
