import { describe, expect, test } from '@jest/globals';
import { githubSettings, type RunState } from '../../simulator/github/github.ts';
import { defaults, principals, type Simulator, type World } from '../../simulator/index.ts';
import {
  act,
  addDeployment,
  addStranger,
  addStrangers,
  disturbed,
  errorOf,
  expectAllGone,
  group,
  partsOf,
  since,
  snapshot,
  startWorld,
  warningsOf,
  writesOf,
  actWithPost,
} from '../support/lifecycle.ts';

const vm1 = partsOf('vm1');
const listOf = (text: string | undefined): string[] => JSON.parse(text ?? '[]') as string[];
const lower = (ids: readonly string[]): string[] => ids.map((id) => id.toLowerCase()).toSorted();

const expired = { 'expires-on': '2020-01-01T00:00:00Z' };

describe('delete', () => {
  test('deletes a whole deployment without a request to the image tenant, and lists what Azure deleted with the VM', async () => {
    const sim = await startWorld({ world: (made) => addStrangers(made, 'vm1') });
    const before = snapshot(sim);
    await addDeployment(sim, { inputs: { 'image-id': defaults.imageId('linux-data-disks') } });
    const created = since(sim, before);
    expect(created.filter((id) => id.includes('/disks/')).length).toBeGreaterThan(1);
    sim.world.removePrincipal(principals.image);
    const run = await actWithPost(sim, { operation: 'delete', 'image-id': '', 'image-tenant-id': '' });
    expect([run.exitCode, run.post?.exitCode]).toEqual([0, 0]);
    expectAllGone(sim, before);
    expect(sim.world.group(defaults.subscriptionId, defaults.resourceGroup)).toBeDefined();
    expect(lower(listOf(run.outputs['deleted']))).toEqual(lower(created));
    const { journal } = sim;
    expect(
      journal.some(
        ({ caller, path }) => caller?.tenant === defaults.imageTenantId || path.includes(defaults.imageTenantId),
      ),
    ).toBe(false);
    expect(journal.some(({ auxiliary }) => auxiliary.length > 0)).toBe(false);
  });

  test.each([
    ['the OS disk', /disks\/vm1-osdisk\?/],
    ['the public IP', /publicIPAddresses\/vm1-ip\?/],
    ['a role assignment', /roleAssignments\/[0-9a-f-]{36}\?/],
  ])('looks again when it does not find what a list or the VM shows: %s', async (_, path) => {
    const sim = await startWorld({
      world: (made) => void made.grant(principals.deploy, 'Role Based Access Control Administrator', group),
    });
    const before = snapshot(sim);
    const assigned = sim.world.roleAssignments.length;
    expect((await act(sim, { identity: 'system', 'role-assignments': `Reader on ${group}` })).exitCode).toBe(0);
    const effect = { status: 404, code: 'ResourceNotFound', message: 'The Resource was not found.' } as const;
    // The list of the group is late as well.
    sim.faults.add({
      match: { method: 'GET', path: /deploy-rg\/resources\?/, times: Infinity },
      effect: { status: 200, body: { value: [] } },
    });
    sim.faults.add({ match: { method: 'GET', path, times: 4 }, effect });
    const run = await act(sim, { operation: 'delete' });
    expect([errorOf(run), warningsOf(run)]).toEqual(['', '']);
    expectAllGone(sim, before);
    expect(sim.world.roleAssignments).toHaveLength(assigned);
  });

  test('looks again for a resource that is missing after its DELETE was refused', async () => {
    const sim = await startWorld();
    const before = snapshot(sim);
    await addDeployment(sim);
    const refusal = { status: 400, code: 'InUseNetworkSecurityGroupCannotBeDeleted', message: 'It is in use.' };
    sim.faults.add({ match: { method: 'DELETE', path: /networkSecurityGroups/ }, effect: refusal });
    const effect = { status: 404, code: 'ResourceNotFound', message: 'The Resource was not found.' } as const;
    sim.faults.add({ match: { method: 'GET', path: /networkSecurityGroups\/vm1-nsg\?/, nth: 2, times: 2 }, effect });
    const run = await act(sim, { operation: 'delete' });
    expect([errorOf(run), warningsOf(run)]).toEqual(['', '']);
    expectAllGone(sim, before);
  });

  test('lists the data disks of a VM that Azure is late to show', async () => {
    const sim = await startWorld();
    const before = snapshot(sim);
    await addDeployment(sim, { inputs: { 'image-id': defaults.imageId('linux-data-disks') } });
    const created = since(sim, before);
    sim.faults.add({
      match: { method: 'GET', path: /virtualMachines\/vm1\?/, times: 2 },
      effect: { status: 404, code: 'ResourceNotFound', message: 'The Resource was not found.' },
    });
    const run = await act(sim, { operation: 'delete' });
    expect(errorOf(run)).toBe('');
    expectAllGone(sim, before);
    expect(lower(listOf(run.outputs['deleted']))).toEqual(lower(created));
  });

  test('succeeds with a warning when the deployment or its resource group does not exist', async () => {
    const sim = await startWorld({
      world: (made) => made.grant(principals.deploy, 'Contributor', `/subscriptions/${defaults.subscriptionId}`),
    });
    const run = await act(sim, { operation: 'delete' });
    expect(run.exitCode).toBe(0);
    for (const id of Object.values(vm1)) expect(warningsOf(run)).toContain(id);
    expect(run.outputs['deleted']).toBe('[]');
    const other = await act(sim, { operation: 'delete', 'resource-group': 'no-such-group' });
    expect(other.exitCode).toBe(0);
    expect(warningsOf(other)).toContain('no-such-group');
    expect(writesOf(sim.journal)).toEqual([]);
  });

  test('deletes the rest when the VM is gone, with the name in another case', async () => {
    const sim = await startWorld();
    const before = snapshot(sim);
    await addDeployment(sim);
    for (const id of [vm1.machine, vm1.osDisk]) sim.world.resources.remove(id);
    delete sim.world.resources.get(vm1.nic)?.body['properties'].virtualMachine;
    const run = await act(sim, { operation: 'delete', 'vm-name': 'VM1' });
    expect(run.exitCode).toBe(0);
    expectAllGone(sim, before);
  });

  test.each(['delete', 'sweep'])(
    'looks again when a %s does not find what the group lists, and warns of what stays missing',
    async (operation) => {
      const sim = await startWorld();
      const before = snapshot(sim);
      await addDeployment(sim, { tags: expired });
      const effect = { status: 404, code: 'ResourceNotFound', message: 'The Resource was not found.' } as const;
      const late = { method: 'GET', path: /virtualNetworks\/vm1-vnet\?/, times: 4 } as const;
      sim.faults.add({ match: late, effect });
      sim.faults.add({ match: { method: 'GET', path: /networkSecurityGroups\/vm1-nsg\?/, times: Infinity }, effect });
      const run = await act(sim, { operation });
      expect(warningsOf(run)).toContain(`may be left behind: ${vm1.nsg}`);
      expect(since(sim, before)).toEqual([vm1.nsg]);
    },
  );

  test.each(['delete', 'sweep'])('stops waiting and lists what is left when a %s is cancelled', async (operation) => {
    const sim = await startWorld();
    const before = snapshot(sim);
    await addDeployment(sim, { tags: expired });
    // Longer than the limit of the test: the run must end before its deletion does.
    sim.world.latencies['vmDelete'] = 100_000;
    const run = await act(sim, { operation }, { signal: { name: 'SIGINT', whenLog: /::debug::DELETE/ } });
    expect(run.exitCode).toBe(1);
    expect(errorOf(run)).toContain('The workflow run was cancelled (SIGINT)');
    for (const id of [vm1.machine, vm1.nsg, vm1.vnet]) expect(warningsOf(run)).toContain(id);
    if (operation === 'sweep') return;
    sim.world.clock.advance(100_000);
    expect((await act(sim, { operation })).exitCode).toBe(0);
    expectAllGone(sim, before);
  });

  test('fails with the reason and lists what is left when a resource is locked', async () => {
    const sim = await startWorld();
    const before = snapshot(sim);
    await addDeployment(sim);
    sim.world.locks.push({ scope: vm1.nsg, level: 'CanNotDelete', name: 'keep' });
    // It repeats no deletion that failed for a reason.
    const run = await actWithPost(sim, { operation: 'delete' });
    expect([run.exitCode, run.post?.exitCode]).toEqual([1, 0]);
    expect(errorOf(run)).toContain('ScopeLocked');
    expect(warningsOf(run)).toContain(vm1.nsg);
    expect(since(sim, before)).toEqual([vm1.nsg]);
    expect(run.post?.stdout).not.toContain('Nothing to clean up');
  });

  test('says that nothing was deleted when the deployment belongs to another repository', async () => {
    const sim = await startWorld();
    await addDeployment(sim, { tags: { 'github-repository': 'fabrikam/other' } });
    const run = await act(sim, { operation: 'delete' });
    expect(warningsOf(run)).toContain(vm1.machine);
    expect(warningsOf(run)).not.toContain('No resources of deployment');
    expect(run.summary).toContain('<code>vm1</code> not deleted');
    // `operation: delete` of this repository would not delete it either.
    expect(run.summary).not.toContain('Delete it');
  });
});

describe('role assignments and identities that cannot be listed', () => {
  const list = /\/(roleAssignments|userAssignedIdentities)\?/;
  const outage = (sim: Simulator) =>
    sim.faults.add({ match: { method: 'GET', path: list, times: Infinity }, effect: { status: 500 } });

  test('do not keep a VM without an identity', async () => {
    const sim = await startWorld();
    const before = snapshot(sim);
    await addDeployment(sim);
    outage(sim);
    const run = await act(sim, { operation: 'delete' });
    expect(run.exitCode).toBe(1);
    expect(errorOf(run)).toContain('500');
    expect(warningsOf(run)).toContain('/providers/Microsoft.Authorization/roleAssignments');
    expectAllGone(sim, before);
  });

  test('keep a VM whose identity may hold some', async () => {
    const sim = await startWorld();
    await addDeployment(sim);
    const body = sim.world.resources.get(vm1.machine)?.body ?? {};
    const { oid } = sim.world.addPrincipal({
      oid: '99999999-1111-4111-8111-999999999999',
      tenant: defaults.tenantId,
      app: '',
      type: 'ManagedIdentity',
      displayName: 'vm1',
    });
    body['identity'] = { type: 'SystemAssigned', principalId: oid, tenantId: defaults.tenantId };
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
    await addDeployment(sim);
    answerDeletes(sim, vm1.machine, 200, 1);
    answerDeletes(sim, vm1.vnet, 202, 1);
    answerDeletes(sim, vm1.nsg, 204, 2);
    const run = await act(sim, { operation: 'delete' });
    expect([run.exitCode, errorOf(run)]).toEqual([0, '']);
    expectAllGone(sim, before);
  });

  test('fails the step when the resource still exists after minutes', async () => {
    const sim = await startWorld();
    await addDeployment(sim);
    answerDeletes(sim, vm1.nsg, 204, Infinity);
    const run = await act(sim, { operation: 'delete' });
    expect(run.exitCode).toBe(1);
    expect(errorOf(run)).toContain('It still exists although Azure, or a proxy, answered each DELETE as done.');
    expect(lower(listOf(run.outputs['deleted']))).not.toContain(vm1.nsg.toLowerCase());
    expect(sim.world.resources.has(vm1.nsg)).toBe(true);
  });
});

describe('sweep', () => {
  const ofRun = (id: string): Record<string, string> => ({ 'github-run-id': id, cleanup: 'always' });
  const addState = (sim: Simulator, run: string, state: RunState): unknown =>
    githubSettings(sim.world).runs.set(`contoso/deploy/${run}`, state);
  const ended = { status: 'completed', conclusion: 'cancelled' } as const;
  const sweepInputs = (inputs: Record<string, string> = {}) => ({
    operation: 'sweep',
    'vm-name': '',
    'image-id': '',
    'image-tenant-id': '',
    ...inputs,
  });
  const sweep = (sim: Simulator, inputs?: Record<string, string>) => act(sim, sweepInputs(inputs));

  test('deletes what expired and what lost runs should have deleted, and keeps all else', async () => {
    const sim = await startWorld({ world: (made) => addStrangers(made, 'gone') });
    const before = snapshot(sim);
    const foreign = { 'github-repository': 'fabrikam/other' };
    const later = new Date(Date.now() + 7_200_000).toISOString();
    const deployments: Record<string, Record<string, string>> = {
      gone: ofRun('10'),
      expired: { ...ofRun('14'), cleanup: 'never', ...expired },
      'goes-on': ofRun('11'),
      unknown: ofRun('12'),
      forbidden: ofRun('13'),
      'half-adopted': ofRun('10'),
      stays: { ...ofRun('10'), cleanup: 'on-failure' },
      later: { ...ofRun('15'), cleanup: 'on-failure', 'expires-on': later },
      foreign: { ...ofRun('10'), ...foreign },
      'foreign-expired': { ...ofRun('10'), ...foreign, ...expired },
      copied: { ...ofRun('50'), cleanup: 'on-failure' },
      copycat: { ...ofRun('51'), cleanup: 'on-failure' },
    };
    for (const [name, tags] of Object.entries(deployments)) await addDeployment(sim, { name, tags });
    Object.assign(sim.world.resources.get(partsOf('half-adopted').machine)?.body['tags'], ofRun('11'));
    const copy = sim.world.resources.get(partsOf('copycat').machine);
    Object.assign(copy?.body['tags'], { 'cross-tenant-vm': 'copied', ...expired });
    addState(sim, '10', ended);
    addState(sim, '11', { status: 'in_progress' });
    addState(sim, '13', { refuse: 403 });
    githubSettings(sim.world).runs.set('fabrikam/other/10', ended);
    const deployed = snapshot(sim);

    const run = await sweep(sim);
    expect([run.exitCode, errorOf(run)]).toEqual([0, '']);
    expect(warningsOf(run)).toContain('permissions: actions: read');
    for (const name of ['unknown', 'forbidden']) expect(warningsOf(run)).toContain(partsOf(name).machine);
    expect(warningsOf(run)).not.toContain(partsOf('goes-on').machine);
    expect(disturbed(sim, before)).toEqual([]);
    const gone = lower(['gone', 'expired'].flatMap((name) => Object.values(partsOf(name))));
    expect(disturbed(sim, deployed).toSorted()).toEqual(gone);
    expect(lower(listOf(run.outputs['deleted']))).toEqual(gone);
  });

  // In the soak ring over 1,000 resources.
  test('sends at most 16 requests at a time and reads only what it is to delete', async () => {
    // The app may not list the subscription's role assignments, so those of each visible resource are listed.
    const visible = (world: World): void => {
      world.addGroup(defaults.subscriptionId, 'other-rg', defaults.location);
      for (let index = 0; index < 12; index++) {
        const id = partsOf(`other${index}`).nsg.replace(defaults.resourceGroup, 'other-rg');
        addStranger(world, id);
        world.grant(principals.deploy, 'Contributor', id);
      }
    };
    const sim = await startWorld({ world: visible });
    const names = Array.from(
      { length: Number(process.env['SWEEP_DEPLOYMENTS'] ?? 7) },
      (_, index) => `vm${index + 10}`,
    );
    const isKept = (name: string): boolean => name === 'vm10';
    const later = { 'expires-on': new Date(Date.now() + 7_200_000).toISOString() };
    for (const name of names) await addDeployment(sim, { name, tags: isKept(name) ? later : expired });
    sim.faults.add({ match: { host: 'arm', times: Infinity }, effect: { delaySeconds: 0.02 } });
    const run = await sweep(sim, { 'timeout-minutes': '360' });
    expect([run.exitCode, errorOf(run)]).toEqual([0, '']);
    const changes = sim.journal.flatMap(({ at, endedAt }) => [
      { at, change: 1 },
      { at: endedAt, change: -1 },
    ]);
    let concurrent = 0;
    let peak = 0;
    for (const { change } of changes.toSorted((a, b) => a.at - b.at || a.change - b.change)) {
      concurrent += change;
      peak = Math.max(peak, concurrent);
    }
    expect(peak).toBeLessThanOrEqual(16);
    expect(run.peakRssBytes).toBeLessThan(150e6);
    for (const name of names) {
      const { vnet } = partsOf(name);
      const isRead = sim.journal.some(({ path }) => path === vnet);
      expect([name, isRead, sim.world.resources.has(vnet)]).toEqual([name, !isKept(name), isKept(name)]);
    }
  });

  test('deletes what has expired when the event payload is not JSON', async () => {
    const sim = await startWorld();
    const before = snapshot(sim);
    await addDeployment(sim, { tags: expired });
    const run = await act(sim, sweepInputs(), { env: { GITHUB_EVENT_PATH: import.meta.filename } });
    expect([run.exitCode, errorOf(run)]).toEqual([0, '']);
    expectAllGone(sim, before);
  });

  test('does not say that nothing had to be deleted when a deletion fails', async () => {
    const sim = await startWorld();
    await addDeployment(sim, { tags: expired });
    sim.world.addLock(group, 'CanNotDelete');
    const run = await act(sim, sweepInputs());
    expect(run.exitCode).toBe(1);
    expect(run.stdout).not.toContain('No deployment had to be deleted');
  });

  test('goes by expiry alone without a token', async () => {
    const sim = await startWorld();
    await addDeployment(sim, { tags: ofRun('20') });
    addState(sim, '20', ended);
    const before = snapshot(sim);
    const run = await sweep(sim, { 'github-token': '' });
    expect(run.exitCode).toBe(0);
    expect(warningsOf(run)).toMatch(/^Kept 1 deployment, [\s\S]*Set `github-token`/);
    expect(disturbed(sim, before)).toEqual([]);
    expect(sim.journal.filter(({ host }) => host === 'github')).toEqual([]);
  });

  test('asks GitHub once per run and keeps what another attempt adopts right before its deletion', async () => {
    const sim = await startWorld();
    await addDeployment(sim, { tags: ofRun('40') });
    addState(sim, '40', ended);
    const adopt = (): void => {
      for (const id of Object.values(vm1)) {
        const body = sim.world.resources.get(id)?.body;
        if (body) body['tags'] = { ...body['tags'], 'github-run-id': '41' };
      }
    };
    addState(sim, '41', { status: 'in_progress' });
    // The answer about the old run is already on its way when the tags change.
    sim.faults.add({ match: { host: 'github', path: /runs\/40/ }, effect: { onArrival: adopt } });
    expect((await sweep(sim)).exitCode).toBe(0);
    expect(sim.journal.filter(({ kind }) => kind === 'github.run')).toHaveLength(2);
    for (const id of Object.values(vm1)) expect([id, sim.world.resources.has(id)]).toEqual([id, true]);
  });
});
