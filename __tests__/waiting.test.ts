import { describe, expect, test } from '@jest/globals';
import { nextLook, type OperationKind, pause } from '../src/waiting.ts';

/** Looks at an operation of `seconds`, with Compute's bucket of 45 polls refilled by 15 a minute. */
function follow(kind: OperationKind, seconds: number, bucket = 45) {
  let elapsed = 0;
  let left = bucket;
  let lowest = left;
  let looks = 0;
  while (elapsed < seconds) {
    const wait = nextLook(kind, elapsed, { polls: Math.floor(left) });
    elapsed += wait;
    left = Math.min(bucket, left + wait / 4) - 1;
    lowest = Math.min(lowest, left);
    looks++;
  }
  return { late: elapsed - seconds, lowest, looks };
}

describe('the rhythm of looking again', () => {
  test.each([
    ['network', 0, 0.25],
    ['network', 4, 0.5],
    ['network', 20, 1],
    ['network', 300, 2],
    ['vm-create-linux', 41, 1],
    ['vm-create-linux', 80, 2],
    ['vm-create-linux', 200, 4],
    ['vm-create-windows', 30, 4],
    ['vm-create-windows', 74, 1.2],
    ['delete', 30, 1.5],
  ] as const)('%s at %d s: %d s', (kind, elapsed, expected) => {
    expect(nextLook(kind, elapsed, {})).toBe(expected);
  });

  test('it falls back to the refill rate before the bucket is empty', () => {
    expect(nextLook('vm-create-linux', 41, { polls: 8 })).toBe(4);
    expect(nextLook('vm-create-linux', 41, { polls: 1 })).toBe(8);
  });

  test('runs side by side spread out when the common bucket of reads runs low', () => {
    expect(nextLook('network', 4, { reads: 200 })).toBe(0.5);
    expect(nextLook('network', 4, { reads: 50 })).toBe(1.5);
    expect(nextLook('network', 4, { reads: 0 })).toBe(15);
  });

  test.each(['vm-create-linux', 'vm-create-windows', 'delete'] as const)(
    '%s never empties the bucket and is late by 4 s at most, whenever it ends',
    (kind) => {
      for (let seconds = 1; seconds <= 1500; seconds += 7) {
        const { late, lowest } = follow(kind, seconds);
        expect(lowest).toBeGreaterThan(0);
        expect(late).toBeLessThanOrEqual(4);
      }
    },
  );

  test.each([
    ['vm-create-linux', 33, 1],
    ['vm-create-linux', 41, 1],
    ['vm-create-linux', 82, 2],
    ['vm-create-windows', 74, 1.2],
  ] as const)('%s that ends at %d s is noticed within %d s', (kind, seconds, most) => {
    expect(follow(kind, seconds).late).toBeLessThanOrEqual(most);
  });
});

describe('pause', () => {
  test('ends at once with the reason of the signal', async () => {
    const stop = new AbortController();
    const waiting = pause(60, stop.signal);
    stop.abort(new Error('cancelled'));
    await expect(waiting).rejects.toThrow('cancelled');
    await expect(pause(60, stop.signal)).rejects.toThrow('cancelled');
  });
});
