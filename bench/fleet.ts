/**
 * How long a roll-out takes, and what it asks of Azure, for 10, 100 and 1,000 tenants. Durations are drawn from the recorded
 * distributions that the simulator uses; requests are those that the action was measured to send; GitHub's part is assumed.
 * The figures of docs/fleet.md are made here (`npm run readme`): the same seed gives the same figures.
 */
import { type Latency, recordedLatencies } from '../simulator/engine/latencies.ts';

/** Requests of one creation from an image version, with a network of its own and no public IP. A scenario holds them. */
export const requestsPerTenant = {
  /** To the image tenant's Resource Manager, where all tenants of a fleet share one budget. */
  imageReads: 2,
  /** To the machine's tenant, without polls: each tenant has budgets of its own. */
  writes: 4,
} as const;

/** Seconds that GitHub takes besides: to find a runner, to check out twice, to upload the result. Not measured. */
const assumed = { start: 25, end: 10, roundTrip: 0.3 } as const;

/** Resource Manager's reads per app and subscription: a bucket of 250 that 25 a second refill. */
const bucket = { size: 250, perSecond: 25 } as const;

/** Machines that can be made at the same time from one replica of an image version. */
const perReplica = 50;

interface RollOut {
  readonly seconds: number;
  /** Most creations of machines that were under way at the same time. */
  readonly peak: number;
  /** Lowest level of the image tenant's bucket. */
  readonly lowest: number;
  /** Tenants whose job had to wait for that bucket. */
  readonly throttled: number;
}

/** Mulberry32: small, and the same everywhere. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Lognormal through the recorded median and 90th percentile. */
function draw({ median, p90 }: Latency, next: () => number): number {
  if (median === 0) return p90 * next() * 0.5;
  const sigma = Math.log(p90 / median) / 1.2816;
  const normal = Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  return median * Math.exp(sigma * normal);
}

/** One roll-out in three waves: a hundredth of the tenants (one at least), a tenth, the rest. Nobody waits at the gate. */
function rollOut(tenants: number, parallel: number, seed: number): RollOut {
  const next = numbers(seed);
  const latency = (name: string): number => {
    const known = recordedLatencies[name];
    if (known === undefined) throw new Error(`There is no recorded latency ${name}.`);
    return draw(known, next);
  };
  const canaries = Math.max(1, Math.round(tenants / 100));
  const early = Math.round(tenants / 10);
  const marks: { at: number; change: number }[] = [];
  const tokens = { level: bucket.size as number, at: 0, lowest: bucket.size as number };
  let throttled = 0;
  let now = 0;
  for (const count of [canaries, early, tenants - canaries - early]) {
    const lanes = Array.from({ length: Math.min(parallel, count) }, () => now);
    for (let index = 0; index < count; index += 1) {
      const lane = lanes.indexOf(Math.min(...lanes));
      let at = (lanes[lane] ?? now) + assumed.start * (0.8 + 0.4 * next()) + 4 * assumed.roundTrip;
      const level = Math.min(bucket.size, tokens.level + Math.max(0, at - tokens.at) * bucket.perSecond);
      const wait = Math.max(0, (requestsPerTenant.imageReads - level) / bucket.perSecond);
      throttled += wait > 0 ? 1 : 0;
      tokens.level = level - requestsPerTenant.imageReads;
      tokens.at = Math.max(at, tokens.at);
      tokens.lowest = Math.min(tokens.lowest, Math.max(0, tokens.level));
      at +=
        wait + Math.max(latency('nsgPut'), latency('vnetPut')) + latency('nicPut') + 4 * assumed.roundTrip;
      marks.push({ at, change: 1 });
      // The end is noticed within seconds.
      at += latency('vmPutLinux') + 3 * next();
      marks.push({ at, change: -1 });
      lanes[lane] = at + assumed.end;
    }
    now = count === 0 ? now : Math.max(...lanes);
  }
  let running = 0;
  let peak = 0;
  for (const { change } of marks.toSorted((one, other) => one.at - other.at)) {
    running += change;
    peak = Math.max(peak, running);
  }
  return { seconds: now, peak, lowest: tokens.lowest, throttled };
}

const tries = 100;

function row(tenants: number, parallel: number): string {
  const all = Array.from({ length: tries }, (_, seed) => rollOut(tenants, parallel, seed + 1));
  const quantile = (of: (one: RollOut) => number, share: number): number =>
    all.map(of).toSorted((a, b) => a - b)[Math.min(tries - 1, Math.floor(share * tries))] ?? 0;
  const minutes = (seconds: number) => (seconds / 60).toFixed(seconds < 600 ? 1 : 0);
  const peak = quantile(({ peak }) => peak, 0.9);
  const number = (value: number) => value.toLocaleString('en');
  return [
    number(tenants),
    number(parallel),
    `${minutes(quantile(({ seconds }) => seconds, 0.5))} min`,
    `${minutes(quantile(({ seconds }) => seconds, 0.9))} min`,
    number(peak),
    number(Math.ceil(peak / perReplica)),
    number(tenants * requestsPerTenant.imageReads),
    number(Math.floor(quantile(({ lowest }) => lowest, 0.1))),
    number(quantile(({ throttled }) => throttled, 0.9)),
  ].join(' | ');
}

/** The table of docs/fleet.md. */
export function fleetTable(): string {
  const cases = [
    [10, 20],
    [100, 20],
    [100, 60],
    [1000, 20],
    [1000, 60],
    [1000, 500],
    [1000, 1000],
  ] as const;
  return [
    '| tenants | at the same time | half of the roll-outs within | nine in ten within | machines being made at once | replicas for them | reads in the image tenant | lowest level of its bucket of 250 | tenants that waited for it |',
    '|---|---|---|---|---|---|---|---|---|',
    ...cases.map(([tenants, parallel]) => `| ${row(tenants, parallel)} |`),
  ].join('\n');
}

if (import.meta.main) console.log(fleetTable());
