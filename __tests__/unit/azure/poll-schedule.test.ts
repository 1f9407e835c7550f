import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { nextPollDelay, type OperationKind, type RemainingRequests } from '../../../src/azure/poll-schedule.ts';
import { hasSucceeded, isTerminalState } from '../../../src/azure/lookup.ts';
import { pollUntil } from '../../../src/azure/polling.ts';
import { delayWithProgress, delay } from '../../../src/lib/abort.ts';

/** Looks at an operation of `seconds`, with Compute's bucket of 45 polls refilled by 15 a minute. */
function follow(kind: OperationKind, seconds: number, budget: RemainingRequests = {}) {
  const bucket = 45;
  let elapsed = 0;
  let left = budget.polls ?? bucket;
  let lowest = left;
  let looks = 0;
  while (elapsed < seconds) {
    const wait = nextPollDelay(kind, elapsed, { ...budget, polls: Math.floor(left) });
    elapsed += wait;
    left = Math.min(bucket, left + wait / 4) - 1;
    lowest = Math.min(lowest, left);
    looks++;
  }
  return { late: elapsed - seconds, lowest, looks };
}

describe('poll schedule', () => {
  test.each([
    ['network', 0, 0.5],
    ['network', 0.5, 0.25],
    ['network', 2, 0.25],
    ['network', 4, 0.5],
    ['network', 20, 1],
    ['network', 300, 2],
    ['vm-create-linux', 5, 3],
    ['vm-create-linux', 30, 1],
    ['vm-create-linux', 41, 1.2],
    ['vm-create-linux', 80, 3.2],
    ['vm-create-linux', 200, 4],
    ['vm-create-windows', 10, 4],
    ['vm-create-windows', 40, 0.64],
    ['vm-create-windows', 74, 1.864],
    ['vm-create-windows', 201, 4],
    ['delete', 30, 1.5],
  ] as const)('%s at %d s: %d s', (kind, elapsed, expected) => {
    expect(nextPollDelay(kind, elapsed, {})).toBeCloseTo(expected, 9);
  });

  test.each([
    ['vm-create-linux', 27.5, 2.5],
    ['vm-create-linux', 28.5, 1.5],
    ['vm-create-windows', 39, 1],
    ['vm-create-linux', 91.9, 3.795],
  ] as const)('%s at %d s: it does not reach into a denser stretch, but %d s', (kind, elapsed, expected) => {
    expect(nextPollDelay(kind, elapsed, {})).toBeCloseTo(expected, 9);
  });

  test.each([4, 7, 12, 20, 30])('a VM that takes %d s is noticed within the shorter hint, or earlier', (seconds) => {
    for (const retryAfter of [1, 2, 3, 10, 35]) {
      const { late, lowest } = follow('vm-create-linux', seconds, { retryAfter });
      expect(late).toBeLessThanOrEqual(Math.min(3, retryAfter));
      expect(lowest).toBeGreaterThan(0);
    }
  });

  test('a VM that takes the recorded 41 s is polled at most 25 times', () => {
    expect(follow('vm-create-linux', 41, { retryAfter: 10 }).looks).toBeLessThanOrEqual(25);
  });

  test('the rate limits hold although every answer suggests to poll again after a second', () => {
    for (const kind of ['vm-create-linux', 'vm-create-windows', 'delete'] as const) {
      expect(follow(kind, 600, { retryAfter: 1 }).lowest).toBeGreaterThan(0);
    }
    expect(nextPollDelay('vm-create-linux', 41, { retryAfter: 1, polls: 5 })).toBe(4);
    expect(nextPollDelay('vm-create-linux', 41, { retryAfter: 1, reads: 0 })).toBe(6);
  });

  test('it falls back to the refill rate before the bucket is empty', () => {
    expect(nextPollDelay('vm-create-linux', 41, { polls: 6 })).toBeLessThan(2);
    expect(nextPollDelay('vm-create-linux', 41, { polls: 5 })).toBe(4);
    expect(nextPollDelay('vm-create-linux', 41, { polls: 1 })).toBe(8);
    expect(nextPollDelay('guest', 10, { vmReads: 6, polls: 0 })).toBe(2.5);
    expect(nextPollDelay('guest', 10, { vmReads: 5 })).toBe(5);
    expect(nextPollDelay('guest', 10, { vmReads: 0 })).toBe(10);
    // Network counts none of these.
    expect(nextPollDelay('network', 2, { polls: 0, vmReads: 0 })).toBe(0.25);
  });

  test.each([
    [250, 0.5],
    [140, 0.5],
    [100, 2],
    [50, 4],
    [0, 6],
  ])('with %d reads left in the bucket that all runs share, the next look is in %d s', (reads, seconds) => {
    expect(nextPollDelay('network', 4, { reads })).toBe(seconds);
  });

  test.each([
    [20, 180],
    [50, 100],
    [100, 50],
  ])('%d runs side by side leave %d reads at least in the bucket that they share', (runs, spare) => {
    let left = 250;
    let lowest = left;
    const due = Array.from({ length: runs }, (_, run) => 27 + run / runs);
    for (let now = 27; now < 120; now += 0.05) {
      left = Math.min(250, left + 25 * 0.05);
      for (const [run, at] of due.entries()) {
        if (at > now) continue;
        lowest = Math.min(lowest, --left);
        due[run] = now + nextPollDelay('vm-create-linux', now, { reads: left });
      }
    }
    expect(lowest).toBeGreaterThanOrEqual(spare);
  });

  test.each([
    ['vm-create-linux', 17],
    ['vm-create-windows', 12],
    ['vm-update', 30],
    ['delete', 17],
  ] as const)('%s leaves %d polls in the bucket and is late by 4 s at most, whenever it ends', (kind, spare) => {
    for (let seconds = 1; seconds <= 1500; seconds += 7) {
      const { late, lowest } = follow(kind, seconds);
      expect(lowest).toBeGreaterThanOrEqual(spare);
      expect(late).toBeLessThanOrEqual(4);
    }
  });

  test.each(['vm-create-linux', 'vm-create-windows'] as const)(
    '%s that finds a half-empty bucket does not empty it',
    (kind) => {
      for (const bucket of [30, 20, 10, 5]) {
        expect(follow(kind, 300, { polls: bucket }).lowest).toBeGreaterThan(0);
      }
    },
  );

  test.each([
    ['vm-create-linux', 30, 300, 0.056],
    ['vm-create-windows', 40, 300, 0.04],
  ] as const)('%s that ends between %d and %d s costs the run %d of its time at most', (kind, from, to, share) => {
    const overhead = 0.8;
    // Security group, then virtual network.
    const network = 3;
    for (let seconds = from; seconds <= to; seconds += 0.1) {
      expect((overhead + follow(kind, seconds).late) / (network + seconds)).toBeLessThanOrEqual(share);
    }
  });
});

describe('progress', () => {
  beforeEach(() => {
    jest.useFakeTimers();
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  test.each(['network', 'vm-create-linux', 'guest'] as const)(
    'polling %s logs progress every 30 seconds and ends with the last poll',
    async (kind) => {
      const told: number[] = [];
      const start = performance.now();
      const seen = pollUntil(
        'it',
        kind,
        {
          signal: new AbortController().signal,
          rateLimits: () => ({ reads: 0 }),
          onProgress: (what, seconds) => told.push(what === 'it' ? seconds : Number.NaN),
        },
        async () => (performance.now() - start >= 100_000 ? 'there' : undefined),
      );
      await jest.runAllTimersAsync();
      expect(await seen).toBe('there');
      expect(told.map(Math.floor)).toEqual([30, 60, 90]);
    },
  );

  test('a long Retry-After is logged every 30 seconds', async () => {
    const lines: string[] = [];
    const paused = delayWithProgress(100, new AbortController().signal, (line) => lines.push(line));
    await jest.runAllTimersAsync();
    await paused;
    expect(lines.map((line) => /(\d+) s to go/.exec(line)?.[1])).toEqual(['70', '40', '10']);
  });
});

describe('pause', () => {
  test('ends at once with the reason of the signal', async () => {
    const stop = new AbortController();
    const waiting = delay(60, stop.signal);
    stop.abort(new Error('cancelled'));
    await expect(waiting).rejects.toThrow('cancelled');
    await expect(delay(60, stop.signal)).rejects.toThrow('cancelled');
  });
});

test.each([
  [undefined, true, true],
  ['Succeeded', true, true],
  ['Failed', true, false],
  ['Canceled', true, false],
  ['Creating', false, false],
  ['Updating', false, false],
  ['Deleting', false, false],
])('provisioningState %s: terminal %s, succeeded %s', (provisioningState, terminal, succeeded) => {
  const resource = provisioningState ? { provisioningState } : {};
  expect([isTerminalState(resource), hasSucceeded(resource)]).toEqual([terminal, succeeded]);
});
