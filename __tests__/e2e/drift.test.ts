/** What a rerun refuses and a create warns of, over the wire. Each property alone: __tests__/unit/plan/drift.test.ts */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { settings } from '../../simulator/providers/compute/settings.ts';
import { defaults, type Simulator } from '../../simulator/index.ts';
import { comparedProperties } from '../../src/plan/drift.ts';
import { changes, inputs } from '../support/drift-changes.ts';
import { act, errorOf, partsOf, startWorld, warningsOf } from '../support/lifecycle.ts';

type Property = (typeof comparedProperties)[number];

const parts = partsOf('vm1');
// A VM of regular priority has no Spot settings.
const changed = comparedProperties.filter((property) => property !== 'priority');
const ofVm = changed.filter((property) => changes[property].part === 'machine');
const ofNetwork = changed.filter((property) => changes[property].part !== 'machine');

const start = (): Promise<Simulator> =>
  startWorld({
    world: (world) => {
      settings(world).encryptionAtHost.add(defaults.subscriptionId);
      settings(world).quota['lowPriorityCores'] = { limit: 10 };
    },
  });

/** Answers have the changes from now on, as if Azure Policy or somebody had made them. */
function changeAnswers(sim: Simulator, properties: readonly Property[]): void {
  const lists = Map.groupBy(properties, (property) => changes[property].part);
  for (const method of ['GET', 'PUT'])
    for (const [part, list] of lists) {
      const match = { method, path: new RegExp(`${parts[part]}\\?`, 'i'), times: Number.POSITIVE_INFINITY };
      const changeAnswer = (body: unknown) => list.forEach((property) => changes[property].apply(body));
      sim.faults.add({ match, effect: { changeAnswer } });
    }
}

/** The compared properties that a message lists. */
const listed = (message: string): string[] =>
  [...message.matchAll(/^- ([^:\n]+): .*; the inputs request /gm)].map(([, property = '']) => property);

describe('rerun', () => {
  let sim: Simulator;
  beforeAll(async () => {
    sim = await start();
    const run = await act(sim, inputs);
    expect([errorOf(run), run.exitCode]).toEqual(['', 0]);
  });

  test.each<[string, readonly Property[]]>([
    ['every other property of the VM', ofVm],
    ['the priority of the VM', ['priority']],
    ['an identity', ['identity']],
    ['a data disk', ['sizes of data disks in GB']],
    ['every property of the network', ofNetwork],
    ['the DNS label', ['DNS label']],
  ])('refuses the deployment when somebody changed %s', async (_, properties) => {
    changeAnswers(sim, properties);
    const run = await act(sim, inputs);
    sim.faults.clear();
    expect([listed(errorOf(run)).toSorted(), run.exitCode]).toEqual([properties.toSorted(), 1]);
  });

  test('keeps the deployment when nothing changed', async () => {
    const run = await act(sim, inputs);
    expect([errorOf(run), run.outputs['outcome']]).toEqual(['', 'kept']);
  });
});

describe('create', () => {
  test.each<[string, readonly Property[]]>([
    ['every other property', changed],
    ['the priority of the VM', ['priority']],
  ])('warns of the changes when Azure changed %s', async (_, properties) => {
    const sim = await start();
    changeAnswers(sim, properties);
    const run = await act(sim, inputs);
    expect([errorOf(run), run.exitCode]).toEqual(['', 0]);
    expect(listed(warningsOf(run)).toSorted()).toEqual(properties.toSorted());
    expect(run.summary).toContain('other settings than requested');
  });

  test('warns of no change when Azure changed nothing', async () => {
    const run = await act(await start(), inputs);
    expect([errorOf(run), listed(warningsOf(run))]).toEqual(['', []]);
    expect(run.summary).not.toContain('other settings than requested');
  });
});
