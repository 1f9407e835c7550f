// Microsoft.ContainerRegistry: GET of a registry. Recorded: role-assignment-acrpull-put.json.
import type { Provider } from '../http/provider.ts';
import { resourceNotFound } from '../model/arm-error.ts';
import type { World } from '../world/world.ts';

const type = 'Microsoft.ContainerRegistry/registries';

/**
 * Adds a container registry and returns its ID. `abac`: role assignments may have conditions on repositories, and
 * AcrPull and AcrPush have no effect (https://aka.ms/acr/auth/abac).
 */
export function addRegistry(
  world: World,
  where: {
    readonly subscription: string;
    readonly group: string;
    readonly name: string;
    readonly location?: string;
  },
  abac = false,
): string {
  const id = `/subscriptions/${where.subscription}/resourceGroups/${where.group}/providers/${type}/${where.name}`;
  const created = world.clock.timestamp();
  world.resources.put({
    id,
    type,
    body: {
      sku: { name: 'Standard', tier: 'Standard' },
      type,
      id,
      name: where.name,
      location: where.location ?? 'westeurope',
      tags: {},
      properties: {
        loginServer: `${where.name}.azurecr.io`,
        creationDate: created,
        provisioningState: 'Succeeded',
        adminUserEnabled: false,
        policies: {
          quarantinePolicy: { status: 'disabled' },
          trustPolicy: { type: 'Notary', status: 'disabled' },
          exportPolicy: { status: 'enabled' },
          azureADAuthenticationAsArmPolicy: { status: 'enabled' },
        },
        encryption: { status: 'disabled' },
        dataEndpointEnabled: false,
        dataEndpointHostNames: [],
        privateEndpointConnections: [],
        publicNetworkAccess: 'Enabled',
        networkRuleBypassOptions: 'AzureServices',
        zoneRedundancy: 'Disabled',
        anonymousPullEnabled: false,
        roleAssignmentMode: abac ? 'AbacRepositoryPermissions' : 'LegacyRegistryPermissions',
      },
    },
  });
  return id;
}

export const registryProvider: Provider = {
  namespace: 'Microsoft.ContainerRegistry',
  types: [
    {
      name: 'registries',
      apiVersions: ['2025-11-01', '2025-04-01', '2024-11-01-preview', '2023-07-01', '2023-01-01-preview', '2022-12-01'],
      capabilities: 'SupportsTags, SupportsLocation',
    },
  ],
  routes: [
    {
      method: 'GET',
      path: '/subscriptions/:subscriptionId/resourceGroups/:resourceGroup/providers/Microsoft.ContainerRegistry/registries/:registry',
      kind: 'registry.get',
      action: 'Microsoft.ContainerRegistry/registries/read',
      handle: (call) => {
        const found = call.world.resources.get(call.resourceId);
        if (found === undefined) throw resourceNotFound(call.resourceId);
        return { status: 200, body: found.body };
      },
    },
  ],
};
