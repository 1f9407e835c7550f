import { describe, expect, test } from '@jest/globals';
import { findingsFor, openToAll, refusal, expectFindings, type Case } from '../../support/check-facts.ts';

describe('everything else', () => {
  test.each<Case>([
    ['a port open to the world', { inputs: { network: openToAll } }, [['inbound', 'warning', /port 22/]]],
    [
      'an outage',
      { facts: { locks: refusal(503, 'ServiceUnavailable', 'later') } },
      [['locks', 'unknown', /ServiceUnavailable: later/]],
    ],
  ])('reports findings for %s', (_, change, expected) => {
    expectFindings(change, expected);
  });
});

test('finds no problem when everything is in order', () => {
  expect(findingsFor({}).filter(({ level }) => level !== 'ok')).toEqual([]);
});
