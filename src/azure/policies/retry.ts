import {
  type PipelinePolicy,
  type PipelineRequest,
  type PipelineResponse,
  RestError,
  type SendRequest,
  isRestError,
} from '@azure/core-rest-pipeline';
import type { AzureErrorInfo } from '../../errors/azure-error.ts';
import { delayWithProgress } from '../../lib/abort.ts';
import { startAnswerTimer, startTimer } from '../../lib/clock.ts';
import { errorFromResponse, networkError } from './azure-error.ts';

/** Transient errors of the network and of front ends, for Resource Manager and sign-in alike. */
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
  // The connection broke in the middle of the answer.
  'PARSE_ERROR',
]);

/** Refusals that only say "not now", whatever status they come with; operations end with them too. */
const concurrentOperationCodes =
  /"(RetryableError|RetryableErrorDueToAnotherOperation|AnotherOperationInProgress|ReferencedResourceNotProvisioned)"/;

/** Token refused as too old: the next try brings a fresh one, unless the clocks disagree. */
const staleToken = /"ExpiredAuthenticationToken"/;

const maxTransientRetries = 6;

const maxConflictRetries = 40;

const maxJitterSeconds = 8;

/** Requests that were sent again although an earlier try may have been carried out. */
export const ambiguousRequests = new WeakSet<PipelineRequest>();

/** Resource Manager itself gives up after a minute; an answer that takes longer does not come. */
const trySeconds = 90;

/**
 * A PUT that is on its way when the run is stopped may still be carried out. It is given this long to be answered, so
 * that clean-up knows what there is to delete; the runner kills the process 10 seconds after its first signal.
 */
const putGraceSeconds = 4;

/** Does Azure say that something else holds the resource just now? True for refusals and for ends of operations. */
export function isConcurrentOperation(fault: AzureErrorInfo): boolean {
  return fault.status !== 0 && concurrentOperationCodes.test(fault.body);
}

/**
 * Seconds after which a request that came to `fault` may be sent again; undefined when that would not help or was tried
 * often enough.
 *
 * Passing faults: six times more in about 25 s. A group that a PUT does not find is one, for whoever writes into it has
 * seen or made it, and not every front end knows a new one at once. "Not now" (429, a busy resource): as long as the
 * service asks, up to 40 times; the step's own time limit bounds it. Who is throttled waits a little longer than that,
 * drawn at random, up to 1 s at first and to 8 s in the end: runs side by side are all told the same second, and would
 * meet there again.
 */
export function retryDelaySeconds(fault: AzureErrorInfo, triesSoFar: number): number | undefined {
  const { status, code, method, retryAfterSeconds: asked } = fault;
  const backoff = Math.min(10, 0.5 * 2 ** triesSoFar) * (0.8 + Math.random() * 0.4);
  if (status === 0) {
    return transientNetworkCodes.has(code) && triesSoFar < maxTransientRetries ? backoff : undefined;
  }
  if (status === 429 || isConcurrentOperation(fault)) {
    if (triesSoFar >= maxConflictRetries) return undefined;
    if (asked === undefined) return Math.max(1, backoff);
    const spread = isConcurrentOperation(fault)
      ? 0
      : Math.random() * Math.min(maxJitterSeconds, 2 ** triesSoFar);
    return Math.max(0.5, asked) + spread;
  }
  const passes =
    transientStatuses.has(status) ||
    (status === 401 && staleToken.test(fault.body)) ||
    (status === 404 && code === 'ResourceGroupNotFound' && method === 'PUT');
  // "At once" (0 seconds, or a date that has passed) would use up all tries in a moment.
  return passes && triesSoFar < maxTransientRetries ? asked || backoff : undefined;
}

/** The log's line for a request that is sent again. */
export function retryMessage({ status, code }: AzureErrorInfo, seconds: number): string {
  const why =
    status === 0
      ? `the connection failed (${code})`
      : status < 400
        ? `the operation ended as ${code}`
        : `answered ${status}${code ? ` ${code}` : ''}`;
  return `Azure: ${why}; trying again in ${Math.max(0.1, Math.round(seconds * 10) / 10)} s.`;
}

/**
 * Whether sending a request again is safe as it stands. Reads are; so is a machine's PUT, which says If-None-Match, and
 * PUTs of what bears a name of its own. A PUT to Microsoft.Network could by now hit something else of that name, a DELETE
 * something that is ours no longer: whoever sends those looks again first.
 */
function isSafeToRetry({ method, url }: PipelineRequest): boolean {
  if (method === 'DELETE') return /\/runCommands\//i.test(url);
  return method !== 'PUT' || !/\/providers\/Microsoft\.Network\//i.test(url);
}

export function azureRetryPolicy(signal: AbortSignal, log: (line: string) => void): PipelinePolicy {
  return {
    name: 'againPolicy',
    async sendRequest(request, next) {
      for (let tries = 0; ; tries++) {
        const { response, lost } = await sendAttempt(request, next);
        const fault = response ? errorFromResponse(request, response) : networkError(request, lost);
        const fine = response !== undefined && response.status < 400;
        const again = fine || !isSafeToRetry(request) ? undefined : retryDelaySeconds(fault, tries);
        if (again === undefined) {
          if (response) return response;
          throw lost;
        }
        if (!response || transientStatuses.has(response.status)) ambiguousRequests.add(request);
        log(retryMessage(fault, again));
        await delayWithProgress(again, signal, log);
      }
    },
  };
}

type AttemptResult =
  | { readonly response: PipelineResponse; readonly lost?: never }
  | { readonly response?: never; readonly lost: RestError };

async function sendAttempt(request: PipelineRequest, next: SendRequest): Promise<AttemptResult> {
  const outer = request.abortSignal;
  if (outer?.aborted) throw new DOMException('Stopped before it was sent.', 'AbortError');
  const controller = new AbortController();
  let late = false;
  const limit = startAnswerTimer(trySeconds, () => {
    late = true;
    controller.abort();
  });
  let grace: NodeJS.Timeout | undefined;
  const stop = (): void => {
    if (request.method === 'PUT') grace = startTimer(putGraceSeconds, () => controller.abort());
    else controller.abort();
  };
  outer?.addEventListener('abort', stop, { once: true });
  request.abortSignal = controller.signal;
  try {
    return { response: await next(request) };
  } catch (error) {
    if (late) return { lost: new RestError(`no answer in ${trySeconds} s`, { code: 'ETIMEDOUT', request }) };
    if (isRestError(error) && !error.response) return { lost: error };
    throw error;
  } finally {
    clearTimeout(limit);
    clearTimeout(grace);
    outer?.removeEventListener('abort', stop);
    if (outer) request.abortSignal = outer;
    else delete request.abortSignal;
  }
}
