/**
 * `GET /metadata/endpoints`, by which clients find the sign-in host and audience of a cloud. Three formats exist:
 * 2015-01-01 (Azure Stack Hub, air-gapped clouds), 2019-05-01 (a list of clouds) and 2022-09-01 (one cloud). Azure
 * chooses by api-version; a world can fix one, like older installations.
 */
import type { Json } from '../model/contract.ts';
import type { World } from '../world/world.ts';

/** Accepted audiences. They differ from Azure's own, so that clients that hard-code those fail. */
export const audiences: readonly string[] = [
  'https://management.simulator.localhost/',
  'https://management.core.simulator.localhost/',
];

export function metadataDocument(world: World, apiVersion: string, arm: string, login: string): unknown {
  const shape = world.metadataShape === 'auto' ? documentVersionFor(apiVersion) : world.metadataShape;
  const authentication = {
    loginEndpoint: login,
    audiences,
    tenant: 'common',
    identityProvider: 'AAD',
  };
  if (shape === '2015-01-01') {
    const document: Json = {
      galleryEndpoint: `${arm}/gallery`,
      graphEndpoint: 'https://graph.simulator.localhost/',
      portalEndpoint: 'https://portal.simulator.localhost',
      // This format has a trailing slash in the sign-in endpoint.
      authentication: { loginEndpoint: `${login}/`, audiences },
    };
    return document;
  }
  const cloud: Json = {
    name: 'Simulator',
    portal: 'https://portal.simulator.localhost',
    authentication,
    graphAudience: 'https://graph.simulator.localhost/',
    graph: 'https://graph.simulator.localhost/',
    resourceManager: `${arm}/`,
    media: 'https://rest.media.simulator.localhost',
    batch: 'https://batch.core.simulator.localhost/',
    suffixes: {
      storage: 'core.simulator.localhost',
      keyVaultDns: 'vault.simulator.localhost',
      acrLoginServer: 'azurecr.simulator.localhost',
    },
  };
  if (shape === '2022-09-01') return cloud;
  return [
    // Not the first entry: clients must select by `resourceManager`.
    {
      ...cloud,
      name: 'AzureCloud',
      resourceManager: 'https://management.azure.com/',
      authentication: {
        ...authentication,
        loginEndpoint: 'https://login.microsoftonline.com',
        audiences: ['https://management.core.windows.net/', 'https://management.azure.com/'],
      },
    },
    cloud,
  ];
}

function documentVersionFor(apiVersion: string): '2015-01-01' | '2019-05-01' | '2022-09-01' {
  if (apiVersion < '2018') return '2015-01-01';
  if (apiVersion < '2022-09-01') return '2019-05-01';
  return '2022-09-01';
}
