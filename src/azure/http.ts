import {
  type PipelinePolicy,
  type PipelineRequest,
  type PipelineResponse,
  type SendRequest,
  createDefaultHttpClient,
  createHttpHeaders,
  createPipelineFromOptions,
  createPipelineRequest,
  isRestError,
} from '@azure/core-rest-pipeline';
import { AsyncLocalStorage } from 'node:async_hooks';
import type { TenantCredentialOptions } from '../auth/credential.ts';
import { clockSeconds, startAnswerTimer, startTimer } from '../lib/clock.ts';
import { retryAfterSeconds } from '../lib/duration.ts';
import { transientNetworkCodes, transientStatuses } from './policies/retry.ts';

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
const defaultRetryOptions: RetryOptions = {
  tries: 6,
  attemptTimeoutMs: 15_000,
  totalMs: 90_000,
  firstPauseMs: 500,
};

type RetryPolicyOptions = Pick<TenantCredentialOptions, 'patience' | 'debug' | 'info'>;

/** What happened on the wire during one acquisition: MSAL keeps neither the body nor the reason of a failure. */
export interface TokenRequestTrace {
  last?: HttpAttempt;
  /** MSAL asks for the assertion twice per token request; GitHub is asked once. */
  idToken?: Promise<string>;
}

/** One request and what became of it. */
export interface HttpAttempt {
  readonly request: PipelineRequest;
  readonly outcome:
    | { readonly kind: 'answered'; readonly response: PipelineResponse }
    | { readonly kind: 'lost'; readonly code: string; readonly message: string; readonly error: unknown };
}

export const traces = new AsyncLocalStorage<TokenRequestTrace>();

/**
 * Tries a request again while that may help, and records each try in the acquisition it belongs to. Also gives up on
 * answers that trickle: the SDK's own timeout ends with the headers, and it does not retry what timed out.
 */
export function signInRetryPolicy({
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

interface HttpResponse {
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

export function createAnonymousPipeline(
  options: RetryPolicyOptions,
): ReturnType<typeof createPipelineFromOptions> {
  const pipeline = createPipelineFromOptions({
    retryOptions: { maxRetries: 0 },
    redirectOptions: { maxRetries: 0 },
  });
  pipeline.addPolicy(signInRetryPolicy(options));
  return pipeline;
}
