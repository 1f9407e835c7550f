/**
 * When to look again at a running operation, and the one loop that waits.
 *
 * Azure suggests 10, then 35 to 50 seconds between polls (Retry-After); obeying that costs up to half a minute per VM.
 * Compute publishes what it really allows, per VM: a bucket of 45 polls, refilled by 15 a minute
 * (https://learn.microsoft.com/azure/virtual-machines/compute-throttling-limits). The rhythm below spends that bucket
 * where operations are known to end, and falls back to the refill rate before it runs dry. A Retry-After on a refusal
 * (429, 503) is another matter: the pipeline obeys it before this loop sees anything.
 */

import { clockSeconds, startTimer } from './clock.ts';
import { AzureError } from './failure.ts';

export type OperationKind =
  | 'network'
  | 'vm-create-linux'
  | 'vm-create-windows'
  | 'vm-update'
  | 'delete'
  | 'guest'
  | 'directory';

/** What the service said of its budgets on the latest answers. */
export interface RemainingRequests {
  /** Polls left in this VM's bucket (`x-ms-ratelimit-remaining-resource`, GetOperation…). */
  readonly polls?: number;
  /** Reads left in this VM's bucket (`x-ms-ratelimit-remaining-resource`, LowCostGet…): of itself, its view, its scripts. */
  readonly vmReads?: number;
  /** Reads left in Resource Manager's bucket of 250 (`x-ms-ratelimit-remaining-subscription-reads`). */
  readonly reads?: number;
}

/** Seconds between looks: fixed, or growing with what has elapsed. */
type Interval = number | ((elapsedSeconds: number) => number);
/** `[until second, interval]`; the last row has no end. */
type PollSchedule = readonly (readonly [until: number, interval: Interval])[];

/** What a run takes besides its operations, as measured: start, sign-in, lookups (`npm run bench`). */
const overheadSeconds = 0.8;
const shortestInterval = 0.4;

/**
 * Looks so that whenever the operation ends, the run as a whole is late by at most `share` of the operation. Polls in
 * proportion to the logarithm of the time: cheaper than any fixed interval that is as good.
 */
const proportionalTo =
  (share: number) =>
  (elapsedSeconds: number): number =>
    Math.max(shortestInterval, share * elapsedSeconds - overheadSeconds);

/*
 * Where ends lie, from recorded operations (seconds, least / p25 / median / p90): Linux VM 7 / 34 / 41 / 82, Windows VM
 * 54 / 69 / 74 / 201, change of a VM 0 / 4 / 5 / 10, VM deletion 0 / 1 / 30 / 46; network writes (median / p90) 1 / 2 to
 * 11. The sums stay within 45 polls + 15 a minute: at its lowest the bucket holds some 8 polls in a Linux create, 12 in a
 * Windows create, 17 in a deletion. Worst case, the end is noticed one interval late: 0.5 s network; of a VM 4.5 % of its
 * time (Linux, 27 to 92 s) or 3.6 % (Windows, 40 to 132 s), less the run's own overhead; 3 and 4 s before that, 4 s (the
 * refill rate) after.
 */
const pollSchedules: Readonly<Record<OperationKind, PollSchedule>> = {
  network: [
    [0.5, 0.5],
    [2.5, 0.25],
    [8, 0.5],
    [30, 1],
    [Infinity, 2],
  ],
  'vm-create-linux': [
    [1, 0.5],
    [3, 1],
    [27, 3],
    [92, proportionalTo(0.045)],
    [Infinity, 4],
  ],
  'vm-create-windows': [
    [1, 0.5],
    [3, 1],
    [40, 4],
    [132, proportionalTo(0.036)],
    [Infinity, 4],
  ],
  'vm-update': [
    [2, 0.5],
    [12, 1],
    [Infinity, 4],
  ],
  delete: [
    [2, 0.5],
    [60, 1.5],
    [Infinity, 4],
  ],
  guest: [
    [2, 0.5],
    [32, 2.5],
    [Infinity, 5],
  ],
  directory: [
    [5, 1],
    [30, 2.5],
    [Infinity, 5],
  ],
};

const refillInterval = 60 / 15;
/** What Compute counts per VM: 45 polls, 15 a minute come back; 36 reads, 12 a minute. */
const vmBuckets: Readonly<
  Partial<Record<OperationKind, { readonly budget: 'polls' | 'vmReads'; readonly refillSeconds: number }>>
> = {
  'vm-create-linux': { budget: 'polls', refillSeconds: refillInterval },
  'vm-create-windows': { budget: 'polls', refillSeconds: refillInterval },
  'vm-update': { budget: 'polls', refillSeconds: refillInterval },
  delete: { budget: 'polls', refillSeconds: refillInterval },
  guest: { budget: 'vmReads', refillSeconds: 60 / 12 },
};
const lowRemaining = 5;
/**
 * Below this many reads left, side-by-side runs are draining the bucket that they share; 25 a second come back
 * (https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling). Each then waits as
 * long as the way back to here takes, 6 s at most: 50 runs settle at a look every 2 s each and 100 reads left.
 */
const lowSubscriptionReads = 150;
const readsPerSecond = 25;

/** The interval of the row, cut short where it would reach far into a denser one. */
function scheduledInterval(rhythm: PollSchedule, elapsedSeconds: number): number {
  const row = rhythm.find(([until]) => elapsedSeconds < until);
  if (!row) return refillInterval;
  const [until, interval] = row;
  const seconds = typeof interval === 'number' ? interval : interval(elapsedSeconds);
  if (elapsedSeconds + seconds <= until) return seconds;
  return Math.min(seconds, Math.max(until - elapsedSeconds, scheduledInterval(rhythm, until)));
}

/** Seconds to wait before the next look at an operation that has been running for `elapsedSeconds`. */
export function nextPollDelay(
  kind: OperationKind,
  elapsedSeconds: number,
  budget: RemainingRequests,
): number {
  let interval = scheduledInterval(pollSchedules[kind], elapsedSeconds);
  const bucket = vmBuckets[kind];
  const left = bucket && budget[bucket.budget];
  if (bucket && left !== undefined && left <= lowRemaining) {
    interval = Math.max(interval, bucket.refillSeconds * (left <= 2 ? 2 : 1));
  }
  if (budget.reads !== undefined) {
    interval = Math.max(interval, (lowSubscriptionReads - budget.reads) / readsPerSecond);
  }
  return interval;
}

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

const progressSeconds = 30;

/** Resolves after `seconds`; rejects with the signal's reason as soon as it aborts. */
export function delay(seconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = startTimer(seconds, () => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    });
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

/** Waits as long as Azure asked, and says so every 30 seconds: Compute asks for up to 20 minutes. */
export async function delayWithProgress(
  seconds: number,
  signal: AbortSignal,
  log: (line: string) => void,
): Promise<void> {
  for (let left = seconds; left > 0; left -= progressSeconds) {
    await delay(Math.min(progressSeconds, left), signal);
    if (left > progressSeconds) log(`Azure asked to wait; ${Math.round(left - progressSeconds)} s to go.`);
  }
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

interface Provisioned {
  readonly provisioningState?: string;
}

/**
 * State of a resource. One that names no state has succeeded:
 * https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations
 */
export function provisioningStateOf({ provisioningState }: Provisioned): string {
  return provisioningState || 'Succeeded';
}

/** Whether no operation is changing the resource. */
export function isTerminalState(resource: Provisioned): boolean {
  return /^(Succeeded|Failed|Canceled)$/i.test(provisioningStateOf(resource));
}

export function hasSucceeded(resource: Provisioned): boolean {
  return /^Succeeded$/i.test(provisioningStateOf(resource));
}

/**
 * Like Promise.all, but lets all end before the first failure is thrown: otherwise clean-up would race with a PUT that is
 * still on its way, and miss what it makes.
 */
export async function allSettledOrThrow<T extends readonly unknown[]>(
  work: readonly [...T],
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(work);
  return Promise.all(work);
}
