/** The post step: it acts as the main step did, with any inputs, state and environment. */
import { existsSync, mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { defaults, type Simulator } from '../../simulator/index.ts';
import type { Run } from '../support/harness.ts';
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
const otherGuid = '99999999-1111-4111-8111-999999999999';

/** Runs the post step alone, with a state and inputs of the test's choice. */
const postOf = (
  sim: Simulator,
  state: Readonly<Record<string, string>>,
  inputs: Readonly<Record<string, string>> = {},
  env: Readonly<Record<string, string>> = {},
) => act(sim, { cleanup: 'always', ...inputs }, { phases: ['post'], state, env });

describe('the post step', () => {
  let sim: Simulator;
  let before: ReadonlyMap<string, string>;
  let run: Run;
  beforeAll(async () => {
    sim = await startWorld({ world: (world) => addStrangers(world, 'vm1') });
    before = snapshot(sim);
    run = await act(sim, { cleanup: 'always' });
    expect([errorOf(run), run.exitCode]).toEqual(['', 0]);
  });

  test('names the step that deletes what is left when the secret is missing', async () => {
    const created = snapshot(sim);
    const post = await postOf(sim, run.state, { 'client-secret': '' });
    expect(post.summary).toContain('## ⚠️ <code>vm1</code> not deleted after the job');
    expect(post.summary).toContain('    operation: delete\n    vm-name: vm1\n');
    expect(post.exitCode).toBe(0);
    expect(snapshot(sim)).toEqual(created);
    expect(warningsOf(post)).toContain('`client-secret`, which the runner did not pass to the post step');
    expect(warningsOf(post)).toContain('operation: delete');
    expect(warningsOf(post)).toContain(`client-id: ${defaults.clientId}`);
    expect(warningsOf(post)).toContain('vm-name: vm1');
    expect(warningsOf(post)).toContain(vm1.machine);
  });

  // Each field: __tests__/unit/deployment/cleanup-state.test.ts
  test('sends nothing and lists readable IDs when the state is damaged', async () => {
    const created = snapshot(sim);
    const requests = sim.journal.length;
    for (const damaged of [run.state['cleanup']?.slice(0, -20) ?? '', 'null']) {
      const post = await postOf(sim, { cleanup: damaged });
      expect(post.exitCode).toBe(0);
      expect(post.annotations.filter(({ level }) => level === 'warning')).toHaveLength(1);
      expect(warningsOf(post)).toContain('is damaged');
      if (damaged.includes('deployment')) expect(warningsOf(post)).toContain(vm1.machine);
    }
    expect(sim.journal.slice(requests)).toEqual([]);
    expect(snapshot(sim)).toEqual(created);
  });

  test('deletes no resource of another owner that the state lists', async () => {
    const strangers = [...before.keys()];
    const changed = { cleanup: 'on-failure', completed: false, created: strangers, pending: strangers };
    const created = snapshot(sim);
    const requests = sim.journal.length;
    const post = await postOf(sim, { cleanup: JSON.stringify({ ...cleanupStateOf(run), ...changed }) });
    expect(post.exitCode).toBe(0);
    expect(warningsOf(post)).toContain(partsOf('elsewhere').nsg.toLowerCase());
    expect(snapshot(sim)).toEqual(created);
    expect(writesOf(sim.journal.slice(requests)).some(({ method }) => method === 'DELETE')).toBe(false);
  });

  test('keeps a finished deployment, and removes only folders that create makes', async () => {
    const created = snapshot(sim);
    const temp = join(mkdtempSync(join(run.temp, 'outer-')), 'temp');
    const victim = join(temp, 'victim');
    mkdirSync(victim, { recursive: true });
    writeFileSync(join(victim, 'id_rsa'), 'precious');
    symlinkSync(victim, join(temp, 'cross-tenant-vm-abcdef'));
    mkdirSync(join(temp, 'cross-tenant-vm-123456/sub'), { recursive: true });
    const postWith = (privateKeyPath: string) => {
      const state = { ...cleanupStateOf(run), cleanup: 'on-failure', privateKeyPath };
      return postOf(sim, { cleanup: JSON.stringify(state) }, {}, { RUNNER_TEMP: temp });
    };
    for (const path of [
      '',
      'victim/id_rsa',
      join(temp, 'id_rsa'),
      join(victim, 'id_rsa'),
      `${temp}/cross-tenant-vm-123456/../victim/id_rsa`,
      `${temp}/cross-tenant-vm-123456/sub/id_rsa`,
      join(temp, 'cross-tenant-vm-abcdef', 'id_rsa'),
      'no\u0000path/id_rsa',
    ]) {
      const post = await postWith(path);
      expect([path, post.exitCode, existsSync(join(victim, 'id_rsa'))]).toEqual([path, 0, true]);
    }
    expect(existsSync(join(temp, 'cross-tenant-vm-123456/sub'))).toBe(true);
    const post = await postWith(join(temp, 'cross-tenant-vm-123456', 'id_rsa'));
    expect(existsSync(join(temp, 'cross-tenant-vm-123456'))).toBe(false);
    expect(warningsOf(post)).toContain('SSH key was deleted with the job');
    expect(snapshot(sim)).toEqual(created);
  });

  test('deletes the deployment when the runner passes the inputs of another step', async () => {
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

  test('finishes a deletion that was cancelled, after a create into which the state of another step leaked', async () => {
    const created = await act(sim, {}, { env: { STATE_phase: 'main', STATE_cleanup: '{}' } });
    expect(created.exitCode).toBe(0);
    expect(sim.world.resources.has(vm1.machine)).toBe(true);
    const deleted = await actWithPost(
      sim,
      { operation: 'delete' },
      { signal: { name: 'SIGINT', whenLog: /Deleting virtual machine/ } },
    );
    expect([deleted.exitCode, deleted.post?.exitCode]).toEqual([1, 0]);
    expect(errorOf(deleted)).toContain('cancelled');
    expectAllGone(sim, before);
  });
});
