import {
  type PipelinePolicy,
  type PipelineRequest,
  RestError,
  type RetryStrategy,
  type SendRequest,
  retryPolicy,
} from '@azure/core-rest-pipeline';
import type { AzureErrorInfo } from '../../errors/errors.ts';
import { isHtml } from '../../errors/parse-error-response.ts';
import { delayWithProgress, progressSeconds } from '../../lib/abort.ts';
import { clockSeconds, realMilliseconds, secondsUntilTimeout, startAnswerTimer, startTimer } from '../../lib/clock.ts';
import { ambiguousRequests, createPolicy, errorFromResponse, networkError } from './responses.ts';

/** Transient errors of networks and gateways, for Resource Manager, Entra and GitHub alike. */
const transientStatuses: ReadonlySet<number> = new Set([408, 500, 502, 503, 504]);

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

const maxJitterSeconds = 8;

interface TransientError {
  readonly id: string;
  readonly matches: (error: AzureErrorInfo) => boolean;
  /** Seconds after the first failure at which retries end. */
  readonly maxSeconds: number;
  /** Seconds before a retry when Azure names no time. */
  readonly minDelay?: number;
  readonly source: string;
}

/** The one table of what is retried, for requests and for operations that end Failed (status 200). The first match counts. */
export const transientErrors: readonly TransientError[] = [
  {
    id: 'network',
    matches: ({ status, code }) => status === 0 && transientNetworkCodes.has(code),
    maxSeconds: 90,
    source: 'https://nodejs.org/api/errors.html#common-system-errors',
  },
  {
    id: 'concurrent-operation',
    matches: isConcurrentOperation,
    maxSeconds: 20 * 60,
    minDelay: 1,
    source: 'Recorded: retryable-error-429-network.json; public Terraform logs of AnotherOperationInProgress',
  },
  {
    // Bounded by the time limit of the step, see `retryDelaySeconds`.
    id: 'throttling',
    matches: ({ status }) => status === 429,
    maxSeconds: Infinity,
    minDelay: 1,
    source: 'https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling',
  },
  {
    // One script at a time per VM; updates of a VM wait for it, too. A PUT of a VM has its own handling of conflicts.
    id: 'vm-busy',
    matches: ({ status, code, method, url, message }) =>
      status === 409 &&
      (/Run command extension execution is in progress/i.test(message) ||
        (code === 'Conflict' &&
          (/\/runCommands\//i.test(url) || (method === 'PATCH' && /\/virtualMachines\/[^/]+$/i.test(url))))),
    maxSeconds: 15 * 60,
    minDelay: 5,
    source: 'https://learn.microsoft.com/azure/virtual-machines/linux/run-command#restrictions',
  },
  {
    id: 'failed-by-azure',
    matches: ({ status, code }) =>
      status === 200 &&
      /^(NetworkingInternalOperationError|InternalExecutionError|OperationPreempted|InternalServerError)$/.test(code),
    maxSeconds: 15 * 60,
    minDelay: 5,
    source: 'https://learn.microsoft.com/troubleshoot/azure/virtual-machines/windows/error-messages',
  },
  {
    // The version was chosen because it is replicated to the region; the region's Compute may learn of it later.
    id: 'image-not-known-yet',
    matches: ({ status, code, method }) => status === 404 && code === 'GalleryImageNotFound' && method === 'PUT',
    maxSeconds: 180,
    minDelay: 10,
    source: 'https://learn.microsoft.com/azure/virtual-machines/troubleshooting-shared-images',
  },
  {
    // The caller has read or created the group; not every front end knows a new one at once.
    id: 'new-resource-group',
    matches: ({ status, code, method }) => status === 404 && code === 'ResourceGroupNotFound' && method === 'PUT',
    maxSeconds: 90,
    source: 'https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-not-found',
  },
  {
    // The retry gets a new token, unless the clocks disagree.
    id: 'expired-token',
    matches: ({ status, body }) => status === 401 && /"ExpiredAuthenticationToken"/.test(body),
    maxSeconds: 90,
    source: 'https://learn.microsoft.com/azure/azure-resource-manager/management/authenticate-multi-tenant',
  },
  {
    // Also pages of proxies and gateways; a 407 asks for a password.
    id: 'gateway',
    matches: ({ status, body }) => transientStatuses.has(status) || (status >= 400 && status !== 407 && isHtml(body)),
    maxSeconds: 90,
    source:
      'Recorded: retry-502-bad-gateway.json; https://learn.microsoft.com/azure/architecture/best-practices/retry-service-specific',
  },
];

export function isTransientError(error: AzureErrorInfo): boolean {
  return transientErrors.some(({ matches }) => matches(error));
}

/** Whether another operation holds the resource: true for refused requests and for failed operations. */
export function isConcurrentOperation(error: AzureErrorInfo): boolean {
  return error.status !== 0 && concurrentOperationCodes.test(error.body);
}

/**
 * Undefined when a retry would not help or comes too late. Throttling is waited out as long as the time limit allows, plus
 * up to 8 s at random, because parallel runs get the same Retry-After and would collide again.
 * @param state `elapsed`: seconds since the first failure; `remaining`: that throttling may still be waited out.
 */
export function retryDelaySeconds(
  error: AzureErrorInfo,
  state: { readonly retries: number; readonly elapsed: number; readonly remaining?: number },
): number | undefined {
  const { retries, elapsed, remaining = Infinity } = state;
  const transient = transientErrors.find(({ matches }) => matches(error));
  if (transient === undefined) return undefined;
  const { retryAfterSeconds: retryAfter = 0 } = error;
  // Half of it at random, so that the jobs of a matrix do not retry at the same moment.
  const backoff = Math.min(10, 0.5 * 2 ** retries) * (0.5 + Math.random() / 2);
  // A Retry-After of 0 or in the past would use up the time in a burst of requests.
  const delay = retryAfter > 0 ? Math.max(0.5, retryAfter) : Math.max(transient.minDelay ?? 0, backoff);
  const isThrottled = transient.id === 'throttling' && retryAfter > 0;
  const seconds = delay + (isThrottled ? Math.random() * Math.min(maxJitterSeconds, 2 ** retries) : 0);
  return elapsed + seconds <= transient.maxSeconds && seconds <= remaining ? seconds : undefined;
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

/** Retries of a task of several requests, such as a PUT with its operation and the read before it. */
export function createRetries(
  what: string,
  { signal, log }: { readonly signal: AbortSignal; readonly log: (line: string) => void },
) {
  let retries = 0;
  let firstFailure: number | undefined;
  /** Waits before the next attempt; false, without waiting, if the error is not to be retried. */
  return async (error: AzureErrorInfo, ownDelay?: number): Promise<boolean> => {
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

/** A PUT in flight may still be carried out: cleanup needs its answer. The runner kills after 10 s. */
const cancelledPutGraceSeconds = 4;

/**
 * Whether a request can be retried blindly. GETs can, and so can the VM PUT (it sends `If-None-Match: *`) and requests for
 * resources whose names are unique to the run, such as role assignments on a network or an identity. DELETEs and other PUTs
 * cannot: the caller re-reads the resource first.
 */
function isSafeToRetry({ method, url }: PipelineRequest): boolean {
  if (method === 'DELETE') return /\/runCommands\//i.test(url);
  return method !== 'PUT' || !/\/providers\/Microsoft\.(?:Network|ManagedIdentity)\/(?!.*\/providers\/)/i.test(url);
}

/**
 * Retries transient errors: the library's `retryPolicy`, with one strategy per request that knows when it began to fail.
 * @param remaining seconds that throttling may still be waited out, of those `elapsed` since the first failure
 */
export function transientErrorRetryPolicy(log: (line: string) => void, remaining: (elapsed: number) => number) {
  return createPolicy('transientErrorRetryPolicy', async (request, next) => {
    const { host } = new URL(request.url);
    const cancellation = forwardAbort(request);
    let firstFailure: number | undefined;
    let heartbeat: NodeJS.Timeout | undefined;
    const logProgress = (): void =>
      log(`Still retrying ${host} (${Math.round(clockSeconds() - (firstFailure ?? 0))} s).`);
    const retry: RetryStrategy['retry'] = ({ retryCount, response: received, responseError }) => {
      // A success that the SDK could not parse is broken, like a response that ends early.
      const response = responseError && received && received.status < 400 ? undefined : received;
      const isFinal = cancellation.isRequested() || !isSafeToRetry(request);
      if (isFinal || (response && response.status < 400)) return { skipStrategy: true };
      const error = response
        ? errorFromResponse(request, response)
        : networkError(request, responseError ?? new RestError('no response'));
      firstFailure ??= clockSeconds();
      const elapsed = clockSeconds() - firstFailure;
      const seconds = retryDelaySeconds(error, { retries: retryCount, elapsed, remaining: remaining(elapsed) });
      if (seconds === undefined) return { skipStrategy: true };
      if (!response || transientStatuses.has(response.status)) ambiguousRequests.add(request);
      log(`${host}: ${retryMessage(error, seconds)}`);
      heartbeat ??= setInterval(logProgress, realMilliseconds(progressSeconds));
      return { retryAfterInMs: realMilliseconds(seconds) };
    };
    try {
      const policy = retryPolicy([{ name: 'transientErrorRetryStrategy', retry }], { maxRetries: Infinity });
      return await policy.sendRequest(request, cancellation.track(next));
    } finally {
      clearInterval(heartbeat);
      cancellation.restore();
    }
  });
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
      (next: SendRequest): SendRequest =>
      async (sent) => {
        if (controller.signal.aborted) throw new DOMException('Cancelled before it was sent.', 'AbortError');
        inFlight = true;
        return await next(sent).finally(() => (inFlight = false));
      },
    restore(): void {
      clearTimeout(grace);
      outer?.removeEventListener('abort', onAbort);
      request.abortSignal = outer;
    },
  };
}

/** Fails an attempt whose response is not complete in time: the SDK's own timeout ends with the headers. */
export function attemptTimeoutPolicy(seconds: number): PipelinePolicy {
  return createPolicy('attemptTimeoutPolicy', async (request, next) => {
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
      request.abortSignal = outer;
    }
  });
}
