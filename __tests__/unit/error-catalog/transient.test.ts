import { expect, test } from '@jest/globals';
import { documentedErrors } from '../../../scripts/docs/documented-errors.ts';
import {
  type Case,
  armError,
  errorOf,
  expectExplained,
  explained,
  named,
  nicUrl,
  operationUrl,
  vmUrl,
} from '../../support/azure-errors.ts';

const cases: readonly Case[] = [
  [
    armError(
      'ReferencedResourceNotProvisioned',
      'Cannot proceed with operation because resource x used by resource y is not in Succeeded state.',
      429,
      nicUrl,
    ),
    'Another operation on the resource is in progress',
    'run the job again',
  ],
  [
    armError(
      'OperationPreempted',
      'Operation execution has been preempted by a more recent operation.',
      200,
      operationUrl,
    ),
    'A newer operation replaced this one',
    'A newer operation on VM vm-1 replaced this one.',
  ],
  [
    armError('InternalExecutionError', 'An internal execution error occurred.', 200, operationUrl),
    'Azure had an internal error',
  ],
  [
    armError(
      'NetworkingInternalOperationError',
      'An unexpected error occured while processing the network profile of the VM.',
      200,
      operationUrl,
    ),
    'Azure had an internal error',
  ],
  [errorOf(null, 503), 'A gateway failed', 'A gateway at Azure, or a proxy, failed temporarily.'],
];

test.each(named(cases))('explain %s', (_, error, title, ...quoted) => expectExplained(error, title, quoted));

test('quote the waiting time of the header', () => {
  expect(explained(errorOf(null, 429, vmUrl, { 'retry-after': '17' })).fix.join()).toContain('17 s');
});

test('say nothing of retries or waits that the action does not do any more', () => {
  const promise =
    /the action (?:deletes|repeats|requests a new token|retries)\b|\bif it gave up\b|the action waits (?!out)/i;
  const texts = documentedErrors()
    .flatMap(({ entries }) => entries)
    .flatMap(({ cause, who, fix }) => [cause, who, ...fix]);
  expect(texts.filter((text) => promise.test(text))).toEqual([]);
});

test('name the author of the workflow when throttling has outlasted the time limit', () => {
  for (const code of ['TooManyRequests', 'SubscriptionRequestsThrottled'])
    expect(explained(armError(code, 'Too many.', 429)).who).toBe("the workflow's author");
});
