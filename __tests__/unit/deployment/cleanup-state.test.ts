import { describe, expect, test } from '@jest/globals';
import { type CleanupStateData, createCleanupState } from '../../../src/deployment/cleanup-state.ts';
import { createIfMissing } from '../../../src/deployment/create-if-missing.ts';
import { classifyOwnership, ownershipTags } from '../../../src/deployment/ownership.ts';
import type { WorkflowRun } from '../../../src/runner/github-context.ts';
import { decideExpiry, type WorkflowRunStatus } from '../../../src/operations/sweep.ts';

const run: WorkflowRun = {
  serverUrl: 'https://github.com',
  repository: 'owner/repo',
  runId: '42',
  runAttempt: '1',
  job: 'deploy',
  workflow: 'Release',
  sha: 'abc',
  actor: 'someone',
};

const openState = (save: (entries: CleanupStateData, made: readonly string[]) => void) =>
  createCleanupState(
    { deployment: 'vm1', cleanup: 'always', tenantId: 't', subscriptionId: 's', resourceGroup: 'rg' },
    save,
  );

describe('ownership', () => {
  const tags = ownershipTags(run, 'vm1', 'always', new Date('2026-11-22T10:00:00.123Z'));

  test('tags say whose, by which run, and until when', () => {
    expect(tags).toEqual({
      'cross-tenant-vm': 'vm1',
      cleanup: 'always',
      'github-server-url': 'https://github.com',
      'github-repository': 'owner/repo',
      'github-run-id': '42',
      'github-run-attempt': '1',
      'github-job': 'deploy',
      'github-workflow': 'Release',
      'github-sha': 'abc',
      'github-actor': 'someone',
      'expires-on': '2026-11-22T10:00:00Z',
    });
    expect(
      ownershipTags({ ...run, workflow: 'w'.repeat(300) }, 'vm1', 'never')['github-workflow'],
    ).toHaveLength(256);
  });

  test.each([
    ['same run', tags, run, 'ours'],
    ['a later run', tags, { runId: '43', job: 'other' }, 'ours'],
    ['another job of the same run', tags, { runId: '42', job: 'other' }, 'other-job'],
    ['names in another case', { 'Cross-Tenant-VM': 'vm1' }, run, 'ours'],
    ['another deployment', { ...tags, 'cross-tenant-vm': 'vm2' }, run, 'foreign'],
    ['no tags', undefined, run, 'foreign'],
  ] as const)('%s', (_, given, by, expected) => {
    expect(classifyOwnership(given, 'vm1', by)).toBe(expected);
  });
});

test('saves the state on every change, before the next step', () => {
  const saved: CleanupStateData[] = [];
  const state = openState((entries) => saved.push(entries));
  state.addPending('/a');
  state.addPending('/A');
  state.addPending('/b');
  state.markDeleted('/a');
  state.markCompleted();
  expect(saved.map(({ created, completed }) => [created, completed])).toEqual([
    [[], false],
    [['/a'], false],
    [['/a', '/b'], false],
    [['/b'], false],
    [['/b'], true],
  ]);
});

test('what is disowned is not recorded again by work that is still on its way, whatever the policy was', () => {
  let last: CleanupStateData | undefined;
  let made: readonly string[] = [];
  const state = openState((entries, all) => {
    last = entries;
    made = all;
  });
  state.addPending('/a');
  state.disown();
  state.addPending('/b');
  expect(last).toMatchObject({ created: [], pending: [], cleanup: 'never', completed: false });
  expect([made, state.entries.created]).toEqual([[], []]);
});

test.each([
  ['no provisioningState', {}],
  ['provisioningState Succeeded', { provisioningState: 'Succeeded' }],
])('an existing resource with %s is used as it is', async (_, provisioning) => {
  const state = openState(() => undefined);
  const existing = { tags: { 'cross-tenant-vm': 'vm1' }, ...provisioning };
  const waiting = {
    signal: new AbortController().signal,
    rateLimits: () => ({}),
    onProgress: () => undefined,
  };
  const unexpected = (request: string) => (): never => {
    throw new Error(`unexpected ${request}`);
  };
  const found = await createIfMissing(
    { cleanupState: state, run, waiting, log: { info: () => undefined } },
    { what: 'a network', id: '/a', existing, reread: unexpected('GET'), put: unexpected('PUT') },
  );
  expect(found).toBe(existing);
  expect(state.entries.created).toEqual([]);
});

describe('sweep decides', () => {
  const now = new Date('2026-11-22T12:00:00Z');
  const base = ownershipTags(run, 'vm1', 'always');
  const expired = { ...base, 'expires-on': '2026-11-22T11:59:59Z' };
  const alive = { ...base, 'expires-on': '2026-11-22T12:00:01Z' };
  test.each<[string, Record<string, string>, WorkflowRunStatus | undefined, boolean]>([
    ['expired', expired, undefined, true],
    ['expired while its run goes on', expired, 'running', true],
    ['not expired, run ended', alive, 'ended', true],
    ['not expired, run going', alive, 'running', false],
    ['not expired, run not seen', alive, 'unknown', false],
    ['no expiry, no token', base, undefined, false],
    ['run ended, but it was to stay', { ...alive, cleanup: 'on-failure' }, 'ended', false],
    ['run ended, of another repository', { ...base, 'github-repository': 'owner/other' }, 'ended', false],
    [
      'run ended, on another server',
      { ...base, 'github-server-url': 'https://ghes.example' },
      'ended',
      false,
    ],
    ['an expiry that is no date', { ...base, 'expires-on': 'soon' }, 'ended', false],
    ['no tags at all', {}, 'ended', false],
  ])('%s', (_, tags, state, over) => {
    expect(decideExpiry(tags, now, run, state).isExpired).toBe(over);
  });
});
