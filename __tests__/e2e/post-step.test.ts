/** The post step: it acts as the main step did, with any inputs, state and environment. */
import { existsSync, mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { defaults, type Simulator } from '../../simulator/index.ts';
import {
  act,
  addStrangers,
  cleanupStateOf,
  errorOf,
  expectAllGone,
  partsOf,
  snapshot,
  startWorld,
  warningsOf,
  writesOf,
  actWithPost,
} from '../support/lifecycle.ts';

const vm1 = partsOf('vm1');
const main = { phases: ['main'] } as const;
const otherGuid = '99999999-1111-4111-8111-999999999999';

/** Runs the post step alone, with a state and inputs of the test's choice. */
const postOf = (
  sim: Simulator,
  state: Readonly<Record<string, string>>,
  inputs: Readonly<Record<string, string>> = {},
  env: Readonly<Record<string, string>> = {},
) => act(sim, { cleanup: 'always', ...inputs }, { phases: ['post'], state, env });

describe('the post step', () => {
  test.concurrent('deletes the deployment when the runner passes the inputs of another step', async () => {
    const sim = await startWorld({ world: (world) => addStrangers(world, 'vm1') });
    const before = snapshot(sim);
    const run = await act(sim, { cleanup: 'always' }, main);
    expect(run.exitCode).toBe(0);
    const post = await postOf(sim, run.state, {
      environment: 'azurechinacloud',
      'client-id': otherGuid,
      'tenant-id': otherGuid,
      'subscription-id': otherGuid,
      'resource-group': 'other-rg',
      'vm-name': 'other',
      cleanup: 'never',
      operation: 'sweep',
    });
    expect(post.exitCode).toBe(0);
    expectAllGone(sim, before);
  });

  test.concurrent('names the step that deletes what is left when the secret is missing', async () => {
    const sim = await startWorld();
    const run = await act(sim, { cleanup: 'always' }, main);
    const before = snapshot(sim);
    const post = await postOf(sim, run.state, { 'client-secret': '' });
    expect(post.exitCode).toBe(0);
    expect(snapshot(sim)).toEqual(before);
    expect(warningsOf(post)).toContain('`client-secret`, which the runner did not pass to the post step');
    expect(warningsOf(post)).toContain('operation: delete');
    expect(warningsOf(post)).toContain(`client-id: ${defaults.clientId}`);
    expect(warningsOf(post)).toContain('vm-name: vm1');
    expect(warningsOf(post)).toContain(vm1.machine);
  });

  test.concurrent('sends nothing and lists readable IDs when the state is damaged', async () => {
    const sim = await startWorld();
    const run = await act(sim, { cleanup: 'always' }, main);
    const state = JSON.stringify(cleanupStateOf(run));
    const before = snapshot(sim);
    const requests = sim.journal.length;
    for (const damaged of [
      state.slice(0, -20),
      state.replace('"deployment":"vm1"', '"deployment":"../x"'),
      'null',
      '[]',
    ]) {
      const post = await postOf(sim, { cleanup: damaged });
      expect(post.exitCode).toBe(0);
      expect(post.annotations.filter(({ level }) => level === 'warning')).toHaveLength(1);
      expect(warningsOf(post)).toContain('is damaged');
      if (damaged.includes('deployment')) expect(warningsOf(post)).toContain(vm1.machine);
    }
    expect(sim.journal.slice(requests)).toEqual([]);
    expect(snapshot(sim)).toEqual(before);
  });

  test.concurrent('deletes no resource of another owner that the state lists', async () => {
    const sim = await startWorld({ world: (world) => addStrangers(world, 'vm1') });
    const strangers = [...snapshot(sim).keys()];
    const run = await act(sim, {}, main);
    const state = { ...cleanupStateOf(run), completed: false, created: strangers, pending: strangers };
    const before = snapshot(sim);
    const post = await postOf(sim, { cleanup: JSON.stringify(state) });
    expect(post.exitCode).toBe(0);
    expect(snapshot(sim)).toEqual(before);
    expect(writesOf(sim.journal).some(({ method }) => method === 'DELETE')).toBe(false);
  });

  test.concurrent('removes only folders that create makes when the state holds another path', async () => {
    const sim = await startWorld();
    const run = await act(sim, { cleanup: 'never' }, main);
    const temp = join(mkdtempSync(join(run.temp, 'outer-')), 'temp');
    const victim = join(temp, 'victim');
    mkdirSync(victim, { recursive: true });
    writeFileSync(join(victim, 'id_rsa'), 'precious');
    symlinkSync(victim, join(temp, 'cross-tenant-vm-abcdef'));
    mkdirSync(join(temp, 'cross-tenant-vm-123456'));
    const env = { RUNNER_TEMP: temp };
    for (const path of [
      join(victim, 'id_rsa'),
      join(temp, 'id_rsa'),
      `${temp}/cross-tenant-vm-123456/../victim/id_rsa`,
      `${temp}/cross-tenant-vm-123456/sub/id_rsa`,
      join(temp, 'cross-tenant-vm-abcdef', 'id_rsa'),
      'victim/id_rsa',
      '/',
      '',
      'no\u0000path/id_rsa',
    ]) {
      const state = { ...cleanupStateOf(run), privateKeyPath: path };
      const post = await postOf(sim, { cleanup: JSON.stringify(state) }, {}, env);
      expect([path, post.exitCode, existsSync(join(victim, 'id_rsa'))]).toEqual([path, 0, true]);
    }
    expect(existsSync(join(temp, 'cross-tenant-vm-123456'))).toBe(true);
    const state = {
      ...cleanupStateOf(run),
      privateKeyPath: join(temp, 'cross-tenant-vm-123456', 'id_rsa'),
    };
    await postOf(sim, { cleanup: JSON.stringify(state) }, {}, env);
    expect(existsSync(join(temp, 'cross-tenant-vm-123456'))).toBe(false);
  });

  test.concurrent('finishes a deletion that was cancelled', async () => {
    const sim = await startWorld();
    const before = snapshot(sim);
    expect((await act(sim, {}, main)).exitCode).toBe(0);
    const run = await actWithPost(
      sim,
      { operation: 'delete' },
      { signal: { name: 'SIGINT', whenLog: /Deleting virtual machine/ } },
    );
    expect([run.exitCode, run.post?.exitCode]).toEqual([1, 0]);
    expect(errorOf(run)).toContain('cancelled');
    expectAllGone(sim, before);
  });

  test.concurrent('repeats no deletion that failed for a reason', async () => {
    const sim = await startWorld();
    expect((await act(sim, {}, main)).exitCode).toBe(0);
    sim.world.locks.push({ scope: vm1.nsg, level: 'CanNotDelete', name: 'keep' });
    const run = await actWithPost(sim, { operation: 'delete' });
    expect([run.exitCode, run.post?.exitCode]).toEqual([1, 0]);
    expect(run.post?.stdout).toContain('Nothing to clean up');
  });
});

test.concurrent('a create ends with its error, result and summary when it is cancelled while Azure does not answer', async () => {
  const sim = await startWorld();
  const before = snapshot(sim);
  const hasEnded = Promise.withResolvers<void>();
  const polls = { method: 'GET', path: /\/Microsoft\.Compute\/locations\/[^/]+\/operations\// } as const;
  const hasArrived = Promise.withResolvers<void>();
  const held = sim.faults.add({
    match: { ...polls, times: Infinity },
    effect: {
      onArrival: () => {
        hasArrived.resolve();
        return hasEnded.promise;
      },
    },
  });
  const run = await actWithPost(
    sim,
    {},
    {
      // Without the runner's SIGTERM and SIGKILL: it must end by itself.
      signal: { name: 'SIGINT', when: hasArrived.promise },
      between: () => hasEnded.resolve(),
    },
  );
  // Both the creation of the VM and its deletion were accepted, and none of their polls answered in time.
  expect(held.applied).toBeGreaterThanOrEqual(2);
  expect([run.exitCode, run.post?.exitCode]).toEqual([1, 0]);
  expect(errorOf(run)).toContain('The workflow run was cancelled (SIGINT)');
  expect(JSON.parse(run.outputs['result'] ?? '')).toMatchObject({ 'vm-id': vm1.machine });
  expect(run.summary).toContain('The workflow run was cancelled (SIGINT)');
  expect(cleanupStateOf(run)?.created).toContain(vm1.machine);
  expectAllGone(sim, before);
  // The VM was deleted between the steps, with its disk, network interface and public IP.
  expect(warningsOf(run.post)).toBe('');
  expect(run.post?.stdout).not.toContain('checking again');
});

test.concurrent('a create creates the VM when the state of another step leaks into it', async () => {
  const sim = await startWorld();
  const run = await act(sim, {}, { ...main, env: { STATE_phase: 'main', STATE_cleanup: '{}' } });
  expect(run.exitCode).toBe(0);
  expect(sim.world.resources.has(vm1.machine)).toBe(true);
});
