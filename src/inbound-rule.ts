import { isIP, isIPv6 } from 'node:net';
import type { InboundRule } from './inputs.ts';

const inboundRulePattern = /^(\*|\d+(?:\s*-\s*\d+)?)(?:\s*\/\s*(tcp|udp|\*))?\s+from\s+(\S+)$/i;
const protocols: Readonly<Record<string, InboundRule['protocol']>> = { tcp: 'Tcp', udp: 'Udp', '*': '*' };
const serviceTag = /^[a-z][a-z0-9]*(\.[a-z0-9]+)?$/i;

/** Reads `PORT[-PORT][/tcp|udp|*] from SOURCE`; the port may be `*`, TCP is the default. */
export function parseInboundRule(entry: string): InboundRule | { readonly fault: string } {
  const [, ports = '', protocol = 'tcp', source = ''] = inboundRulePattern.exec(entry) ?? [];
  if (source === '') {
    return { fault: 'is not of the form PORT[-PORT][/tcp|udp] from SOURCE, e.g. 22 from 203.0.113.0/24' };
  }
  const [from = 0, to = from] = ports === '*' ? [0, 65_535] : ports.split('-').map(Number);
  if (from > 65_535 || to > 65_535) return { fault: 'names a port above 65535' };
  if (from > to) return { fault: `has a port range that runs backwards: write ${to}-${from}` };
  if (!isSource(source)) {
    return {
      fault: `comes from "${source}", which is no address, CIDR, service tag (e.g. VirtualNetwork) or *`,
    };
  }
  return { fromPort: from, toPort: to, protocol: protocols[protocol.toLowerCase()] ?? 'Tcp', source };
}

function isSource(source: string): boolean {
  if (source === '*') return true;
  // People write "any" for what Azure's API calls "*"; taken for a service tag, it would be refused halfway through.
  if (source.toLowerCase() === 'any') return false;
  const [address = '', length, ...rest] = source.split('/');
  if (isIP(address) === 0) return serviceTag.test(source);
  if (rest.length > 0) return false;
  return length === undefined || (/^\d{1,3}$/.test(length) && Number(length) <= (isIPv6(address) ? 128 : 32));
}
