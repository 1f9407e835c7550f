import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import {
  classifyOwnership,
  mayDelete,
  ownershipTags,
  tagsFromDescription,
  tagsToDescription,
} from '../../../src/deployment/ownership.ts';
import { workflowRun as run } from '../../support/values.ts';

const tags = ownershipTags(run, 'vm1', 'always', new Date('2026-11-22T10:00:00.123Z'));
const id =
  '/subscriptions/2b3f7d3f-6e1f-4d2c-8b64-7a1a1d0a2f02/resourceGroups/rg/providers/Microsoft.Compute/disks/vm1-osdisk';

test('tags name deployment, run and expiry', () => {
  expect(tags).toEqual({
    'cross-tenant-vm': 'vm1',
    cleanup: 'always',
    'github-server-url': 'https://github.com',
    'github-repository': 'owner/repo',
    'github-run-id': '42',
    'github-run-attempt': '1',
    'github-job': 'deploy',
    'github-action': 'vm',
    'github-workflow': 'Release',
    'github-sha': 'abc',
    'github-actor': 'someone',
    'expires-on': '2026-11-22T10:00:00Z',
  });
});

describe('mayDelete', () => {
  const stepClaim = { deployment: 'vm1', owner: run };
  const repositoryClaim = {
    deployment: 'vm1',
    owner: { serverUrl: run.serverUrl, repository: run.repository },
  };
  const long = { ...run, job: 'j'.repeat(300) };

  test.each<[string, object, boolean, boolean]>([
    ['its own tags', {}, true, true],
    ['another attempt', { 'github-run-attempt': '2' }, false, true],
    ['another step', { 'github-action': '__self_2' }, false, true],
    ['another job', { 'github-job': 'other' }, false, true],
    ['another run', { 'github-run-id': '43' }, false, true],
    ['another repository', { 'github-repository': 'owner/other' }, false, false],
    ['another server', { 'github-server-url': 'https://github.example' }, false, false],
    ['another deployment', { 'cross-tenant-vm': 'vm2' }, false, false],
    ['the deployment in another case', { 'cross-tenant-vm': 'VM1' }, true, true],
  ])('decides for a step and for a repository about %s', (_, changed, byStep, byRepository) => {
    const changedTags = { ...tags, ...changed };
    expect([mayDelete(stepClaim, id, changedTags), mayDelete(repositoryClaim, id, changedTags)]).toEqual([
      byStep,
      byRepository,
    ]);
  });

  test('refuses a resource without tags', () => {
    expect([mayDelete(stepClaim, id, undefined), mayDelete(repositoryClaim, id, {})]).toEqual([false, false]);
  });

  test('refuses a resource that existed before its PUT, regardless of the case of its ID', () => {
    expect(mayDelete({ ...stepClaim, notCreated: [id.toUpperCase()] }, id, tags)).toBe(false);
  });

  test('accepts values that were shortened to the limit of a tag', () => {
    const shortened = ownershipTags(long, 'vm1', 'never');
    expect(shortened['github-job']).toHaveLength(256);
    expect(mayDelete({ deployment: 'vm1', owner: long }, id, shortened)).toBe(true);
  });
});

describe('classifyOwnership', () => {
  test.each([
    ['the same run', tags, run, 'ours'],
    ['a later run', tags, { ...run, runId: '43', job: 'other' }, 'ours'],
    ['another job of the same run', tags, { ...run, job: 'other' }, 'other-job'],
    ['another repository', tags, { ...run, repository: 'owner/other' }, 'other-repository'],
    ['another server', tags, { ...run, serverUrl: 'https://github.example' }, 'other-repository'],
    [
      'tag names in another case',
      Object.fromEntries(Object.entries(tags).map(([name, value]) => [name.toUpperCase(), value])),
      run,
      'ours',
    ],
    ['another deployment', { ...tags, 'cross-tenant-vm': 'vm2' }, run, 'foreign'],
    ['no tags', undefined, run, 'foreign'],
  ] as const)('of a resource of %s', (_, existing, by, expected) => {
    expect(classifyOwnership(existing, 'vm1', by)).toBe(expected);
  });
});

describe('the description of a role assignment', () => {
  test('names deployment, run and expiry in readable text', () => {
    expect(tagsToDescription({ ...tags, team: 'blue' })).toBe(
      'cross-tenant-vm=vm1; cleanup=always; github-server-url=https://github.com; github-repository=owner/repo; github-run-id=42; github-run-attempt=1; github-job=deploy; github-action=vm; expires-on=2026-11-22T10:00:00Z',
    );
  });

  test.each([[null], [undefined], [''], ['granted by hand'], ['see cross-tenant-vm=vm-1']])(
    'is ignored when it is %p',
    (description) => {
      expect(tagsFromDescription(description)).toBeUndefined();
    },
  );

  test('is read back as it was written', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (deployment, job) => {
        const written = { 'cross-tenant-vm': deployment, 'github-job': job };
        expect(tagsFromDescription(tagsToDescription(written))).toEqual(written);
      }),
    );
  });
});
