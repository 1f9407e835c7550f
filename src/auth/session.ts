import type { ComputeManagementClient } from '@azure/arm-compute';
import type { TokenCredential } from '@azure/core-auth';
import { randomUUID } from 'node:crypto';
import {
  type AzureClients,
  type ManagementClients,
  createArmRequest,
  createAzureClients,
  loadManagementClients,
  sharedHttpClient,
  type Session,
} from '../azure/arm-client.ts';
import { type Cloud, discoverCloud } from '../azure/clouds.ts';
import { createHttpGet } from '../azure/http.ts';
import { type Result, settle } from '../azure/lookup.ts';
import { createRateLimitTracker } from '../azure/poll-schedule.ts';
import {
  type Subscription,
  assertSubscriptionInTenant,
  findSubscription,
  readSubscription,
} from '../azure/subscriptions.ts';
import type { ErrorContext } from '../errors/action-error.ts';
import { findAzureError } from '../errors/azure-error.ts';
import type { DeployInputs, Inputs } from '../inputs/inputs.ts';
import { raceAbort } from '../lib/abort.ts';
import type { MergePatch } from '../lib/json.ts';
import type { LogWriter } from '../runner/log.ts';
import { createTenantCredential, loadCredentialClasses } from './credential.ts';
import { requestGitHubIdToken } from './github-oidc.ts';
import { type ServicePrincipal, parseOidcClaims, sameTenant, verifyIdentity } from './identity.ts';

export interface SessionOptions {
  readonly log: LogWriter;
  readonly signal: AbortSignal;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The webhook payload of the workflow run. */
  readonly event?: unknown;
  readonly mask: (secret: string) => void;
  /** Takes what becomes known on the way, for explaining a failure with real names instead of placeholders. */
  readonly onContext: (known: Partial<ErrorContext>) => void;
  /** Filled once the plan is made; read at each PUT. */
  readonly patches?: ReadonlyMap<string, MergePatch>;
}

/** A session of `create` and `check`, which read the image with its own tenant's token. */
export interface DeploySession extends Session {
  /** GUID of the image tenant, also where the input named a domain. */
  readonly imageTenantId: string;
  /**
   * Rejects with a Failure where the named subscription is another tenant's. Asked beside everything else that is only
   * read; nothing may be written before it is answered.
   */
  readonly subscriptionVerified: Promise<void>;
  readonly imageCompute: (subscriptionId: string) => ComputeManagementClient;
}

/** What became of signing in to one tenant. */
export interface TenantSignIn {
  /** As the input names it: GUID or domain. */
  readonly tenant: string;
  readonly role: 'tenant' | 'image-tenant' | 'auxiliary';
  readonly result: Result<ServicePrincipal>;
}

/** A session of `check`: each tenant's refusal is an answer like any other, and the rest goes on without it. */
export interface CheckSession {
  readonly cloud: Cloud;
  /** The tenant first. */
  readonly signIns: readonly TenantSignIn[];
  /** Undefined where there is no token of the tenant. */
  readonly subscription?: Result<Subscription>;
  /** Undefined without a token or a subscription ID. */
  readonly session?: Session;
  /** Undefined where there is no token of the image tenant. */
  readonly imageCompute?: DeploySession['imageCompute'];
}

/** Signs in to the tenant alone: enough to read, to delete and to sweep. */
export async function openSession(inputs: Inputs, options: SessionOptions): Promise<Session> {
  const { session, subscriptionVerified } = await signInToTarget(inputs, [], options);
  await subscriptionVerified;
  return session;
}

/** Tries every tenant by itself, side by side, and the subscription. It throws only where no cloud can be reached. */
export async function openCheckSession(inputs: DeployInputs, options: SessionOptions): Promise<CheckSession> {
  const others = auxiliaryTenants(inputs);
  const ways = await connectTenants(inputs, others, options);
  const loading = loadManagementClients();
  const signIns = await Promise.all(
    [inputs.tenantId, ...others].map(
      async (tenant): Promise<TenantSignIn> => ({
        tenant,
        role: sameTenant(tenant, inputs.tenantId)
          ? 'tenant'
          : sameTenant(tenant, inputs.imageTenantId)
            ? 'image-tenant'
            : 'auxiliary',
        result: await settle(() => ways.prove(tenant)),
      }),
    ),
  );
  const provenAs = (tenant: string) => signIns.find((one) => sameTenant(one.tenant, tenant))?.result;
  const own = provenAs(inputs.tenantId);
  const image = provenAs(inputs.imageTenantId);
  const subscription =
    own && 'value' in own
      ? await settle(() => readSubscription(ways.arm, inputs, own.value.tenantId))
      : undefined;
  const isUnreadable =
    subscription && 'error' in subscription && findAzureError(subscription.error)?.status === 403;
  // An app that may not read the named subscription is asked for the resource group: only that decides a create.
  const subscriptionId =
    subscription && 'value' in subscription
      ? subscription.value.subscriptionId
      : isUnreadable && inputs.subscriptionId;
  const clients = await loading;
  const imageDoor = ways.doorOf(inputs.imageTenantId, clients);
  return {
    cloud: ways.cloud,
    signIns,
    ...(subscription ? { subscription } : {}),
    ...(own && 'value' in own && subscriptionId
      ? { session: ways.session(own.value.tenantId, subscriptionId, clients) }
      : {}),
    ...(image && 'value' in image ? { imageCompute: (id: string) => imageDoor.compute(id) } : {}),
  };
}

/**
 * Signs in to the tenant, the image tenant and the auxiliary tenants, side by side.
 * @throws AzureError in a Failure that names the tenant; Failure when a token is of another tenant or app than asked for.
 */
export async function openDeploySession(
  inputs: DeployInputs,
  options: SessionOptions,
): Promise<DeploySession> {
  const { session, subscriptionVerified, doorOf, tenantIdOf } = await signInToTarget(
    inputs,
    auxiliaryTenants(inputs),
    options,
  );
  const imageDoor = doorOf(inputs.imageTenantId);
  return {
    ...session,
    subscriptionVerified,
    imageTenantId: tenantIdOf(inputs.imageTenantId),
    imageCompute: (subscriptionId) => imageDoor.compute(subscriptionId),
  };
}

async function signInToTarget(inputs: Inputs, otherTenants: readonly string[], options: SessionOptions) {
  const ways = await connectTenants(inputs, otherTenants, options);
  const loading = loadManagementClients();
  const { subscriptionId: named } = inputs;
  const proven = ways.prove(inputs.tenantId);
  const subscriptionVerified = proven.then(
    (own) => (named ? assertSubscriptionInTenant(ways.arm, named, own.tenantId) : undefined),
    () => undefined,
  );
  // Told to whoever waits for it; that may be later.
  subscriptionVerified.catch(() => undefined);
  const [{ tenantId }, others] = await Promise.all([
    proven,
    Promise.all(otherTenants.map(async (tenant) => ({ tenant, identity: await ways.prove(tenant) }))),
  ]);
  const { log, signal } = options;
  const subscriptionId =
    named ?? (await findSubscription(ways.arm, tenantId, inputs, { signal, onWaiting: log.info }));
  const clients = await loading;
  return {
    session: ways.session(tenantId, subscriptionId, clients),
    subscriptionVerified,
    doorOf: (tenant: string) => ways.doorOf(tenant, clients),
    tenantIdOf: (tenant: string) =>
      others.find((other) => sameTenant(other.tenant, tenant))?.identity.tenantId ?? tenantId,
  };
}

/** Credentials and doors for all tenants. Asks nothing but the cloud's endpoints; tokens are first asked for by `prove`. */
async function connectTenants(inputs: Inputs, otherTenants: readonly string[], options: SessionOptions) {
  const { log, signal, env } = options;
  const correlationId = randomUUID();
  log.info(`Correlation ID of all requests of this run: ${correlationId}`);
  const http = { httpClient: sharedHttpClient(), log };
  const plain = createHttpGet({ ...http, correlationId });
  const cloud = await raceAbort(discoverCloud(inputs.environment, plain), signal);
  // Here and not at the first token: evaluating it holds up everything, and the clients' turn comes when that is sent.
  await loadCredentialClasses();
  const { loginEndpoint, resourceManager, portal } = cloud;
  options.onContext({ loginEndpoint, resourceManager, ...(portal ? { portal } : {}) });
  const credentialFor = (tenantId: string): TokenCredential =>
    createTenantCredential({
      ...http,
      credential: inputs.credential,
      clientId: inputs.clientId,
      tenantId,
      cloud,
      correlationId,
      idToken: async (audience) => {
        const token = await requestGitHubIdToken(env, {
          ...http,
          audience,
          mask: options.mask,
          ...(options.event === undefined ? {} : { event: options.event }),
        });
        const oidc = parseOidcClaims(token);
        if (oidc) options.onContext({ oidc });
        return token;
      },
    });
  const credential = credentialFor(inputs.tenantId);
  const others = new Map(otherTenants.map((tenant) => [tenant.toLowerCase(), credentialFor(tenant)]));
  const credentialOf = (tenant: string): TokenCredential => others.get(tenant.toLowerCase()) ?? credential;
  const auxiliary = [...others.values()];
  const rateLimits = createRateLimitTracker();
  const tenantGuids = new Map<string, string>();
  const common = {
    cloud,
    correlationId,
    log,
    rateLimits,
    ...(options.patches ? { patches: options.patches } : {}),
  };
  return {
    cloud,
    arm: createArmRequest({ ...common, credential, signal }),
    async prove(tenant: string): Promise<ServicePrincipal> {
      const identity = await verifyIdentity(inputs.clientId, tenant, {
        cloud,
        credential: credentialOf(tenant),
        plain,
        log,
        signal,
      });
      tenantGuids.set(tenant.toLowerCase(), identity.tenantId);
      options.onContext({ tenantGuids: new Map(tenantGuids) });
      const alias = sameTenant(identity.tenantId, tenant) ? '' : ` (${identity.tenantId})`;
      log.info(`Signed in to tenant ${tenant}${alias} as ${inputs.clientId}.`);
      return identity;
    },
    doorOf: (tenant: string, clients: ManagementClients): AzureClients =>
      createAzureClients({ ...common, credential: credentialOf(tenant), signal }, clients),
    session(tenantId: string, subscriptionId: string, clients: ManagementClients): Session {
      options.onContext({ subscriptionId });
      // Doors of its own for each signal: clean-up must not depend on any call remembering to bring another one.
      const under = (until: AbortSignal): Session => {
        const own = createAzureClients({ ...common, credential, signal: until }, clients);
        const linked =
          auxiliary.length > 0
            ? createAzureClients({ ...common, credential, auxiliary, signal: until }, clients)
            : own;
        return {
          cloud,
          correlationId,
          tenantId,
          subscriptionId,
          compute: own.compute(subscriptionId),
          crossTenantCompute: linked.compute(subscriptionId),
          network: own.network(subscriptionId),
          arm: own.arm,
          waiting: {
            signal: until,
            rateLimits: rateLimits.read,
            onProgress: (what, seconds) => log.info(`Still waiting for ${what} (${Math.round(seconds)} s).`),
          },
          withSignal: under,
        };
      };
      return under(signal);
    },
  };
}

function auxiliaryTenants(inputs: DeployInputs): readonly string[] {
  return [inputs.imageTenantId, ...inputs.auxiliaryTenantIds].filter(
    (tenant) => !sameTenant(tenant, inputs.tenantId),
  );
}
