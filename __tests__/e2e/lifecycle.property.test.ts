/**
 * Random lives: faults, cancellations and earlier runs are drawn, and after each life it is checked that nothing foreign
 * changed, that nothing of ours is left unless a warning names it, that the exit code is right and no secret got out.
 *
 * LIFECYCLE_RUNS sets how many lives (default 6), LIFECYCLE_SEED draws other ones (`npm run test:soak`: many), LIFECYCLE_ONLY=<n>[,<n>]
 * runs single ones of them and prints their logs.
 */
import { cpus } from 'node:os';
import { expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import type { FaultEffect, FaultMatch } from '../../simulator/engine/faults.ts';
import { defaults, startSimulator } from '../../simulator/index.ts';
import { defaultInputs, type Phase, type Run, runAction, runJob, generatedKey } from '../support/harness.ts';
import {
  addStranger,
  addStrangers,
  brokenRules,
  disturbed,
  errorOf,
  cleanupStateOf,
  partsOf,
  sharedSubnet,
  since,
  snapshot,
  warningsOf,
} from '../support/lifecycle.ts';

const runs = Number(process.env['LIFECYCLE_RUNS'] ?? 6);
const seed = Number(process.env['LIFECYCLE_SEED'] ?? 1);
const only = process.env['LIFECYCLE_ONLY']?.split(',').map(Number);
const timeScale = 0.01;

const kinds = {
  nsg: /\/networkSecurityGroups\/vm1-nsg/,
  vnet: /\/virtualNetworks\/vm1-vnet/,
  ip: /\/publicIPAddresses\/vm1-ip/,
  nic: /\/networkInterfaces\/vm1-nic/,
  vm: /\/virtualMachines\/vm1(\?|$)/,
  disk: /\/disks\/vm1/,
  any: /\/subscriptions\//,
} as const;

/** Passes by itself; the run must not notice but for a line in its log. */
const passing: readonly FaultEffect[] = [
  { status: 429, code: 'TooManyRequests', message: 'slow down', headers: { 'retry-after': '1' } },
  { status: 429, code: 'TooManyRequests', message: 'slow down' },
  { status: 500, code: 'InternalServerError', message: 'oops' },
  { status: 502, code: 'BadGatewayConnection', message: 'oops' },
  { status: 503, code: 'ServerUnavailable', message: 'oops', headers: { 'retry-after': '1' } },
  { status: 504, code: 'GatewayTimeout', message: 'oops' },
  { status: 409, code: 'AnotherOperationInProgress', message: 'Another operation is in progress.' },
  { status: 429, code: 'RetryableError', message: 'A retryable error occurred.' },
  { reset: true },
  { dropAfterCommit: true },
  { delaySeconds: 0.05 },
  { delaySeconds: 0.3 },
];
const passingOperation: readonly FaultEffect[] = [
  { operationFails: { code: 'AnotherOperationInProgress', message: 'Another operation is in progress.' } },
  { operationFails: { code: 'RetryableError', message: 'A retryable error occurred.' } },
];
/** Ends the run: refused, or the operation fails. */
const fatal: readonly FaultEffect[] = [
  { status: 403, code: 'AuthorizationFailed', message: 'no right' },
  { status: 403, code: 'RequestDisallowedByPolicy', message: 'policy' },
  { status: 400, code: 'InvalidParameter', message: 'bad' },
];
const fatalOperation: readonly FaultEffect[] = [
  { operationFails: { code: 'AllocationFailed', message: 'Allocation failed.' } },
  { operationFails: { code: 'OSProvisioningTimedOut', message: 'timed out' } },
  { operationFails: { code: 'InternalExecutionError', message: 'An internal execution error occurred.' } },
];

interface DrawnFault {
  readonly match: FaultMatch;
  readonly effect: FaultEffect;
  readonly harm: 'passing' | 'fatal';
}

const kindNames = Object.keys(kinds) as (keyof typeof kinds)[];
const makable = ['nsg', 'vnet', 'ip', 'nic', 'vm'] as const;

const fault: fc.Arbitrary<DrawnFault> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      match: fc
        .record({
          kind: fc.constantFrom(...kindNames),
          method: fc.constantFrom('GET', 'PUT', 'DELETE', undefined),
          phase: fc.constantFrom('request', 'poll', undefined),
          nth: fc.integer({ min: 1, max: 6 }),
          times: fc.integer({ min: 1, max: 2 }),
        })
        .map(
          ({ kind, method, phase, nth, times }): FaultMatch => ({
            host: 'arm',
            path: kinds[kind],
            nth,
            times,
            ...(method ? { method } : {}),
            ...(phase ? { phase } : {}),
          }),
        ),
      effect: fc.constantFrom(...passing),
      harm: fc.constant('passing' as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      match: fc.constantFrom(...makable).map((kind): FaultMatch => ({ method: 'PUT', path: kinds[kind] })),
      effect: fc.constantFrom(...passingOperation),
      harm: fc.constant('passing' as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      match: fc
        .record({ host: fc.constant('entra' as const), nth: fc.integer({ min: 1, max: 4 }) })
        .map((match): FaultMatch => match),
      effect: fc.constantFrom<FaultEffect>(
        { status: 503 },
        { status: 429, headers: { 'retry-after': '1' } },
        { reset: true },
        { delaySeconds: 0.3 },
      ),
      harm: fc.constant('passing' as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      match: fc.constantFrom(...makable).map((kind): FaultMatch => ({ method: 'PUT', path: kinds[kind] })),
      effect: fc.constantFrom(...fatal, ...fatalOperation),
      harm: fc.constant('fatal' as const),
    }),
  },
);

/** Mostly not: once in `times` lives. */
const onceIn = <T>(times: number, what: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.oneof({ weight: times - 1, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: what });

const life = fc.record({
  cleanup: fc.constantFrom('on-failure', 'on-failure', 'always', 'never'),
  image: fc.constantFrom('linux', 'linux', 'windows', 'linux-data-disks'),
  ownKey: fc.boolean(),
  ownNetwork: fc.boolean(),
  publicIp: fc.boolean(),
  faults: fc.array(fault, { maxLength: 4 }),
  stop: onceIn(
    2,
    fc.record({
      name: fc.constantFrom<'SIGINT' | 'SIGTERM' | 'SIGKILL' | 'cancel'>('SIGINT', 'SIGTERM', 'SIGKILL', 'cancel'),
      when: fc.oneof(
        { weight: 1, arbitrary: fc.record({ afterMs: fc.integer({ min: 100, max: 1500 }) }) },
        {
          weight: 3,
          arbitrary: fc.record({
            // The log has a line for each request to Resource Manager: the n-th one has just been answered.
            whenLog: fc
              .integer({ min: 1, max: 50 })
              .map((nth) => new RegExp(`^(?:(?:(?!::debug::).*\\n)*::debug::.*\\n){${nth}}`)),
          }),
        },
      ),
    }),
  ),
  /** A name of the deployment that is taken by somebody else. */
  taken: onceIn(10, fc.constantFrom('nsg', 'vnet', 'publicIp', 'nic', 'osDisk')),
  /** When an earlier run of the same deployment lost its runner. */
  earlierEndedAfterMs: onceIn(5, fc.integer({ min: 300, max: 1500 })),
});
type Life = ReturnType<(typeof life)['generate']>['value'];

async function live(drawn: Life): Promise<{ violations: string[]; log: string; fate: string }> {
  const sim = await startSimulator({ timeScale });
  const taken = drawn.taken as keyof ReturnType<typeof partsOf> | undefined;
  addStrangers(sim.world, 'vm1');
  if (taken) addStranger(sim.world, partsOf('vm1')[taken]);
  const strangers = snapshot(sim);
  const inputs = {
    ...defaultInputs(sim),
    'image-id': defaults.imageId(drawn.image),
    ...(drawn.ownKey && drawn.image !== 'windows' ? {} : generatedKey),
    'vm-name': 'vm1',
    cleanup: drawn.cleanup,
    'public-ip': String(drawn.publicIp),
    'timeout-minutes': '360',
    ...(drawn.ownNetwork ? {} : { 'subnet-id': sharedSubnet }),
  };
  const violations: string[] = [];
  let run: Run | undefined;
  let log = '';
  const show = (title: string, phase: Phase | undefined): void => {
    if (phase) log += `--- ${title}: exit ${phase.exitCode}\n${phase.stdout}`;
  };
  try {
    if (drawn.earlierEndedAfterMs !== undefined) {
      const earlier = await runAction({
        sim,
        inputs,
        env: { GITHUB_RUN_ID: '1111' },
        phases: ['main'],
        signal: { name: 'SIGKILL', afterMs: drawn.earlierEndedAfterMs },
      });
      show('earlier run', earlier);
    }
    const before = snapshot(sim);
    const earlierCount = sim.journal.length;
    const set = drawn.faults.map(({ match, effect, harm }) => ({
      harm,
      fault: sim.faults.add({ match, effect }),
    }));
    let atEnd: string[] = [];
    let machineThen: string | undefined;
    run = await runJob({
      sim,
      inputs,
      ...(drawn.stop ? { signal: { name: drawn.stop.name, ...drawn.stop.when } } : {}),
      limitMs: 120_000,
      between: () => {
        atEnd = since(sim, before);
        machineThen = sim.world.resources.get(partsOf('vm1').machine)?.body['properties'].provisioningState;
      },
    });
    show('main', run);
    show('post', run.post);
    const phases = [run, ...(run.post ? [run.post] : [])];
    violations.push(
      ...brokenRules(sim.journal.slice(earlierCount), new Set(strangers.keys()), phases, run, [defaults.clientSecret]),
    );
    for (const id of disturbed(sim, strangers)) violations.push(`a stranger was changed: ${id}`);

    const state = cleanupStateOf(run);
    // Of a run that was killed in the middle, the state must know what there is; Azure names data disks itself.
    if (run.exitCode === null) {
      for (const id of atEnd) {
        const known = state?.created.some((one) => one.toLowerCase() === id.toLowerCase());
        if (!known && !/\/disks\/vm1_lun_/.test(id)) violations.push(`not recorded before it was created: ${id}`);
      }
    }
    const warnings = warningsOf(run, run.post).toLowerCase();
    const ended = run.exitCode === 0;
    const left = since(sim, before);
    if (ended ? drawn.cleanup === 'always' : drawn.cleanup !== 'never') {
      for (const id of left) if (!warnings.includes(id.toLowerCase())) violations.push(`left behind: ${id}`);
    }
    if (!ended && drawn.cleanup === 'never' && run.exitCode === 1) {
      for (const id of left) if (!warnings.includes(id.toLowerCase())) violations.push(`left and not listed: ${id}`);
    }
    if (ended && drawn.cleanup !== 'always') {
      for (const id of atEnd) if (!left.includes(id)) violations.push(`deleted after success: ${id}`);
    }

    if (run.post && run.post.exitCode !== 0) violations.push(`the post step ended with ${run.post.exitCode}`);
    if (ended && machineThen !== 'Succeeded') violations.push(`exit 0, but the machine is ${machineThen}`);
    if (ended && !run.outputs['vm-id']) violations.push('exit 0 without vm-id');
    const struckFatal = set.some(({ harm, fault: { applied } }) => applied > 0 && harm === 'fatal');
    const mustSucceed = !struckFatal && !drawn.stop && !drawn.taken && drawn.earlierEndedAfterMs === undefined;
    if (mustSucceed && !ended) violations.push(`failed without a reason: ${errorOf(run)}`);
    // A signal that comes before there is anybody to take it ends the process as it ends any other.
    const hasBegun = run.stdout.includes('Correlation ID');
    const isKill = drawn.stop?.name === 'SIGKILL' || drawn.stop?.name === 'cancel';
    if (!ended && run.exitCode !== 1 && hasBegun && !isKill) {
      violations.push(`exit code ${run.exitCode}`);
    }
    const errors = run.annotations.filter(({ level }) => level === 'error').length;
    if (run.exitCode === 1 && errors !== 1) violations.push(`${errors} error annotations`);
    if (ended && errors > 0) violations.push('exit 0 with an error annotation');
  } catch (error) {
    violations.push(`the scenario itself failed: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    run?.dispose();
    await sim.close();
  }
  const fate = run ? (run.exitCode === null ? 'killed' : run.exitCode === 0 ? 'succeeded' : 'failed') : 'broken';
  return { violations, log, fate };
}

test(
  'random lives leave nothing behind and nothing foreign changed',
  async () => {
    const lives = fc.sample(life, { numRuns: runs, seed });
    const waiting = [...lives.entries()].filter(([index]) => !only || only.includes(index));
    const fates: Record<string, number> = {};
    const violated: string[] = [];
    const worker = async (): Promise<void> => {
      for (let next = waiting.shift(); next; next = waiting.shift()) {
        const [index, drawn] = next;
        const { violations, log, fate } = await live(drawn);
        fates[fate] = (fates[fate] ?? 0) + 1;
        if (only) process.stdout.write(`${fc.stringify(drawn)}\n${log}\n`);
        if (violations.length === 0) continue;
        violated.push(
          `LIFECYCLE_SEED=${seed} LIFECYCLE_RUNS=${runs} LIFECYCLE_ONLY=${index}\n${fc.stringify(drawn)}\n- ${violations.join('\n- ')}`,
        );
      }
    };
    await Promise.all(Array.from({ length: Math.max(2, cpus().length) * 2 }, worker));
    process.stdout.write(`${runs} lives, seed ${seed}: ${JSON.stringify(fates)}\n`);
    expect(violated.join('\n\n')).toBe('');
  },
  Math.max(120_000, runs * 15_000),
);
