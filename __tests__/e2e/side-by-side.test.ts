/** A crowd in one resource group, under the budgets that Resource Manager and Compute publish. */
import { expect, test } from '@jest/globals';
import { defaults, principals, type Simulator } from '../../simulator/index.ts';
import type { Run } from '../support/harness.ts';
import { act, addStrangers, disturbed, errorOf, sharedSubnet, snapshot, startWorld } from '../support/lifecycle.ts';

/** `npm run test:soak` sets 20. */
const crowd = Number(process.env['CROWD'] ?? 4);
const timeScale = 0.02;

/** Other clients of the same principal empty the shared buckets; from there on they fill at the published rate. */
function drain(sim: Simulator): void {
  for (const kind of ['reads', 'writes', 'deletes'])
    sim.world.budgets.drain(`subscription-${kind}`, `${defaults.subscriptionId};${principals.deploy}`, 100);
}

function together(sim: Simulator, inputs: (number: number) => Record<string, string>): Promise<Run[]> {
  const announced = new Set<string>();
  return Promise.all(
    Array.from({ length: crowd }, (_, number) =>
      act(
        sim,
        { ...inputs(number), 'vm-name': `crowd-${number}` },
        {
          env: { GITHUB_RUN_ID: String(1000 + number) },
          limitMs: 240_000,
          phases: ['main'],
          timeScale,
          onLine: ({ text }) => {
            if (!text.startsWith('Creating') || announced.has(text)) return;
            announced.add(text);
            drain(sim);
          },
        },
      ),
    ),
  );
}

test(`${crowd} runs side by side in own networks and a shared subnet all succeed, though the common buckets run dry`, async () => {
  const sim = await startWorld({
    timeScale,
    clientTimeScale: timeScale,
    seed: 7,
    latencyProfile: 'drawn',
    world: (made) => addStrangers(made, 'crowd'),
  });
  const strangers = snapshot(sim);
  const runs = await together(
    sim,
    (number): Record<string, string> => (number % 2 === 0 ? { 'subnet-id': sharedSubnet } : {}),
  );
  expect(runs.map(errorOf).filter((text) => text !== '')).toEqual([]);
  expect(runs.map(({ exitCode }) => exitCode)).toEqual(runs.map(() => 0));
  expect(disturbed(sim, strangers)).toEqual([]);
  expect(new Set(runs.map(({ outputs }) => outputs['vm-instance-id'])).size).toBe(crowd);
  const addresses = runs.map(({ outputs }) => outputs['private-ip-address']);
  // One address for each run in the shared subnet, and the same one in all the other networks.
  expect(new Set(addresses).size).toBe(Math.ceil(crowd / 2) + 1);
  const throttled = sim.journal.filter(({ status }) => status === 429).length;
  expect(throttled).toBeGreaterThan(crowd);
}, 300_000);
