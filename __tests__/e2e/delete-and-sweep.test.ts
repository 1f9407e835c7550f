import { describe, expect, test } from '@jest/globals';
import { githubSettings, type RunState } from '../../simulator/github/github.ts';
import { defaults, principals, type Simulator } from '../../simulator/index.ts';
import {
  act,
  addStrangers,
  disturbed,
  errorOf,
  expectAllGone,
  partsOf,
  snapshot,
  startWorld,
  warningsOf,
  writesOf,
  actWithPost,
} from '../support/lifecycle.ts';

const vm1 = partsOf('vm1');
const main = { phases: ['main'] } as const;
const listOf = (text: string | undefined): string[] => JSON.parse(text ?? '[]') as string[];
const lower = (ids: readonly string[]): string[] => ids.map((id) => id.toLowerCase()).toSorted();

/** Rewrites the tags of a deployment as if its time had run out. */
function expire(sim: Simulator, name: string): void {
  for (const { body } of sim.world.resources.all()) {
    const tags = body['tags'] as Record<string, string> | undefined;
    if (tags?.['cross-tenant-vm'] === name && tags['expires-on']) tags['expires-on'] = '2020-01-01T00:00:00Z';
  }
}

describe('delete', () => {
  test('deletes a whole deployment without a request to the image tenant', async () => {
    const sim = await startWorld({ world: (made) => addStrangers(made, 'vm1') });
    const before = snapshot(sim);
    const inputs = { 'image-id': defaults.imageId('linux-data-disks') };
    const made = await act(sim, inputs, main);
    expect(made.exitCode).toBe(0);
    sim.world.removePrincipal(principals.image);
    const since = sim.journal.length;
    const run = await actWithPost(sim, { operation: 'delete', 'image-id': '', 'image-tenant-id': '' });
    expect([run.exitCode, run.post?.exitCode]).toEqual([0, 0]);
    expectAllGone(sim, before);
    // Resources deleted by a delete option of the VM are not in the list of requests.
    expect(lower(listOf(run.outputs['deleted']))).toEqual(
      expect.arrayContaining(lower([vm1.machine, vm1.nsg, vm1.vnet])),
    );
    const asked = sim.journal.slice(since);
    expect(
      asked.some(
        ({ caller, path }) => caller?.tenant === defaults.imageTenantId || path.includes(defaults.imageTenantId),
      ),
    ).toBe(false);
    expect(asked.some(({ auxiliary }) => auxiliary.length > 0)).toBe(false);
  });

  test('succeeds with a warning that lists the IDs when nothing exists', async () => {
    const sim = await startWorld();
    const run = await act(sim, { operation: 'delete' });
    expect(run.exitCode).toBe(0);
    for (const id of Object.values(vm1)) expect(warningsOf(run)).toContain(id);
    expect(writesOf(sim.journal)).toEqual([]);
    expect(run.outputs['deleted']).toBe('[]');
  });

  test('succeeds with a warning when the resource group does not exist', async () => {
    const sim = await startWorld({
      world: (made) => made.grant(principals.deploy, 'Contributor', `/subscriptions/${defaults.subscriptionId}`),
    });
    const run = await act(sim, { operation: 'delete', 'resource-group': 'no-such-group' });
    expect(run.exitCode).toBe(0);
    expect(warningsOf(run)).toContain('no-such-group');
  });

  test('deletes the rest when the VM is gone, with the name in another case', async () => {
    const sim = await startWorld();
    const before = snapshot(sim);
    expect((await act(sim, {}, main)).exitCode).toBe(0);
    for (const id of [vm1.machine, vm1.osDisk]) sim.world.resources.remove(id);
    delete sim.world.resources.get(vm1.nic)?.body['properties'].virtualMachine;
    const run = await act(sim, { operation: 'delete', 'vm-name': 'VM1' });
    expect(run.exitCode).toBe(0);
    expectAllGone(sim, before);
  });

  describe.each(['delete', 'sweep'])('%s and a network that the group lists', (operation) => {
    const isVnet = { method: 'GET', path: /virtualNetworks\/vm1-vnet\?/ } as const;
    const effect = { status: 404, code: 'ResourceNotFound', message: 'The Resource was not found.' } as const;
    const createAndDelete = async (sim: Simulator, times: number) => {
      expect((await act(sim, { 'expires-after': '1h' }, main)).exitCode).toBe(0);
      expire(sim, 'vm1');
      sim.faults.add({ match: { ...isVnet, times }, effect });
      return act(sim, { operation }, main);
    };

    test('looks again and deletes it when Azure is late', async () => {
      const sim = await startWorld();
      const before = snapshot(sim);
      expect((await createAndDelete(sim, 4)).exitCode).toBe(0);
      expectAllGone(sim, before);
    });

    test('warns that it may be left behind when it stays missing', async () => {
      const sim = await startWorld();
      const run = await createAndDelete(sim, Number.POSITIVE_INFINITY);
      expect(warningsOf(run)).toContain(`may be left behind: ${vm1.vnet}`);
    });
  });

  test.each(['delete', 'sweep'])(
    'stops waiting and lists what is left when a %s is cancelled, and can be run again',
    async (operation) => {
      const sim = await startWorld();
      const before = snapshot(sim);
      expect((await act(sim, { 'expires-after': 'PT1H' }, main)).exitCode).toBe(0);
      expire(sim, 'vm1');
      // Longer than the limit of the test: the run must end before its deletion does.
      sim.world.latencies['vmDelete'] = 100_000;
      const run = await act(sim, { operation }, { signal: { name: 'SIGINT', whenLog: /::debug::DELETE/ } });
      expect(run.exitCode).toBe(1);
      expect(errorOf(run)).toContain('The workflow run was cancelled (SIGINT)');
      for (const id of [vm1.machine, vm1.nsg, vm1.vnet]) expect(warningsOf(run)).toContain(id);
      sim.world.clock.advance(100_000);
      expect((await act(sim, { operation: 'delete' })).exitCode).toBe(0);
      expectAllGone(sim, before);
    },
  );

  test('fails with the reason and lists what is left when a resource is locked', async () => {
    const sim = await startWorld();
    expect((await act(sim, {}, main)).exitCode).toBe(0);
    sim.world.locks.push({ scope: vm1.nsg, level: 'CanNotDelete', name: 'keep' });
    const run = await act(sim, { operation: 'delete' });
    expect(run.exitCode).toBe(1);
    expect(errorOf(run)).toContain('ScopeLocked');
    expect(warningsOf(run)).toContain(vm1.nsg);
    expect(sim.world.resources.has(vm1.machine)).toBe(false);
    expect(sim.world.resources.has(vm1.vnet)).toBe(false);
    expect(sim.world.resources.has(vm1.nsg)).toBe(true);
  });
});

describe('role assignments and identities that cannot be listed', () => {
  const list = /\/(roleAssignments|userAssignedIdentities)\?/;
  const outage = (sim: Simulator) =>
    sim.faults.add({ match: { method: 'GET', path: list, times: Infinity }, effect: { status: 500 } });

  test('do not keep a VM without an identity', async () => {
    const sim = await startWorld();
    const before = snapshot(sim);
    expect((await act(sim, {}, main)).exitCode).toBe(0);
    outage(sim);
    const run = await act(sim, { operation: 'delete' });
    expect(run.exitCode).toBe(1);
    expect(errorOf(run)).toContain('500');
    expect(warningsOf(run)).toContain('/providers/Microsoft.Authorization/roleAssignments');
    expectAllGone(sim, before);
  });

  test('keep a VM whose identity may hold some', async () => {
    const sim = await startWorld();
    expect((await act(sim, { identity: 'system' }, main)).exitCode).toBe(0);
    outage(sim);
    const run = await act(sim, { operation: 'delete' });
    expect(run.exitCode).toBe(1);
    expect(warningsOf(run)).toContain('the role assignments of its identity could not be looked for');
    expect(sim.world.resources.has(vm1.machine)).toBe(true);
  });
});

describe('a DELETE that is answered as done without being carried out', () => {
  const answerDeletes = (sim: Simulator, id: string, status: number, times: number) =>
    sim.faults.add({ match: { method: 'DELETE', path: new RegExp(id), times }, effect: { status } });

  test('is sent again', async () => {
    const sim = await startWorld();
    const before = snapshot(sim);
    expect((await act(sim, {}, main)).exitCode).toBe(0);
    answerDeletes(sim, vm1.machine, 200, 1);
    answerDeletes(sim, vm1.vnet, 202, 1);
    answerDeletes(sim, vm1.nsg, 204, 2);
    const run = await act(sim, { operation: 'delete' });
    expect([run.exitCode, errorOf(run)]).toEqual([0, '']);
    expectAllGone(sim, before);
  });

  test('fails the step when the resource still exists after minutes', async () => {
    const sim = await startWorld();
    expect((await act(sim, {}, main)).exitCode).toBe(0);
    answerDeletes(sim, vm1.nsg, 204, Infinity);
    const run = await act(sim, { operation: 'delete' });
    expect(run.exitCode).toBe(1);
    expect(errorOf(run)).toContain('It still exists although Azure, or a proxy, answered each DELETE as done.');
    expect(listOf(run.outputs['deleted']).map((id) => id.toLowerCase())).not.toContain(vm1.nsg.toLowerCase());
    expect(sim.world.resources.has(vm1.nsg)).toBe(true);
  });
});

describe('sweep', () => {
  /** A deployment whose runner was lost: the post step never ran. */
  async function lost(sim: Simulator, name: string, runId: string, inputs: Record<string, string> = {}): Promise<void> {
    const run = await act(
      sim,
      { 'vm-name': name, cleanup: 'always', ...inputs },
      { ...main, env: { GITHUB_RUN_ID: runId } },
    );
    expect(run.exitCode).toBe(0);
  }
  const tell = (sim: Simulator, run: string, state: RunState): unknown =>
    githubSettings(sim.world).runs.set(`contoso/deploy/${run}`, state);
  const ended = { status: 'completed', conclusion: 'cancelled' } as const;
  /** The list of resources by tag lags behind the truth by some seconds. */
  const listed = (sim: Simulator): void => sim.world.clock.advance(20);
  const sweep = async (sim: Simulator, inputs: Record<string, string> = {}) => {
    listed(sim);
    return act(sim, { operation: 'sweep', 'vm-name': '', 'image-id': '', 'image-tenant-id': '', ...inputs }, main);
  };

  test('deletes what expired and what lost runs should have deleted, and keeps what runs or cannot be decided', async () => {
    const sim = await startWorld({ world: (made) => addStrangers(made, 'gone') });
    const before = snapshot(sim);
    await Promise.all([lost(sim, 'gone', '10'), lost(sim, 'goes-on', '11'), lost(sim, 'unknown', '12')]);
    await Promise.all([
      lost(sim, 'forbidden', '13'),
      lost(sim, 'stays', '10', { cleanup: 'on-failure' }),
      lost(sim, 'expired', '14', { cleanup: 'never', 'expires-after': 'PT1H' }),
    ]);
    expire(sim, 'expired');
    await lost(sim, 'later', '15', { cleanup: 'on-failure', 'expires-after': 'PT2H' });
    tell(sim, '10', ended);
    tell(sim, '11', { status: 'in_progress' });
    tell(sim, '13', { refuse: 403 });
    const run = await sweep(sim);
    expect([run.exitCode, errorOf(run)]).toEqual([0, '']);
    expect(run.annotations.filter(({ level }) => level === 'warning')).toHaveLength(1);
    expect(warningsOf(run)).toContain('permissions: actions: read');
    for (const name of ['unknown', 'forbidden']) expect(warningsOf(run)).toContain(partsOf(name).machine);
    expect(warningsOf(run)).not.toContain(partsOf('goes-on').machine);
    expect(disturbed(sim, before)).toEqual([]);
    const names = ['gone', 'goes-on', 'unknown', 'forbidden', 'stays', 'expired', 'later'];
    const there = names.filter((name) => Object.values(partsOf(name)).some((id) => sim.world.resources.has(id)));
    expect(there).toEqual(['goes-on', 'unknown', 'forbidden', 'stays', 'later']);
    for (const name of there) {
      for (const id of Object.values(partsOf(name))) expect([id, sim.world.resources.has(id)]).toEqual([id, true]);
    }
    const deleted = listOf(run.outputs['deleted']);
    expect(deleted).toEqual(expect.arrayContaining([partsOf('gone').machine, partsOf('expired').machine]));
    expect(deleted.filter((id) => !/\/(gone|expired)/.test(id))).toEqual([]);
  }, 120_000);

  test('keeps the deployment of another repository, and goes by expiry alone without a token', async () => {
    const sim = await startWorld();
    await lost(sim, 'mine', '20');
    const foreign = { ...main, env: { GITHUB_RUN_ID: '20', GITHUB_REPOSITORY: 'fabrikam/other' } };
    expect((await act(sim, { 'vm-name': 'other-repository', cleanup: 'always' }, foreign)).exitCode).toBe(0);
    tell(sim, '20', ended);
    githubSettings(sim.world).runs.set('fabrikam/other/20', ended);
    const before = snapshot(sim);
    expect((await sweep(sim, { 'github-token': '' })).exitCode).toBe(0);
    expect(disturbed(sim, before)).toEqual([]);
    // The simulator serves the blob of the boot log from GitHub's host.
    expect(sim.journal.filter(({ host, kind }) => host === 'github' && kind !== 'blob.get')).toEqual([]);
    expect((await sweep(sim)).exitCode).toBe(0);
    const there = ['mine', 'other-repository'].filter((name) => sim.world.resources.has(partsOf(name).machine));
    expect(there).toEqual(['other-repository']);
  }, 120_000);

  test('keeps a VM that a rerun adopted after its first run failed', async () => {
    const sim = await startWorld();
    await lost(sim, 'vm1', '30', { 'expires-after': 'PT1H' });
    expect((await act(sim, { cleanup: 'always' }, { ...main, env: { GITHUB_RUN_ID: '31' } })).exitCode).toBe(0);
    tell(sim, '30', ended);
    tell(sim, '31', { status: 'in_progress' });
    const before = snapshot(sim);
    expect((await sweep(sim)).exitCode).toBe(0);
    expect(disturbed(sim, before)).toEqual([]);
  });

  test('asks GitHub once per run and keeps what another attempt adopts right before its deletion', async () => {
    const sim = await startWorld();
    await lost(sim, 'vm1', '40');
    tell(sim, '40', ended);
    listed(sim);
    const adopt = (): void => {
      for (const id of Object.values(vm1)) {
        const body = sim.world.resources.get(id)?.body;
        if (body) body['tags'] = { ...body['tags'], 'github-run-id': '41' };
      }
    };
    tell(sim, '41', { status: 'in_progress' });
    // The answer about the old run is already on its way when the tags change.
    sim.faults.add({ match: { host: 'github', path: /runs\/40/ }, effect: { onArrival: adopt } });
    const swept = await sweep(sim);
    expect(swept.exitCode).toBe(0);
    expect(sim.journal.filter(({ kind }) => kind === 'github.run')).toHaveLength(2);
    for (const id of Object.values(vm1)) expect([id, sim.world.resources.has(id)]).toEqual([id, true]);
  });

  test('keeps a deployment when another one has copied its tags', async () => {
    const sim = await startWorld();
    await lost(sim, 'vm1', '50', { cleanup: 'on-failure' });
    await lost(sim, 'copycat', '51', { cleanup: 'on-failure' });
    const copy = sim.world.resources.get(partsOf('copycat').machine);
    if (copy)
      copy.body['tags'] = {
        ...copy.body['tags'],
        'cross-tenant-vm': 'vm1',
        'expires-on': '2020-01-01T00:00:00Z',
      };
    const before = snapshot(sim);
    expect((await sweep(sim)).exitCode).toBe(0);
    expect(disturbed(sim, before)).toEqual([]);
  });
});
