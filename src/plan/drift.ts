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
  findPrimary,
  networkParts,
  resourceTitles,
  subnetName,
} from '../deployment/resources.ts';
import { type TaggedResource, tagValue } from '../deployment/ownership.ts';
import { isPatched, patchedSetting, reservedTags } from '../inputs/overrides.ts';
import { shellCommand } from '../lib/escape.ts';
import { type MergePatch, mergePatch } from '../lib/json.ts';
import { isGeneratedRule } from '../network/network-spec.ts';
import { isFailedState } from '../vm/vm-status.ts';
import { ActionError } from '../errors/errors.ts';

export interface Difference {
  readonly property: string;
  readonly actual: string;
  readonly expected: string;
  /** How to change the existing resource, if Azure can change it in place. */
  readonly fix?: readonly string[];
}

/** What a GET returns and what the inputs request. Undefined: not comparable. */
export type Comparison = readonly [
  property: string,
  /** Below `properties`, except `identity` and `zones`. An override of it replaces what the inputs request. */
  path: string | undefined,
  actual: Setting,
  expected: Setting,
  isEqual?: boolean,
  fix?: Difference['fix'],
];

export type Setting = string | number | undefined;

/** A value that Azure does not return, or that the inputs leave to Azure, cannot differ. */
export function isSameSetting(actual: Setting, expected: Setting): boolean {
  if (actual === undefined || expected === undefined) return true;
  return `${actual}`.toLowerCase() === `${expected}`.toLowerCase();
}

/** Two resource IDs, of which either may be absent. */
export function compareIds(property: string, path: string, actual = '', expected = ''): Comparison {
  return [property, path, actual, expected, sameId(actual, expected)];
}

/** The existing list may contain more than the inputs request. */
export function compareLists(property: string, path: string, actual: readonly string[], expected: readonly string[]) {
  const isEqual = expected.every((each) => actual.includes(each));
  return [property, path, actual.join(', '), expected.join(', '), isEqual] as const;
}

/** @param patch of the resource; what it sets to a list or an object is not compared. */
export function findDifferences(patch: MergePatch | undefined, comparisons: readonly Comparison[]): Difference[] {
  return comparisons.flatMap(([property, path = '', actual, expected, isEqual, fix]) => {
    const fullPath = /^(identity|zones|)$/.test(path) ? path : `properties.${path}`;
    const patched = patchedSetting(patch, fullPath);
    const requested = patched ?? expected;
    const isSame = isPatched(patch, fullPath)
      ? isSameSetting(actual, patched)
      : (isEqual ?? isSameSetting(actual, expected));
    if (isSame) return [];
    const texts = { actual: `${actual ?? ''}` || 'none', expected: `${requested ?? ''}` || 'none' };
    return [{ property, ...texts, fix: patched === undefined ? fix : undefined }];
  });
}

/** A resource never changes its region. If either region is unknown, as in some checks, nothing is compared. */
export function compareRegion(property: string, { location = '' }: { location?: string }, plan: Plan): Comparison {
  const region = normaliseRegion(location);
  const isEqual = region === '' || plan.location === '' || region === normaliseRegion(plan.location);
  return [property, undefined, region, plan.location, isEqual];
}

/** A merge patch replaces a list as a whole, so the resulting rules are not known before Azure has them. */
export function rulesAreOverridden({ nsg, patches }: Plan): boolean {
  return nsg !== undefined && isPatched(patches.get(nsg.id.toLowerCase()), 'properties.securityRules');
}

export function formatDifference({ property, actual, expected }: Difference): string {
  return `${property}: ${actual}; the inputs request ${expected}`;
}

/** @throws ActionError that lists every difference: existing resources are never changed. */
export function assertNoDrift(plan: Plan, part: 'vm' | 'network', differences: readonly Difference[]): void {
  if (differences.length === 0) return;
  const lines = differences.map((difference) => `- ${formatDifference(difference)}`);
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
  const { nic } = existing;
  const [nsg, vnet, publicIp] = [usable(existing.nsg), usable(existing.vnet), usable(existing.publicIp)];
  const regions = networkParts.map((part) =>
    compareRegion(`region of the ${resourceTitles[part]}`, existing[part] ?? {}, plan),
  );
  const comparisons: readonly [string | undefined, readonly Comparison[]][] = [
    [undefined, regions],
    [plan.nic.id, nic ? compareInterface(nic, plan) : []],
    [plan.vnet?.id, vnet ? compareAddresses(vnet, plan) : []],
    [plan.publicIp?.id, publicIp ? compareLabel(publicIp, plan) : []],
    [undefined, nsg ? compareRules(nsg, plan) : []],
  ];
  return {
    differences: comparisons.flatMap(([id, list]) => findDifferences(plan.patches.get(id?.toLowerCase() ?? ''), list)),
    // Those that this action did not create stay.
    otherRules: (nsg?.securityRules ?? []).flatMap((rule) => (isGeneratedRule(rule) ? [] : (rule.name ?? ''))),
  };
}

/** The run's tags and those of the inputs, as `overrides` patch them on this resource. */
export function requestedTags({ tags, patches }: Plan, id: string): Readonly<Record<string, string>> {
  const patched = mergePatch({ tags }, patches.get(id.toLowerCase()) ?? {});
  return (patched as { readonly tags: Readonly<Record<string, string>> }).tags;
}

/** Compares the tags that the inputs request. A rerun updates these, so they are no reason to refuse or replace. */
export function compareTags({ id = '', tags }: TaggedResource, plan: Plan): Difference[] {
  return Object.entries(requestedTags(plan, id)).flatMap(([name, expected]) => {
    const actual = tagValue(tags, name);
    if (reservedTags.includes(name.toLowerCase()) || actual === expected) return [];
    return [{ property: `tag ${name}`, actual: actual ?? 'none', expected }];
  });
}

/** A failed resource is created again from the plan, so it is not compared. */
function usable<T extends { readonly provisioningState?: string }>(resource: T | undefined): T | undefined {
  return resource && !isFailedState(resource) ? resource : undefined;
}

function compareInterface(nic: NetworkInterface, plan: Plan): readonly Comparison[] {
  if (plan.nic.origin === 'given') return [];
  const { body } = plan.nic;
  const [actual, expected] = [nic, body].map(({ ipConfigurations }) => findPrimary(ipConfigurations));
  const path = 'ipConfigurations';
  const [group, expectedGroup] = [nic, body].map(({ networkSecurityGroup }) => networkSecurityGroup?.id);
  const [isAccelerated, accelerate] = [nic, body].map((each) => `${each.enableAcceleratedNetworking === true}`);
  return [
    compareIds('subnet', path, actual?.subnet?.id, expected?.subnet?.id),
    compareIds('public IP', path, actual?.publicIPAddress?.id, expected?.publicIPAddress?.id),
    // A dynamic address is Azure's choice.
    ['private address', path, actual?.privateIPAddress, expected?.privateIPAddress],
    compareIds('network security group', 'networkSecurityGroup.id', group, expectedGroup),
    ['accelerated networking', 'enableAcceleratedNetworking', isAccelerated, accelerate],
  ];
}

function compareAddresses(vnet: VirtualNetwork, { vnet: planned }: Plan): readonly Comparison[] {
  if (!planned) return [];
  const subnetPrefixes = ({ subnets = [] }: VirtualNetwork): readonly string[] => {
    const subnet = subnets.find(({ name }) => name?.toLowerCase() === subnetName);
    return oneOrMany(subnet?.addressPrefix, subnet?.addressPrefixes);
  };
  const prefixes = ({ addressSpace }: VirtualNetwork) => addressSpace?.addressPrefixes ?? [];
  return [
    compareLists('address prefix', 'addressSpace', prefixes(vnet), prefixes(planned.body)),
    compareLists('subnet prefix', 'subnets', subnetPrefixes(vnet), subnetPrefixes(planned.body)),
  ];
}

function compareLabel({ dnsSettings }: PublicIPAddress, plan: Plan): readonly Comparison[] {
  const { publicIp } = plan;
  if (publicIp?.origin !== 'made') return [];
  const actual = dnsSettings?.domainNameLabel ?? '';
  // A label that the inputs do not name opens nothing, and somebody may have added it.
  const expected = publicIp.body.dnsSettings?.domainNameLabel;
  const fix = [
    'To change the existing label, and then run the step again:',
    shellCommand`az network public-ip update --subscription ${plan.subscriptionId} -g ${plan.resourceGroup} -n ${publicIp.name} --dns-name ${expected ?? ''}`,
  ];
  return [['DNS label', 'dnsSettings.domainNameLabel', actual, expected, undefined, fix]];
}

/** All planned rules must exist, and no other generated ones. They only allow: their order has no effect. */
function compareRules({ securityRules: all = [] }: NetworkSecurityGroup, plan: Plan): readonly Comparison[] {
  const { nsg } = plan;
  if (nsg?.origin !== 'made' || rulesAreOverridden(plan)) return [];
  const planned = nsg.body.securityRules ?? [];
  const generated = all.filter(isGeneratedRule);
  const different = [...rulesNotIn(all, planned, formatRule), ...rulesNotIn(planned, generated, formatRule)];
  if (different.length === 0) return [];
  const list = (rules: readonly SecurityRule[]): string => rules.map(formatRule).join(', ') || 'none';
  const fix = rulesFix(generated, planned, nsg.name, plan);
  return [['inbound rules', undefined, list(generated), list(planned), false, fix]];
}

function rulesNotIn(
  others: readonly SecurityRule[],
  rules: readonly SecurityRule[],
  format: (rule: SecurityRule) => string,
): readonly SecurityRule[] {
  const known = new Set(others.map((rule) => format(rule).toLowerCase()));
  return rules.filter((rule) => !known.has(format(rule).toLowerCase()));
}

/** Makes the rules exactly those of the plan, priorities included: Azure refuses two rules of one priority. */
function rulesFix(
  existing: readonly SecurityRule[],
  planned: readonly SecurityRule[],
  group: string,
  { subscriptionId, resourceGroup }: Plan,
): readonly string[] {
  const format = (rule: SecurityRule): string => `${rule.name} ${rule.priority} ${formatRule(rule)}`;
  return [
    'To change the existing rules, and then run the step again:',
    ...rulesNotIn(planned, existing, format).map(
      ({ name = '' }) =>
        shellCommand`az network nsg rule delete --subscription ${subscriptionId} -g ${resourceGroup} --nsg-name ${group} -n ${name}`,
    ),
    ...rulesNotIn(existing, planned, format).map(
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
