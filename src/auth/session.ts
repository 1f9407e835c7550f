import type { ComputeManagementClient } from '@azure/arm-compute';
import type { TokenCredential } from '@azure/core-auth';
import { randomUUID } from 'node:crypto';
import { createArmRequest, createAzureClients, loadManagementClients, type Session } from '../azure/arm-client.ts';
import { type Cloud, discoverCloud } from '../azure/clouds.ts';
import { createHttpGet } from '../azure/http.ts';
import { type Result, settle, valueOf } from '../azure/lookup.ts';
import { createRateLimitTracker } from '../azure/poll-schedule.ts';
import { proxySecrets } from '../azure/proxy.ts';
import { sameTenant } from '../azure/resource-id.ts';
import { assertSubscriptionInTenant, findSubscription, readSubscription } from '../azure/subscriptions.ts';
import { type ErrorContext, findAzureError } from '../errors/errors.ts';
import type { DeployInputs, Inputs } from '../inputs/inputs.ts';
import { raceAbort } from '../lib/abort.ts';
import type { MergePatch } from '../lib/json.ts';
import type { LogWriter } from '../runner/log.ts';
import { createTenantCredential, loadCredentialClasses } from './credential.ts';
import { requestGitHubIdToken } from './github-oidc.ts';
import { type ServicePrincipal, parseOidcClaims, verifyIdentity } from './identity.ts';

export interface SessionOptions {
  readonly log: LogWriter;
  readonly signal: AbortSignal;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly mask: (secret: string) => void;
  /** Receives facts as they become known, so that errors name real values instead of placeholders. */
  readonly onContext: (context: Partial<ErrorContext>) => void;
  /** Filled when the plan exists; read at each PUT. */
  readonly patches?: ReadonlyMap<string, MergePatch>;
}

export interface DeploySession extends Session {
  /** GUID of the image tenant, also where the input is a domain. */
  readonly imageTenantId: string;
  /** Rejects if the named subscription is another tenant's. Reads it once; await it before a deployment's first write. */
  readonly verifySubscription: () => Promise<void>;
  readonly imageCompute: (subscriptionId: string) => ComputeManagementClient;
}

export interface TenantSignIn {
  /** As the input names it: GUID or domain. */
  readonly tenant: string;
  readonly role: 'tenant' | 'image-tenant' | 'auxiliary';
  readonly result: Result<ServicePrincipal>;
}

export async function openSession(inputs: Inputs, options: SessionOptions): Promise<Session> {
  const { session, verifySubscription } = await signInToTarget(inputs, [], options);
  await verifySubscription();
  return session;
}

export type CheckSession = Awaited<ReturnType<typeof openCheckSession>>;

/**
 * Signs in to every tenant in parallel, the target tenant first, and reads the subscription. A tenant's refusal is a
 * result like any other: the check continues without it. Throws only if the cloud cannot be reached.
 */
export async function openCheckSession(inputs: DeployInputs, options: SessionOptions) {
  const tenants = await connectTenants(inputs, auxiliaryTenants(inputs), options);
  const signIns = await Promise.all(
    [inputs.tenantId, ...auxiliaryTenants(inputs)].map(async (tenant): Promise<TenantSignIn> => {
      const result = await settle(() => tenants.authenticate(tenant));
      return { tenant, role: roleOf(tenant, inputs), result };
    }),
  );
  const identityIn = (tenant: string) => valueOf(signIns.find((signIn) => sameTenant(signIn.tenant, tenant))?.result);
  const tenantId = identityIn(inputs.tenantId)?.tenantId;
  const subscription = tenantId ? await settle(() => readSubscription(tenants.arm, inputs, tenantId)) : undefined;
  // An app that may not read the named subscription may still use its resource group: only that decides a create.
  const isDenied = subscription && 'error' in subscription && findAzureError(subscription.error)?.status === 403;
  const subscriptionId = valueOf(subscription)?.subscriptionId ?? (isDenied ? inputs.subscriptionId : undefined);
  const session = tenantId && subscriptionId ? await tenants.session(tenantId, subscriptionId) : undefined;
  const imageClients = identityIn(inputs.imageTenantId) && (await tenants.clientsFor(inputs.imageTenantId));
  return { signIns, subscription, session, imageCompute: imageClients?.compute };
}

function roleOf(tenant: string, inputs: DeployInputs): TenantSignIn['role'] {
  if (sameTenant(tenant, inputs.tenantId)) return 'tenant';
  return sameTenant(tenant, inputs.imageTenantId) ? 'image-tenant' : 'auxiliary';
}

/** @throws ActionError that names the tenant, also when a token is for another tenant or app. */
export async function openDeploySession(inputs: DeployInputs, options: SessionOptions): Promise<DeploySession> {
  const { tenants, session, verifySubscription } = await signInToTarget(inputs, auxiliaryTenants(inputs), options);
  const { compute: imageCompute } = await tenants.clientsFor(inputs.imageTenantId);
  return { ...session, verifySubscription, imageTenantId: tenants.guidOf(inputs.imageTenantId), imageCompute };
}

async function signInToTarget(inputs: Inputs, otherTenants: readonly string[], options: SessionOptions) {
  const tenants = await connectTenants(inputs, otherTenants, options);
  const { subscriptionId: named } = inputs;
  const [{ tenantId }] = await Promise.all([
    tenants.authenticate(inputs.tenantId),
    ...otherTenants.map(tenants.authenticate),
  ]);
  const { log, signal } = options;
  const subscriptionId =
    named ?? (await findSubscription(tenants.arm, tenantId, inputs, { signal, onWaiting: log.info }));
  let verified: Promise<void> | undefined;
  return {
    tenants,
    session: await tenants.session(tenantId, subscriptionId),
    verifySubscription: async () => {
      if (named) await (verified ??= assertSubscriptionInTenant(tenants.arm, named, tenantId));
    },
  };
}

/** Creates credentials and clients for all tenants. Requests nothing but the cloud's endpoints; `authenticate` gets tokens. */
async function connectTenants(inputs: Inputs, otherTenants: readonly string[], options: SessionOptions) {
  const { log, signal, mask, patches } = options;
  const { changeReference } = inputs;
  const correlationId = randomUUID();
  log.info(`Correlation ID of all requests of this run: ${correlationId}`);
  for (const secret of proxySecrets(options.env)) mask(secret);
  const get = createHttpGet({ log, correlationId });
  const cloud = await raceAbort(discoverCloud(inputs.environment, get), signal);
  // Not at the first token: evaluating the classes blocks the process, and the clients are evaluated after that.
  await loadCredentialClasses();
  const { loginEndpoint, resourceManager, portal } = cloud;
  options.onContext({ loginEndpoint, resourceManager, ...(portal && { portal }) });
  const credentials = createCredentials(inputs, otherTenants, cloud, { ...options, correlationId });
  const loading = loadManagementClients();
  const rateLimits = createRateLimitTracker();
  const common = { cloud, correlationId, log, rateLimits, mask, patches, changeReference };
  const tenantGuids = new Map<string, string>();
  return {
    arm: createArmRequest({ ...common, credential: credentials.target, signal }),
    authenticate: async (tenant: string): Promise<ServicePrincipal> => {
      const credential = credentials.of(tenant);
      const identity = await verifyIdentity(inputs.clientId, tenant, { cloud, credential, get, log, signal });
      tenantGuids.set(tenant.toLowerCase(), identity.tenantId);
      options.onContext({ tenantGuids: new Map(tenantGuids) });
      const alias = sameTenant(identity.tenantId, tenant) ? '' : ` (${identity.tenantId})`;
      log.info(`Signed in to tenant ${tenant}${alias} as ${inputs.clientId}.`);
      return identity;
    },
    /** Of a tenant that was signed in to. */
    guidOf: (tenant: string) => tenantGuids.get(tenant.toLowerCase()) ?? tenant,
    clientsFor: async (tenant: string) =>
      createAzureClients({ ...common, credential: credentials.of(tenant), signal }, await loading),
    async session(tenantId: string, subscriptionId: string): Promise<Session> {
      options.onContext({ subscriptionId });
      const clients = await loading;
      // Each signal gets separate clients, so that cleanup does not depend on every call passing its signal.
      const withSignal = (until: AbortSignal): Session => {
        const clientOptions = { ...common, credential: credentials.target, signal: until };
        const own = createAzureClients(clientOptions, clients);
        const { auxiliary } = credentials;
        const crossTenant = auxiliary.length > 0 ? createAzureClients({ ...clientOptions, auxiliary }, clients) : own;
        return {
          cloud,
          correlationId,
          tenantId,
          subscriptionId,
          compute: own.compute(subscriptionId),
          crossTenantCompute: crossTenant.compute(subscriptionId),
          network: own.network(subscriptionId),
          arm: own.arm,
          waiting: {
            signal: until,
            rateLimits: rateLimits.read,
            onProgress: (what, seconds) => log.info(`Still waiting for ${what} (${Math.round(seconds)} s).`),
          },
          withSignal,
        };
      };
      return withSignal(signal);
    },
  };
}

function createCredentials(
  { credential, clientId, tenantId: target }: Inputs,
  otherTenants: readonly string[],
  cloud: Cloud,
  { env, mask, onContext, log, correlationId }: SessionOptions & { readonly correlationId: string },
) {
  if (env['NODE_TLS_REJECT_UNAUTHORIZED'] === '0') {
    log.warning(
      'NODE_TLS_REJECT_UNAUTHORIZED=0 turns off the verification of certificates: anyone on the network path can read the secrets that are sent. Unset it, and set NODE_EXTRA_CA_CERTS to the certificate of a private authority.',
    );
  }
  const idToken = async (audience: string): Promise<string> => {
    const token = await requestGitHubIdToken(env, { log, correlationId, audience, mask });
    const oidc = parseOidcClaims(token);
    if (oidc) onContext({ oidc });
    return token;
  };
  const create = (tenantId: string): TokenCredential =>
    createTenantCredential({ log, correlationId, credential, clientId, tenantId, cloud, idToken, mask });
  const own = create(target);
  const others = new Map(otherTenants.map((tenant) => [tenant.toLowerCase(), create(tenant)]));
  return {
    target: own,
    auxiliary: [...others.values()],
    of: (tenant: string): TokenCredential => others.get(tenant.toLowerCase()) ?? own,
  };
}

function auxiliaryTenants(inputs: DeployInputs): readonly string[] {
  return [inputs.imageTenantId, ...inputs.auxiliaryTenantIds].filter((tenant) => !sameTenant(tenant, inputs.tenantId));
}
