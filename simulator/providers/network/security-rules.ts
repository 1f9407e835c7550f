/** Security rules: checks and answers. */
import ipaddr from 'ipaddr.js';
import { refuseNetwork } from '../../model/arm-error.ts';
import type { Json } from '../../model/contract.ts';

/**
 * Known service tags in lower case, without regional suffix (`Storage.WestEurope`):
 * https://learn.microsoft.com/azure/virtual-network/service-tags-overview
 */
const serviceTags = new Set([
  'virtualnetwork',
  'azureloadbalancer',
  'internet',
  'azurecloud',
  'azureactivedirectory',
  'azurecontainerregistry',
  'azuredevops',
  'azurefrontdoor',
  'azurekeyvault',
  'azuremonitor',
  'azureresourcemanager',
  'azuretrafficmanager',
  'apimanagement',
  'appservice',
  'azurebackup',
  'eventhub',
  'gatewaymanager',
  'microsoftcontainerregistry',
  'servicebus',
  'sql',
  'storage',
]);

const protocols = ['Tcp', 'Udp', 'Icmp', 'Esp', 'Ah', '*'];

/** Checks the rules of the group `groupId`. */
export function checkRules(groupId: string, rules: readonly Json[]): void {
  const names = new Set<string>();
  const slots = new Map<string, string>();
  for (const rule of rules) {
    const name = String(rule['name'] ?? '');
    if (names.has(name.toLowerCase())) {
      throw refuseNetwork(
        'DuplicateResourceName',
        `Resource ${groupId} has two child resources with the same name (${name}).`,
      );
    }
    names.add(name.toLowerCase());
    checkRule(groupId, name, rule['properties'] ?? {});
    const properties: Json = rule['properties'];
    const slot = `${String(properties['direction']).toLowerCase()} ${properties['priority']}`;
    const other = slots.get(slot);
    if (other !== undefined) {
      throw refuseNetwork(
        'SecurityRuleConflict',
        `Security rule ${name} conflicts with rule ${other}. Rules cannot have the same Priority and Direction. To learn more, see aka.ms/nsgrules.`,
      );
    }
    slots.set(slot, name);
  }
}

function checkRule(groupId: string, name: string, properties: Json): void {
  if (!/^\w([\w.-]{0,78}\w)?$/.test(name)) {
    throw refuseNetwork(
      'InvalidResourceName',
      `Resource name ${name} is invalid. The name can be up to 80 characters long. It must begin with a word character, and it must end with a word character or with '_'. The name may contain word characters or '.', '-', '_'.`,
    );
  }
  const id = `${groupId}/securityRules/${name}`;
  const oneOf = (member: string, allowed: readonly string[]): void => {
    const value: string | undefined | null = properties[member];
    if (value === undefined || value === null) throw missingParameterError(id, member);
    if (!allowed.some((candidate) => candidate.toLowerCase() === value.toLowerCase())) {
      throw refuseNetwork(
        'SecurityRuleParameterContainsUnsupportedValue',
        `Security rule parameter ${capitalize(member)} for rule with Id ${id} contains unsupported value. Value provided: ${value}`,
      );
    }
  };
  oneOf('access', ['Allow', 'Deny']);
  oneOf('direction', ['Inbound', 'Outbound']);
  oneOf('protocol', protocols);
  const { priority } = properties;
  if (priority === undefined || priority < 100 || priority > 4096) {
    throw refuseNetwork(
      'SecurityRuleInvalidPriority',
      `Security rule has invalid Priority. Value provided: ${priority ?? 0} Allowed range 100-4096.`,
    );
  }
  for (const side of ['source', 'destination']) {
    const ports = singleOrList(id, properties, `${side}PortRange`, `${side}PortRanges`);
    for (const port of ports) checkPort(port);
    const prefixes = singleOrList(id, properties, `${side}AddressPrefix`, `${side}AddressPrefixes`);
    for (const prefix of prefixes) checkPrefix(prefix);
  }
}

/** A rule has either the single value or the list. */
function singleOrList(id: string, properties: Json, single: string, list: string): string[] {
  const value: string | undefined = properties[single] ?? undefined;
  const many: string[] = properties[list] ?? [];
  if (value === undefined && many.length === 0) throw missingParameterError(id, single);
  if (value !== undefined && many.length > 0) {
    throw refuseNetwork(
      'SecurityRuleParameterContainsBothSingularAndPluralValues',
      `Security rule parameters ${capitalize(single)} and ${capitalize(list)} for rule with Id ${id} cannot be specified together.`,
    );
  }
  return value === undefined ? many : [value];
}

function missingParameterError(id: string, member: string): Error {
  return refuseNetwork(
    'SecurityRuleParameterNotSpecified',
    `Security rule parameter ${capitalize(member)} for rule with Id ${id} is not specified.`,
  );
}

function checkPort(port: string): void {
  if (port === '*') return;
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(port);
  const from = Number(match?.[1]);
  const to = Number(match?.[2] ?? match?.[1]);
  if (match && from <= to && to <= 65535) return;
  throw refuseNetwork(
    'SecurityRuleInvalidPortRange',
    `Security rule has invalid Port range. Value provided: ${port}. Value should be an integer OR integer range with '-' delimiter. Valid range 0-65535.`,
  );
}

function checkPrefix(prefix: string): void {
  if (prefix === '*' || serviceTags.has((prefix.split('.')[0] ?? '').toLowerCase())) return;
  if (ipaddr.isValid(prefix) || ipaddr.isValidCIDR(prefix)) return;
  throw refuseNetwork(
    'SecurityRuleInvalidAddressPrefix',
    `Security rule has invalid Address prefix. Value provided: ${prefix}`,
  );
}

function capitalize(member: string): string {
  return `${member.charAt(0).toUpperCase()}${member.slice(1)}`;
}

export function ruleBody(groupId: string, rule: Json, etag: string, state: string): Json {
  const name = String(rule['name']);
  const sent: Json = rule['properties'];
  return {
    name,
    id: `${groupId}/securityRules/${name}`,
    etag,
    type: 'Microsoft.Network/networkSecurityGroups/securityRules',
    properties: {
      provisioningState: state,
      ...sent,
      sourcePortRanges: sent['sourcePortRanges'] ?? [],
      destinationPortRanges: sent['destinationPortRanges'] ?? [],
      sourceAddressPrefixes: sent['sourceAddressPrefixes'] ?? [],
      destinationAddressPrefixes: sent['destinationAddressPrefixes'] ?? [],
    },
  };
}

const defaultRuleTable: readonly [string, string, string, string, 'Allow' | 'Deny', number, 'Inbound' | 'Outbound'][] =
  [
    [
      'AllowVnetInBound',
      'Allow inbound traffic from all VMs in VNET',
      'VirtualNetwork',
      'VirtualNetwork',
      'Allow',
      65000,
      'Inbound',
    ],
    [
      'AllowAzureLoadBalancerInBound',
      'Allow inbound traffic from azure load balancer',
      'AzureLoadBalancer',
      '*',
      'Allow',
      65001,
      'Inbound',
    ],
    ['DenyAllInBound', 'Deny all inbound traffic', '*', '*', 'Deny', 65500, 'Inbound'],
    [
      'AllowVnetOutBound',
      'Allow outbound traffic from all VMs to all VMs in VNET',
      'VirtualNetwork',
      'VirtualNetwork',
      'Allow',
      65000,
      'Outbound',
    ],
    [
      'AllowInternetOutBound',
      'Allow outbound traffic from all VMs to Internet',
      '*',
      'Internet',
      'Allow',
      65001,
      'Outbound',
    ],
    ['DenyAllOutBound', 'Deny all outbound traffic', '*', '*', 'Deny', 65500, 'Outbound'],
  ];

/** The six default rules of every group (recorded). */
export function defaultRules(groupId: string, etag: string, state: string): Json[] {
  return defaultRuleTable.map(([name, description, source, destination, access, priority, direction]) => ({
    name,
    id: `${groupId}/defaultSecurityRules/${name}`,
    etag,
    type: 'Microsoft.Network/networkSecurityGroups/defaultSecurityRules',
    properties: {
      provisioningState: state,
      description,
      protocol: '*',
      sourcePortRange: '*',
      destinationPortRange: '*',
      sourceAddressPrefix: source,
      destinationAddressPrefix: destination,
      access,
      priority,
      direction,
      sourcePortRanges: [],
      destinationPortRanges: [],
      sourceAddressPrefixes: [],
      destinationAddressPrefixes: [],
    },
  }));
}
