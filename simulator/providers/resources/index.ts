/** Microsoft.Resources: subscriptions, tenants, resource groups, resource lists, tags, provider registration. */
import type { Provider } from '../../http/provider.ts';
import { registrationRoutes } from './registration.ts';
import { groupRoutes } from './resource-groups.ts';
import { listRoutes } from './resource-list.ts';
import { subscriptionRoutes } from './subscriptions.ts';
import { tagRoutes } from './tag-routes.ts';

/** From the REST reference, the recordings and the Azure CLI. */
const groupVersions = ['2025-04-01', '2024-11-01', '2024-03-01', '2022-09-01', '2021-04-01', '2020-06-01'];

/** `all` returns every provider of the simulator, for the answers about registration. */
export function resourcesProvider(all: () => readonly Provider[]): Provider {
  return {
    namespace: 'Microsoft.Resources',
    types: [
      { name: 'tenants', apiVersions: ['2022-12-01', '2020-01-01', '2016-06-01'] },
      { name: 'subscriptions', apiVersions: ['2022-12-01', '2020-01-01', '2016-06-01'] },
      { name: 'resourceGroups', apiVersions: [...groupVersions, '2016-02-01'] },
      { name: 'resources', apiVersions: groupVersions },
      { name: 'providers', apiVersions: [...groupVersions, '2016-02-01'] },
      { name: 'tags', apiVersions: [...groupVersions, '2019-10-01'] },
    ],
    routes: [...subscriptionRoutes, ...groupRoutes, ...listRoutes, ...registrationRoutes(all), ...tagRoutes()],
  };
}
