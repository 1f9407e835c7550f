import { isIPv4 } from 'node:net';
import { contains, isAssignable, parseAddress, parsePrefix } from './address-range.ts';
import { parseInboundRule } from './inbound-rule.ts';
import { omitUndefined, quoteValue } from './input-reader.ts';
import type { InboundRule, NetworkChoice, Nsg, PublicIp, Reader } from './inputs.ts';

/** Reads the inputs that say where the machine is attached, and what each of them rules out. */
export function readNetwork(reader: Reader): NetworkChoice | undefined {
  if (reader.isGiven('nic-id')) {
    const nicId = reader.resourceId('nic-id', 'Microsoft.Network/networkInterfaces');
    reader.rejectIfGiven(
      [
        'address-prefix',
        'subnet-prefix',
        'subnet-id',
        'network-security-group-id',
        'public-ip',
        'dns-label',
        'allow-inbound',
        'accelerated-networking',
        'private-ip-address',
      ],
      'with nic-id no networking is made, everything is as the interface has it',
    );
    return nicId && { kind: 'given-nic', nicId };
  }
  const subnet = readSubnet(reader);
  const nsg = readNsg(reader);
  const publicIp = readPublicIpInput(reader);
  const acceleratedNetworking = reader.boolean('accelerated-networking');
  const privateIpAddress = readPrivateIpAddress(reader);
  return (
    subnet &&
    nsg &&
    publicIp && {
      kind: 'new-nic',
      subnet,
      nsg,
      publicIp,
      acceleratedNetworking,
      ...omitUndefined({ privateIpAddress }),
    }
  );
}

type NewNic = Extract<NetworkChoice, { kind: 'new-nic' }>;

function readSubnet(reader: Reader): NewNic['subnet'] | undefined {
  if (reader.isGiven('subnet-id')) {
    reader.rejectIfGiven(['address-prefix', 'subnet-prefix'], 'with subnet-id no virtual network is made');
    const id = reader.resourceId('subnet-id', 'Microsoft.Network/virtualNetworks/subnets');
    return id && { kind: 'given', id };
  }
  const [addressPrefix, outer] = readPrefix(reader, 'address-prefix');
  const [subnetPrefix, inner] = readPrefix(reader, 'subnet-prefix');
  if (outer && inner && !contains(outer, inner)) {
    reader.addIssue(
      'subnet-prefix',
      `${subnetPrefix} does not lie within address-prefix ${addressPrefix}: give both inputs.`,
    );
  }
  return { kind: 'new', addressPrefix, subnetPrefix };
}

function readPrefix(reader: Reader, name: 'address-prefix' | 'subnet-prefix') {
  const text = reader.text(name) ?? '';
  const range = parsePrefix(text);
  if (!('fault' in range)) return [text, range] as const;
  reader.addIssue(name, `${quoteValue(text)} ${range.fault}.`);
  return [text] as const;
}

function readPrivateIpAddress(reader: Reader): string | undefined {
  const text = reader.text('private-ip-address');
  if (text === undefined) return undefined;
  if (!isIPv4(text)) {
    reader.addIssue('private-ip-address', `${quoteValue(text)} is not an IPv4 address.`);
    return text;
  }
  if (reader.isGiven('subnet-id')) return text;
  const prefix = reader.text('subnet-prefix') ?? '';
  const subnet = parsePrefix(prefix);
  if (!('fault' in subnet) && !isAssignable(parseAddress(text) ?? 0, subnet)) {
    reader.addIssue(
      'private-ip-address',
      `${text} is not free in subnet-prefix ${prefix}, of which Azure keeps the first four and the last.`,
    );
  }
  return text;
}

function readNsg(reader: Reader): Nsg | undefined {
  if (reader.isGiven('network-security-group-id')) {
    reader.rejectIfGiven(['allow-inbound'], 'with network-security-group-id no rules are made');
    const id = reader.resourceId('network-security-group-id', 'Microsoft.Network/networkSecurityGroups');
    return id && { kind: 'given', id };
  }
  const inbound: InboundRule[] = [];
  for (const entry of reader.list('allow-inbound')) {
    const rule = parseInboundRule(entry);
    if ('fault' in rule) reader.addIssue('allow-inbound', `${quoteValue(entry)} ${rule.fault}.`);
    else inbound.push(rule);
  }
  return { kind: 'new', inbound };
}

function readPublicIpInput(reader: Reader): PublicIp | undefined {
  const text = reader.text('public-ip') ?? '';
  if (text.toLowerCase() === 'true') {
    const rule =
      '3 to 63 lower-case letters, digits and hyphens that start with a letter and end with a letter or digit';
    return {
      kind: 'new',
      ...omitUndefined({ dnsLabel: reader.pattern('dns-label', /^[a-z][a-z0-9-]{1,61}[a-z0-9]$/, rule) }),
    };
  }
  reader.rejectIfGiven(['dns-label'], 'it is for a public IP that the action makes');
  if (text.toLowerCase() === 'false') return { kind: 'none' };
  if (!text.startsWith('/')) {
    reader.addIssue(
      'public-ip',
      `${quoteValue(text)} is none of: true, false, or the ID of an existing public IP.`,
    );
    return undefined;
  }
  const id = reader.resourceId('public-ip', 'Microsoft.Network/publicIPAddresses');
  return id && { kind: 'given', id };
}
