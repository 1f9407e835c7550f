import type { Provider } from '../http/provider.ts';
import { authorizationProvider } from './authorization.ts';
import { computeProvider } from './compute/index.ts';
import { identityProvider } from './identity.ts';
import { marketplaceProvider } from './marketplace.ts';
import { networkProvider } from './network/index.ts';
import { registryProvider } from './registry.ts';
import { resourcesProvider } from './resources.ts';

/** Every resource provider that the simulator models. */
export const providers: readonly Provider[] = [
  resourcesProvider(() => providers),
  networkProvider,
  computeProvider,
  identityProvider,
  authorizationProvider,
  marketplaceProvider,
  registryProvider,
];
