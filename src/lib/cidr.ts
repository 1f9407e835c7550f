import { isIPv4 } from 'node:net';

/** A block of IPv4 addresses; addresses are numbers, so that blocks can be compared. */
interface AddressRange {
  readonly first: number;
  readonly last: number;
}

function addressNumber(text: string): number {
  return text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

// https://learn.microsoft.com/azure/virtual-network/virtual-networks-faq#what-address-ranges-can-i-use-in-my-virtual-networks
const reservedPrefixes = ['224.0.0.0/4', '255.255.255.255/32', '127.0.0.0/8', '169.254.0.0/16', '168.63.129.16/32'];

function rangeOf(prefix: string): AddressRange {
  const [address = '', length] = prefix.split('/');
  const size = 2 ** (32 - Number(length));
  const first = Math.floor(addressNumber(address) / size) * size;
  return { first, last: first + size - 1 };
}

/**
 * Reads the prefix of a virtual network or subnet: IPv4, /2 to /29 (Azure's limits), the network's own address, and
 * none of the ranges that Azure reserves.
 */
export function parsePrefix(text: string): AddressRange | { readonly error: string } {
  const [, address = '', lengthText] = /^([^/]+)\/(\d{1,2})$/.exec(text) ?? [];
  const length = Number(lengthText);
  if (!isIPv4(address) || length > 32) {
    return { error: 'is not an IPv4 prefix such as 10.1.0.0/16 (IPv6 can be added through overrides)' };
  }
  if (length < 2 || length > 29) return { error: `has a length of /${length}: Azure takes /2 to /29` };
  const range = rangeOf(text);
  if (range.first !== addressNumber(address)) {
    const first = [24, 16, 8, 0].map((shift) => Math.floor(range.first / 2 ** shift) % 256).join('.');
    return { error: `does not start at its network's address: ${first}/${length} does` };
  }
  const overlapped = reservedPrefixes.find((prefix) => {
    const reserved = rangeOf(prefix);
    return range.first <= reserved.last && reserved.first <= range.last;
  });
  return overlapped === undefined
    ? range
    : { error: `overlaps ${overlapped}, which Azure does not allow in virtual networks` };
}

export function contains(outer: AddressRange, inner: AddressRange): boolean {
  return outer.first <= inner.first && inner.last <= outer.last;
}

/**
 * Whether a NIC can have the IPv4 address. Azure reserves the first four and the last address of each subnet.
 * https://learn.microsoft.com/azure/virtual-network/virtual-networks-faq#are-there-any-restrictions-on-using-ip-addresses-within-these-subnets
 */
export function isAssignable(address: string, { first, last }: AddressRange): boolean {
  const number = addressNumber(address);
  return first + 4 <= number && number < last;
}
