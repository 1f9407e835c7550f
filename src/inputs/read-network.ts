import { isIP, isIPv4, isIPv6 } from 'node:net';
import { contains, isAssignable, parsePrefix } from '../lib/cidr.ts';
import type { Reader } from './input-reader.ts';
import type { InboundRule, NetworkChoice, Nsg, PublicIp } from './inputs.ts';

const inboundRulePattern = /^(\*|\d+(?:\s*-\s*\d+)?)(?:\s*\/\s*(tcp|udp|\*))?\s+from\s+(\S+)$/i;

const protocols: Readonly<Record<string, InboundRule['protocol']>> = { tcp: 'Tcp', udp: 'Udp', '*': '*' };

const serviceTag = /^[a-z][a-z0-9]*(\.[a-z0-9]+)?$/i;

/** Reads `PORT[-PORT][/tcp|udp|*] from SOURCE`; the port may be `*`, TCP is the default. */
export function parseInboundRule(entry: string): InboundRule | { readonly error: string } {
  const [, ports = '', protocol = 'tcp', source = ''] = inboundRulePattern.exec(entry) ?? [];
  if (source === '') {
    return { error: 'is not of the form PORT[-PORT][/tcp|udp] from SOURCE, e.g. 22 from 203.0.113.0/24' };
  }
  const [from = 0, to = from] = ports === '*' ? [0, 65_535] : ports.split('-').map(Number);
  if (from > 65_535 || to > 65_535) return { error: 'names a port above 65535' };
  if (from > to) return { error: `has a port range that runs backwards: write ${to}-${from}` };
  if (!isSource(source)) {
    return { error: `comes from "${source}", which is not an address, CIDR, service tag (e.g. VirtualNetwork) or *` };
  }
  return { fromPort: from, toPort: to, protocol: protocols[protocol.toLowerCase()] ?? 'Tcp', source };
}

function isSource(source: string): boolean {
  const [, address = '', length = '0'] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(source) ?? [];
  if (isIP(address) !== 0) return Number(length) <= (isIPv6(address) ? 128 : 32);
  // People write "any" for what Azure's API calls "*"; taken for a service tag, it would be refused halfway through.
  return source === '*' || (serviceTag.test(source) && source.toLowerCase() !== 'any');
}

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
  if (!subnet || !nsg || !publicIp) return undefined;
  return { kind: 'new-nic', subnet, nsg, publicIp, acceleratedNetworking, privateIpAddress };
}

function readSubnet(reader: Reader): Extract<NetworkChoice, { kind: 'new-nic' }>['subnet'] | undefined {
  if (reader.isGiven('subnet-id')) {
    reader.rejectIfGiven(['address-prefix', 'subnet-prefix'], 'with subnet-id no virtual network is made');
    const id = reader.resourceId('subnet-id', 'Microsoft.Network/virtualNetworks/subnets');
    return id && { kind: 'given', id };
  }
  const [addressPrefix, subnetPrefix] = [reader.text('address-prefix') ?? '', reader.text('subnet-prefix') ?? ''];
  const outer = reader.parse('address-prefix', addressPrefix, parsePrefix);
  const inner = reader.parse('subnet-prefix', subnetPrefix, parsePrefix);
  if (outer && inner && !contains(outer, inner)) {
    const problem = `does not lie within address-prefix ${addressPrefix}: give both inputs.`;
    reader.addIssue('subnet-prefix', `${subnetPrefix} ${problem}`);
  }
  return { kind: 'new', addressPrefix, subnetPrefix };
}

function readPrivateIpAddress(reader: Reader): string | undefined {
  const text = reader.text('private-ip-address');
  if (text === undefined) return undefined;
  const prefix = reader.text('subnet-prefix') ?? '';
  const subnet = parsePrefix(prefix);
  if (!isIPv4(text)) reader.addInvalid('private-ip-address', text, 'is not an IPv4 address');
  else if (!reader.isGiven('subnet-id') && !('error' in subnet) && !isAssignable(text, subnet)) {
    const place = `subnet-prefix ${prefix}, of which Azure keeps the first four and the last`;
    reader.addIssue('private-ip-address', `${text} is not free in ${place}.`);
  }
  return text;
}

function readNsg(reader: Reader): Nsg | undefined {
  if (reader.isGiven('network-security-group-id')) {
    reader.rejectIfGiven(['allow-inbound'], 'with network-security-group-id no rules are made');
    const id = reader.resourceId('network-security-group-id', 'Microsoft.Network/networkSecurityGroups');
    return id && { kind: 'given', id };
  }
  return { kind: 'new', inbound: reader.parseEach('allow-inbound', parseInboundRule) };
}

function readPublicIpInput(reader: Reader): PublicIp | undefined {
  const text = reader.text('public-ip') ?? '';
  if (text.toLowerCase() === 'true') {
    const rule =
      '3 to 63 lower-case letters, digits and hyphens that start with a letter and end with a letter or digit';
    return { kind: 'new', dnsLabel: reader.pattern('dns-label', /^[a-z][a-z0-9-]{1,61}[a-z0-9]$/, rule) };
  }
  reader.rejectIfGiven(['dns-label'], 'it is for a public IP that the action makes');
  if (text.toLowerCase() === 'false') return { kind: 'none' };
  if (!text.startsWith('/')) {
    reader.addInvalid('public-ip', text, 'is none of: true, false, or the ID of an existing public IP');
    return undefined;
  }
  const id = reader.resourceId('public-ip', 'Microsoft.Network/publicIPAddresses');
  return id && { kind: 'given', id };
}
