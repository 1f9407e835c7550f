import { AsyncLocalStorage } from 'node:async_hooks';
import type { AccessToken, GetTokenOptions, TokenCredential } from '@azure/core-auth';
import {
  createDefaultHttpClient,
  createHttpHeaders,
  createPipelineFromOptions,
  createPipelineRequest,
  type HttpClient,
  isRestError,
  type PipelinePolicy,
  type PipelineRequest,
  type PipelineResponse,
  type SendRequest,
} from '@azure/core-rest-pipeline';
import { transientStatuses, transientNetworkCodes } from './azure.ts';
import { normalizePem } from './certificate.ts';
import { clockSeconds, startAnswerTimer, startTimer } from './clock.ts';
import type { Cloud } from './cloud.ts';
import type { OidcClaims } from './explain/entry.ts';
import {
  AzureError,
  type AzureErrorInfo,
  ActionError,
  parseErrorResponse,
  retryAfterSeconds,
} from './failure.ts';
import type { ClientCredential } from './inputs.ts';

/** How long one request may be tried for. */
export interface RetryOptions {
  /** Tries in all. */
  readonly tries: number;
  /** A try without a whole answer after this long is given up, in milliseconds. */
  readonly attemptTimeoutMs: number;
  /** No try begins later than this after the first one. A longer Retry-After is not waited for. */
  readonly totalMs: number;
  /** Pause before the second try; it doubles from there. */
  readonly firstPauseMs: number;
}

/** At worst 90 seconds and one more try, well within the five minutes that an assertion from GitHub lives. */
export const defaultRetryOptions: RetryOptions = {
  tries: 6,
  attemptTimeoutMs: 15_000,
  totalMs: 90_000,
  firstPauseMs: 500,
};

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

type RetryPolicyOptions = Pick<TenantCredentialOptions, 'patience' | 'debug' | 'info'>;

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

/** What happened on the wire during one acquisition: MSAL keeps neither the body nor the reason of a failure. */
interface TokenRequestTrace {
  last?: HttpAttempt;
  /** MSAL asks for the assertion twice per token request; GitHub is asked once. */
  idToken?: Promise<string>;
}

/** One request and what became of it. */
interface HttpAttempt {
  readonly request: PipelineRequest;
  readonly outcome:
    | { readonly kind: 'answered'; readonly response: PipelineResponse }
    | { readonly kind: 'lost'; readonly code: string; readonly message: string; readonly error: unknown };
}

const traces = new AsyncLocalStorage<TokenRequestTrace>();

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

/**
 * Tries a request again while that may help, and records each try in the acquisition it belongs to. Also gives up on
 * answers that trickle: the SDK's own timeout ends with the headers, and it does not retry what timed out.
 */
function signInRetryPolicy({
  patience = defaultRetryOptions,
  debug,
  info,
}: RetryPolicyOptions): PipelinePolicy {
  return {
    name: 'patientPolicy',
    async sendRequest(request, next) {
      const start = clockMs();
      let told = start;
      for (let tried = 1; ; tried++) {
        const sent = performance.now();
        const attempt = await sendHttpAttempt(request, next, patience.attemptTimeoutMs);
        attemptSummary(attempt, performance.now() - sent, debug);
        const acquisition = traces.getStore();
        if (acquisition !== undefined) acquisition.last = attempt;
        const wait = request.abortSignal?.aborted
          ? undefined
          : nextRetryDelay(attempt, tried, clockMs() - start, patience);
        if (wait === undefined) {
          if (attempt.outcome.kind === 'lost') throw attempt.outcome.error;
          return attempt.outcome.response;
        }
        debug?.(`${formatAttemptOutcome(attempt)}: again in ${Math.round(wait)} ms`);
        const { host } = new URL(request.url);
        for (let left = wait; left > 0; left -= progressIntervalMs) {
          if (clockMs() + left - told > quietPeriodMs) {
            info?.(`${host}: ${formatAttemptOutcome(attempt)}; trying again in ${Math.ceil(left / 1000)} s.`);
            told = clockMs();
          }
          await abortableDelay(Math.min(left, progressIntervalMs));
        }
      }
    },
  };
}

/** What is not told sooner is told when it comes to this much. */
const quietPeriodMs = 5_000;
/** A try follows the pause and may take another 15 seconds: together they are the 30 that nothing may be silent for. */
const progressIntervalMs = 15_000;

const clockMs = (): number => clockSeconds() * 1000;

function abortableDelay(ms: number): Promise<void> {
  return new Promise((resolve) => {
    startTimer(ms / 1000, resolve);
  });
}

/** One debug line per request, as for Resource Manager: never a body, never the query. */
function attemptSummary(
  { request, outcome }: HttpAttempt,
  ms: number,
  debug: ((line: string) => void) | undefined,
): void {
  const { host, pathname } = new URL(request.url);
  const headers = outcome.kind === 'answered' ? outcome.response.headers : undefined;
  // Entra files the request under what was sent, whether or not its answer repeats that.
  const correlation =
    headers?.get('x-ms-correlation-request-id') ??
    request.headers.get('client-request-id') ??
    headers?.get('x-ms-request-id');
  const came = outcome.kind === 'answered' ? outcome.response.status : outcome.code;
  debug?.(
    `${request.method} ${host}${pathname} ${came} ${Math.round(ms)} ms correlation ${correlation ?? '-'}`,
  );
}

async function sendHttpAttempt(
  request: PipelineRequest,
  next: SendRequest,
  attemptTimeoutMs: number,
): Promise<HttpAttempt> {
  const given = request.abortSignal;
  const limit = new AbortController();
  const timer = startAnswerTimer(attemptTimeoutMs / 1000, () => limit.abort());
  const forward = (): void => limit.abort();
  given?.addEventListener('abort', forward);
  request.abortSignal = limit.signal;
  try {
    return { request, outcome: { kind: 'answered', response: await next(request) } };
  } catch (error) {
    if (limit.signal.aborted && !given?.aborted) {
      const message = `no whole answer within ${attemptTimeoutMs / 1000} s`;
      return { request, outcome: { kind: 'lost', code: 'ETIMEDOUT', message, error: new Error(message) } };
    }
    if (!isRestError(error)) throw error;
    // An answer that says nothing of its type is taken for JSON by the SDK; a page of a proxy then "fails".
    if (error.response) return { request, outcome: { kind: 'answered', response: error.response } };
    return {
      request,
      outcome: { kind: 'lost', code: error.code ?? 'REQUEST_SEND_ERROR', message: error.message, error },
    };
  } finally {
    clearTimeout(timer);
    given?.removeEventListener('abort', forward);
    if (given === undefined) delete request.abortSignal;
    else request.abortSignal = given;
  }
}

/** Milliseconds until the next try; undefined when this was the last. */
function nextRetryDelay(
  { outcome }: HttpAttempt,
  tried: number,
  elapsedMs: number,
  patience: RetryOptions,
): number | undefined {
  const passing =
    outcome.kind === 'lost'
      ? transientNetworkCodes.has(outcome.code)
      : outcome.response.status === 429 || transientStatuses.has(outcome.response.status);
  if (!passing || tried >= patience.tries) return undefined;
  const headers = outcome.kind === 'answered' ? outcome.response.headers : undefined;
  const asked = retryAfterSeconds(headers?.get('retry-after'), headers?.get('date'));
  // Half of it by chance, so that the jobs of a matrix do not come back together.
  const backoff = patience.firstPauseMs * 2 ** (tried - 1) * (0.5 + Math.random() / 2);
  // "At once", or a time that has passed, would burn all tries within a moment.
  const wait = Math.max(backoff, (asked ?? 0) * 1000);
  return elapsedMs + wait <= patience.totalMs ? wait : undefined;
}

function formatAttemptOutcome({ outcome }: HttpAttempt): string {
  return outcome.kind === 'lost' ? outcome.code : `HTTP ${outcome.response.status}`;
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

/** Who a token is for, as far as it says so. */
export interface TokenClaims {
  /** GUID, also where the tenant was named by a domain. */
  readonly tenantId?: string;
  readonly appId?: string;
  /** Of the service principal; absent where the app has none in the tenant. */
  readonly objectId?: string;
}

/**
 * Reads an access token. Nothing comes of one that is no JWT: what a token looks like is between Entra and Resource Manager
 * (https://learn.microsoft.com/entra/identity-platform/access-tokens).
 *
 * Decoded only, not verified: it came from the sign-in service over TLS and is checked by Resource Manager. What is
 * asked here is whether that service understood the tenant as the workflow's author meant it.
 */
export function parseTokenClaims(token: string): TokenClaims {
  const { tid, appid, azp, oid } = decodePayload(token);
  const appId = appid ?? azp; // version 1 and version 2 tokens
  return {
    ...(typeof tid === 'string' ? { tenantId: tid } : {}),
    ...(typeof appId === 'string' ? { appId } : {}),
    ...(typeof oid === 'string' ? { objectId: oid } : {}),
  };
}

/**
 * What GitHub's ID token says, for explanations; undefined when it is none. Never verified, see `tokenClaims`.
 * https://docs.github.com/actions/reference/security/oidc#oidc-token-claims
 */
export function parseOidcClaims(jwt: string): OidcClaims | undefined {
  const { iss, sub, aud, repository_owner_id: ownerId, repository_id: repositoryId } = decodePayload(jwt);
  const audience = [aud].flat().join(', ');
  if (typeof iss !== 'string' || typeof sub !== 'string' || !audience) return undefined;
  return {
    issuer: iss,
    subject: sub,
    audience,
    ...(typeof ownerId === 'string' && typeof repositoryId === 'string' ? { ownerId, repositoryId } : {}),
  };
}

function decodePayload(jwt: string): Readonly<Record<string, unknown>> {
  try {
    const payload: unknown = JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString('utf8'));
    return typeof payload === 'object' && payload !== null ? (payload as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

export interface GitHubIdTokenOptions {
  /** What the token is for, `aud` in it. */
  readonly audience: string;
  /** Hides the token in the job's log; called before anything else is done with it. */
  readonly mask: (secret: string) => void;
  /** The webhook payload of the run, for telling a fork from a missing permission. */
  readonly event?: unknown;
  readonly httpClient?: HttpClient;
  readonly patience?: RetryOptions;
  readonly debug?: (line: string) => void;
  readonly info?: (line: string) => void;
}

/**
 * A fresh OIDC token of this job from GitHub; it lives about five minutes.
 *
 * Not `core.getIDToken`: that waits up to three minutes for each of eleven tries, gives up on the first reset connection
 * and on 429, and drops the answer's body.
 * @throws Failure when the job may not have one, or the provider does not give one.
 */
export async function requestGitHubIdToken(
  env: Readonly<Record<string, string | undefined>>,
  { audience, mask, event, httpClient = createDefaultHttpClient(), ...options }: GitHubIdTokenOptions,
): Promise<string> {
  const { ACTIONS_ID_TOKEN_REQUEST_URL: requestUrl, ACTIONS_ID_TOKEN_REQUEST_TOKEN: requestToken } = env;
  if (!requestUrl || !requestToken) throw missingIdTokenPermission(env, event);

  const url = new URL(requestUrl);
  url.searchParams.set('audience', audience);
  const pipeline = createAnonymousPipeline(options);
  const headers = createHttpHeaders({ accept: 'application/json', authorization: `Bearer ${requestToken}` });
  // Local runners and mocks name an http URL. It is the runner's own, so it is taken as it is, as `core.getIDToken` does.
  const allowInsecureConnection = url.protocol === 'http:';
  const response = await pipeline
    .sendRequest(httpClient, createPipelineRequest({ url: url.href, headers, allowInsecureConnection }))
    .catch((error: unknown) => {
      const why = error instanceof Error ? error.message : String(error);
      throw oidcProviderError(`${url.host} could not be reached: ${why}.`);
    });
  const value = readIdToken(response);
  if (value === undefined) {
    const body = (response.bodyAsText ?? '').slice(0, 500);
    // A 2xx body is not quoted: it may hold a token under another name.
    throw oidcProviderError(
      response.status < 300
        ? `${url.host} answered ${response.status} without a token.`
        : `${url.host} answered ${response.status}: ${body || '(nothing)'}`,
    );
  }
  mask(value);
  return value;
}

export interface HttpResponse {
  readonly status: number;
  readonly body: string;
  readonly header: (name: string) => string | undefined;
}

/**
 * A plain GET without credentials, as `resolveCloud` needs one: through the proxy, with the same patience as sign-in.
 * Redirects are not followed.
 */
export function createHttpGet(
  options: Pick<TenantCredentialOptions, 'httpClient' | 'correlationId'> & RetryPolicyOptions = {},
): (url: string) => Promise<HttpResponse> {
  const pipeline = createAnonymousPipeline(options);
  const { httpClient = createDefaultHttpClient(), correlationId: id } = options;
  // Under the names that Resource Manager and Entra know it by.
  const correlation = id ? { 'x-ms-correlation-request-id': id, 'client-request-id': id } : {};
  return async (url) => {
    const headers = createHttpHeaders({ accept: 'application/json', ...correlation });
    const response = await pipeline.sendRequest(httpClient, createPipelineRequest({ url, headers }));
    return {
      status: response.status,
      body: response.bodyAsText ?? '',
      header: (name) => response.headers.get(name),
    };
  };
}

function createAnonymousPipeline(options: RetryPolicyOptions): ReturnType<typeof createPipelineFromOptions> {
  const pipeline = createPipelineFromOptions({
    retryOptions: { maxRetries: 0 },
    redirectOptions: { maxRetries: 0 },
  });
  pipeline.addPolicy(signInRetryPolicy(options));
  return pipeline;
}

function readIdToken({ status, bodyAsText }: PipelineResponse): string | undefined {
  if (status !== 200) return undefined;
  try {
    const { value } = JSON.parse(bodyAsText ?? '') as { value?: unknown };
    return typeof value === 'string' && value !== '' ? value : undefined;
  } catch {
    return undefined;
  }
}

function oidcProviderError(message: string): ActionError {
  return new ActionError("asking GitHub's OIDC provider for an ID token", {
    message,
    explanation: {
      cause: "GitHub's OIDC provider gave no ID token for this job.",
      who: "the workflow's author",
      fix: [
        'Run the job again; https://www.githubstatus.com tells of outages of Actions.',
        'On a self-hosted runner look at HTTPS_PROXY, NO_PROXY and NODE_EXTRA_CA_CERTS.',
      ],
    },
  });
}

/** The runner names no provider: the job was not given the permission, or could not be. */
function missingIdTokenPermission(
  env: Readonly<Record<string, string | undefined>>,
  event: unknown,
): ActionError {
  const doing = "asking GitHub's OIDC provider for an ID token";
  const message = 'This job has no permission to ask for an ID token.';
  const alternative = 'Or give `client-secret` or `client-certificate`: neither needs an ID token.';
  if (env['GITHUB_ACTIONS'] !== 'true') {
    return new ActionError(doing, {
      message,
      explanation: {
        cause: 'ID tokens are given only to jobs of GitHub Actions, and this is none.',
        who: 'whoever runs it',
        fix: ['Give `client-secret` or `client-certificate`.'],
      },
    });
  }
  if (isForkPullRequest(env, event)) {
    return new ActionError(doing, {
      message,
      explanation: {
        cause:
          'The run was triggered by a pull request from a fork: it gets no ID token and no secrets, whatever `permissions` says.',
        who: "the workflow's author",
        fix: [
          'Skip the job for forks: if: github.event.pull_request.head.repo.full_name == github.repository',
          'Or run it after the merge, on push.',
        ],
      },
    });
  }
  if (env['GITHUB_ACTOR'] === 'dependabot[bot]') {
    return new ActionError(doing, {
      message,
      explanation: {
        cause:
          'Runs that Dependabot triggers get a read-only token unless the job asks for more, and only Dependabot secrets.',
        who: "the workflow's author",
        fix: [
          'Give the job `permissions: { id-token: write, contents: read }`.',
          "Or skip it: if: github.actor != 'dependabot[bot]'",
        ],
      },
    });
  }
  return new ActionError(doing, {
    message,
    explanation: {
      cause: '`permissions: id-token: write` is missing.',
      who: "the workflow's author",
      fix: [
        'Give the job `permissions: { id-token: write, contents: read }`.',
        'In a reusable workflow the calling job has to grant it too; it cannot be raised further down.',
        alternative,
      ],
    },
  });
}

/** Forks are held back in `pull_request` events only; `pull_request_target` runs with the base's rights. */
function isForkPullRequest(env: Readonly<Record<string, string | undefined>>, event: unknown): boolean {
  if (!/^pull_request(_review|_review_comment)?$/.test(env['GITHUB_EVENT_NAME'] ?? '')) return false;
  const { pull_request } = (event ?? {}) as {
    pull_request?: {
      head?: { repo?: { full_name?: string } | null };
      base?: { repo?: { full_name?: string } };
    };
  };
  // A deleted fork leaves null.
  if (pull_request?.head === undefined) return false;
  return pull_request.head.repo?.full_name !== pull_request.base?.repo?.full_name;
}
