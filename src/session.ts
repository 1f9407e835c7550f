import { randomUUID } from 'node:crypto';
import type { ComputeManagementClient } from '@azure/arm-compute';
import type { TokenCredential } from '@azure/core-auth';
import { type Arm, connections, openDoor, openGauge, type Session } from './azure.ts';
import { type Cloud, resolveCloud, resourceManagerScope } from './cloud.ts';
import { chooseSubscription } from './facts.ts';
import { during, Failure } from './failure.ts';
import type { Inputs, MergePatch } from './inputs.ts';
import type { Situation } from './explain/entry.ts';
import type { Log } from './report.ts';
import { githubIdToken, idTokenFacts, plainHttp, signIn, tokenClaims } from './signin.ts';

export interface SessionOptions {
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The webhook payload of the workflow run. */
  readonly event?: unknown;
  readonly mask: (secret: string) => void;
  /** Takes what becomes known on the way, for explaining a failure with real names instead of placeholders. */
  readonly learn: (known: Partial<Situation>) => void;
  /** Filled once the plan is made; read at each PUT. */
  readonly patches?: ReadonlyMap<string, MergePatch>;
}

/** A session of `create` and `check`, which read the image with its own tenant's token. */
export interface DeploySession extends Session {
  readonly imageCompute: (subscriptionId: string) => ComputeManagementClient;
}

/** Signs in to the tenant alone: enough to read, to delete and to sweep. */
export async function openSession(inputs: Inputs, options: SessionOptions): Promise<Session> {
  return (await open(inputs, [], options)).session;
}

/**
 * Signs in to the tenant, the image tenant and the auxiliary tenants, side by side.
 * @throws AzureError in a Failure that names the tenant; Failure when a token is of another tenant or app than asked for.
 */
export async function openDeploySession(
  inputs: Extract<Inputs, { operation: 'create' | 'check' }>,
  options: SessionOptions,
): Promise<DeploySession> {
  const others = [inputs.imageTenantId, ...inputs.auxiliaryTenantIds].filter(
    (tenant) => tenant.toLowerCase() !== inputs.tenantId.toLowerCase(),
  );
  const { session, doorOf } = await open(inputs, others, options);
  const imageDoor = doorOf(inputs.imageTenantId);
  return { ...session, imageCompute: (subscriptionId) => imageDoor.compute(subscriptionId) };
}

async function open(inputs: Inputs, otherTenants: readonly string[], options: SessionOptions) {
  const { log, signal, env } = options;
  const correlationId = randomUUID();
  log.info(`Correlation ID of all requests of this run: ${correlationId}`);
  const http = { httpClient: connections(), debug: log.debug };
  const cloud = await resolveCloud(inputs.environment, plainHttp(http));
  options.learn({ loginEndpoint: cloud.loginEndpoint, ...(cloud.portal ? { portal: cloud.portal } : {}) });
  const credentialFor = (tenantId: string): TokenCredential =>
    signIn({
      ...http,
      proof: inputs.proof,
      clientId: inputs.clientId,
      tenantId,
      cloud,
      idToken: async (audience) => {
        const token = await githubIdToken(env, {
          ...http,
          audience,
          mask: options.mask,
          ...(options.event === undefined ? {} : { event: options.event }),
        });
        options.learn({ oidc: idTokenFacts(token) });
        return token;
      },
    });
  const credential = credentialFor(inputs.tenantId);
  const others = new Map(otherTenants.map((tenant) => [tenant.toLowerCase(), credentialFor(tenant)]));
  const auxiliary = [...others.values()];
  const tokenTenant = async (tenant: string, of: TokenCredential): Promise<string> => {
    const id = await provenTenant(inputs, tenant, of, cloud, signal);
    log.info(
      `Signed in to tenant ${tenant}${id === tenant.toLowerCase() ? '' : ` (${id})`} as ${inputs.clientId}.`,
    );
    return id;
  };
  const [tenantId] = await Promise.all([
    tokenTenant(inputs.tenantId, credential),
    ...[...others].map(([tenant, of]) => tokenTenant(tenant, of)),
  ]);
  const gauge = openGauge();
  const common = {
    cloud,
    correlationId,
    log,
    gauge,
    ...(options.patches ? { patches: options.patches } : {}),
  };
  const door = openDoor({ ...common, credential });
  const linked = auxiliary.length > 0 ? openDoor({ ...common, credential, auxiliary }) : door;
  const armUnder =
    (abortSignal: AbortSignal): Arm =>
    (method, path, apiVersion, rest) =>
      door.arm(method, path, apiVersion, { abortSignal, ...rest });
  const subscriptionId = await chooseSubscription(armUnder(signal), inputs.subscriptionId, tenantId);
  options.learn({ subscriptionId });
  const session: Session = {
    cloud,
    correlationId,
    tenantId,
    subscriptionId,
    compute: door.compute(subscriptionId),
    linkedCompute: linked.compute(subscriptionId),
    network: door.network(subscriptionId),
    arm: armUnder(signal),
    waiting: {
      signal,
      budget: gauge.read,
      onStillWaiting: (what, seconds) => log.info(`Still waiting for ${what} (${Math.round(seconds)} s).`),
    },
    under: (other) => ({ ...session, arm: armUnder(other), waiting: { ...session.waiting, signal: other } }),
  };
  const doorOf = (tenant: string) => {
    const of = others.get(tenant.toLowerCase());
    return of ? openDoor({ ...common, credential: of }) : door;
  };
  return { session, doorOf };
}

/**
 * Asks for a token and looks whose it is. A swapped pair of secrets or a mistyped domain would otherwise deploy to the
 * wrong customer.
 * @returns the tenant's GUID.
 */
async function provenTenant(
  inputs: Inputs,
  tenant: string,
  credential: TokenCredential,
  cloud: Cloud,
  abortSignal: AbortSignal,
): Promise<string> {
  const doing = `signing in to tenant ${tenant}`;
  const token = await during(doing, () => credential.getToken(resourceManagerScope(cloud), { abortSignal }));
  const claims = token ? tokenClaims(token.token) : undefined;
  const wanted = tenant.toLowerCase();
  const isDomain = wanted.includes('.');
  if (
    claims &&
    (isDomain || claims.tenantId.toLowerCase() === wanted) &&
    claims.appId.toLowerCase() === inputs.clientId.toLowerCase()
  ) {
    return claims.tenantId.toLowerCase();
  }
  throw new Failure(doing, {
    message: claims
      ? `The token is of tenant ${claims.tenantId} and app ${claims.appId}, not of tenant ${tenant} and app ${inputs.clientId}.`
      : 'The sign-in service gave something that is not an access token of an application.',
    explanation: {
      cause:
        'The sign-in endpoint answered for another tenant or app than the one that was named. Nothing was sent with that token.',
      who: "the workflow's author",
      fix: ['Check `tenant-id`, `image-tenant-id`, `client-id` and `environment`.'],
    },
  });
}
