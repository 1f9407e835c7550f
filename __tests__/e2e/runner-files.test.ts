/** Files of the runner that are missing, may not be written, or are on a full disk; files of the action that are gone. */
import { mkdtempSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Simulator } from '../../simulator/index.ts';
import { copyOfBundle, generatedKey } from '../support/harness.ts';
import {
  act,
  errorOf,
  partsOf,
  snapshot,
  since,
  startWorld,
  warningsOf,
  writesOf,
  actWithPost,
} from '../support/lifecycle.ts';

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'runner-files-'));
  folders.push(folder);
  mkdirSync(join(folder, 'files/of-the-runner'), { recursive: true });
  return join(folder, 'files/of-the-runner');
}

const main = ['main'] as const;

describe('a step that ends before its first write', () => {
  let sim: Simulator;
  beforeAll(async () => {
    sim = await startWorld();
  });

  test.each<[string, Record<string, string | undefined>, string]>([
    ['GITHUB_OUTPUT is on a full disk', { GITHUB_OUTPUT: '/dev/full' }, 'ENOSPC'],
    ['GITHUB_OUTPUT is not set', { GITHUB_OUTPUT: undefined }, 'is not set'],
    ['GITHUB_STATE is a folder', { GITHUB_STATE: tmpdir() }, 'EISDIR'],
  ])('sends no request when %s', async (_, env, reason) => {
    const requests = sim.journal.length;
    const run = await act(sim, {}, { env, phases: main });
    expect(run.exitCode).toBe(1);
    const [variable = ''] = Object.keys(env);
    expect(errorOf(run)).toContain(`${variable} cannot be written`);
    expect(errorOf(run)).toContain(reason);
    expect(errorOf(run)).toContain('the operator of the runner');
    expect(sim.journal.slice(requests)).toEqual([]);
  });

  test('creates nothing when RUNNER_TEMP does not exist', async () => {
    const run = await act(sim, generatedKey, { env: { RUNNER_TEMP: '/nowhere/temp' }, phases: main });
    expect(run.exitCode).toBe(1);
    expect(errorOf(run)).toContain('RUNNER_TEMP cannot be written');
    expect(errorOf(run)).toContain('`ssh-public-key`');
    expect(writesOf(sim.journal)).toEqual([]);
  });

  test('names the variable when the URL for ID tokens is malformed', async () => {
    const env = { ACTIONS_ID_TOKEN_REQUEST_URL: 'not a URL', ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'x' };
    const run = await act(sim, { 'client-secret': '' }, { env, phases: main });
    expect(run.exitCode).toBe(1);
    expect(errorOf(run)).toContain('ACTIONS_ID_TOKEN_REQUEST_URL of the runner is not a URL');
  });
});

test('keeps the VM and warns when GITHUB_OUTPUT and GITHUB_STATE break during the run', async () => {
  const sim = await startWorld();
  const before = snapshot(sim);
  const files = ['GITHUB_OUTPUT', 'GITHUB_STATE'].map(
    (variable) => [variable, join(temporaryFolder(), 'file')] as const,
  );
  for (const [, file] of files) writeFileSync(file, '');
  sim.faults.add({
    match: { method: 'PUT', path: /virtualMachines/ },
    effect: { onArrival: () => files.forEach(([, file]) => rmSync(file)) },
  });
  const env = { ...Object.fromEntries(files), GITHUB_STEP_SUMMARY: '/dev/full' };
  const run = await act(sim, {}, { env, phases: main });
  expect([errorOf(run), run.exitCode]).toEqual(['', 0]);
  for (const [variable] of files)
    expect(warningsOf(run).match(new RegExp(`${variable} cannot be written`, 'g'))).toHaveLength(1);
  expect(warningsOf(run)).toContain('operation: delete');
  expect(warningsOf(run)).toContain('The job summary could not be written: ENOSPC');
  expect(since(sim, before)).toContain(partsOf('vm1').machine);
});

test.each<[string, RegExp, string]>([
  ['the bundle', /^index\.js$/, 'with `operation: delete`'],
  ['a part of the bundle', /^\d+\.index\.js$/, 'operation: delete'],
])('shows how to delete what was created when %s is gone before the post step', async (_, files, text) => {
  const sim = await startWorld();
  const bundle = copyOfBundle();
  const between = (): void => {
    for (const name of readdirSync(dirname(bundle))) if (files.test(name)) rmSync(join(dirname(bundle), name));
  };
  const run = await actWithPost(sim, { cleanup: 'always' }, { bundle, between });
  expect(run.exitCode).toBe(0);
  const shown = (run.post?.annotations ?? []).map(({ message }) => message).join('\n');
  expect(shown).toContain('A step of the job has deleted or replaced it');
  expect(shown).toContain(text);
  expect(shown).toContain(partsOf('vm1').machine);
  expect(run.post?.stdout).not.toMatch(/^\s+at /m);
});

test.each(['SIGINT', 'the time limit'])('ends a sign-in that hangs when %s stops the step', async (cause) => {
  const sim = await startWorld();
  const match = { host: 'entra', path: /token/ } as const;
  const hung = Promise.withResolvers<void>();
  const both = Promise.withResolvers<void>();
  const onArrival = (): Promise<void> => {
    if (hanging.applied === 2) both.resolve();
    return hung.promise;
  };
  const hanging = sim.faults.add({ match: { ...match, times: Infinity }, effect: { onArrival } });
  const run =
    cause === 'SIGINT'
      ? await act(sim, {}, { phases: main, signal: { name: 'SIGINT', when: both.promise } })
      : await act(sim, { 'timeout-minutes': '1' }, { phases: main });
  hung.resolve();
  // One request per tenant: the process did not stay for a second attempt.
  expect(hanging.applied).toBe(2);
  expect(run.exitCode).toBe(1);
  expect(errorOf(run)).toContain(
    cause === 'SIGINT' ? 'was cancelled (SIGINT)' : 'The time limit of 1 minute was reached',
  );
  expect(errorOf(run)).toContain('Failed while waiting for Azure (Sign in).');
  expect(sim.journal.filter(({ host, kind }) => host === 'arm' && kind !== 'metadata')).toEqual([]);
});
