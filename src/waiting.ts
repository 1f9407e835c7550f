/**
 * When to look again at a running operation, and the one loop that waits.
 *
 * Azure suggests 10, then 35 to 50 seconds between polls (Retry-After); obeying that costs up to half a minute per VM.
 * Compute publishes what it really allows, per VM: a bucket of 45 polls, refilled by 15 a minute
 * (https://learn.microsoft.com/azure/virtual-machines/compute-throttling-limits). The rhythm below spends that bucket
 * where operations are known to end, and falls back to the refill rate before it runs dry. A Retry-After on a refusal
 * (429, 503) is another matter: the pipeline obeys it before this loop sees anything.
 */

export type OperationKind =
  | 'network'
  | 'vm-create-linux'
  | 'vm-create-windows'
  | 'delete'
  | 'guest'
  | 'directory';

/** What the service said of its budgets on the latest answers. */
export interface Budget {
  /** Polls left in this VM's bucket (`x-ms-ratelimit-remaining-resource`, GetOperation…). */
  readonly polls?: number;
  /** Reads left in Resource Manager's bucket of 250 (`x-ms-ratelimit-remaining-subscription-reads`). */
  readonly reads?: number;
}

/** `[until second, seconds between looks]`; the last row has no end. */
type Rhythm = readonly (readonly [until: number, interval: number])[];

/*
 * Where ends lie, from recorded operations (seconds, p25 / median / p90): network writes 1 / 2 / 5, Linux VM 33 / 41 / 82,
 * Windows VM 69 / 74 / 201, VM deletion 1 / 30 / 46. The sums stay within 45 polls + 15 a minute: a Linux create has
 * asked 10 times by 25 s, 45 by 60 s and 60 by 90 s (refilled by then: 6, 15 and 22), a Windows create 18 times by 60 s
 * and 60 by 110 s (refilled: 15 and 27). Worst case, the end is noticed one interval late: 0.5 s network, 1 s Linux and
 * 1.2 s Windows where ends are likely, 4 s (the refill rate) in the long tail.
 */
const rhythms: Readonly<Record<OperationKind, Rhythm>> = {
  network: [
    [1, 0.25],
    [8, 0.5],
    [30, 1],
    [Infinity, 2],
  ],
  'vm-create-linux': [
    [1, 0.5],
    [3, 1],
    [25, 4],
    [60, 1],
    [90, 2],
    [Infinity, 4],
  ],
  'vm-create-windows': [
    [1, 0.5],
    [3, 1],
    [60, 4],
    [110, 1.2],
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
const scarcePolls = 8;
/** Below this many reads left, side-by-side runs are draining the common bucket: spread out. */
const scarceReads = 150;

/** Seconds to wait before the next look at an operation that has been running for `elapsedSeconds`. */
export function nextLook(kind: OperationKind, elapsedSeconds: number, budget: Budget): number {
  const row = rhythms[kind].find(([until]) => elapsedSeconds < until);
  let interval = row ? row[1] : refillInterval;
  if (budget.polls !== undefined && budget.polls <= scarcePolls) {
    interval = Math.max(interval, refillInterval * (budget.polls <= 2 ? 2 : 1));
  }
  if (budget.reads !== undefined && budget.reads < scarceReads) {
    interval = Math.max(interval, Math.min(15, (interval * scarceReads) / Math.max(1, budget.reads)));
  }
  return interval;
}

/** The part of an SDK poller that waiting needs. */
interface Poller<T> {
  readonly isDone: boolean;
  readonly result: T | undefined;
  submitted(): Promise<void>;
  poll(options?: { abortSignal?: AbortSignal }): Promise<unknown>;
}

export interface Waiting {
  readonly signal: AbortSignal;
  /** Latest budgets, read before each look. */
  readonly budget: () => Budget;
  /** Called at least every 30 seconds while something is awaited. */
  readonly onStillWaiting: (what: string, elapsedSeconds: number) => void;
}

const progressSeconds = 30;

/** Resolves after `seconds`; rejects with the signal's reason as soon as it aborts. */
export function pause(seconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    }, seconds * 1000);
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

/**
 * Looks again and again, in the rhythm of `kind`, until `look` gives something.
 * @throws whatever `look` throws; the signal's reason once it aborts.
 */
export async function waitFor<T>(
  what: string,
  kind: OperationKind,
  waiting: Waiting,
  look: () => Promise<T | undefined>,
): Promise<T> {
  const start = performance.now();
  let told = 0;
  for (;;) {
    const elapsed = (performance.now() - start) / 1000;
    if (elapsed - told >= progressSeconds) {
      told = elapsed;
      waiting.onStillWaiting(what, elapsed);
    }
    const untilTold = Math.max(0.1, told + progressSeconds - elapsed);
    await pause(Math.min(nextLook(kind, elapsed, waiting.budget()), untilTold), waiting.signal);
    const seen = await look();
    if (seen !== undefined) return seen;
  }
}

/**
 * Follows an SDK poller to its end at our own rhythm instead of the service's Retry-After.
 * @param onAnswer called once the request was taken, whether or not anything is waited for after that.
 * @returns what the operation made; for deletions undefined.
 * @throws AzureError when the request is refused or the operation fails; the signal's reason once it aborts.
 */
export async function untilDone<T>(
  what: string,
  kind: OperationKind,
  waiting: Waiting,
  poller: Poller<T>,
  onAnswer: () => void = () => undefined,
): Promise<T> {
  try {
    await poller.submitted();
    onAnswer();
    if (!poller.isDone) {
      await waitFor(what, kind, waiting, async () => {
        await poller.poll({ abortSignal: waiting.signal });
        return poller.isDone || undefined;
      });
    }
    return poller.result as T;
  } catch (error) {
    // The SDK turns every abort into its own AbortError and loses the reason.
    throw waiting.signal.aborted ? waiting.signal.reason : error;
  }
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
