/** Microsoft.Network: security groups, virtual networks, subnets, public IP addresses, network interfaces, usages. */
import { addressAvailabilityRoute } from './address-availability.ts';
import type { Provider, ProviderType, Route } from '../../http/provider.ts';
import { regionName } from '../regions.ts';
import { type NetworkResourceType, resourceRoutes } from './lifecycle.ts';
import { networkInterfaces } from './network-interfaces.ts';
import { findByLabel, publicIps } from './public-ips.ts';
import { securityGroups } from './security-groups.ts';
import { networkSettings, countUsage, usageNames } from './usages.ts';
import { subnetRoutes, virtualNetworks } from './virtual-networks.ts';

export { type NetworkSettings, networkSettings } from './usages.ts';

const kinds: readonly NetworkResourceType[] = [securityGroups, virtualNetworks, publicIps, networkInterfaces];

const locationPath = '/subscriptions/:subscriptionId/providers/Microsoft.Network/locations/:location';

const locationRoutes: Route[] = [
  {
    method: 'GET',
    path: `${locationPath}/usages`,
    kind: 'network.usages',
    action: 'Microsoft.Network/locations/usages/read',
    scope: (call) => `/subscriptions/${call.subscription.id}`,
    handle: (call) => {
      const location = regionName(call.params['location'] ?? '');
      const { limits } = networkSettings(call.world);
      const used = countUsage(call.world, call.subscription.id, location);
      const value = Object.entries(used).map(([name, currentValue]) => ({
        currentValue,
        id: `/subscriptions/${call.subscription.id}/providers/Microsoft.Network/locations/${location}/usages/${name}`,
        limit: limits[name],
        name: { localizedValue: usageNames[name], value: name },
        unit: 'Count',
        isAdjustable: true,
      }));
      return { status: 200, body: { value } };
    },
  },
  {
    method: 'GET',
    path: `${locationPath}/CheckDnsNameAvailability`,
    kind: 'network.dnsAvailability',
    query: ['domainnamelabel'],
    action: 'Microsoft.Network/locations/checkDnsNameAvailability/read',
    scope: (call) => `/subscriptions/${call.subscription.id}`,
    handle: (call) => {
      const label = call.query['domainnamelabel'] ?? '';
      const holder = findByLabel(call.world, label, regionName(call.params['location'] ?? ''));
      return { status: 200, body: { available: holder === undefined } };
    },
  },
];

// Api-versions of the SDK and of the recordings, and stable ones that clients pin.
const apiVersions = [
  '2026-01-01',
  '2025-07-01',
  '2025-05-01',
  '2024-05-01',
  '2024-03-01',
  '2023-11-01',
  '2023-09-01',
  '2022-11-01',
  '2022-01-01',
  '2021-07-01',
  '2021-02-01',
  '2020-11-01',
  '2019-11-01',
  '2018-02-01',
  '2018-01-01',
];

const providerTypes: ProviderType[] = [
  ...kinds.map((kind) => ({
    name: kind.type,
    apiVersions,
    capabilities: 'CrossResourceGroupResourceMove, CrossSubscriptionResourceMove, SupportsTags, SupportsLocation',
  })),
  { name: 'virtualNetworks/subnets', apiVersions },
  { name: 'locations/usages', apiVersions },
  { name: 'locations/CheckDnsNameAvailability', apiVersions },
];

export const networkProvider: Provider = {
  namespace: 'Microsoft.Network',
  types: providerTypes,
  routes: [...kinds.flatMap(resourceRoutes), ...subnetRoutes, addressAvailabilityRoute, ...locationRoutes],
};
