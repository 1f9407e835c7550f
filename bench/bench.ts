/**
 * Measures what is claimed, as ratios in one run: `npm run bench [-- --quick]`.
 *
 * (a) the action against the critical-path limit of its simulator and against a plain-SDK program, at real latencies, for
 *     three Retry-After profiles and for durations drawn from the recorded distribution;
 * (b) start to first request against a bare import of the same SDK clients, bundle size, peak memory, CPU;
 * (c) runs side by side: wall, requests and 429s per run;
 * (d) requests of one whole run, by kind.
 *
 * Writes bench/results.json and bench/results.md. `--quick` leaves (a) out, which takes minutes of real latency.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import ncc from '@vercel/ncc';
import { transform } from 'esbuild';
import { defaults, type Simulator, type SimulatorOptions, startSimulator } from '../simulator/index.ts';
import { type Run, runAsRunner } from '../scripts/runner.ts';
import type { PlainJob } from './plain-sdk.ts';

const { values: options } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });
const here = import.meta.dirname;
const round = (value: number, digits = 2): number => Math.round(value * 10 ** digits) / 10 ** digits;
const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

const keyFolder = mkdtempSync(join(tmpdir(), 'bench-'));
execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'bench', '-f', join(keyFolder, 'key')]);
const sshPublicKey = execFileSync('cat', [join(keyFolder, 'key.pub')], { encoding: 'utf8' }).trim();

function inputsFor(sim: Simulator, image: string, name: string): Record<string, string> {
  return {
    environment: sim.armEndpoint,
    'client-id': defaults.clientId,
    'client-secret': defaults.clientSecret,
    'tenant-id': defaults.tenantId,
    'image-tenant-id': defaults.imageTenantId,
    'subscription-id': defaults.subscriptionId,
    'resource-group': defaults.resourceGroup,
    'image-id': defaults.imageId(image),
    'vm-name': name,
    ...(image === 'windows' ? { 'admin-password': 'Bench-Password-1' } : {}),
  };
}

async function runMain(sim: Simulator, image: string, name: string): Promise<Run> {
  const run = await runAsRunner({
    sim,
    inputs: inputsFor(sim, image, name),
    phases: ['main'],
    limitMs: 900_000,
  });
  run.dispose();
  if (run.exitCode !== 0) throw new Error(`The action failed:\n${run.stdout}`);
  return run;
}

async function runPlain(sim: Simulator, image: string): Promise<number> {
  const metadata = (await fetchFrom(sim, `${sim.armEndpoint}/metadata/endpoints?api-version=2022-09-01`)) as
    | { authentication: { audiences: string[] } }[]
    | { authentication: { audiences: string[] } };
  const cloud = Array.isArray(metadata) ? metadata[0] : metadata;
  const job: PlainJob = {
    armEndpoint: sim.armEndpoint,
    loginEndpoint: sim.loginEndpoint,
    audience: cloud?.authentication.audiences[0] ?? '',
    tenantId: defaults.tenantId,
    imageTenantId: defaults.imageTenantId,
    clientId: defaults.clientId,
    clientSecret: defaults.clientSecret,
    subscriptionId: defaults.subscriptionId,
    resourceGroup: defaults.resourceGroup,
    imageId: defaults.imageId(image, image === 'windows' ? '1.0.0' : '1.10.0'),
    windows: image === 'windows',
    sshPublicKey,
  };
  const start = performance.now();
  const child = spawn(process.execPath, [join(here, 'plain-sdk.ts')], {
    env: { PATH: process.env['PATH'], NODE_EXTRA_CA_CERTS: sim.certificateFile, NODE_NO_WARNINGS: '1' },
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  child.stdin.end(JSON.stringify(job));
  const code = await new Promise<number | null>((resolve) => child.on('exit', resolve));
  if (code !== 0) throw new Error(`The plain-SDK program ended with ${code}.`);
  return performance.now() - start;
}

/** fetch does not take a CA; a child with NODE_EXTRA_CA_CERTS does. */
async function fetchFrom(sim: Simulator, url: string): Promise<unknown> {
  const text = await new Promise<string>((resolve, reject) => {
    const child = spawn(
      process.execPath,
      ['-e', `fetch(${JSON.stringify(url)}).then(r=>r.text()).then(t=>process.stdout.write(t))`],
      {
        env: { PATH: process.env['PATH'], NODE_EXTRA_CA_CERTS: sim.certificateFile },
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    let out = '';
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.on('exit', (code) => (code === 0 ? resolve(out) : reject(new Error(`metadata: ${code}`))));
  });
  return JSON.parse(text);
}

interface Speed {
  readonly case: string;
  readonly limitSeconds: number;
  readonly actionSeconds: number;
  readonly plainSeconds: number;
  readonly actionToLimit: number;
  readonly plainToLimit: number;
  /** Lowest levels that the service told of: of the machine's 45 polls, of the 250 reads that all runs share. */
  readonly lowestPollBudget: number;
  readonly lowestReadBudget: number;
  readonly throttled: number;
}

/** The lowest level of a budget in the answers of a simulator. */
function lowest(sim: Simulator, header: string, pattern: RegExp): number {
  const levels = sim.journal.flatMap(({ responseHeaders }) => {
    const left = pattern.exec(responseHeaders[header] ?? '')?.[1];
    return left === undefined ? [] : [Number(left)];
  });
  return Math.min(...levels);
}

const pollsLeft = ['x-ms-ratelimit-remaining-resource', /GetOperationResource;(\d+)/] as const;
const readsLeft = ['x-ms-ratelimit-remaining-subscription-reads', /^(\d+)$/] as const;

async function speedOf(title: string, image: string, world: SimulatorOptions): Promise<Speed> {
  const [first, second] = await Promise.all([
    startSimulator({ ...world, timeScale: 1 }),
    startSimulator({ ...world, timeScale: 1 }),
  ]);
  const [action, plain] = await Promise.all([runMain(first, image, 'bench'), runPlain(second, image)]);
  const limit = first.criticalPath();
  const lowestPollBudget = lowest(first, ...pollsLeft);
  const lowestReadBudget = lowest(first, ...readsLeft);
  const throttled = first.journal.filter(({ status }) => status === 429).length;
  await Promise.all([first.close(), second.close()]);
  return {
    case: title,
    limitSeconds: round(limit, 1),
    actionSeconds: round(action.wallMs / 1000, 1),
    plainSeconds: round(plain / 1000, 1),
    actionToLimit: round(action.wallMs / 1000 / limit, 3),
    plainToLimit: round(plain / 1000 / limit, 2),
    lowestPollBudget,
    lowestReadBudget,
    throttled,
  };
}

async function speeds(): Promise<Speed[]> {
  const cases: [string, string, SimulatorOptions][] = [
    ['Linux, short Retry-After', 'linux', { retryAfterProfile: 'short' }],
    ['Linux, Retry-After 10, 35', 'linux', { retryAfterProfile: 'recorded' }],
    ['Linux, Retry-After 50 first', 'linux', { retryAfterProfile: 'recorded50' }],
    ...(['linux', 'windows'] as const).flatMap((image) =>
      (['p25', 'median', 'p90'] as const).map((latencyProfile): [string, string, SimulatorOptions] => [
        `${image === 'linux' ? 'Linux' : 'Windows'}, ${latencyProfile} durations`,
        image,
        { latencyProfile },
      ]),
    ),
  ];
  // They mostly wait, so they can run side by side; staggered, so that no start disturbs another's.
  return Promise.all(
    cases.map(async ([title, image, world], index) => {
      await sleep(index * 2500);
      return speedOf(title, image, world);
    }),
  );
}

/** Builds the bare import as the action is built, so that like is compared with like. */
async function bareBundle(folder: string): Promise<string> {
  const bundle = await ncc(join(here, 'bare-import.js'), { cache: false, quiet: true });
  const { code } = await transform(bundle.code, {
    minify: true,
    treeShaking: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
  });
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  writeFileSync(join(folder, 'bare.js'), code);
  for (const [name, { source }] of Object.entries(bundle.assets))
    if (name.endsWith('.js')) writeFileSync(join(folder, name), source);
  return join(folder, 'bare.js');
}

async function startAndSize() {
  const folder = mkdtempSync(join(tmpdir(), 'bench-'));
  const bare = await bareBundle(folder);
  const sim = await startSimulator({ timeScale: 0.01 });
  // The journal counts from the start of its simulator.
  const journalStart = performance.now() - sim.world.clock.wall();
  const first: number[] = [];
  const floor: number[] = [];
  const runs: Run[] = [];
  // In turn, so that whatever else the machine does meets both.
  for (let i = 0; i < 25; i++) {
    const floorStart = performance.now();
    execFileSync(process.execPath, [bare], { env: { PATH: process.env['PATH'] } });
    floor.push(performance.now() - floorStart);
    const seen = sim.journal.length;
    const run = await runMain(sim, 'linux', `start-${i}`);
    runs.push(run);
    const request = sim.journal[seen];
    if (request) first.push(journalStart + request.at - run.startedAt);
  }
  await sim.close();
  rmSync(folder, { recursive: true });
  const dist = join(here, '../dist');
  const bytes = readdirSync(dist).map((name) => statSync(join(dist, name)).size);
  return {
    startToFirstRequestMs: round(median(first), 0),
    bareImportMs: round(median(floor), 0),
    startToBareImport: round(median(first) / median(floor), 3),
    bundleBytes: statSync(join(dist, 'index.js')).size,
    distBytes: bytes.reduce((a, b) => a + b, 0),
    peakMegabytes: round(Math.max(...runs.map(({ peakRssBytes }) => peakRssBytes)) / 2 ** 20, 0),
    cpuSeconds: round(median(runs.map(({ cpuMs }) => cpuMs)) / 1000),
  };
}

async function sideBySide(count: number) {
  const sim = await startSimulator({ timeScale: 1, latencyProfile: 'median' });
  const started = performance.now();
  const runs = await Promise.allSettled(
    Array.from({ length: count }, (_, index) => runMain(sim, 'linux', `side-${index}`)),
  );
  const seconds = (performance.now() - started) / 1000;
  const failed = runs.filter(({ status }) => status === 'rejected').length;
  const row = {
    runs: count,
    failed,
    wallSeconds: round(seconds, 1),
    limitSeconds: round(sim.criticalPath(), 1),
    requestsPerRun: round(sim.journal.length / count, 1),
    throttledPerRun: round(sim.journal.filter(({ status }) => status === 429).length / count, 2),
  };
  await sim.close();
  return row;
}

async function requestsByKind() {
  const sim = await startSimulator({ timeScale: 0.05 });
  await runMain(sim, 'linux', 'kinds');
  const kinds: Record<string, number> = {};
  for (const { host, isPoll, method } of sim.journal) {
    const kind = isPoll ? 'polls' : host === 'entra' ? 'sign-in' : method === 'PUT' ? 'writes' : 'reads';
    kinds[kind] = (kinds[kind] ?? 0) + 1;
  }
  await sim.close();
  const besidesPolls = Object.entries(kinds).reduce((sum, [kind, n]) => sum + (kind === 'polls' ? 0 : n), 0);
  return { ...kinds, besidesPolls };
}

function table(rows: readonly object[]): string {
  const [first] = rows;
  if (!first) return '';
  const heads = Object.keys(first);
  return [
    `| ${heads.map((head) => head.replace(/([A-Z])/g, ' $1').toLowerCase()).join(' | ')} |`,
    `|${heads.map(() => '---').join('|')}|`,
    ...rows.map((row) => `| ${Object.values(row).join(' | ')} |`),
  ].join('\n');
}

const machine = `${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`;
console.log(`Measuring on ${machine}.`);
const start = await startAndSize();
console.log(table([start]));
const kinds = await requestsByKind();
console.log(table([kinds]));
const speed = options.quick ? [] : await speeds();
console.log(table(speed));
// One after the other: whatever they take from each other would count as theirs.
const crowd: object[] = [];
for (const count of options.quick ? [1, 5] : [1, 5, 20, 50]) crowd.push(await sideBySide(count));
console.log(table(crowd));
rmSync(keyFolder, { recursive: true });

if (!options.quick) {
  const results = { date: new Date().toISOString().slice(0, 10), machine, start, kinds, speed, crowd };
  writeFileSync(join(here, 'results.json'), `${JSON.stringify(results, null, 2)}\n`);
  writeFileSync(
    join(here, 'results.md'),
    [
      `Measured on ${results.date} on a machine of ${machine}, against the embedded simulator at real latencies.`,
      '',
      'One create against the limit that Azure’s own durations set, and a plain-SDK program doing the same job:',
      '',
      table(speed),
      '',
      'Start, size and memory:',
      '',
      table([start]),
      '',
      'Requests of one create, by kind:',
      '',
      table([kinds]),
      '',
      'Runs side by side in one resource group:',
      '',
      table(crowd),
      '',
    ].join('\n'),
  );
}
