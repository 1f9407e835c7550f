import type { Route } from '../../http/provider.ts';
import { resourceNotFound } from '../../model/arm-error.ts';
import type { Json } from '../../model/contract.ts';
import { isIn, isReserved, parseRange, toNumber } from './addressing.ts';
import { networkPath } from './lifecycle.ts';
import { allIpConfigurations } from './references.ts';

/** https://learn.microsoft.com/rest/api/virtualnetwork/virtual-networks/check-ip-address-availability */
export const addressAvailabilityRoute: Route = {
  method: 'GET',
  path: `${networkPath}/virtualNetworks/:virtualNetwork/CheckIPAddressAvailability`,
  kind: 'vnet.checkAddress',
  query: ['ipaddress'],
  action: 'Microsoft.Network/virtualNetworks/checkIpAddressAvailability/read',
  handle: (call) => {
    const id = call.resourceId.replace(/\/CheckIPAddressAvailability$/i, '');
    const vnet = call.world.resources.get(id);
    if (!vnet) throw resourceNotFound(id);
    const requested = call.query['ipaddress'] ?? '';
    const ranges = (vnet.body['properties'].subnets as Json[]).flatMap(({ properties }) =>
      ((properties.addressPrefixes ?? [properties.addressPrefix]) as string[]).map((prefix) => parseRange(prefix, id)),
    );
    const address = toNumber(requested);
    const range = ranges.find((candidate) => isIn(candidate, address));
    const used = allIpConfigurations(call.world).some(({ properties }) => properties.privateIPAddress === requested);
    const isPlatformReserved = range !== undefined && isReserved(range, address);
    return {
      status: 200,
      body: { available: range !== undefined && !isPlatformReserved && !used, isPlatformReserved },
    };
  },
};
