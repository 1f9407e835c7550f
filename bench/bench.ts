/**
 * Measures the action against the simulator and writes bench/results.json and bench/results.md: `npm run bench`.
 *
 * (a) create at real latencies, compared with the critical path of the simulator and with a plain SDK program, for three
 *     Retry-After profiles and for recorded durations;
 * (b) start to first request, compared with an import of the same SDK clients; bundle size, peak memory, CPU;
 * (c) concurrent runs: duration, requests and 429s per run;
 * (d) requests of a create and of a second run that changes nothing, by stage.
 *
 * `npm run bench -- --quick` skips (a) and the larger runs of (c), and writes no files.
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
import { type Run, runAsRunner } from '../scripts/action-runner/action-runner.ts';
import type { PlainJob } from './plain-sdk.ts';
import { countRequests } from './requests.ts';

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
    ...(image === 'windows' ? { 'admin-password': 'Create-Password-1' } : {}),
  };
}

async function runAction(sim: Simulator, image: string, name: string): Promise<Run> {
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

async function runPlainSdk(sim: Simulator, image: string): Promise<number> {
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
  if (code !== 0) throw new Error(`The plain SDK program exited with code ${code}.`);
  return performance.now() - start;
}

/** Fetches in a child process: `fetch` takes a CA only from NODE_EXTRA_CA_CERTS, which Node reads at start. */
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

interface CreateTiming {
  readonly case: string;
  readonly limitSeconds: number;
  readonly actionSeconds: number;
  readonly plainSeconds: number;
  readonly actionToLimit: number;
  readonly plainToLimit: number;
  readonly vmPolls: number;
  /** Lowest remaining requests in the responses: of 45 polls per VM, of 250 reads per subscription. */
  readonly lowestPollBudget: number;
  readonly lowestReadBudget: number;
  readonly throttled: number;
}

function lowestRemaining(sim: Simulator, header: string, pattern: RegExp): number {
  const values = sim.journal.flatMap(({ responseHeaders }) => {
    const remaining = pattern.exec(responseHeaders[header] ?? '')?.[1];
    return remaining === undefined ? [] : [Number(remaining)];
  });
  return Math.min(...values);
}

const remainingPolls = ['x-ms-ratelimit-remaining-resource', /GetOperationResource;(\d+)/] as const;
const remainingReads = ['x-ms-ratelimit-remaining-subscription-reads', /^(\d+)$/] as const;

async function measureCreate(title: string, image: string, world: SimulatorOptions): Promise<CreateTiming> {
  const [first, second] = await Promise.all([
    startSimulator({ ...world, timeScale: 1 }),
    startSimulator({ ...world, timeScale: 1 }),
  ]);
  const [action, plain] = await Promise.all([runAction(first, image, 'bench'), runPlainSdk(second, image)]);
  const limit = first.criticalPath();
  const lowestPollBudget = lowestRemaining(first, ...remainingPolls);
  const lowestReadBudget = lowestRemaining(first, ...remainingReads);
  const vmPolls = first.journal.filter(({ isPoll, path }) => isPoll && /Microsoft\.Compute/i.test(path)).length;
  const throttled = first.journal.filter(({ status }) => status === 429).length;
  await Promise.all([first.close(), second.close()]);
  return {
    case: title,
    limitSeconds: round(limit, 1),
    actionSeconds: round(action.wallMs / 1000, 1),
    plainSeconds: round(plain / 1000, 1),
    actionToLimit: round(action.wallMs / 1000 / limit, 3),
    plainToLimit: round(plain / 1000 / limit, 2),
    vmPolls,
    lowestPollBudget,
    lowestReadBudget,
    throttled,
  };
}

async function measureCreates(): Promise<CreateTiming[]> {
  const cases: [string, string, SimulatorOptions][] = [
    ['Linux, short Retry-After', 'linux', { retryAfterProfile: 'short' }],
    ['Linux, Retry-After 10, 35', 'linux', { retryAfterProfile: 'recorded' }],
    ['Linux, Retry-After 50 first', 'linux', { retryAfterProfile: 'recorded50' }],
    ...[4, 7, 12, 20, 30].map((seconds): [string, string, SimulatorOptions] => [
      `Linux, VM of ${seconds} s, Retry-After 1`,
      'linux',
      {
        retryAfterProfile: 'short',
        world: (world) => {
          world.latencies['vmPutLinux'] = seconds;
        },
      },
    ]),
    ...(['linux', 'windows'] as const).flatMap((image) =>
      (['p25', 'median', 'p90'] as const).map((latencyProfile): [string, string, SimulatorOptions] => [
        `${image === 'linux' ? 'Linux' : 'Windows'}, ${latencyProfile} durations`,
        image,
        { latencyProfile },
      ]),
    ),
  ];
  // The runs mostly wait, so they run concurrently; their starts, which need the CPU, are staggered.
  return Promise.all(
    cases.map(async ([title, image, world], index) => {
      await sleep(index * 2500);
      return measureCreate(title, image, world);
    }),
  );
}

/** Bundles the import in the same way as the action. */
async function bundleBareImport(folder: string): Promise<string> {
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

async function measureStart() {
  const folder = mkdtempSync(join(tmpdir(), 'bench-'));
  const bare = await bundleBareImport(folder);
  const sim = await startSimulator({ timeScale: 0.01 });
  // Times in the journal are relative to the start of the simulator.
  const journalStart = performance.now() - sim.world.clock.wall();
  const firstRequestMs: number[] = [];
  const bareImportMs: number[] = [];
  const runs: Run[] = [];
  // Alternately, so that other load affects both measurements.
  for (let i = 0; i < 25; i++) {
    const bareStart = performance.now();
    execFileSync(process.execPath, [bare], { env: { PATH: process.env['PATH'] } });
    bareImportMs.push(performance.now() - bareStart);
    const previousRequests = sim.journal.length;
    const run = await runAction(sim, 'linux', `start-${i}`);
    runs.push(run);
    const request = sim.journal[previousRequests];
    if (request) firstRequestMs.push(journalStart + request.at - run.startedAt);
  }
  await sim.close();
  rmSync(folder, { recursive: true });
  const dist = join(here, '../dist');
  const bytes = readdirSync(dist).map((name) => statSync(join(dist, name)).size);
  return {
    startToFirstRequestMs: round(median(firstRequestMs), 0),
    bareImportMs: round(median(bareImportMs), 0),
    startToBareImport: round(median(firstRequestMs) / median(bareImportMs), 3),
    bundleBytes: statSync(join(dist, 'index.js')).size,
    distBytes: bytes.reduce((a, b) => a + b, 0),
    peakMegabytes: round(Math.max(...runs.map(({ peakRssBytes }) => peakRssBytes)) / 2 ** 20, 0),
    cpuSeconds: round(median(runs.map(({ cpuMs }) => cpuMs)) / 1000),
  };
}

async function measureConcurrentRuns(count: number) {
  const sim = await startSimulator({ timeScale: 1, latencyProfile: 'median' });
  const started = performance.now();
  const runs = await Promise.allSettled(
    Array.from({ length: count }, (_, index) => runAction(sim, 'linux', `concurrent-${index}`)),
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

function table(rows: readonly object[]): string {
  const [first] = rows;
  if (!first) return '';
  const headings = Object.keys(first);
  return [
    `| ${headings.map((heading) => heading.replace(/([A-Z])/g, ' $1').toLowerCase()).join(' | ')} |`,
    `|${headings.map(() => '---').join('|')}|`,
    ...rows.map((row) => `| ${Object.values(row).join(' | ')} |`),
  ].join('\n');
}

const machine = `${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`;
console.log(`Measuring on ${machine}.`);
const start = await measureStart();
console.log(table([start]));
const requests = await countRequests((sim) => runAction(sim, 'linux', 'stages'));
console.log(table(requests));
const creates = options.quick ? [] : await measureCreates();
console.log(table(creates));
// One after the other, so that no measurement includes the load of another.
const concurrent: object[] = [];
for (const count of options.quick ? [1, 5] : [1, 5, 20, 50]) concurrent.push(await measureConcurrentRuns(count));
console.log(table(concurrent));
rmSync(keyFolder, { recursive: true });

if (!options.quick) {
  const results = { date: new Date().toISOString().slice(0, 10), machine, start, requests, creates, concurrent };
  writeFileSync(join(here, 'results.json'), `${JSON.stringify(results, null, 2)}\n`);
  writeFileSync(
    join(here, 'results.md'),
    [
      `Measured on ${results.date} with ${machine}, against the simulator at recorded latencies.`,
      '',
      'One create, compared with the limit set by Azure’s own durations, and with a plain SDK program that does the same:',
      '',
      table(creates),
      '',
      'Start, size and memory:',
      '',
      table([start]),
      '',
      'Requests of a create, and of a second run that changes nothing, by stage:',
      '',
      table(requests),
      '',
      'Concurrent runs in one resource group:',
      '',
      table(concurrent),
      '',
    ].join('\n'),
  );
}
