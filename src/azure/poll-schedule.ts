/*
 * Why not only the service's Retry-After: Azure suggests 10, then 35 to 50 seconds between polls, which delays a run by up to
 * half a minute per VM. A shorter one is honored. Compute really allows 45 polls per VM, refilled by 15 a minute
 * (https://learn.microsoft.com/azure/virtual-machines/compute-throttling-limits). These schedules spend that bucket where
 * operations are known to end, and slow down to the refill rate before it is empty. Errors' Retry-After is always obeyed.
 */

export type OperationKind =
  | 'network'
  | 'vm-create-linux'
  | 'vm-create-windows'
  | 'vm-update'
  | 'delete'
  | 'guest'
  | 'directory';

/** Seconds between polls: fixed, or growing with the elapsed time. */
type Interval = number | ((elapsedSeconds: number) => number);

/** `[until second, interval]`; the last row has no end. */
type PollSchedule = readonly (readonly [until: number, interval: Interval])[];

/** Seconds that a run spends outside its operations: start, sign-in, lookups. */
const overheadSeconds = 0.8;
const shortestInterval = 0.4;

/** Delays the run by at most `share` of the operation's time, with fewer polls than a fixed interval. */
const proportionalTo =
  (share: number) =>
  (elapsedSeconds: number): number =>
    Math.max(shortestInterval, share * elapsedSeconds - overheadSeconds);

/*
 * Recorded operations (seconds: least / p25 / median / p90): Linux VM 7 / 34 / 41 / 82, Windows VM 54 / 69 / 74 / 201, VM
 * update 0 / 4 / 5 / 10, VM deletion 0 / 1 / 30 / 46; network writes (median / p90) 1 / 2 to 11. At its lowest, the bucket
 * has 17 polls left in a Linux create, 12 in a Windows create, 17 in a deletion.
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
    [30, 3],
    [38, 1],
    [46, 1.2],
    [92, proportionalTo(0.05)],
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

/** Compute's buckets per VM: 45 polls, refilled by 15 a minute; 36 reads, refilled by 12 a minute. */
function vmBucket(kind: OperationKind, { polls, vmReads }: RemainingRequests) {
  if (kind === 'network' || kind === 'directory') return { refillSeconds: 0 };
  return kind === 'guest' ? { left: vmReads, refillSeconds: 60 / 12 } : { left: polls, refillSeconds: refillInterval };
}

const lowRemaining = 5;

/**
 * With fewer subscription reads left, parallel runs are draining their shared bucket, refilled by 25 a second: each then
 * waits as long as the refill to this level takes, at most 6 s.
 * https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling
 */
const lowSubscriptionReads = 150;
const readsPerSecond = 25;

/** The interval of the row, shortened where it would reach far into a denser one. */
function scheduledInterval(schedule: PollSchedule, elapsedSeconds: number): number {
  const row = schedule.find(([until]) => elapsedSeconds < until);
  if (!row) return refillInterval;
  const [until, interval] = row;
  const seconds = typeof interval === 'number' ? interval : interval(elapsedSeconds);
  if (elapsedSeconds + seconds <= until) return seconds;
  return Math.min(seconds, Math.max(until - elapsedSeconds, scheduledInterval(schedule, until)));
}

/** Seconds until the next poll of an operation that has been running for `elapsedSeconds`: never later than its hint. */
export function nextPollDelay(kind: OperationKind, elapsedSeconds: number, budget: RemainingRequests): number {
  // Azure's hints are whole seconds; 0 would empty the bucket within half a minute.
  const hint = Math.max(1, budget.retryAfter ?? Infinity);
  const interval = Math.min(hint, scheduledInterval(pollSchedules[kind], elapsedSeconds));
  const { left = Infinity, refillSeconds } = vmBucket(kind, budget);
  const untilRefill = left > lowRemaining ? 0 : refillSeconds * (left <= 2 ? 2 : 1);
  const missingReads = lowSubscriptionReads - (budget.reads ?? Infinity);
  return Math.max(interval, untilRefill, missingReads / readsPerSecond);
}

export interface RemainingRequests {
  /** Polls left in this VM's bucket (`x-ms-ratelimit-remaining-resource`, GetOperation…). */
  readonly polls?: number;
  /** Reads left in this VM's bucket (`x-ms-ratelimit-remaining-resource`, LowCostGet…): of the VM, its instance view, its run commands. */
  readonly vmReads?: number;
  /** Reads left in Resource Manager's bucket of 250 (`x-ms-ratelimit-remaining-subscription-reads`). */
  readonly reads?: number;
  /** Seconds after which Azure suggested to poll the operation again. */
  readonly retryAfter?: number;
}

export type RateLimitTracker = ReturnType<typeof createRateLimitTracker>;

/** The per-VM limits are those of the one VM that the run deploys. */
export function createRateLimitTracker() {
  let budget: RemainingRequests = {};
  const hints = new Map<string, number>();
  const key = (url: string): string => url.replace(/\?.*/s, '');
  return {
    /** @param operation URL under which it is polled. */
    read: (operation = ''): RemainingRequests => ({ ...budget, retryAfter: hints.get(key(operation)) }),
    record(headers: { get(name: string): string | undefined }, url: string): void {
      const seconds = Number(headers.get('retry-after') ?? Number.NaN);
      const operation = key(headers.get('azure-asyncoperation') ?? headers.get('location') ?? url);
      if (Number.isNaN(seconds)) hints.delete(operation);
      else hints.set(operation, seconds);
      const left = (header: string, pattern: RegExp): number | undefined => {
        const [, found] = pattern.exec(headers.get(header) ?? '') ?? [];
        return found === undefined ? undefined : Number(found);
      };
      // e.g. Microsoft.Compute/GetOperationResource;44,Microsoft.Compute/GetOperationSubscriptionMaximum;14999
      budget = {
        polls: left('x-ms-ratelimit-remaining-resource', /\/GetOperationResource;(\d+)/) ?? budget.polls,
        vmReads: left('x-ms-ratelimit-remaining-resource', /\/LowCostGetResource;(\d+)/) ?? budget.vmReads,
        reads: left('x-ms-ratelimit-remaining-subscription-reads', /^\s*(\d+)/) ?? budget.reads,
      };
    },
  };
}
