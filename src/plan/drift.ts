import type {
  NetworkInterface,
  NetworkSecurityGroup,
  PublicIPAddress,
  SecurityRule,
  VirtualNetwork,
} from '@azure/arm-network';
import { sameId, normaliseRegion } from '../azure/resource-id.ts';
import {
  type ExistingResources,
  type Plan,
  networkParts,
  resourceTitles,
  subnetName,
} from '../deployment/resources.ts';
import { type Tags, tagValue } from '../deployment/ownership.ts';
import { isPatched, patchedSetting, reservedTags } from '../inputs/overrides.ts';
import { shellCommand } from '../lib/escape.ts';
import { type MergePatch, mergePatch, omitUndefined } from '../lib/json.ts';
import { isGeneratedRule } from '../network/network-spec.ts';
import { isFailedState } from '../vm/vm-status.ts';
import { ActionError } from '../errors/errors.ts';

/** Everything that is compared with the inputs: on a rerun, by `check`, and after a create. */
export const comparedProperties = [
  'region',
  'image',
  'operating system',
  'size',
  'zone',
  'network interface',
  'identity',
  'admin user',
  'SSH public keys',
  'host name',
  'license',
  'priority',
  'eviction policy',
  'Spot price limit',
  'OS disk size in GB',
  'OS disk type',
  'disk controller',
  'LUNs of data disks',
  'sizes of data disks in GB',
  'types of data disks',
  'encryption at host',
  'security type',
  'region of the network interface',
  'region of the network security group',
  'region of the virtual network',
  'region of the public IP',
  'subnet',
  'public IP',
  'private address',
  'network security group',
  'accelerated networking',
  'address prefix',
  'subnet prefix',
  'DNS label',
  'inbound rules',
] as const;

type ComparedProperty = (typeof comparedProperties)[number];

export interface Difference {
  readonly property: string;
  readonly actual: string;
  readonly expected: string;
  /** How to change the existing resource, if Azure can change it in place. */
  readonly fix?: readonly string[];
}

/** One comparison: what a GET returns and what the inputs request. Undefined: not comparable. */
export interface Comparison extends Pick<Difference, 'fix'> {
  readonly property: ComparedProperty;
  /** In the REST shape; an override of it replaces what the inputs say. */
  readonly path?: string;
  readonly actual: Setting;
  readonly expected: Setting;
  readonly isEqual?: boolean;
}

export type Setting = string | number | undefined;

/** A value that Azure does not return, or that the inputs leave to Azure, cannot differ. */
export function isSameSetting(actual: Setting, expected: Setting): boolean {
  if (actual === undefined || expected === undefined) return true;
  return `${actual}`.toLowerCase() === `${expected}`.toLowerCase();
}

/** @param patch of the resource; what it sets to a list or an object is not compared. */
export function findDifferences(patch: MergePatch | undefined, comparisons: readonly Comparison[]): Difference[] {
  return comparisons.flatMap(({ property, path = '', actual, expected, isEqual, fix }) => {
    const patched = patchedSetting(patch, path);
    const requested = patched ?? expected;
    const isSame = isPatched(patch, path)
      ? isSameSetting(actual, patched)
      : (isEqual ?? isSameSetting(actual, expected));
    if (isSame) return [];
    const texts = { actual: `${actual ?? ''}` || 'none', expected: `${requested ?? ''}` || 'none' };
    return [{ property, ...texts, ...omitUndefined({ fix: patched === undefined ? fix : undefined }) }];
  });
}

/** A resource never changes its region. If either region is unknown, as in some checks, nothing is compared. */
export function compareRegion(
  property: ComparedProperty,
  { location = '' }: { readonly location?: string },
  plan: Plan,
): Comparison {
  const region = normaliseRegion(location);
  const isEqual = region === '' || plan.location === '' || region === normaliseRegion(plan.location);
  return { property, actual: region, expected: plan.location, isEqual };
}

/** A merge patch replaces a list as a whole, so the resulting rules are not known before Azure has them. */
export function rulesAreOverridden({ nsg, patches }: Plan): boolean {
  return nsg !== undefined && isPatched(patches.get(nsg.id.toLowerCase()), 'properties.securityRules');
}

/** @throws ActionError that lists every difference: existing resources are never changed. */
export function assertNoDrift(plan: Plan, part: 'vm' | 'network', differences: readonly Difference[]): void {
  if (differences.length === 0) return;
  const lines = differences.map(
    ({ property, actual, expected }) => `- ${property}: ${actual}; the inputs request ${expected}`,
  );
  throw new ActionError(`comparing deployment ${plan.deployment} with the inputs`, {
    message: `Deployment ${plan.deployment} already exists and differs from the inputs:\n${lines.join('\n')}`,
    reason: 'A rerun adopts only a deployment that matches the inputs; nothing that exists is changed or replaced.',
    fix: driftFix(plan, part, differences),
  });
}

/** How to resolve differences: for the whole deployment, and for each property that can be changed in place. */
export function driftFix(plan: Plan, part: 'vm' | 'network', differences: readonly Difference[]): readonly string[] {
  return [
    ...(part === 'vm'
      ? ['To delete the VM with its disks and create it again on the same network, set `if-exists: replace`.']
      : []),
    `To replace the whole deployment, run this action with \`operation: delete\` and \`vm-name: ${plan.deployment}\` first.`,
    'To keep it, give another `vm-name`.',
    ...differences.flatMap(({ fix = [] }) => fix),
  ];
}

/** Compares the existing network resources with the plan; none of them is ever changed. */
export function compareNetwork(existing: ExistingResources, plan: Plan) {
  const { nic, nsg, vnet, publicIp } = existing;
  const regions = networkParts.map((part) =>
    compareRegion(`region of the ${resourceTitles[part]}`, existing[part] ?? {}, plan),
  );
  const comparisons: readonly [string | undefined, readonly Comparison[]][] = [
    [undefined, regions],
    [plan.nic.id, nic ? compareInterface(nic, plan) : []],
    [plan.vnet?.id, isUsable(vnet) ? compareAddresses(vnet, plan) : []],
    [plan.publicIp?.id, isUsable(publicIp) ? compareLabel(publicIp, plan) : []],
    [undefined, isUsable(nsg) ? compareRules(nsg, plan) : []],
  ];
  return {
    differences: comparisons.flatMap(([id, list]) => findDifferences(plan.patches.get(id?.toLowerCase() ?? ''), list)),
    // Those that this action did not create stay.
    otherRules: (isUsable(nsg) ? (nsg.securityRules ?? []) : [])
      .filter((rule) => !isGeneratedRule(rule))
      .map(({ name = '' }) => name),
  };
}

/** The run's tags and those of the inputs, as `overrides` patch them on this resource. */
export function requestedTags({ tags, patches }: Plan, id: string): Readonly<Record<string, string>> {
  const patched = mergePatch({ tags }, patches.get(id.toLowerCase()) ?? {});
  return (patched as { readonly tags: Readonly<Record<string, string>> }).tags;
}

/** Compares the tags that the inputs request. A rerun updates these, so they are no reason to refuse or replace. */
export function compareTags(
  { id = '', tags }: { readonly id?: string; readonly tags?: Tags },
  plan: Plan,
): Difference[] {
  return Object.entries(requestedTags(plan, id)).flatMap(([name, expected]) => {
    const actual = tagValue(tags, name);
    if (reservedTags.includes(name.toLowerCase()) || actual === expected) return [];
    return [{ property: `tag ${name}`, actual: actual ?? 'none', expected }];
  });
}

/** A failed resource is created again from the plan, so it is not compared. */
function isUsable<Resource extends { readonly provisioningState?: string }>(
  resource: Resource | undefined,
): resource is Resource {
  return resource !== undefined && !isFailedState(resource);
}

function primaryConfiguration({ ipConfigurations = [] }: NetworkInterface) {
  return ipConfigurations.find(({ primary }) => primary) ?? ipConfigurations[0] ?? {};
}

function compareInterface(nic: NetworkInterface, plan: Plan): readonly Comparison[] {
  if (plan.nic.origin === 'given') return [];
  const { body } = plan.nic;
  const [actual, expected] = [primaryConfiguration(nic), primaryConfiguration(body)];
  const path = 'properties.ipConfigurations';
  return [
    { property: 'subnet', path, ...pair(actual.subnet?.id, expected.subnet?.id) },
    { property: 'public IP', path, ...pair(actual.publicIPAddress?.id, expected.publicIPAddress?.id) },
    // A dynamic address is Azure's choice.
    { property: 'private address', path, actual: actual.privateIPAddress, expected: expected.privateIPAddress },
    {
      property: 'network security group',
      path: 'properties.networkSecurityGroup.id',
      ...pair(nic.networkSecurityGroup?.id, body.networkSecurityGroup?.id),
    },
    {
      property: 'accelerated networking',
      path: 'properties.enableAcceleratedNetworking',
      actual: `${nic.enableAcceleratedNetworking === true}`,
      expected: `${body.enableAcceleratedNetworking === true}`,
    },
  ];
}

/** Two resource IDs, of which either may be absent. */
function pair(actual = '', expected = '') {
  return { actual, expected, isEqual: sameId(actual, expected) };
}

/** The address space may have grown and other subnets may have been added; only what the inputs request is compared. */
function compareAddresses(vnet: VirtualNetwork, { vnet: planned }: Plan): readonly Comparison[] {
  if (!planned) return [];
  const subnetPrefixes = ({ subnets = [] }: VirtualNetwork): readonly string[] => {
    const subnet = subnets.find(({ name }) => name?.toLowerCase() === subnetName);
    return oneOrMany(subnet?.addressPrefix, subnet?.addressPrefixes);
  };
  const prefixes = ({ addressSpace }: VirtualNetwork) => addressSpace?.addressPrefixes ?? [];
  const compare = (actual: readonly string[], expected: readonly string[]) => ({
    actual: actual.join(', '),
    expected: expected.join(', '),
    isEqual: expected.every((prefix) => actual.includes(prefix)),
  });
  return [
    { property: 'address prefix', path: 'properties.addressSpace', ...compare(prefixes(vnet), prefixes(planned.body)) },
    {
      property: 'subnet prefix',
      path: 'properties.subnets',
      ...compare(subnetPrefixes(vnet), subnetPrefixes(planned.body)),
    },
  ];
}

function compareLabel({ dnsSettings }: PublicIPAddress, plan: Plan): readonly Comparison[] {
  const { publicIp } = plan;
  if (publicIp?.origin !== 'made') return [];
  const expected = publicIp.body.dnsSettings?.domainNameLabel;
  return [
    {
      property: 'DNS label',
      path: 'properties.dnsSettings.domainNameLabel',
      actual: dnsSettings?.domainNameLabel ?? '',
      // A label that the inputs do not name opens nothing, and somebody may have added it.
      expected,
      fix: [
        'To change the existing label, and then run the step again:',
        shellCommand`az network public-ip update --subscription ${plan.subscriptionId} -g ${plan.resourceGroup} -n ${publicIp.name} --dns-name ${expected ?? ''}`,
      ],
    },
  ];
}

/** All planned rules must exist, and no other generated ones. They only allow: their order has no effect. */
function compareRules({ securityRules: all = [] }: NetworkSecurityGroup, plan: Plan): readonly Comparison[] {
  const { nsg } = plan;
  if (nsg?.origin !== 'made' || rulesAreOverridden(plan)) return [];
  const planned = nsg.body.securityRules ?? [];
  const generated = all.filter(isGeneratedRule);
  const isIn = (rules: readonly SecurityRule[]) => {
    const known = new Set(rules.map((rule) => formatRule(rule).toLowerCase()));
    return (rule: SecurityRule): boolean => known.has(formatRule(rule).toLowerCase());
  };
  if (planned.every(isIn(all)) && generated.every(isIn(planned))) return [];
  const list = (rules: readonly SecurityRule[]): string => rules.map(formatRule).join(', ') || 'none';
  return [
    {
      property: 'inbound rules',
      actual: list(generated),
      expected: list(planned),
      isEqual: false,
      fix: rulesFix(generated, planned, nsg.name, plan),
    },
  ];
}

/** Makes the rules exactly those of the plan, priorities included: Azure refuses two rules of one priority. */
function rulesFix(
  existing: readonly SecurityRule[],
  planned: readonly SecurityRule[],
  group: string,
  { subscriptionId, resourceGroup }: Plan,
): readonly string[] {
  const key = ({ name, priority, ...rule }: SecurityRule): string =>
    `${name} ${priority} ${formatRule(rule)}`.toLowerCase();
  const notIn = (others: readonly SecurityRule[], rules: readonly SecurityRule[]) => {
    const keys = new Set(others.map(key));
    return rules.filter((rule) => !keys.has(key(rule)));
  };
  return [
    'To change the existing rules, and then run the step again:',
    ...notIn(planned, existing).map(
      ({ name = '' }) =>
        shellCommand`az network nsg rule delete --subscription ${subscriptionId} -g ${resourceGroup} --nsg-name ${group} -n ${name}`,
    ),
    ...notIn(existing, planned).map(
      ({ name = '', priority, protocol = '*', sourceAddressPrefix = '*', destinationPortRange = '*' }) =>
        shellCommand`az network nsg rule create --subscription ${subscriptionId} -g ${resourceGroup} --nsg-name ${group} -n ${name} --priority ${`${priority}`} --access Allow --protocol ${protocol} --source-address-prefixes ${sourceAddressPrefix} --destination-port-ranges ${destinationPortRange}`,
    ),
  ];
}

/** A rule in the syntax of `allow-inbound`, followed by what no generated rule has. */
function formatRule(rule: SecurityRule): string {
  const { access = 'Allow', direction = 'Inbound', protocol = '*' } = rule;
  const list = (value: string | undefined, values: readonly string[] | undefined, empty: string): string =>
    oneOrMany(value, values).join(' and ') || empty;
  const groups = 'an application security group';
  const ports = list(rule.destinationPortRange, rule.destinationPortRanges, '*');
  const source = list(rule.sourceAddressPrefix, rule.sourceAddressPrefixes, groups);
  const destination = list(rule.destinationAddressPrefix, rule.destinationAddressPrefixes, groups);
  const sourcePorts = list(rule.sourcePortRange, rule.sourcePortRanges, '*');
  return [
    ...(access.toLowerCase() === 'allow' ? [] : [access.toLowerCase()]),
    ...(direction.toLowerCase() === 'inbound' ? [] : [direction.toLowerCase()]),
    `${ports}/${protocol.toLowerCase()} from ${source}`,
    ...(sourcePorts === '*' ? [] : [`port ${sourcePorts}`]),
    ...(destination === '*' ? [] : [`to ${destination}`]),
  ].join(' ');
}

/** Network returns a single value or a list, in different properties. */
function oneOrMany(value: string | undefined, values: readonly string[] = []): readonly string[] {
  return value ? [value, ...values] : values;
}
