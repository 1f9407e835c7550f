/** Microsoft.Resources: subscriptions, tenants, resource groups, the list of resources, tags, provider registration. */
import { checkBody, gatewaySchemaError } from '../../http/body-schema.ts';
import type { Provider, Route } from '../../http/provider.ts';
import { isAllowed } from '../../world/permissions.ts';
import { namespaces, providerBody } from './registration.ts';
import { requireGroup, groupPath, groupBody, groupSchema, putGroup } from './resource-groups.ts';
import { listResources } from './resource-list.ts';
import { subscriptionReadError, isVisible, subscriptionBody, subscriptionScopeOf } from './subscriptions.ts';
import { tagRoutes } from './tag-routes.ts';
import { checkTags } from './tags.ts';

/** Of the references, the recordings and the Azure CLI. */
const groupVersions = ['2025-04-01', '2024-11-01', '2024-03-01', '2022-09-01', '2021-04-01', '2020-06-01'];

/** The provider; `all` gives every provider of the simulator, for the answers about registration. */
export function resourcesProvider(all: () => readonly Provider[]): Provider {
  const routes: Route[] = [
    {
      method: 'GET',
      path: '/subscriptions',
      kind: 'subscriptions.list',
      action: null,
      handle: (call) => {
        const seen = [...call.world.subscriptions.values()].filter((one) => isVisible(call, one));
        return {
          status: 200,
          body: {
            value: seen.map(subscriptionBody),
            count: { type: 'Total', value: seen.length },
          },
        };
      },
    },
    {
      method: 'GET',
      path: '/tenants',
      kind: 'tenants.list',
      action: null,
      handle: (call) => ({
        status: 200,
        body: {
          value: [
            {
              id: `/tenants/${call.tenant.id}`,
              tenantId: call.tenant.id,
              tenantCategory: 'Home',
              displayName: call.tenant.displayName,
              defaultDomain: call.tenant.domain,
              domains: [call.tenant.domain],
            },
          ],
        },
      }),
    },
    {
      method: 'GET',
      path: '/subscriptions/:subscriptionId',
      kind: 'subscription.get',
      action: null,
      handle: (call) => {
        // Whoever has a right anywhere inside may look at the subscription, as in the list.
        if (!isVisible(call, call.subscription))
          throw subscriptionReadError(call, 'Microsoft.Resources/subscriptions/read');
        return { status: 200, body: subscriptionBody(call.subscription) };
      },
    },
    {
      method: 'GET',
      path: '/subscriptions/:subscriptionId/resourceGroups',
      kind: 'groups.list',
      action: null,
      handle: (call) => {
        const groups = [...call.world.groups.values()].filter(
          (one) =>
            one.subscription === call.subscription.id &&
            isAllowed(
              call.world,
              call.caller.oid,
              'Microsoft.Resources/subscriptions/resourceGroups/read',
              one.id,
            ),
        );
        return { status: 200, body: { value: groups.map(groupBody) } };
      },
    },
    {
      method: 'GET',
      path: groupPath,
      kind: 'group.get',
      action: 'Microsoft.Resources/subscriptions/resourceGroups/read',
      handle: (call) => ({ status: 200, body: groupBody(requireGroup(call)) }),
    },
    {
      method: 'HEAD',
      path: groupPath,
      kind: 'group.head',
      action: 'Microsoft.Resources/subscriptions/resourceGroups/read',
      needsGroup: false,
      handle: (call) => ({
        status: call.world.group(call.subscription.id, call.name) ? 204 : 404,
      }),
    },
    {
      method: 'PUT',
      path: groupPath,
      kind: 'group.put',
      action: 'Microsoft.Resources/subscriptions/resourceGroups/write',
      needsGroup: false,
      handle: putGroup,
    },
    {
      method: 'PATCH',
      path: groupPath,
      kind: 'group.patch',
      action: 'Microsoft.Resources/subscriptions/resourceGroups/write',
      handle: (call) => {
        checkBody(call.body, groupSchema, gatewaySchemaError);
        checkTags(call.body['tags']);
        const found = requireGroup(call);
        if (call.body['tags'] !== undefined) found.tags = call.body['tags'];
        return { status: 200, body: groupBody(found) };
      },
    },
    {
      method: 'DELETE',
      path: groupPath,
      kind: 'group.delete',
      action: 'Microsoft.Resources/subscriptions/resourceGroups/delete',
      handle: (call) => {
        const found = requireGroup(call);
        found.provisioningState = 'Deleting';
        return call.accept({
          family: 'group',
          latency: 'groupDelete',
          status: 202,
          style: 'location',
          location: found.location,
          resourceId: found.id,
          complete: () => {
            call.world.removeGroup(call.subscription.id, found.name);
          },
        });
      },
    },
    {
      method: 'GET',
      path: '/subscriptions/:subscriptionId/resources',
      kind: 'resources.list',
      query: ['$filter'],
      action: null,
      handle: (call) => listResources(call, `/subscriptions/${call.subscription.id}`),
    },
    {
      method: 'GET',
      path: `${groupPath}/resources`,
      kind: 'resources.list',
      query: ['$filter'],
      action: 'Microsoft.Resources/subscriptions/resourceGroups/read',
      scope: (call) => call.resourceId.replace(/\/resources$/i, ''),
      handle: (call) => listResources(call, call.resourceId.replace(/\/resources$/i, '')),
    },
    {
      method: 'GET',
      path: '/subscriptions/:subscriptionId/providers',
      kind: 'providers.list',
      action: 'Microsoft.Resources/subscriptions/providers/read',
      scope: subscriptionScopeOf,
      handle: (call) => ({
        status: 200,
        body: { value: namespaces(all()).map((name) => providerBody(call, all(), name)) },
      }),
    },
    {
      method: 'GET',
      path: '/subscriptions/:subscriptionId/providers/:namespace',
      kind: 'provider.get',
      action: 'Microsoft.Resources/subscriptions/providers/read',
      scope: subscriptionScopeOf,
      handle: (call) => ({ status: 200, body: providerBody(call, all(), call.name) }),
    },
    {
      method: 'POST',
      path: '/subscriptions/:subscriptionId/providers/:namespace/register',
      kind: 'provider.register',
      action: (call) => `${call.params['namespace']}/register/action`,
      scope: subscriptionScopeOf,
      needsRegistration: false,
      handle: (call) => {
        const namespace = call.params['namespace'] ?? '';
        const key = namespace.toLowerCase();
        const { providers } = call.subscription;
        if (providers.get(key) !== 'Registered') {
          providers.set(key, 'Registering');
          // Recorded: still Registering ten seconds later, Registered soon after.
          call.world.clock.after(20, () => providers.set(key, 'Registered'));
        }
        return { status: 200, body: providerBody(call, all(), namespace) };
      },
    },
    ...tagRoutes(),
  ];
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
    routes,
  };
}
