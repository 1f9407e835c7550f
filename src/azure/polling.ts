import { AzureError } from '../errors/errors.ts';
import { delay, progressSeconds } from '../lib/abort.ts';
import { clockSeconds } from '../lib/clock.ts';
import { type OperationKind, nextPollDelay, type RemainingRequests } from './poll-schedule.ts';

interface OperationState {
  readonly status: string;
  /** The SDK's own, which it reads at each poll: where it polls, and what it reads after a success. */
  readonly config?: { operationLocation?: string; resourceLocation?: string };
}

interface Poller<T> {
  readonly isDone: boolean;
  readonly operationState: OperationState | undefined;
  readonly result: T | undefined;
  submitted(): Promise<void>;
  poll(options?: { abortSignal?: AbortSignal }): Promise<unknown>;
}

/** Whether the response named an operation that was polled to its end. */
export function hasOperationUrl({ operationState }: Poller<unknown>): boolean {
  return operationState?.config?.operationLocation !== undefined;
}

export interface PollOptions {
  readonly signal: AbortSignal;
  /** The latest rate limits, read before each poll. */
  readonly rateLimits: (operation?: string) => RemainingRequests;
  /** Called at least every 30 seconds while something is awaited. */
  readonly onProgress: (what: string, elapsedSeconds: number) => void;
  /** Called once Azure has accepted the request of an operation, whether or not the operation succeeds. */
  readonly onAccepted?: () => void;
  /** Nothing of the result is needed: saves the read of the created resource, which the SDK has no option for. */
  readonly skipResult?: boolean;
}

/** @throws what `poll` throws; the signal's reason once it aborts. */
export async function pollUntil<T>(
  what: string,
  kind: OperationKind,
  { signal, rateLimits, onProgress }: PollOptions,
  poll: () => Promise<T | undefined>,
): Promise<T> {
  const start = clockSeconds();
  let reported = 0;
  for (;;) {
    const elapsed = clockSeconds() - start;
    if (elapsed - reported >= progressSeconds) {
      reported = elapsed;
      onProgress(what, elapsed);
    }
    const untilReport = Math.max(0.1, reported + progressSeconds - elapsed);
    await delay(Math.min(nextPollDelay(kind, elapsed, rateLimits()), untilReport), signal);
    const result = await poll();
    if (result !== undefined) return result;
  }
}

/** Code of an operation that failed without a reason. */
export const unexplainedFailure = 'ProvisioningFailed';

/** For this long, a front end may not know a resource whose creation Azure has accepted: a 404 is polled again. */
const maxNotFoundSeconds = 30;
const minNotFoundPolls = 8;

/** @returns the created resource; without meaning with `skipResult`. @throws AzureError; the signal's reason. */
export async function pollUntilDone<T>(
  what: string,
  kind: OperationKind,
  options: PollOptions,
  poller: Poller<T>,
): Promise<T> {
  const { signal } = options;
  let notFound = 0;
  let firstNotFound: number | undefined;
  try {
    await poller.submitted();
    options.onAccepted?.();
    const config = poller.operationState?.config ?? {};
    if (options.skipResult) config.resourceLocation = undefined;
    if (!poller.isDone) {
      const rateLimits = () => options.rateLimits(config.operationLocation);
      await pollUntil(what, kind, { ...options, rateLimits }, async () => {
        try {
          await poller.poll({ abortSignal: signal });
        } catch (error) {
          firstNotFound ??= clockSeconds();
          const isRecent = clockSeconds() - firstNotFound < maxNotFoundSeconds || ++notFound < minNotFoundPolls;
          const isLate = error instanceof AzureError && error.fault.status === 404 && isRecent;
          if (kind === 'delete' || !isLate) throw error;
        }
        return poller.isDone || undefined;
      });
    }
    if (kind !== 'delete') throwIfFailed(what, poller);
    return poller.result as T;
  } catch (error) {
    // The SDK turns every abort into its own AbortError and loses the reason.
    if (signal.aborted) throw signal.reason;
    // Its own error of a resource without an operation has no reason either.
    if (!(error instanceof AzureError)) throwIfFailed(what, poller);
    throw error;
  }
}

/** An operation may succeed and leave a Failed resource: the SDK then returns neither a result nor an error. */
function throwIfFailed(what: string, { operationState, result }: Poller<unknown>): void {
  const { provisioningState = '', id = what } = (result ?? {}) as { provisioningState?: string; id?: string };
  const ended = [operationState?.status ?? '', provisioningState].find((state) => /^(failed|canceled)$/i.test(state));
  if (ended === undefined) return;
  const message = `Azure accepted the request, but ${what} ended as ${ended.toLowerCase()} without a reason.`;
  throw new AzureError({
    status: 200,
    code: unexplainedFailure,
    message,
    details: [],
    method: 'PUT',
    url: id,
    body: '',
  });
}
