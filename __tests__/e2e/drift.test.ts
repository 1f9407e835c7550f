/** What a rerun refuses and a create warns of, over the wire. Each property alone: __tests__/unit/plan/drift.test.ts */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { settings } from '../../simulator/providers/compute/settings.ts';
import { defaults, type Simulator } from '../../simulator/index.ts';
import { type ComparedProperty, changes, comparedProperties, inputs } from '../support/drift-changes.ts';
import type { Run } from '../support/harness.ts';
import { act, errorOf, partsOf, startWorld, warningsOf } from '../support/lifecycle.ts';

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
function changeAnswers(sim: Simulator, properties: readonly ComparedProperty[], tagsOfVm = {}): void {
  const lists = Map.groupBy(properties, (property) => changes[property].part);
  for (const method of ['GET', 'PUT'])
    for (const [part, list] of lists) {
      const match = { method, path: new RegExp(`${parts[part]}\\?`, 'i'), times: Number.POSITIVE_INFINITY };
      const changeAnswer = (body: { tags: object }) => {
        list.forEach((property) => changes[property].apply(body));
        if (part === 'machine') Object.assign(body.tags, tagsOfVm);
      };
      sim.faults.add({ match, effect: { changeAnswer } });
    }
}

/** The compared properties that a message lists. */
const listed = (message: string): string[] =>
  [...message.matchAll(/^- ([^:\n]+): .*; the inputs request /gm)].map(([, property = '']) => property);

describe('rerun', () => {
  let sim: Simulator;
  let first: Run;
  beforeAll(async () => {
    sim = await start();
    first = await act(sim, inputs);
    expect([errorOf(first), first.exitCode]).toEqual(['', 0]);
  });

  test('has nothing to refuse after a create that warns of no change', async () => {
    expect(listed(warningsOf(first))).toEqual([]);
    expect(first.summary).not.toContain('other settings than requested');
    const run = await act(sim, inputs);
    expect([errorOf(run), run.outputs['outcome']]).toEqual(['', 'kept']);
  });

  test.each<[string, readonly ComparedProperty[]]>([
    ['every other property of the VM', ofVm],
    ['the priority of the VM', ['priority']],
    ['every property of the network', ofNetwork],
    ['the VM and the network', [...ofVm.slice(0, 2), ...ofNetwork.slice(0, 2)]],
  ])('refuses the deployment when somebody changed %s', async (_, properties) => {
    changeAnswers(sim, properties);
    const run = await act(sim, inputs);
    sim.faults.clear();
    expect([listed(errorOf(run)).toSorted(), run.exitCode]).toEqual([properties.toSorted(), 1]);
  });
});

test('create warns of the changes when Azure changed the resources, and a tag', async () => {
  const sim = await start();
  changeAnswers(sim, changed, { team: 'finance' });
  const run = await act(sim, { ...inputs, tags: 'team: blue' });
  expect([errorOf(run), run.exitCode]).toEqual(['', 0]);
  expect(listed(warningsOf(run)).toSorted()).toEqual([...changed, 'tag team'].toSorted());
  expect(warningsOf(run)).toContain('tag team: finance; the inputs request blue');
  expect(run.summary).toContain('other settings than requested');
});
