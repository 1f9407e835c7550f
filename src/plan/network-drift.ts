import type {
  NetworkInterface,
  NetworkSecurityGroup,
  PublicIPAddress,
  SecurityRule,
  VirtualNetwork,
} from '@azure/arm-network';
import { sameId } from '../azure/resource-id.ts';
import { type ExistingResources, subnetName } from '../deployment/resources.ts';
import type { Plan } from '../deployment/plan.ts';
import { quoteForShell } from '../lib/escape.ts';
import { isGeneratedRule } from '../network/network-spec.ts';
import { isFailedState } from '../vm/vm-status.ts';
import { type Difference, compareRegion, overriddenProperty, rulesAreOverridden } from './drift.ts';

/** What a rerun makes of the network that is there. */
interface NetworkComparison {
  readonly differences: readonly Difference[];
  /** Names of rules in the security group that this action never made: they stay, and nobody is asked about them. */
  readonly otherRules: readonly string[];
}

/** Compares the parts of the network that are there with those that would be made: none of them is changed unasked. */
export function compareNetwork(existing: ExistingResources, plan: Plan): NetworkComparison {
  const { nic, nsg, vnet, publicIp } = existing;
  const parts = [
    ['network interface', nic],
    ['network security group', nsg],
    ['virtual network', vnet],
    ['public IP', publicIp],
  ] as const;
  return {
    differences: [
      ...parts.flatMap(([property, part]) =>
        part ? compareRegion(`region of the ${property}`, part, plan) : [],
      ),
      ...(nic ? compareInterface(nic, plan) : []),
      ...(isUnchanged(vnet) ? compareAddresses(vnet, plan) : []),
      ...(isUnchanged(publicIp) ? compareLabel(publicIp, plan) : []),
      ...(isUnchanged(nsg) ? compareRules(nsg, plan) : []),
    ],
    otherRules: (isUnchanged(nsg) ? (nsg.securityRules ?? []) : [])
      .filter((rule) => !isGeneratedRule(rule))
      .map(({ name = '' }) => name),
  };
}

/** What failed is made again as it should be; anything else stays as it is. */
function isUnchanged<Part extends { readonly provisioningState?: string }>(
  part: Part | undefined,
): part is Part {
  return part !== undefined && !isFailedState(part);
}

function compareInterface(nic: NetworkInterface, plan: Plan): Difference[] {
  if (plan.nic.origin === 'given') return [];
  const patch = plan.patches.get(plan.nic.id.toLowerCase());
  const pairs: [what: string, has: string | undefined, wanted: string | undefined][] = [];
  const of = (body: NetworkInterface) =>
    body.ipConfigurations?.find(({ primary }) => primary) ?? body.ipConfigurations?.[0];
  const [actual, expected] = [of(nic), of(plan.nic.body)];
  if (!overriddenProperty(patch, 'ipConfigurations')) {
    pairs.push(['subnet', actual?.subnet?.id, expected?.subnet?.id]);
    pairs.push(['public IP', actual?.publicIPAddress?.id, expected?.publicIPAddress?.id]);
    if (expected?.privateIPAllocationMethod === 'Static') {
      pairs.push(['private address', actual?.privateIPAddress, expected.privateIPAddress]);
    }
  }
  if (!overriddenProperty(patch, 'networkSecurityGroup')) {
    pairs.push([
      'network security group',
      nic.networkSecurityGroup?.id,
      plan.nic.body.networkSecurityGroup?.id,
    ]);
  }
  return pairs
    .filter(([, one, other]) => !sameId(one ?? '', other ?? ''))
    .map(([property, one, other]) => ({ property, actual: one || 'none', expected: other || 'none' }));
}

/** The address space may have grown since, and other subnets may have come; what was asked for has to be there. */
function compareAddresses(vnet: VirtualNetwork, { vnet: planned, patches }: Plan): Difference[] {
  if (!planned) return [];
  const patch = patches.get(planned.id.toLowerCase());
  const subnetOf = ({ subnets = [] }: VirtualNetwork): readonly string[] => {
    const subnet = subnets.find(({ name }) => name?.toLowerCase() === subnetName);
    return joinSorted(subnet?.addressPrefix, subnet?.addressPrefixes);
  };
  const spaceOf = ({ addressSpace }: VirtualNetwork) => addressSpace?.addressPrefixes ?? [];
  const pairs = [
    ['address prefix', 'addressSpace', spaceOf(vnet), spaceOf(planned.body)],
    ['subnet prefix', 'subnets', subnetOf(vnet), subnetOf(planned.body)],
  ] as const;
  return pairs
    .filter(
      ([, member, actual, expected]) =>
        !overriddenProperty(patch, member) && !expected.every((one) => actual.includes(one)),
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
  if (overriddenProperty(patches.get(publicIp.id.toLowerCase()), 'dnsSettings')) return [];
  const actual = dnsSettings?.domainNameLabel ?? '';
  const expected = publicIp.body.dnsSettings?.domainNameLabel;
  // One that nobody asks for opens nothing, and somebody may have given it since.
  if (!expected || actual.toLowerCase() === expected.toLowerCase()) return [];
  return [
    {
      property: 'DNS label',
      actual: actual || 'none',
      expected,
      fix: [
        'To change the label of what is there, and then run the step again:',
        `az network public-ip update ${ipConfigurationPath(plan)} -n ${quoteForShell(publicIp.name)} --dns-name ${expected}`,
      ],
    },
  ];
}

/**
 * Every rule that is wanted has to be there, and none of ours that is not. Which number a rule has says nothing: all of
 * ours allow, so that their order makes no difference.
 */
function compareRules({ securityRules: all = [] }: NetworkSecurityGroup, plan: Plan): Difference[] {
  const { nsg } = plan;
  if (nsg?.origin !== 'made' || rulesAreOverridden(plan)) return [];
  const planned = nsg.body.securityRules ?? [];
  const own = all.filter(isGeneratedRule);
  const isIn = (rules: readonly SecurityRule[]) => {
    const told = new Set(rules.map((rule) => formatRule(rule).toLowerCase()));
    return (rule: SecurityRule): boolean => told.has(formatRule(rule).toLowerCase());
  };
  if (planned.every(isIn(all)) && own.every(isIn(planned))) return [];
  const list = (rules: readonly SecurityRule[]): string => rules.map(formatRule).join(', ') || 'none';
  return [
    {
      property: 'inbound rules',
      actual: list(own),
      expected: list(planned),
      fix: rulesFix(own, planned, nsg.name, plan),
    },
  ];
}

/** Makes the rules exactly those of the plan, numbers included: two of one number are refused. */
function rulesFix(
  own: readonly SecurityRule[],
  planned: readonly SecurityRule[],
  group: string,
  plan: Plan,
): readonly string[] {
  const whole = ({ name, priority, ...rule }: SecurityRule): string =>
    `${name} ${priority} ${formatRule(rule)}`.toLowerCase();
  const without = (these: readonly SecurityRule[], from: readonly SecurityRule[]) => {
    const there = new Set(these.map(whole));
    return from.filter((rule) => !there.has(whole(rule)));
  };
  const at = (verb: string, { name = '' }: SecurityRule): string =>
    `az network nsg rule ${verb} ${ipConfigurationPath(plan)} --nsg-name ${quoteForShell(group)} -n ${quoteForShell(name)}`;
  return [
    'To change the rules of what is there, and then run the step again:',
    ...without(planned, own).map((rule) => at('delete', rule)),
    ...without(own, planned).map((rule) =>
      [
        at('create', rule),
        `--priority ${rule.priority} --access Allow --protocol ${quoteForShell(rule.protocol ?? '*')}`,
        `--source-address-prefixes ${quoteForShell(rule.sourceAddressPrefix ?? '*')}`,
        `--destination-port-ranges ${quoteForShell(rule.destinationPortRange ?? '*')}`,
      ].join(' '),
    ),
  ];
}

/** A rule in the words of `allow-inbound`; what none of ours has is said besides. */
function formatRule(rule: SecurityRule): string {
  const { access = 'Allow', direction = 'Inbound', protocol = '*' } = rule;
  const list = (one: string | undefined, many: readonly string[] | undefined, none: string): string =>
    joinSorted(one, many).join(' and ') || none;
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

/** Network gives one value or a list of them, by the member that it is in. */
function joinSorted(one: string | undefined, many: readonly string[] = []): readonly string[] {
  return one ? [one, ...many] : many;
}

function ipConfigurationPath({ subscriptionId, resourceGroup }: Plan): string {
  return `--subscription ${subscriptionId} -g ${quoteForShell(resourceGroup)}`;
}
