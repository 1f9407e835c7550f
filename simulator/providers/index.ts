import type { Provider } from '../http/provider.ts';
import { authorizationProvider } from './authorization/index.ts';
import { computeProvider } from './compute/index.ts';
import { featuresProvider } from './features.ts';
import { identityProvider } from './identity.ts';
import { marketplaceProvider } from './marketplace.ts';
import { networkProvider } from './network/index.ts';
import { policyProvider } from './policy.ts';
import { registryProvider } from './registry.ts';
import { resourceGraphProvider } from './resource-graph.ts';
import { resourcesProvider } from './resources/index.ts';

/** Every resource provider that the simulator models. */
export const providers: readonly Provider[] = [
  resourcesProvider(() => providers),
  networkProvider,
  computeProvider,
  identityProvider,
  authorizationProvider,
  marketplaceProvider,
  registryProvider,
  policyProvider,
  featuresProvider,
  resourceGraphProvider,
];
