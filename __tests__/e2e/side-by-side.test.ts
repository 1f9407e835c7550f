/** A crowd in one resource group, under the budgets that Resource Manager and Compute publish. */
import { expect, test } from '@jest/globals';
import { defaults, principals, type Simulator } from '../../simulator/index.ts';
import type { Run } from '../support/harness.ts';
import { act, addStrangers, disturbed, errorOf, sharedSubnet, snapshot, startWorld } from '../support/lifecycle.ts';

/** `npm run test:soak` sets 20. */
const crowd = Number(process.env['CROWD'] ?? 6);
const timeScale = 0.02;

/** Other clients of the same principal empty the shared buckets; from there on they fill at the published rate. */
function drain(sim: Simulator): void {
  for (const kind of ['reads', 'writes', 'deletes'])
    sim.world.budgets.drain(`subscription-${kind}`, `${defaults.subscriptionId};${principals.deploy}`, 100);
}

function together(sim: Simulator, inputs: Record<string, string>): Promise<Run[]> {
  const announced = new Set<string>();
  return Promise.all(
    Array.from({ length: crowd }, (_, number) =>
      act(
        sim,
        { ...inputs, 'vm-name': `crowd-${number}` },
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

test.each<[string, Record<string, string>]>([
  ['networks of their own', {}],
  ['one shared subnet', { 'subnet-id': sharedSubnet }],
])(
  `${crowd} runs side by side with %s all succeed, though the common buckets run dry`,
  async (_, inputs) => {
    const sim = await startWorld({
      timeScale,
      clientTimeScale: timeScale,
      seed: 7,
      latencyProfile: 'drawn',
      world: (made) => addStrangers(made, 'crowd'),
    });
    const strangers = snapshot(sim);
    const runs = await together(sim, inputs);
    expect(runs.map(errorOf).filter((text) => text !== '')).toEqual([]);
    expect(runs.map(({ exitCode }) => exitCode)).toEqual(runs.map(() => 0));
    expect(disturbed(sim, strangers)).toEqual([]);
    expect(new Set(runs.map(({ outputs }) => outputs['vm-instance-id'])).size).toBe(crowd);
    expect(new Set(runs.map(({ outputs }) => outputs['private-ip-address'])).size).toBe(
      'subnet-id' in inputs ? crowd : 1,
    );
    const throttled = sim.journal.filter(({ status }) => status === 429).length;
    expect(throttled).toBeGreaterThan(crowd);
  },
  300_000,
);
