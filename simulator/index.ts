/** The simulator: Entra, Resource Manager and GitHub on loopback, over TLS. */
import { fillDefaultWorld } from './default-world.ts';
import type { Faults } from './engine/faults.ts';
import type { Exchange } from './engine/journal.ts';
import { criticalPath } from './engine/operations.ts';
import { EntraError } from './entra/entra-error.ts';
import { registerEntraRoutes, entraHeaders } from './entra/entra.ts';
import { registerGitHubRoutes } from './github/github.ts';
import { registerGateway, armHeaders } from './http/gateway.ts';
import { signingKey, createTrustFile } from './http/keys.ts';
import { startListener } from './http/listener.ts';
import { providers } from './providers/index.ts';
import type { WorldOptions } from './world/settings.ts';
import { World } from './world/world.ts';

export { defaults, principals } from './default-world.ts';
export { applyFailure, failureDescriptions } from './failures.ts';
export { EntraError } from './entra/entra-error.ts';
export { makeClientCertificate } from './http/keys.ts';
export { World } from './world/world.ts';

export interface SimulatorOptions extends WorldOptions {
  /** Changes the world before the listeners start. */
  readonly world?: ((world: World) => void) | undefined;
  /** False: an empty world. Default true. */
  readonly defaultWorld?: boolean;
  /** Default: any free ports. */
  readonly ports?: { readonly arm?: number; readonly login?: number; readonly github?: number };
}

export interface Simulator {
  /** Resource Manager, including `/metadata/endpoints`. */
  readonly armEndpoint: string;
  readonly loginEndpoint: string;
  /** GitHub's API and OIDC provider. */
  readonly githubEndpoint: string;
  /** PEM file for NODE_EXTRA_CA_CERTS. */
  readonly certificateFile: string;
  /** The world; each access first runs what is due. */
  readonly world: World;
  readonly journal: readonly Exchange[];
  readonly faults: Faults;
  /** Shortest possible duration of the create run in simulated seconds. */
  criticalPath(): number;
  close(): Promise<void>;
}

/** Starts the three listeners. */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  // Starts key generation early; the first token awaits it.
  void signingKey('entra');
  const trust = await createTrustFile();
  const world = new World(options);
  if (options.defaultWorld !== false) fillDefaultWorld(world);
  options.world?.(world);

  const login = await startListener({
    world,
    host: 'entra',
    port: options.ports?.login ?? 0,
    errorBody: (code, message) =>
      new EntraError(400, 'invalid_request', Number(code.replace(/\D/g, '')), message).body(world.uuid(), world.uuid()),
    headers: (request) => entraHeaders(world, request),
    routes: (app) => {
      registerEntraRoutes(app, world);
    },
  });
  const arm = await startListener({
    world,
    host: 'arm',
    port: options.ports?.arm ?? 0,
    errorBody: (code, message) => ({ error: { code, message } }),
    headers: (request) => armHeaders(world, request),
    routes: (app, origin) => {
      registerGateway(app, world, providers, { arm: origin, login: () => login.origin });
    },
  });
  const hub = await startListener({
    world,
    host: 'github',
    port: options.ports?.github ?? 0,
    errorBody: (_code, message) => ({ message, documentation_url: 'https://docs.github.com/rest' }),
    headers: () => ({}),
    routes: (app) => {
      registerGitHubRoutes(app, world);
    },
  });

  return {
    armEndpoint: arm.origin,
    loginEndpoint: login.origin,
    githubEndpoint: hub.origin,
    certificateFile: trust.path,
    get world() {
      return world.settle();
    },
    journal: world.journal.exchanges,
    faults: world.faults,
    criticalPath: () => criticalPath(world.settle().operations.all()),
    close: async () => {
      await Promise.all([arm.close(), login.close(), hub.close()]);
      trust.remove();
    },
  };
}
