import { describe, expect, test } from '@jest/globals';
import type { RunnerValues } from '../../../src/inputs/input-reader.ts';
import { type Given, least, env, refusal } from '../../support/read-inputs.ts';

describe('why something arrived empty', () => {
  const given: Given = { ...least, 'client-secret': '', 'tenant-id': '' };
  const payload = (head: object | null) => ({ pull_request: { head: { repo: head } } });
  const pullRequest = { ...env, GITHUB_EVENT_NAME: 'pull_request' };

  test.each<[string, Partial<RunnerValues>, RegExp]>([
    ['Dependabot', { env: { ...env, GITHUB_ACTOR: 'dependabot[bot]' } }, /started by Dependabot/],
    [
      'a fork',
      { env: pullRequest, event: payload({ full_name: 'someone/repo' }) },
      /pull request from a fork \(someone\/repo\)/,
    ],
    ['a deleted fork', { env: pullRequest, event: payload(null) }, /from a fork \(since deleted\)/],
    [
      'the same repository',
      { env: pullRequest, event: payload({ full_name: 'Octo/Repo' }) },
      /is empty where nothing of that name exists/,
    ],
    [
      'pull_request_target',
      {
        env: { ...pullRequest, GITHUB_EVENT_NAME: 'pull_request_target' },
        event: payload({ full_name: 'someone/repo' }),
      },
      /is empty where nothing of that name exists/,
    ],
    ['an unreadable event', { env: pullRequest }, /is empty where nothing/],
  ])('%s', (_, runner, expected) => {
    const { message } = refusal(given, runner);
    expect(message).toMatch(expected);
    expect(message.split('\n')).toHaveLength(4);
  });

  test('is not said where nothing is missing', () => {
    const { message } = refusal({ ...least, 'client-id': 'x' }, { env: { ...env, GITHUB_ACTOR: 'dependabot[bot]' } });
    expect(message).not.toContain('Dependabot');
  });
});
