import type { AccessToken, GetTokenOptions, TokenCredential } from '@azure/core-auth';
import {
  type PipelinePolicy,
  type PipelineRequest,
  type PipelineResponse,
  type RestError,
  createHttpHeaders,
  isRestError,
} from '@azure/core-rest-pipeline';
import { AsyncLocalStorage } from 'node:async_hooks';
import { type Cloud, signInOrigins } from '../azure/clouds.ts';
import { type HttpOptions, signInPolicies } from '../azure/http.ts';
import {
  allowedHostsPolicy,
  createPolicy,
  errorFromResponse,
  invalidResponseMessage,
  networkError,
} from '../azure/policies/responses.ts';
import { sharedHttpClient, unusedProxy } from '../azure/proxy.ts';
import { ActionError, AzureError } from '../errors/errors.ts';
import type { ClientCredential } from '../inputs/inputs.ts';
import { raceAbort } from '../lib/abort.ts';
import { normalizePem } from '../lib/pem.ts';

export interface TenantCredentialOptions extends HttpOptions {
  readonly credential: ClientCredential;
  readonly clientId: string;
  /** GUID or verified domain of the one tenant that tokens are for. */
  readonly tenantId: string;
  readonly cloud: Cloud;
  readonly correlationId: string;
  /** Requests a new ID token of this job; called once per token request. */
  readonly idToken: (audience: string) => Promise<string>;
  /** Masks each access token in the job's log. */
  readonly mask: (secret: string) => void;
}

interface TokenRequestTrace {
  /** The last attempt. MSAL keeps neither the body nor the reason of a failure. */
  last?: { request: PipelineRequest; response?: PipelineResponse; error?: RestError };
  /** Why an attempt was not sent. MSAL wraps errors of the network client. */
  refusal?: ActionError;
  /** MSAL calls the assertion callback twice per token request; GitHub gets one request. */
  idToken?: Promise<string>;
}

const traces = new AsyncLocalStorage<TokenRequestTrace>();

/** Until just before this, MSAL returns its cached token. Short-lived tokens are replaced at a fifth. */
const refreshMarginMs = 290_000;
const refreshShare = 0.2;

/** Delay after a failed refresh while the old token is valid. */
const failedRefreshDelayMs = 30_000;

/** The SDK's pipelines keep a copy, and ask here again after `refreshAfterTimestamp`. */
type CachedToken = AccessToken & { readonly refreshAfterTimestamp: number };

const signInErrors = new WeakSet<Error>();

/** Whether a credential of `createTenantCredential` threw this: every request that needs the token then fails with it. */
export function isSignInError(error: unknown): boolean {
  return error instanceof Error && signInErrors.has(error);
}

/**
 * Bound to one tenant. Concurrent callers share one token request; failures are not cached.
 * @throws AzureError with `tenant` set for errors of Entra and the network; ActionError for those of GitHub's provider.
 */
export function createTenantCredential(options: TenantCredentialOptions): TokenCredential {
  const tokenCache = new Map<string, CachedToken>();
  const inFlight = new Map<string, Promise<AccessToken>>();
  let credential: TokenCredential | undefined;

  function cacheToken(scope: string, token: AccessToken, refreshAfterTimestamp: number): CachedToken {
    const cached = { ...token, refreshAfterTimestamp };
    tokenCache.set(scope, cached);
    return cached;
  }

  async function requestToken(scope: string, claims: string | undefined): Promise<AccessToken> {
    const trace: TokenRequestTrace = {};
    try {
      const sdkCredential = (credential ??= await createSdkCredential(options));
      const token = await traces.run(trace, () => sdkCredential.getToken(scope, { claims }));
      if (token === null) throw new Error('no token came back');
      options.mask(token.token);
      const lifetime = token.expiresOnTimestamp - Date.now();
      const margin = Math.min(refreshMarginMs, lifetime * refreshShare);
      return cacheToken(scope, token, token.expiresOnTimestamp - margin);
    } catch (error) {
      // After a 429, a 5xx or a Retry-After, MSAL repeats its error for a minute and more without asking Entra. No public
      // option turns that off; a new object has no memory of it, at the price of one discovery request.
      credential = undefined;
      await trace.idToken; // If GitHub gave no ID token, that is the reason; MSAL would hide it.
      throw trace.refusal ?? toSignInError(error, trace.last, options);
    }
  }

  async function refreshToken(scope: string, claims: string | undefined): Promise<AccessToken> {
    try {
      return await requestToken(scope, claims);
    } catch (error) {
      // An outage of Entra during a token's last minutes is no reason to fail yet.
      const old = tokenCache.get(scope);
      if (claims !== undefined || !old || old.expiresOnTimestamp <= Date.now()) throw error;
      options.log?.debug(`sign-in to ${options.tenantId}: refresh failed; the current token is still valid`);
      return cacheToken(scope, old, Math.min(Date.now() + failedRefreshDelayMs, old.expiresOnTimestamp));
    }
  }

  return {
    async getToken(scopes: string | string[], { claims, abortSignal }: GetTokenOptions = {}): Promise<AccessToken> {
      // The other options are ignored on purpose: `enableCae` would create a second client with its own token, and
      // `tenantId` comes from challenges.
      const scope = [scopes].flat().join(' ');
      const cached = tokenCache.get(scope);
      if (claims === undefined && cached && Date.now() < cached.refreshAfterTimestamp) return cached;

      const key = `${scope} ${claims ?? ''}`;
      let shared = inFlight.get(key);
      if (shared === undefined) {
        shared = refreshToken(scope, claims).finally(() => inFlight.delete(key));
        // The caller may have aborted when it fails.
        shared.catch(() => undefined);
        inFlight.set(key, shared);
      }
      try {
        return await (abortSignal ? raceAbort(shared, abortSignal as AbortSignal) : shared);
      } catch (error) {
        // The SDK refreshes in the background with the signal of an arbitrary request and awaits that nowhere. An abort
        // must not fail the refresh: the SDK would retry it every three seconds until the token expires.
        const current = tokenCache.get(scope);
        if (claims === undefined && current && current.expiresOnTimestamp > Date.now()) return current;
        if (error instanceof Error) signInErrors.add(error);
        throw error;
      }
    },
  };
}

/** Loads the SDK's credentials: with MSAL a third of the code. Runs with invalid inputs and most post steps never sign in. */
export async function loadCredentialClasses() {
  const { ClientAssertionCredential, ClientCertificateCredential, ClientSecretCredential } = await import(
    '@azure/identity'
  );
  return { ClientAssertionCredential, ClientCertificateCredential, ClientSecretCredential };
}

async function createSdkCredential({
  credential,
  clientId,
  tenantId,
  cloud,
  ...options
}: TenantCredentialOptions): Promise<TokenCredential> {
  const sdk = await loadCredentialClasses();
  const settings = {
    authorityHost: cloud.loginEndpoint,
    // Otherwise MSAL asks the public cloud whether it knows this one.
    disableInstanceDiscovery: true,
    // A redirected token request would send the secret to wherever a captive portal points.
    retryOptions: { maxRetries: 0 },
    redirectOptions: { maxRetries: 0 },
    proxyOptions: unusedProxy,
    additionalPolicies: [
      endpointMetadataPolicy(cloud),
      msalCorrelationPolicy(options.correlationId),
      ...signInPolicies(options, [
        tokenRequestTracePolicy,
        allowedHostsPolicy(signInOrigins(cloud), 'sign-in requests'),
      ]),
    ].map((policy) => ({ policy, position: 'perCall' as const })),
    httpClient: options.httpClient ?? sharedHttpClient,
  };
  if (credential.kind === 'secret') {
    return new sdk.ClientSecretCredential(tenantId, clientId, credential.secret, settings);
  }
  if (credential.kind === 'certificate') {
    const certificate = normalizePem(credential.pem);
    if (certificate === undefined) {
      throw new ActionError('signing in with `client-certificate`', {
        message: 'The PEM text holds no private key and certificate that can be read.',
      });
    }
    return new sdk.ClientCertificateCredential(tenantId, clientId, { certificate }, settings);
  }
  const assertion = (): Promise<string> => {
    const trace = traces.getStore() ?? {};
    trace.idToken ??= options.idToken(credential.audience ?? cloud.oidcAudience);
    return trace.idToken;
  };
  return new sdk.ClientAssertionCredential(tenantId, clientId, assertion, settings);
}

/** Answers MSAL's request for a tenant's endpoints, which have the same paths in all clouds. */
function endpointMetadataPolicy({ loginEndpoint }: Cloud): PipelinePolicy {
  return createPolicy('endpointMetadataPolicy', async (request, next) => {
    const { pathname } = new URL(request.url);
    const [, tenant] = /^\/([^/]+)\/v2\.0\/\.well-known\/openid-configuration$/.exec(pathname) ?? [];
    if (!tenant) return next(request);
    const base = `${loginEndpoint}/${tenant}`;
    const bodyAsText = JSON.stringify({
      issuer: `${base}/v2.0`,
      authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
      token_endpoint: `${base}/oauth2/v2.0/token`,
      jwks_uri: `${base}/discovery/v2.0/keys`,
    });
    return { request, status: 200, headers: createHttpHeaders({ 'content-type': 'application/json' }), bodyAsText };
  });
}

const tokenRequestTracePolicy = createPolicy('tokenRequestTracePolicy', async (request, next) => {
  const trace = traces.getStore() ?? {};
  try {
    const response = await next(request);
    trace.last = { request, response };
    return response;
  } catch (error) {
    // The SDK parses a page without a content type as JSON, and fails: its response is in the error.
    if (isRestError(error)) trace.last = { request, response: error.response, error };
    else if (error instanceof ActionError) trace.refusal = error;
    throw error;
  }
});

/** MSAL generates an ID per token request, in query and body, and @azure/identity has no option for it. */
function msalCorrelationPolicy(correlationId: string): PipelinePolicy {
  const generated = /\bclient-request-id=[0-9a-f-]{36}/gi;
  const ours = `client-request-id=${correlationId}`;
  return createPolicy('msalCorrelationPolicy', (request, next) => {
    request.url = request.url.replace(generated, ours);
    if (typeof request.body === 'string') request.body = request.body.replace(generated, ours);
    return next(request);
  });
}

/** The reason of a failed token request, from the wire. It has no cause: the SDK's errors contain complete requests. */
function toSignInError(
  error: unknown,
  last: TokenRequestTrace['last'],
  { credential, tenantId, cloud }: TenantCredentialOptions,
): Error {
  if (error instanceof ActionError) return error;
  if (last === undefined) {
    const message = redactSecret(error instanceof Error ? error.message : String(error), credential);
    return new ActionError(`signing in to tenant ${tenantId}`, { message });
  }
  const { request, response } = last;
  const { host, pathname } = new URL(request.url);
  if (response === undefined) {
    return new AzureError({ ...networkError(request, last.error ?? new Error('')), tenant: tenantId });
  }
  const { status, headers, bodyAsText } = response;
  const unexpected = invalidResponseMessage(bodyAsText ?? '');
  if (status < 400 || unexpected !== undefined) {
    // The body is not quoted, nor is MSAL's message, which quotes it: it may contain a token.
    return new ActionError(`signing in to tenant ${tenantId}`, {
      message:
        unexpected ??
        `${host}${pathname} answered ${status} (${headers.get('content-type') ?? 'of no type'}), which is not an answer of a sign-in service.`,
      reason: 'Something else answered instead (a proxy, a captive portal), or it is not Microsoft Entra ID.',
      who: 'the administrator of the runner',
      fix: [`Make ${cloud.loginEndpoint} reachable from the runner, directly or through HTTPS_PROXY.`],
    });
  }
  const redacted = { ...response, bodyAsText: redactSecret(bodyAsText ?? '', credential) };
  return new AzureError({ ...errorFromResponse(request, redacted), tenant: tenantId });
}

function redactSecret(text: string, credential: ClientCredential): string {
  // A secret of a few letters is not one of Entra's; replacing it would garble words.
  const isLong = credential.kind === 'secret' && credential.secret.length >= 16;
  return isLong ? text.replaceAll(credential.secret, '***') : text;
}
