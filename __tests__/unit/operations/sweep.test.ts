import { describe, expect, test } from '@jest/globals';
import { ownershipTags } from '../../../src/deployment/ownership.ts';
import { decideExpiry } from '../../../src/operations/sweep.ts';
import { workflowRun as run } from '../../support/values.ts';

describe('sweep decides about a deployment', () => {
  const now = new Date('2026-11-22T12:00:00Z');
  const base = ownershipTags(run, 'vm1', 'always');
  const expired = { ...base, 'expires-on': '2026-11-22T11:59:59Z' };
  const alive = { ...base, 'expires-on': '2026-11-22T12:00:01Z' };
  const otherServer = { ...base, 'github-server-url': 'https://ghes.example' };
  test.each<[string, Record<string, string>, Parameters<typeof decideExpiry>[3], boolean]>([
    ['that has expired', expired, undefined, true],
    ['that has expired while its run is in progress', expired, 'running', true],
    ['that has not expired, but whose run has ended', alive, 'ended', true],
    ['that has not expired, and whose run is in progress', alive, 'running', false],
    ['that has not expired, and whose run is not visible', alive, 'unknown', false],
    ['without expiry, when there is no token', base, undefined, false],
    ['whose run has ended and keeps it', { ...alive, cleanup: 'on-failure' }, 'ended', false],
    ['of another repository', { ...base, 'github-repository': 'owner/other' }, 'ended', false],
    ['of another server', otherServer, 'ended', false],
    ['whose expiry is not a date', { ...base, 'expires-on': 'soon' }, 'ended', false],
    ['without tags', {}, 'ended', false],
  ])('%s', (_, tags, status, isExpired) => {
    expect(decideExpiry(tags, now, run, status).isExpired).toBe(isExpired);
  });
});
