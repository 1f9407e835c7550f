/**
 * `GET /metadata/endpoints`: how a client that knows only the Resource Manager URL finds sign-in host and audience.
 * Three shapes are published: 2015-01-01 (Azure Stack Hub, air-gapped: endpoints side by side), 2019-05-01 (a list of
 * clouds, the asked one somewhere in it) and 2022-09-01 (the asked cloud as one object). Azure serves them by
 * api-version; a world can fix one, as older installations do.
 */
import type { Json } from '../model/contract.ts';
import type { World } from '../world/world.ts';

/** Audiences that Resource Manager takes; not Azure's own, so that a client that guesses them is found out. */
export const audiences: readonly string[] = [
  'https://management.simulator.localhost/',
  'https://management.core.simulator.localhost/',
];

/** The document for that api-version. */
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
      // This shape has a slash at the end of the sign-in endpoint.
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
    // Another cloud first: whoever takes the first entry without comparing `resourceManager` goes wrong.
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
