import { describe, test } from '@jest/globals';
import { denied, ok, expectFindings, type Case, usage } from '../../../support/check-facts.ts';

describe('core quota', () => {
  test.each<Case>([
    [
      'cores that are used up',
      { facts: { computeUsages: ok([usage('cores', 10, 9), usage('family of Standard_D2s_v5')]) } },
      [['quota/cores', 'fault', /9 of 10 are in use, and Standard_D2s_v5 needs 2/]],
    ],
    ['cores that just suffice', { facts: { computeUsages: ok([usage('cores', 10, 8)]) } }, []],
    [
      'a family that is used up, and another size',
      {
        inputs: { sizes: ['Standard_D2s_v5', 'Standard_D4s_v5'] },
        facts: { computeUsages: ok([usage('cores'), usage('family of Standard_D2s_v5', 0)]) },
      },
      [['quota/family of Standard_D2s_v5', 'warning']],
    ],
    [
      'Spot has a separate quota',
      {
        inputs: { spot: { maxPrice: -1, evictionPolicy: 'Delete' } },
        facts: { computeUsages: ok([usage('cores', 0), usage('lowPriorityCores', 3, 2)]) },
      },
      [['quota/lowPriorityCores', 'fault']],
    ],
    [
      'no Spot quota, although a regular VM would follow',
      {
        inputs: { spot: { maxPrice: -1, evictionPolicy: 'Delete', isOptional: true } },
        facts: { computeUsages: ok([usage('cores'), usage('lowPriorityCores', 0)]) },
      },
      [['quota/lowPriorityCores', 'warning']],
    ],
    [
      'no regular quota for the VM that follows a refused Spot VM',
      {
        inputs: { spot: { maxPrice: -1, evictionPolicy: 'Delete', isOptional: true } },
        facts: { computeUsages: ok([usage('cores', 10, 9), usage('lowPriorityCores')]) },
      },
      [['quota/cores', 'warning']],
    ],
    [
      'quotas that may not be read',
      { facts: { computeUsages: denied, networkUsages: denied } },
      [
        ['quota', 'unknown'],
        ['quota/public-ip', 'unknown'],
      ],
    ],
  ])('reports findings for %s', (_, change, expected) => {
    expectFindings(change, expected);
  });
});
