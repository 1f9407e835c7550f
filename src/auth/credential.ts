import type { AccessToken, GetTokenOptions, TokenCredential } from '@azure/core-auth';
import type { HttpClient, PipelinePolicy } from '@azure/core-rest-pipeline';
import type { Cloud } from '../azure/clouds.ts';
import {
  type HttpAttempt,
  type RetryOptions,
  type TokenRequestTrace,
  signInRetryPolicy,
  traces,
} from '../azure/http.ts';
import { ActionError } from '../errors/action-error.ts';
import { AzureError, type AzureErrorInfo } from '../errors/azure-error.ts';
import { parseErrorResponse } from '../errors/parse-error-response.ts';
import type { ClientCredential } from '../inputs/inputs.ts';
import { normalizePem } from '../lib/pem.ts';

export interface TenantCredentialOptions {
  readonly credential: ClientCredential;
  readonly clientId: string;
  /** GUID or verified domain of the one tenant that tokens are for. */
  readonly tenantId: string;
  readonly cloud: Cloud;
  /** A fresh ID token of this job; called once for each token that Entra is asked for. Needed for OIDC. */
  readonly idToken?: (audience: string) => Promise<string>;
  /** GUID that the requests carry, so that Entra's sign-in log can be searched for the run. */
  readonly correlationId?: string;
  readonly httpClient?: HttpClient;
  readonly patience?: RetryOptions;
  /** Gets a line for every try that failed and is made again. */
  readonly debug?: (line: string) => void;
  /** Gets a line where tries and pauses take more than a few seconds, and at least every 30 seconds from there on. */
  readonly info?: (line: string) => void;
}

/**
 * A token is replaced this long before its end: a little later than five minutes, since before that MSAL gives out its
 * own copy again instead of asking. Short-lived ones are replaced when a fifth of their life is left.
 */
const refreshMarginMs = 290_000;

const refreshShare = 0.2;

/** Wait after a failed refresh, as long as the old token still serves. */
const refreshAgainMs = 30_000;

/** The SDK's pipelines keep a copy, and ask here again after `refreshAfterTimestamp`. */
type CachedToken = AccessToken & { readonly refreshAfterTimestamp: number };

const signInErrors = new WeakSet<object>();

/** Whether a credential of `signIn` threw this, which then is told by every request that needs the token. */
export function isSignInError(error: unknown): boolean {
  return typeof error === 'object' && error !== null && signInErrors.has(error);
}

/**
 * A credential for one tenant, whatever tenant or tokens a challenge names.
 *
 * Callers at the same time share one request; a token serves until shortly before its end; a failure is never kept.
 * Refusals and lost connections come as AzureError with `fault.tenant`, those of GitHub's provider as Failure.
 */
export function createTenantCredential(options: TenantCredentialOptions): TokenCredential {
  const held = new Map<string, CachedToken>();
  const pending = new Map<string, Promise<AccessToken>>();
  let credential: TokenCredential | undefined;

  function keep(scope: string, token: AccessToken, refreshAfterTimestamp: number): CachedToken {
    const kept = { ...token, refreshAfterTimestamp };
    held.set(scope, kept);
    return kept;
  }

  async function acquire(scope: string, claims: string | undefined): Promise<AccessToken> {
    const acquisition: TokenRequestTrace = {};
    try {
      const asked = (credential ??= await createSdkCredential(options));
      const token = await traces.run(acquisition, () => asked.getToken(scope, claims ? { claims } : {}));
      if (token === null) throw new Error('no token came back');
      const left = token.expiresOnTimestamp - Date.now();
      const margin = Math.min(refreshMarginMs, left * refreshShare);
      return keep(scope, token, token.expiresOnTimestamp - margin);
    } catch (error) {
      // MSAL answers from memory for a minute and more after a 429, a 5xx or a Retry-After, without asking Entra. Its
      // public options do not turn that off; a new object knows nothing of it, at the price of one discovery request.
      credential = undefined;
      await acquisition.idToken; // Where GitHub gave no ID token, that is the reason; MSAL would bury it.
      throw toSignInError(error, acquisition.last, options);
    }
  }

  async function refreshed(scope: string, claims: string | undefined): Promise<AccessToken> {
    try {
      return await acquire(scope, claims);
    } catch (error) {
      // An outage of Entra in the last minutes of a token is no reason to fail yet.
      const old = held.get(scope);
      if (claims !== undefined || !old || old.expiresOnTimestamp <= Date.now()) throw error;
      options.debug?.(`sign-in to ${options.tenantId}: refresh failed, the present token still serves`);
      return keep(scope, old, Math.min(Date.now() + refreshAgainMs, old.expiresOnTimestamp));
    }
  }

  return {
    async getToken(
      scopes: string | string[],
      { claims, abortSignal }: GetTokenOptions = {},
    ): Promise<AccessToken> {
      // The other options are left out on purpose: `enableCae` would make a second client with its own token, `tenantId`
      // comes from challenges, and this credential serves one tenant only.
      const scope = [scopes].flat().join(' ');
      const present = held.get(scope);
      if (claims === undefined && present && Date.now() < present.refreshAfterTimestamp) return present;

      const key = `${scope} ${claims ?? ''}`;
      let shared = pending.get(key);
      if (shared === undefined) {
        shared = refreshed(scope, claims).finally(() => pending.delete(key));
        pending.set(key, shared);
      }
      try {
        return await untilAborted(shared, abortSignal);
      } catch (error) {
        // The SDK refreshes in the background, under the signal of the request that happened to come by. Its abort must
        // not fail the refresh: the SDK would repeat it every three seconds until the token's end, and await it nowhere.
        const serving = held.get(scope);
        if (claims === undefined && serving && serving.expiresOnTimestamp > Date.now()) return serving;
        if (typeof error === 'object' && error !== null) signInErrors.add(error);
        throw error;
      }
    },
  };
}

/**
 * Loads the SDK's credentials: with MSAL below them a third of what a start has to read. Invalid inputs, and most post
 * steps, never sign in.
 */
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
    // The tries are counted, recorded and bounded here.
    retryOptions: { maxRetries: 0 },
    // A redirected token request would carry the secret to wherever a captive portal points.
    redirectOptions: { maxRetries: 0 },
    additionalPolicies: [
      ...(options.correlationId === undefined
        ? []
        : [perCall(signInCorrelationPolicy(options.correlationId))]),
      perCall(signInRetryPolicy(options)),
    ],
    ...(options.httpClient === undefined ? {} : { httpClient: options.httpClient }),
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
  const { idToken } = options;
  if (idToken === undefined) throw new Error('OIDC needs `idToken`');
  const assertion = (): Promise<string> => {
    const acquisition = traces.getStore() ?? {};
    acquisition.idToken ??= idToken(credential.audience ?? cloud.oidcAudience);
    return acquisition.idToken;
  };
  return new sdk.ClientAssertionCredential(tenantId, clientId, assertion, settings);
}

function perCall(policy: PipelinePolicy): { policy: PipelinePolicy; position: 'perCall' } {
  return { policy, position: 'perCall' };
}

/** MSAL makes an ID of its own for each token request, in query and body, and @azure/identity takes none from outside. */
function signInCorrelationPolicy(correlationId: string): PipelinePolicy {
  const own = /\bclient-request-id=[0-9a-f-]{36}/gi;
  const ours = `client-request-id=${correlationId}`;
  return {
    name: 'correlationPolicy',
    sendRequest(request, next) {
      request.headers.set('client-request-id', correlationId);
      request.url = request.url.replace(own, ours);
      if (typeof request.body === 'string') request.body = request.body.replace(own, ours);
      return next(request);
    },
  };
}

/** The reason of a failed acquisition, read off the wire. No cause is attached: those of the SDK hold whole requests. */
function toSignInError(
  error: unknown,
  last: HttpAttempt | undefined,
  { credential, tenantId, cloud }: TenantCredentialOptions,
): Error {
  if (error instanceof ActionError) return error;
  const said = error instanceof Error ? error.message : String(error);
  if (last === undefined) {
    return new ActionError(`signing in to tenant ${tenantId}`, { message: redactSecret(said, credential) });
  }
  const { request, outcome } = last;
  const { host, pathname } = new URL(request.url);
  if (outcome.kind === 'lost') {
    return new AzureError({
      status: 0,
      code: outcome.code,
      message: `${host} could not be reached: ${outcome.message}`,
      details: [],
      method: request.method,
      url: pathname,
      body: '',
      tenant: tenantId,
    });
  }
  const { status, headers, bodyAsText } = outcome.response;
  if (status < 400) {
    // The body stays out, and with it MSAL's message, which quotes it: it may hold a token.
    return new ActionError(`signing in to tenant ${tenantId}`, {
      message: `${host}${pathname} answered ${status} (${headers.get('content-type') ?? 'of no type'}), and not as a sign-in service does.`,
      explanation: {
        cause:
          'Something on the way answers in its place (a proxy, a captive portal), or it is not Microsoft Entra ID.',
        who: 'whoever maintains the runner',
        fix: [
          `From the runner, ${cloud.loginEndpoint} has to be reachable as it is, or through HTTPS_PROXY.`,
        ],
      },
    });
  }
  const fault: AzureErrorInfo = parseErrorResponse({
    method: request.method,
    url: request.url,
    status,
    headers: (name) => headers.get(name),
    bodyText: redactSecret(bodyAsText ?? '', credential),
  });
  return new AzureError({ ...fault, tenant: tenantId });
}

function redactSecret(text: string, proof: ClientCredential): string {
  // A secret of a few letters is none of Entra's, and would tear holes into words.
  const hide = proof.kind === 'secret' && proof.secret.length >= 16;
  return hide ? text.replaceAll(proof.secret, '***') : text;
}

/** The promise's result, or an AbortError as soon as the signal fires. What is shared goes on for the other callers. */
function untilAborted<T>(shared: Promise<T>, signal: GetTokenOptions['abortSignal']): Promise<T> {
  if (signal === undefined) return shared;
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => reject(new DOMException('Signing in was aborted.', 'AbortError'));
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort);
    shared.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
