/** IPv4 address ranges: CIDR notation, containment, overlap, free addresses. */
import ipaddr from 'ipaddr.js';
import { refuseNetwork, notModelled } from '../../model/arm-error.ts';

export interface AddressRange {
  readonly text: string;
  readonly first: number;
  readonly last: number;
}

/**
 * Parses a prefix of the resource `id`.
 *
 * @throws ArmError for invalid CIDR notation or host bits.
 */
export function parseRange(prefix: string, id: string): AddressRange {
  if (prefix.includes(':')) throw notModelled(`IPv6 prefixes ('${prefix}')`);
  // ipaddr.js accepts `10.1/16`; Azure does not.
  if (!/^\d+\.\d+\.\d+\.\d+\/\d+$/.test(prefix) || !ipaddr.IPv4.isValidCIDR(prefix)) {
    throw refuseNetwork(
      'InvalidAddressPrefixFormat',
      `Address prefix ${prefix} of resource ${id} is not formatted correctly. It should follow CIDR notation, for example 10.0.0.0/24.`,
    );
  }
  const [address, bits] = ipaddr.IPv4.parseCIDR(prefix);
  const first = toNumber(ipaddr.IPv4.networkAddressFromCIDR(prefix).toString());
  if (toNumber(address.toString()) !== first) {
    throw refuseNetwork(
      'InvalidCIDRNotation',
      `The address prefix ${prefix} in resource ${id} has an invalid CIDR notation. For the given prefix length, the address prefix should be ${toAddress(first)}/${bits}.`,
    );
  }
  return { text: prefix, first, last: first + 2 ** (32 - bits) - 1 };
}

export function contains(outer: AddressRange, inner: AddressRange): boolean {
  return outer.first <= inner.first && inner.last <= outer.last;
}

export function overlaps(a: AddressRange, b: AddressRange): boolean {
  return a.first <= b.last && b.first <= a.last;
}

/** Azure reserves the first four addresses and the last one. */
export function isReserved(range: AddressRange, address: number): boolean {
  return address < range.first + 4 || address === range.last;
}

/** The lowest free address, which Azure assigns. */
export function findFreeAddress(range: AddressRange, taken: ReadonlySet<number>): number | undefined {
  for (let address = range.first + 4; address < range.last; address += 1) if (!taken.has(address)) return address;
  return undefined;
}

export function isIn(range: AddressRange, address: number): boolean {
  return range.first <= address && address <= range.last;
}

/** An IPv4 address as a number; NaN for anything else. */
export function toNumber(address: string): number {
  if (!ipaddr.IPv4.isValidFourPartDecimal(address)) return Number.NaN;
  return ipaddr.IPv4.parse(address)
    .toByteArray()
    .reduce((sum, byte) => sum * 256 + byte, 0);
}

export function toAddress(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.');
}
