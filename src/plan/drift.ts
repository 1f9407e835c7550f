import type {
  NetworkInterface,
  NetworkSecurityGroup,
  PublicIPAddress,
  SecurityRule,
  VirtualNetwork,
} from '@azure/arm-network';
import { sameId, normaliseRegion } from '../azure/resource-id.ts';
import { type ExistingResources, subnetName, type Plan } from '../deployment/resources.ts';
import { isPatched } from '../inputs/overrides.ts';
import { quoteForShell } from '../lib/escape.ts';
import { isGeneratedRule } from '../network/network-spec.ts';
import { isFailedState } from '../vm/vm-status.ts';
import { ActionError } from '../errors/action-error.ts';

/** One property in which an existing resource differs from the inputs. */
export interface Difference {
  readonly property: string;
  readonly actual: string;
  readonly expected: string;
  /** How to change the existing resource, if Azure can change it in place. */
  readonly fix?: readonly string[];
}

/** Only the VM can be replaced by `if-exists: replace`. */
type DriftPart = 'vm' | 'network';

/** A resource never changes its region. If either region is unknown, as in some checks, nothing is compared. */
export function compareRegion(
  property: string,
  { location = '' }: { readonly location?: string },
  plan: Plan,
): Difference[] {
  const region = normaliseRegion(location);
  return region === '' || plan.location === '' || region === normaliseRegion(plan.location)
    ? []
    : [{ property, actual: region, expected: plan.location }];
}

/** A merge patch replaces a list as a whole, so the resulting rules are not known before Azure has them. */
export function rulesAreOverridden({ nsg, patches }: Plan): boolean {
  return nsg !== undefined && isPatched(patches.get(nsg.id.toLowerCase()), 'properties.securityRules');
}

/** @throws ActionError that lists every difference: existing resources are never changed. */
export function assertNoDrift(plan: Plan, part: DriftPart, differences: readonly Difference[]): void {
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
export function driftFix(plan: Plan, part: DriftPart, differences: readonly Difference[]): readonly string[] {
  return [
    ...(part === 'vm'
      ? ['To delete the VM with its disks and create it again on the same network, set `if-exists: replace`.']
      : []),
    `To replace the whole deployment, run this action with \`operation: delete\` and \`vm-name: ${plan.deployment}\` first.`,
    'To keep it, give another `vm-name`.',
    ...differences.flatMap(({ fix = [] }) => fix),
  ];
}

interface NetworkComparison {
  readonly differences: readonly Difference[];
  /** Names of rules in the security group that this action did not create: they stay. */
  readonly otherRules: readonly string[];
}

/** Compares the existing network resources with the plan; none of them is ever changed. */
export function compareNetwork(existing: ExistingResources, plan: Plan): NetworkComparison {
  const { nic, nsg, vnet, publicIp } = existing;
  const resources = [
    ['network interface', nic],
    ['network security group', nsg],
    ['virtual network', vnet],
    ['public IP', publicIp],
  ] as const;
  return {
    differences: [
      ...resources.flatMap(([title, resource]) =>
        resource ? compareRegion(`region of the ${title}`, resource, plan) : [],
      ),
      ...(nic ? compareInterface(nic, plan) : []),
      ...(isUsable(vnet) ? compareAddresses(vnet, plan) : []),
      ...(isUsable(publicIp) ? compareLabel(publicIp, plan) : []),
      ...(isUsable(nsg) ? compareRules(nsg, plan) : []),
    ],
    otherRules: (isUsable(nsg) ? (nsg.securityRules ?? []) : [])
      .filter((rule) => !isGeneratedRule(rule))
      .map(({ name = '' }) => name),
  };
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

function compareInterface(nic: NetworkInterface, plan: Plan): Difference[] {
  if (plan.nic.origin === 'given') return [];
  const patch = plan.patches.get(plan.nic.id.toLowerCase());
  const [actual, expected] = [primaryConfiguration(nic), primaryConfiguration(plan.nic.body)];
  const configuration = 'properties.ipConfigurations';
  const comparisons = [
    ['subnet', configuration, actual.subnet?.id, expected.subnet?.id],
    ['public IP', configuration, actual.publicIPAddress?.id, expected.publicIPAddress?.id],
    [
      'private address',
      configuration,
      actual.privateIPAddress,
      // A dynamic address is Azure's choice.
      expected.privateIPAddress ?? actual.privateIPAddress,
    ],
    [
      'network security group',
      'properties.networkSecurityGroup',
      nic.networkSecurityGroup?.id,
      plan.nic.body.networkSecurityGroup?.id,
    ],
    [
      'accelerated networking',
      'properties.enableAcceleratedNetworking',
      `${nic.enableAcceleratedNetworking === true}`,
      `${plan.nic.body.enableAcceleratedNetworking === true}`,
    ],
  ] as const;
  return comparisons
    .filter(([, path, has, wanted]) => !sameId(has ?? '', wanted ?? '') && !isPatched(patch, path))
    .map(([property, , has, wanted]) => ({ property, actual: has || 'none', expected: wanted || 'none' }));
}

/** The address space may have grown and other subnets may have been added; only what the inputs request is compared. */
function compareAddresses(vnet: VirtualNetwork, { vnet: planned, patches }: Plan): Difference[] {
  if (!planned) return [];
  const patch = patches.get(planned.id.toLowerCase());
  const subnetPrefixes = ({ subnets = [] }: VirtualNetwork): readonly string[] => {
    const subnet = subnets.find(({ name }) => name?.toLowerCase() === subnetName);
    return oneOrMany(subnet?.addressPrefix, subnet?.addressPrefixes);
  };
  const prefixes = ({ addressSpace }: VirtualNetwork) => addressSpace?.addressPrefixes ?? [];
  const comparisons = [
    ['address prefix', 'properties.addressSpace', prefixes(vnet), prefixes(planned.body)],
    ['subnet prefix', 'properties.subnets', subnetPrefixes(vnet), subnetPrefixes(planned.body)],
  ] as const;
  return comparisons
    .filter(
      ([, path, actual, expected]) => !isPatched(patch, path) && !expected.every((prefix) => actual.includes(prefix)),
    )
    .map(([property, , actual, expected]) => ({
      property,
      actual: actual.join(', ') || 'none',
      expected: expected.join(', '),
    }));
}

function compareLabel({ dnsSettings }: PublicIPAddress, plan: Plan): Difference[] {
  const { publicIp, patches } = plan;
  if (publicIp?.origin !== 'made') return [];
  if (isPatched(patches.get(publicIp.id.toLowerCase()), 'properties.dnsSettings')) return [];
  const actual = dnsSettings?.domainNameLabel ?? '';
  const expected = publicIp.body.dnsSettings?.domainNameLabel;
  // A label that the inputs do not name opens nothing, and somebody may have added it.
  if (!expected || actual.toLowerCase() === expected.toLowerCase()) return [];
  return [
    {
      property: 'DNS label',
      actual: actual || 'none',
      expected,
      fix: [
        'To change the existing label, and then run the step again:',
        `az network public-ip update ${groupOptions(plan)} -n ${quoteForShell(publicIp.name)} --dns-name ${expected}`,
      ],
    },
  ];
}

/**
 * All planned rules must exist, and no other generated ones. Priorities are not compared: generated rules only allow, so
 * their order has no effect.
 */
function compareRules({ securityRules: all = [] }: NetworkSecurityGroup, plan: Plan): Difference[] {
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
      fix: rulesFix(generated, planned, nsg.name, plan),
    },
  ];
}

/** Makes the rules exactly those of the plan, priorities included: Azure refuses two rules of one priority. */
function rulesFix(
  existing: readonly SecurityRule[],
  planned: readonly SecurityRule[],
  group: string,
  plan: Plan,
): readonly string[] {
  const key = ({ name, priority, ...rule }: SecurityRule): string =>
    `${name} ${priority} ${formatRule(rule)}`.toLowerCase();
  const notIn = (others: readonly SecurityRule[], rules: readonly SecurityRule[]) => {
    const keys = new Set(others.map(key));
    return rules.filter((rule) => !keys.has(key(rule)));
  };
  const command = (verb: string, { name = '' }: SecurityRule): string =>
    `az network nsg rule ${verb} ${groupOptions(plan)} --nsg-name ${quoteForShell(group)} -n ${quoteForShell(name)}`;
  return [
    'To change the existing rules, and then run the step again:',
    ...notIn(planned, existing).map((rule) => command('delete', rule)),
    ...notIn(existing, planned).map((rule) =>
      [
        command('create', rule),
        `--priority ${rule.priority} --access Allow --protocol ${quoteForShell(rule.protocol ?? '*')}`,
        `--source-address-prefixes ${quoteForShell(rule.sourceAddressPrefix ?? '*')}`,
        `--destination-port-ranges ${quoteForShell(rule.destinationPortRange ?? '*')}`,
      ].join(' '),
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

function groupOptions({ subscriptionId, resourceGroup }: Plan): string {
  return `--subscription ${subscriptionId} -g ${quoteForShell(resourceGroup)}`;
}
