import { describe, expect, test } from '@jest/globals';
import type { ErrorContext } from '../../../src/errors/errors.ts';
import {
  type Case,
  clientId,
  context,
  entraError,
  expectExplained,
  explained,
  named,
} from '../../support/azure-errors.ts';
import { wordsOf } from '../../support/bash.ts';

const cases: readonly Case[] = [
  [
    entraError(
      'AADSTS7002138',
      "No matching federated identity record found for presented assertion subject 'repo:Octo/Ship:environment:Prod'. The subject matches with case-insensitive comparison, but not with case-sensitive comparison.",
    ),
    'The subject differs in letter case',
    '"subject":"repo:Octo/Ship:environment:Prod"',
  ],
  [
    entraError('AADSTS70025', "The client 'x'(Ship) has no configured federated identity credentials."),
    'The app has no federated credential',
    'az ad app federated-credential create',
  ],
];

test.each(named(cases))('explain %s', (_, error, title, ...quoted) => expectExplained(error, title, quoted));

const claims = {
  issuer: 'https://token.actions.githubusercontent.com',
  audience: 'api://AzureADTokenExchange',
};

type Oidc = NonNullable<ErrorContext['oidc']>;

const fixFor = (oidc: Oidc, code = 'AADSTS700213') =>
  explained(entraError(code, "No match for presented assertion subject 'other'."), { ...context, oidc }).fix;

/** The `--parameters` of the commands, read as Bash and az would. */
function credentials(fix: readonly string[]): { name: string; issuer: string; subject: string }[] {
  return fix
    .filter((line) => line.startsWith('az ad app federated-credential create'))
    .map((line) => {
      const words = wordsOf(line);
      expect(words[words.indexOf('--id') + 1]).toBe(clientId);
      return JSON.parse(words[words.indexOf('--parameters') + 1] ?? '');
    });
}

const long = `repo:octo/ship:ref:refs/heads/${'x'.repeat(200)}`;

describe('the command for a federated credential', () => {
  test.each([
    [
      'a classic subject with known IDs',
      { subject: 'repo:octo/ship:environment:prod', ownerId: '1', repositoryId: '2' },
      ['repo:octo/ship:environment:prod', 'repo:octo@1/ship@2:environment:prod'],
    ],
    [
      'a classic subject with unknown IDs',
      { subject: 'repo:octo/ship:pull_request' },
      ['repo:octo/ship:pull_request', 'repo:octo@<owner-id>/ship@<repository-id>:pull_request'],
    ],
    [
      'an immutable subject',
      { subject: 'repo:octo@1/ship@2:ref:refs/heads/main' },
      ['repo:octo@1/ship@2:ref:refs/heads/main', 'repo:octo/ship:ref:refs/heads/main'],
    ],
    [
      'a customised subject',
      { subject: 'repository_owner:octo:job_workflow_ref:x@y' },
      ['repository_owner:octo:job_workflow_ref:x@y'],
    ],
    [
      'a subject with a quote and a command substitution',
      { subject: "repo:octo/ship:environment:it's $(id) `id`" },
      [
        "repo:octo/ship:environment:it's $(id) `id`",
        "repo:octo@<owner-id>/ship@<repository-id>:environment:it's $(id) `id`",
      ],
    ],
    ['a long subject', { subject: long }, [long, long.replace('octo/ship', 'octo@<owner-id>/ship@<repository-id>')]],
  ])('registers %s in both forms', (_, oidc, subjects) => {
    const found = credentials(fixFor({ ...claims, ...oidc }));
    expect(found.map(({ subject }) => subject)).toEqual(subjects);
    for (const credential of found) {
      expect(credential).toMatchObject({ issuer: claims.issuer, audiences: [claims.audience] });
      expect(credential.name).toMatch(/^[A-Za-z0-9][\w-]{2,119}$/);
    }
  });

  test('has one form on GitHub Enterprise Server', () => {
    const issuer = 'https://github.example/_services/token';
    const fix = fixFor({ ...claims, issuer, subject: 'repo:octo/ship:pull_request' }, 'AADSTS700211');
    expect(credentials(fix)).toEqual([expect.objectContaining({ issuer })]);
  });

  test('comes with the lookup of the IDs only when they are unknown', () => {
    const subject = 'repo:octo/ship:pull_request';
    const lookup = (oidc: Oidc) => fixFor(oidc).filter((line) => line.startsWith('gh api'));
    expect(lookup({ ...claims, subject })).toEqual(["gh api repos/octo/ship --jq '.owner.id, .id'"]);
    expect(lookup({ ...claims, subject, ownerId: '1', repositoryId: '2' })).toEqual([]);
  });
});
