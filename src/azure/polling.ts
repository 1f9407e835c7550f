/**
 * When to look again at a running operation, and the one loop that waits.
 *
 * Azure suggests 10, then 35 to 50 seconds between polls (Retry-After); obeying that costs up to half a minute per VM.
 * Compute publishes what it really allows, per VM: a bucket of 45 polls, refilled by 15 a minute
 * (https://learn.microsoft.com/azure/virtual-machines/compute-throttling-limits). The rhythm below spends that bucket
 * where operations are known to end, and falls back to the refill rate before it runs dry. A Retry-After on a refusal
 * (429, 503) is another matter: the pipeline obeys it before this loop sees anything.
 */

import { AzureError } from '../errors/azure-error.ts';
import { delay, progressSeconds } from '../lib/abort.ts';
import { clockSeconds } from '../lib/clock.ts';
import { type OperationKind, nextPollDelay, type RemainingRequests } from './poll-schedule.ts';

/** The part of an SDK poller that waiting needs. */
interface Poller<T> {
  readonly isDone: boolean;
  readonly operationState: { readonly status: string } | undefined;
  readonly result: T | undefined;
  submitted(): Promise<void>;
  poll(options?: { abortSignal?: AbortSignal }): Promise<unknown>;
}

export interface PollOptions {
  readonly signal: AbortSignal;
  /** Latest budgets, read before each look. */
  readonly rateLimits: () => RemainingRequests;
  /** Called at least every 30 seconds while something is awaited. */
  readonly onProgress: (what: string, elapsedSeconds: number) => void;
}

/**
 * Looks again and again, in the rhythm of `kind`, until `look` gives something.
 * @throws whatever `look` throws; the signal's reason once it aborts.
 */
export async function pollUntil<T>(
  what: string,
  kind: OperationKind,
  waiting: PollOptions,
  look: () => Promise<T | undefined>,
): Promise<T> {
  const start = clockSeconds();
  let told = 0;
  for (;;) {
    const elapsed = clockSeconds() - start;
    if (elapsed - told >= progressSeconds) {
      told = elapsed;
      waiting.onProgress(what, elapsed);
    }
    const untilTold = Math.max(0.1, told + progressSeconds - elapsed);
    await delay(Math.min(nextPollDelay(kind, elapsed, waiting.rateLimits()), untilTold), waiting.signal);
    const seen = await look();
    if (seen !== undefined) return seen;
  }
}

/** Code of an operation whose end says that it went wrong, and not why. */
export const unexplainedFailure = 'ProvisioningFailed';

/** Looks at a resource that its own operation has just made, before a 404 is believed. */
const maxNotFoundAfterCreate = 5;

/**
 * Follows an SDK poller to its end at our own rhythm instead of the service's Retry-After.
 * @param onAnswer called once the request was taken, whether or not anything is waited for after that.
 * @returns what the operation made; for deletions undefined.
 * @throws AzureError when the request is refused or the operation fails; the signal's reason once it aborts.
 */
export async function pollUntilDone<T>(
  what: string,
  kind: OperationKind,
  waiting: PollOptions,
  poller: Poller<T>,
  onAnswer: () => void = () => undefined,
): Promise<T> {
  let missed = 0;
  try {
    await poller.submitted();
    onAnswer();
    if (!poller.isDone) {
      await pollUntil(what, kind, waiting, async () => {
        try {
          await poller.poll({ abortSignal: waiting.signal });
        } catch (error) {
          // The operation has ended, but the front end that is asked for what it made does not know that yet.
          if (kind === 'delete' || !isNotFoundError(error) || ++missed > maxNotFoundAfterCreate) throw error;
        }
        return poller.isDone || undefined;
      });
    }
    if (kind !== 'delete') throwIfFailed(what, poller);
    return poller.result as T;
  } catch (error) {
    // The SDK turns every abort into its own AbortError and loses the reason.
    throw waiting.signal.aborted ? waiting.signal.reason : error;
  }
}

function isNotFoundError(error: unknown): boolean {
  return error instanceof AzureError && error.fault.status === 404;
}

/**
 * An operation may end well and leave a resource that is Failed, and a resource without an operation may say so at once:
 * the SDK then gives no result, and no error.
 */
function throwIfFailed(what: string, { operationState, result }: Poller<unknown>): void {
  const { provisioningState = '', id = what } = {
    ...(result as { provisioningState?: string; id?: string } | undefined),
  };
  const ended = [operationState?.status ?? '', provisioningState].find((state) =>
    /^(failed|canceled)$/i.test(state),
  );
  if (ended === undefined) return;
  const message = `Azure took the request, and ${what} ended as ${ended.toLowerCase()}; no reason was given.`;
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
