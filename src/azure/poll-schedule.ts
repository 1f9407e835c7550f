export type OperationKind =
  | 'network'
  | 'vm-create-linux'
  | 'vm-create-windows'
  | 'vm-update'
  | 'delete'
  | 'guest'
  | 'directory';

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

/** What the service said of its budgets on the latest answers. */
export interface RemainingRequests {
  /** Polls left in this VM's bucket (`x-ms-ratelimit-remaining-resource`, GetOperation…). */
  readonly polls?: number;
  /** Reads left in this VM's bucket (`x-ms-ratelimit-remaining-resource`, LowCostGet…): of itself, its view, its scripts. */
  readonly vmReads?: number;
  /** Reads left in Resource Manager's bucket of 250 (`x-ms-ratelimit-remaining-subscription-reads`). */
  readonly reads?: number;
}

/** The latest word of the service on what is left of its budgets. */
export interface RateLimitTracker {
  read(): RemainingRequests;
  record(headers: { get(name: string): string | undefined }): void;
}

/** A gauge for one run. The per-VM budgets are those of the one VM that the run is about. */
export function createRateLimitTracker(): RateLimitTracker {
  let budget: RemainingRequests = {};
  return {
    read: () => budget,
    record(headers) {
      const compute = headers.get('x-ms-ratelimit-remaining-resource') ?? '';
      const left = (pattern: RegExp, text: string): number | undefined => {
        const found = pattern.exec(text)?.[1];
        return found === undefined ? undefined : Number(found);
      };
      // e.g. Microsoft.Compute/GetOperationResource;44,Microsoft.Compute/GetOperationSubscriptionMaximum;14999
      const polls = left(/\/GetOperationResource;(\d+)/, compute);
      const vmReads = left(/\/LowCostGetResource;(\d+)/, compute);
      const reads = left(/^\s*(\d+)/, headers.get('x-ms-ratelimit-remaining-subscription-reads') ?? '');
      budget = {
        ...budget,
        ...(polls === undefined ? {} : { polls }),
        ...(vmReads === undefined ? {} : { vmReads }),
        ...(reads === undefined ? {} : { reads }),
      };
    },
  };
}
