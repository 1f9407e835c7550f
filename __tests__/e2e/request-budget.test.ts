import { expect, test } from '@jest/globals';
import { act, startWorld, writesOf } from '../support/lifecycle.ts';

test('a create sends at most 20 requests other than polls, and an unchanged rerun 12 and no write', async () => {
  const sim = await startWorld();
  const requestsOfRun = async (): Promise<readonly string[]> => {
    const from = sim.journal.length;
    expect((await act(sim, {}, { phases: ['main'] })).exitCode).toBe(0);
    return sim.journal.slice(from).flatMap(({ isPoll, method, path }) => (isPoll ? [] : [`${method} ${path}`]));
  };
  // The requests themselves, so that a failure lists them.
  const listAbove = (limit: number, requests: readonly string[]) => (requests.length > limit ? requests : []);
  const requests = await requestsOfRun();
  expect(listAbove(20, requests)).toEqual([]);
  // The list that shows which names are free is the last read before the first write.
  expect(requests[requests.findIndex((request) => request.startsWith('PUT')) - 1]).toMatch(/^GET .*\/resources$/);
  const written = writesOf(sim.journal).length;
  expect(listAbove(12, await requestsOfRun())).toEqual([]);
  expect(writesOf(sim.journal).slice(written)).toEqual([]);
});

test('a VM is polled more often than by the schedule when Azure suggests it', async () => {
  const seconds = 24;
  const sim = await startWorld({
    timeScale: 0.1,
    retryAfterProfile: 'short',
    world: (world) => {
      world.latencies['vmPutLinux'] = seconds;
    },
  });
  expect((await act(sim, {}, { phases: ['main'], timeScale: 0.1 })).exitCode).toBe(0);
  const polls = sim.journal.filter(({ isPoll, provider }) => isPoll && provider === 'Microsoft.Compute');
  // The schedule alone: 11.
  expect(polls.length).toBeGreaterThan(14);
  expect(polls.slice(0, -1).map(({ responseHeaders }) => responseHeaders['retry-after'])).not.toContain(undefined);
});
