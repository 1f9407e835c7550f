/**
 * Simulates fleet deployments to 10, 100 and 1,000 tenants. Durations are drawn from recorded distributions, requests are
 * those that the action sends, GitHub's part is assumed. `npm run readme` writes the table to docs/fleet.md; equal seeds
 * give equal figures.
 */
import { type Latency, recordedLatencies } from '../simulator/engine/latencies.ts';

/** Requests of one create from an image version, with a new network and no public IP. fleet.test.ts compares them. */
export const requestsPerTenant = {
  /** Reads in the image tenant, where all tenants of a fleet share one rate limit. */
  imageReads: 2,
  /** Writes in the VM's tenant, without polls. Each tenant has its own rate limits. */
  writes: 4,
} as const;

/** Assumed seconds: finding a runner and checking out twice, uploading the result, one request. Not measured. */
const assumed = { start: 25, end: 10, roundTrip: 0.3 } as const;

/** Resource Manager's token bucket for reads, per app and subscription. */
const readLimit = { size: 250, perSecond: 25 } as const;

const maxVmsPerImageReplica = 50;

interface Deployment {
  readonly seconds: number;
  /** Most VM creations in progress at the same time. */
  readonly peakCreates: number;
  /** Lowest level of the image tenant's token bucket. */
  readonly lowestTokens: number;
  /** Tenants whose job waited for a token. */
  readonly throttledTenants: number;
}

/** Mulberry32, a small seeded generator of numbers from 0 to 1. */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Draws from the lognormal distribution with the recorded median and 90th percentile. */
function drawSeconds({ median, p90 }: Latency, random: () => number): number {
  if (median === 0) return p90 * random() * 0.5;
  const sigma = Math.log(p90 / median) / 1.2816;
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return median * Math.exp(sigma * normal);
}

class ReadBucket {
  #level: number = readLimit.size;
  #updatedAt = 0;
  lowest: number = readLimit.size;

  /** Takes the tokens of one tenant and returns the seconds that its job waits for them. */
  take(at: number): number {
    const refilled = this.#level + Math.max(0, at - this.#updatedAt) * readLimit.perSecond;
    const level = Math.min(readLimit.size, refilled);
    this.#level = level - requestsPerTenant.imageReads;
    this.#updatedAt = Math.max(at, this.#updatedAt);
    this.lowest = Math.min(this.lowest, Math.max(0, this.#level));
    return Math.max(0, (requestsPerTenant.imageReads - level) / readLimit.perSecond);
  }
}

/** Simulates three waves: 1 % of the tenants (at least one), 10 %, the rest; the gate is approved at once. */
function simulateDeployment(tenants: number, maxParallel: number, seed: number): Deployment {
  const random = createRandom(seed);
  const seconds = (name: string): number => {
    const latency = recordedLatencies[name];
    if (latency === undefined) throw new Error(`No recorded latency for ${name}.`);
    return drawSeconds(latency, random);
  };
  const canaries = Math.max(1, Math.round(tenants / 100));
  const early = Math.round(tenants / 10);
  const creates: { start: number; end: number }[] = [];
  const bucket = new ReadBucket();
  let throttledTenants = 0;
  let now = 0;
  for (const count of [canaries, early, tenants - canaries - early]) {
    // When each runner is free, in this order.
    const runners = Array.from({ length: Math.min(maxParallel, count) }, () => now);
    for (let index = 0; index < count; index += 1) {
      const ready = (runners.shift() ?? now) + assumed.start * (0.8 + 0.4 * random()) + 4 * assumed.roundTrip;
      const wait = bucket.take(ready);
      if (wait > 0) throttledTenants += 1;
      const network = Math.max(seconds('nsgPut'), seconds('vnetPut')) + seconds('nicPut');
      const start = ready + wait + network + 4 * assumed.roundTrip;
      // The action notices the end of the operation within 3 s.
      const end = start + seconds('vmPutLinux') + 3 * random();
      creates.push({ start, end });
      const free = end + assumed.end;
      runners.splice(runners.findLastIndex((other) => other <= free) + 1, 0, free);
    }
    now = runners.at(-1) ?? now;
  }
  return { seconds: now, peakCreates: peakOf(creates), lowestTokens: bucket.lowest, throttledTenants };
}

function peakOf(creates: readonly { readonly start: number; readonly end: number }[]): number {
  const changes = creates.flatMap(({ start, end }) => [
    { at: start, change: 1 },
    { at: end, change: -1 },
  ]);
  let running = 0;
  let peak = 0;
  for (const { change } of changes.toSorted((first, second) => first.at - second.at)) {
    running += change;
    peak = Math.max(peak, running);
  }
  return peak;
}

const simulationsPerRow = 100;

function tableRow(tenants: number, maxParallel: number): string {
  const deployments = Array.from({ length: simulationsPerRow }, (_, index) =>
    simulateDeployment(tenants, maxParallel, index + 1),
  );
  const quantile = (property: keyof Deployment, share: number): number =>
    deployments.map((deployment) => deployment[property]).toSorted((a, b) => a - b)[
      Math.floor(share * simulationsPerRow)
    ] ?? 0;
  const minutes = (seconds: number) => (seconds / 60).toFixed(seconds < 600 ? 1 : 0);
  const number = (value: number) => value.toLocaleString('en');
  const peakCreates = quantile('peakCreates', 0.9);
  return [
    number(tenants),
    number(maxParallel),
    `${minutes(quantile('seconds', 0.5))} min`,
    `${minutes(quantile('seconds', 0.9))} min`,
    number(peakCreates),
    number(Math.ceil(peakCreates / maxVmsPerImageReplica)),
    number(tenants * requestsPerTenant.imageReads),
    number(Math.floor(quantile('lowestTokens', 0.1))),
    number(quantile('throttledTenants', 0.9)),
  ].join(' | ');
}

/** Returns the table of docs/fleet.md. */
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
    '| tenants | parallel jobs | median duration | 90th percentile | VMs in creation at once | image replicas needed | reads in the image tenant | lowest level of its 250 read tokens | throttled tenants |',
    '|---|---|---|---|---|---|---|---|---|',
    ...cases.map(([tenants, maxParallel]) => `| ${tableRow(tenants, maxParallel)} |`),
  ].join('\n');
}

if (import.meta.main) console.log(fleetTable());
