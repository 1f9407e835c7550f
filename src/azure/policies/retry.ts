import {
  type PipelinePolicy,
  type PipelineRequest,
  type PipelineResponse,
  RestError,
  type RetryStrategy,
  retryPolicy,
} from '@azure/core-rest-pipeline';
import type { AzureErrorInfo } from '../../errors/azure-error.ts';
import { isHtml } from '../../errors/parse-error-response.ts';
import { delayWithProgress, progressSeconds } from '../../lib/abort.ts';
import {
  clockSeconds,
  realMilliseconds,
  secondsUntilTimeout,
  startAnswerTimer,
  startTimer,
} from '../../lib/clock.ts';
import { ambiguousRequests, errorFromResponse, networkError } from './azure-error.ts';

/** Transient errors of networks and gateways, for Resource Manager, Entra and GitHub alike. */
export const transientStatuses: ReadonlySet<number> = new Set([408, 500, 502, 503, 504]);

export const transientNetworkCodes: ReadonlySet<string> = new Set([
  'ECONNRESET',
  'ECONNREFUSED',
  'ECONNABORTED',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EPIPE',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'REQUEST_SEND_ERROR',
  // The connection broke in the middle of the response.
  'PARSE_ERROR',
]);

/** Errors with any status that mean "not now"; operations end with them, too. */
const concurrentOperationCodes =
  /"(RetryableError|RetryableErrorDueToAnotherOperation|AnotherOperationInProgress|ReferencedResourceNotProvisioned)"/;

/** The token was refused as expired: the retry gets a new one, unless the clocks disagree. */
const staleToken = /"ExpiredAuthenticationToken"/;

const maxTransientSeconds = 90;

const maxConflictSeconds = 20 * 60;

const maxJitterSeconds = 8;

/** Whether another operation holds the resource: true for refused requests and for failed operations. */
export function isConcurrentOperation(error: AzureErrorInfo): boolean {
  return error.status !== 0 && concurrentOperationCodes.test(error.body);
}

export interface RetryState {
  readonly retries: number;
  /** Seconds since the first failure. */
  readonly elapsed: number;
  /** Seconds that throttling may still be waited out. */
  readonly remaining?: number;
}

/**
 * Seconds until the next attempt; undefined when a retry would not help or comes too late.
 *
 * Transient errors are retried for 90 s. A resource group that a PUT does not find is one of them: the caller has read or
 * created it, but not every front end knows a new group at once. Another operation on the resource is waited out for 20
 * minutes, throttling as long as the time limit allows. After throttling, each run adds up to 8 s at random: parallel runs
 * get the same Retry-After, and would collide again.
 */
export function retryDelaySeconds(error: AzureErrorInfo, state: RetryState): number | undefined {
  const { retries, elapsed, remaining = Infinity } = state;
  const retryAfter = error.retryAfterSeconds;
  // Half of it at random, so that the jobs of a matrix do not retry at the same moment.
  const backoff = Math.min(10, 0.5 * 2 ** retries) * (0.5 + Math.random() / 2);
  const within = (seconds: number, limit: number) => (elapsed + seconds <= limit ? seconds : undefined);
  if (isConcurrentOperation(error)) {
    return within(
      retryAfter === undefined ? Math.max(1, backoff) : Math.max(0.5, retryAfter),
      maxConflictSeconds,
    );
  }
  if (error.status === 429) {
    const jitter = Math.random() * Math.min(maxJitterSeconds, 2 ** retries);
    const seconds =
      retryAfter === undefined ? Math.max(1, backoff) : Math.max(0.5, backoff, retryAfter) + jitter;
    return seconds <= remaining ? seconds : undefined;
  }
  // A Retry-After of 0 or in the past would use up the time in a burst of requests.
  return isTransient(error) ? within(Math.max(backoff, retryAfter ?? 0), maxTransientSeconds) : undefined;
}

function isTransient({ status, code, method, body }: AzureErrorInfo): boolean {
  if (status === 0) return transientNetworkCodes.has(code);
  return (
    transientStatuses.has(status) ||
    // A page of a proxy or gateway; 407 asks for a password.
    (status !== 407 && isHtml(body)) ||
    (status === 401 && staleToken.test(body)) ||
    (status === 404 && code === 'ResourceGroupNotFound' && method === 'PUT')
  );
}

function retryMessage({ status, code }: AzureErrorInfo, seconds: number): string {
  const reason =
    status === 0
      ? `the connection failed (${code})`
      : status < 400
        ? `the operation ended as ${code}`
        : `answered ${status}${code ? ` ${code}` : ''}`;
  return `${reason}; retrying in ${Math.max(0.1, Math.round(seconds * 10) / 10)} s.`;
}

/** Waits before the next attempt. Returns false without waiting when the error is not to be retried. */
export type WaitBeforeRetry = (error: AzureErrorInfo, seconds?: number) => Promise<boolean>;

/** Retries of a task of several requests, such as a PUT with its operation and the read before it. */
export function createRetries(
  what: string,
  { signal, log }: { readonly signal: AbortSignal; readonly log: (line: string) => void },
): WaitBeforeRetry {
  let retries = 0;
  let firstFailure: number | undefined;
  return async (error, ownDelay) => {
    firstFailure ??= clockSeconds();
    const state = { retries, elapsed: clockSeconds() - firstFailure, remaining: secondsUntilTimeout(signal) };
    const seconds = ownDelay ?? retryDelaySeconds(error, state);
    if (seconds === undefined) return false;
    retries++;
    log(`${what}: ${retryMessage(error, seconds)}`);
    await delayWithProgress(seconds, signal, log);
    return true;
  };
}

/**
 * A PUT that is in flight when the run is cancelled may still be carried out. It gets this long to be answered, so that
 * cleanup knows what to delete; the runner kills the process 10 seconds after its first signal.
 */
const cancelledPutGraceSeconds = 4;

/**
 * Whether a request can be retried blindly. GETs can, and so can the VM PUT (it sends `If-None-Match: *`) and requests for
 * resources whose names are unique to the run. Network PUTs and DELETEs cannot: the caller re-reads the resource first.
 */
function isSafeToRetry({ method, url }: PipelineRequest): boolean {
  if (method === 'DELETE') return /\/runCommands\//i.test(url);
  return method !== 'PUT' || !/\/providers\/Microsoft\.Network\//i.test(url);
}

export interface RetryPolicyOptions {
  readonly log: (line: string) => void;
  /** Bounds how long throttling is waited out: the time left until this signal's timeout. */
  readonly signal?: AbortSignal;
  /** Bounds it where there is no such signal. */
  readonly maxThrottledSeconds?: number;
}

/** Retries transient errors: the library's `retryPolicy`, with one strategy per request that knows when it began to fail. */
export function transientErrorRetryPolicy(options: RetryPolicyOptions): PipelinePolicy {
  return {
    name: 'transientErrorRetryPolicy',
    async sendRequest(request, next) {
      const cancellation = forwardAbort(request);
      const attempts = createStrategy(request, options, cancellation.isRequested);
      try {
        return await retryPolicy([attempts.strategy], { maxRetries: Infinity }).sendRequest(
          request,
          cancellation.track(next),
        );
      } finally {
        attempts.stopHeartbeat();
        cancellation.restore();
      }
    },
  };
}

function createStrategy(
  request: PipelineRequest,
  { log, signal, maxThrottledSeconds = Infinity }: RetryPolicyOptions,
  isCancelled: () => boolean,
): { readonly strategy: RetryStrategy; readonly stopHeartbeat: () => void } {
  const { host } = new URL(request.url);
  let firstFailure: number | undefined;
  let heartbeat: NodeJS.Timeout | undefined;
  const beat = (): void => {
    heartbeat = startTimer(progressSeconds, () => {
      log(`Still retrying ${host} (${Math.round(clockSeconds() - (firstFailure ?? 0))} s).`);
      beat();
    });
  };
  return {
    stopHeartbeat: () => clearTimeout(heartbeat),
    strategy: {
      name: 'transientErrorRetryStrategy',
      retry({ retryCount, response, responseError }) {
        if (isCancelled() || !isSafeToRetry(request) || (response && response.status < 400))
          return { skipStrategy: true };
        const error = response
          ? errorFromResponse(request, response)
          : networkError(request, responseError ?? new RestError('no response'));
        firstFailure ??= clockSeconds();
        const elapsed = clockSeconds() - firstFailure;
        const remaining = signal ? secondsUntilTimeout(signal) : maxThrottledSeconds - elapsed;
        const seconds = retryDelaySeconds(error, { retries: retryCount, elapsed, remaining });
        if (seconds === undefined) return { skipStrategy: true };
        if (!response || transientStatuses.has(response.status)) ambiguousRequests.add(request);
        log(`${host}: ${retryMessage(error, seconds)}`);
        if (!heartbeat) beat();
        return { retryAfterInMs: realMilliseconds(seconds) };
      },
    },
  };
}

/** Replaces the request's signal by one that lets a PUT in flight finish: `retryPolicy` drops responses after an abort. */
function forwardAbort(request: PipelineRequest) {
  const outer = request.abortSignal;
  const controller = new AbortController();
  let inFlight = false;
  let grace: NodeJS.Timeout | undefined;
  const onAbort = (): void => {
    if (inFlight && request.method === 'PUT') {
      grace = startTimer(cancelledPutGraceSeconds, () => controller.abort());
    } else controller.abort();
  };
  if (outer?.aborted) controller.abort();
  outer?.addEventListener('abort', onAbort);
  request.abortSignal = controller.signal;
  return {
    isRequested: () => outer?.aborted === true,
    track:
      (next: (request: PipelineRequest) => Promise<PipelineResponse>) =>
      async (sent: PipelineRequest): Promise<PipelineResponse> => {
        if (controller.signal.aborted) throw new DOMException('Cancelled before it was sent.', 'AbortError');
        inFlight = true;
        try {
          return await next(sent);
        } finally {
          inFlight = false;
        }
      },
    restore(): void {
      clearTimeout(grace);
      outer?.removeEventListener('abort', onAbort);
      if (outer) request.abortSignal = outer;
      else delete request.abortSignal;
    },
  };
}

/** Fails an attempt whose response is not complete in time: the SDK's own timeout ends with the headers. */
export function attemptTimeoutPolicy(seconds: number): PipelinePolicy {
  return {
    name: 'attemptTimeoutPolicy',
    async sendRequest(request, next) {
      const outer = request.abortSignal as AbortSignal | undefined;
      const limit = new AbortController();
      const timer = startAnswerTimer(seconds, () => limit.abort());
      request.abortSignal = outer ? AbortSignal.any([outer, limit.signal]) : limit.signal;
      try {
        return await next(request);
      } catch (error) {
        if (!limit.signal.aborted || outer?.aborted) throw error;
        throw new RestError(`no complete response within ${seconds} s`, { code: 'ETIMEDOUT', request });
      } finally {
        clearTimeout(timer);
        if (outer) request.abortSignal = outer;
        else delete request.abortSignal;
      }
    },
  };
}
