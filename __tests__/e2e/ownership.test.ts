import { describe, expect, test } from '@jest/globals';
import { defaults } from '../../simulator/index.ts';
import { generatedKey } from '../support/harness.ts';
import {
  act,
  arrivalOf,
  addStranger,
  addStrangers,
  disturbed,
  errorOf,
  expectAllGone,
  cleanupStateOf,
  partsOf,
  sharedSubnet,
  since,
  snapshot,
  startWorld,
  warningsOf,
  writesOf,
  actWithPost,
} from '../support/lifecycle.ts';

const vm1 = partsOf('vm1');

describe('what is there already', () => {
  test.concurrent.each(Object.entries(vm1))(
    'a foreign %s of the derived name is refused before any write',
    async (_, id) => {
      const sim = await startWorld();
      if (id === vm1.machine) {
        // A machine is no plain resource: this one is another action's.
        expect((await act(sim)).exitCode).toBe(0);
        for (const part of Object.values(vm1)) delete sim.world.resources.get(part)?.body['tags'];
      } else {
        addStranger(sim.world, id, { owner: 'somebody' });
      }
      const before = snapshot(sim);
      const written = writesOf(sim.journal).length;
      const run = await actWithPost(sim, { cleanup: 'always' });
      expect(run.exitCode).toBe(1);
      expect(writesOf(sim.journal).slice(written)).toEqual([]);
      expect(disturbed(sim, before)).toEqual([]);
      expect(errorOf(run)).toMatch(/already exists and was not created by this action/);
      expect(errorOf(run)).toContain(id);
      expect(errorOf(run)).toContain('subnet-id');
    },
  );

  test('an equal name in another job of the same run is refused, not taken over', async () => {
    const sim = await startWorld();
    expect((await act(sim, {}, { env: { GITHUB_JOB: 'one' } })).exitCode).toBe(0);
    const before = snapshot(sim);
    const run = await actWithPost(sim, { cleanup: 'always' }, { env: { GITHUB_JOB: 'two' } });
    expect(run.exitCode).toBe(1);
    expect(errorOf(run)).toContain('created by job "one" of this workflow run');
    expect(disturbed(sim, before)).toEqual([]);
  });

  test('a subnet of somebody else is used by `subnet-id` and never deleted', async () => {
    const sim = await startWorld({ world: (made) => addStrangers(made, 'vm1') });
    const before = snapshot(sim);
    const run = await actWithPost(sim, { cleanup: 'always', 'subnet-id': sharedSubnet });
    expect([run.exitCode, run.post?.exitCode]).toEqual([0, 0]);
    expectAllGone(sim, before);
  });
});

describe('clean-up', () => {
  test('copied tags under other names are left alone by delete and sweep; the group is never deleted', async () => {
    const sim = await startWorld({ world: (made) => addStrangers(made, 'vm1') });
    const before = snapshot(sim);
    expect((await act(sim, {}, { phases: ['main'] })).exitCode).toBe(0);
    const gone = await act(sim, { operation: 'delete' });
    expect(gone.exitCode).toBe(0);
    const swept = await act(sim, { operation: 'sweep' });
    expect(swept.exitCode).toBe(0);
    expectAllGone(sim, before);
    expect(sim.world.group(defaults.subscriptionId, defaults.resourceGroup)).toBeDefined();
  });

  test('the tag is read right before: what was given away in between stays, and what holds it', async () => {
    const sim = await startWorld();
    const run = await actWithPost(
      sim,
      { cleanup: 'always', 'image-id': defaults.imageId('linux-data-disks') },
      {
        between: () => {
          const nic = sim.world.resources.get(vm1.nic);
          if (nic) nic.body['tags'] = { owner: 'somebody' };
          const disk = sim.world.resources.get(vm1.osDisk);
          if (disk) disk.body['tags'] = { ...disk.body['tags'], 'cross-tenant-vm': 'elsewhere' };
        },
      },
    );
    expect([run.exitCode, run.post?.exitCode]).toEqual([0, 0]);
    const left = [...sim.world.resources.under(`/subscriptions/${defaults.subscriptionId}`)].map(({ id }) => id);
    // The interface holds its address, its security group and its network.
    expect(left.toSorted()).toEqual([vm1.nic, vm1.nsg, vm1.osDisk, vm1.publicIp, vm1.vnet].toSorted());
    expect(sim.world.resources.get(vm1.osDisk)?.body['properties'].diskState).toBe('Unattached');
    for (const id of left) expect(warningsOf(run.post)).toContain(id);
    expect(warningsOf(run.post)).toMatch(/Not deleted, because their tags do not belong to this deployment/);
  });

  test('a machine with data disks goes with all of them', async () => {
    const sim = await startWorld();
    const before = snapshot(sim);
    const run = await actWithPost(sim, { cleanup: 'always', 'image-id': defaults.imageId('linux-data-disks') });
    expect(run.exitCode).toBe(0);
    expect(JSON.parse(run.outputs['created'] ?? '').length).toBeGreaterThan(6);
    expectAllGone(sim, before);
  });

  test('an interface that was given by ID stays, and is not written to', async () => {
    const nic = partsOf('theirs').nic;
    const sim = await startWorld({
      world: (made) => {
        addStrangers(made, 'vm1');
        addStranger(made, nic);
        const configuration = {
          id: `${nic}/ipConfigurations/one`,
          name: 'one',
          properties: {
            primary: true,
            provisioningState: 'Succeeded',
            privateIPAddress: '10.20.0.9',
            privateIPAllocationMethod: 'Dynamic',
            subnet: { id: sharedSubnet },
          },
        };
        const body = made.resources.get(nic)?.body;
        if (body) body['properties'].ipConfigurations = [configuration];
      },
    });
    const before = snapshot(sim);
    const run = await actWithPost(sim, { cleanup: 'always', 'nic-id': nic });
    expect([run.exitCode, run.post?.exitCode]).toEqual([0, 0]);
    expect(run.outputs['private-ip-address']).toBe('10.20.0.9');
    expect(since(sim, before)).toEqual([]);
    // Azure itself notes on it which machine uses it, and its physical address.
    expect(disturbed(sim, before).filter((id) => id !== nic.toLowerCase())).toEqual([]);
    expect(writesOf(sim.journal).filter(({ path }) => path.includes('/networkInterfaces/'))).toEqual([]);
    expect(sim.world.resources.get(nic)?.body['properties'].virtualMachine).toBeUndefined();
  });

  test('the private key and its folder go with the job, and the state never holds a secret', async () => {
    const sim = await startWorld();
    const run = await actWithPost(sim, generatedKey);
    expect(run.exitCode).toBe(0);
    expect(run.outputs['ssh-private-key-path']).toContain(run.temp);
    expect(Object.keys(run.files()).filter((path) => path.includes('cross-tenant-vm-'))).toEqual([]);
    expect(warningsOf(run.post)).toContain('SSH key was deleted with the job');
    expect(run.stateText).not.toContain(defaults.clientSecret);
    expect(run.stateText).not.toMatch(/PRIVATE KEY|eyJ/);
    expect(cleanupStateOf(run)).toMatchObject({ completed: true, pending: [] });
    expect(since(sim, new Map()).filter((id) => id.includes('/vm1')).length).toBeGreaterThan(5);
  });
});

describe('a VM of the same name that another run created', () => {
  const main = { phases: ['main'] } as const;

  test.concurrent('is kept by the post step of the run whose own VM is gone', async () => {
    const sim = await startWorld();
    let other: ReadonlyMap<string, string> = new Map();
    const run = await actWithPost(
      sim,
      { cleanup: 'always' },
      {
        env: { GITHUB_RUN_ID: '1' },
        between: async () => {
          expect((await act(sim, { operation: 'delete' }, main)).exitCode).toBe(0);
          const later = await act(sim, {}, { ...main, env: { GITHUB_RUN_ID: '2' } });
          expect(later.exitCode).toBe(0);
          other = snapshot(sim);
        },
      },
    );
    expect(run.post?.exitCode).toBe(0);
    expect(snapshot(sim)).toEqual(other);
    expect(warningsOf(run.post)).toContain(vm1.machine);
  });

  test.concurrent('is kept by the post step of an earlier step of the same job', async () => {
    const sim = await startWorld();
    let adopted: ReadonlyMap<string, string> = new Map();
    const run = await actWithPost(
      sim,
      { cleanup: 'always' },
      {
        env: { GITHUB_ACTION: '__self' },
        between: async () => {
          const later = await act(sim, {}, { ...main, env: { GITHUB_ACTION: '__self_2' } });
          expect(later.exitCode).toBe(0);
          adopted = snapshot(sim);
        },
      },
    );
    expect(run.post?.exitCode).toBe(0);
    expect(snapshot(sim)).toEqual(adopted);
  });

  test.concurrent.each([
    ['repository', { GITHUB_REPOSITORY: 'fabrikam/other' }],
    ['server', { GITHUB_SERVER_URL: 'https://github.example' }],
  ])('of another %s is neither adopted, deleted nor swept', async (_, env) => {
    const sim = await startWorld();
    const created = await act(sim, { 'expires-after': '1s' }, { ...main, env });
    expect(created.exitCode).toBe(0);
    const machine = sim.world.resources.get(vm1.machine)?.body;
    if (machine) machine['tags'] = { ...machine['tags'], 'expires-on': '2020-01-01T00:00:00Z' };
    const before = snapshot(sim);
    const adopting = await actWithPost(sim, { cleanup: 'always' });
    expect(adopting.exitCode).toBe(1);
    expect(errorOf(adopting)).toContain('belongs to another repository');
    expect(adopting.outputs['vm-id'] ?? '').toBe('');
    expect(await act(sim, { operation: 'delete' }, main)).toMatchObject({ exitCode: 0 });
    expect(await act(sim, { operation: 'sweep' }, main)).toMatchObject({ exitCode: 0 });
    expect(snapshot(sim)).toEqual(before);
  });
});

const parts = Object.entries(vm1).filter(([part]) => part !== 'osDisk');
test.concurrent.each(
  (['SIGKILL', 'SIGINT'] as const).flatMap((name) => parts.map(([part, id]) => [part, name, id] as const)),
)('before the PUT of the %s its ID is in the state, as %s shows while the PUT is under way', async (part, name, id) => {
  const sim = await startWorld();
  const before = snapshot(sim);
  const arrival = Promise.withResolvers<void>();
  const end = Promise.withResolvers<void>();
  const fault = sim.faults.add({
    match: { method: 'PUT', path: new RegExp(`${id}(\\?|$)`) },
    effect: {
      // Carried out when the process has ended and the post step has already looked for the resource once.
      onArrival: async () => {
        arrival.resolve();
        await end.promise;
        await arrivalOf(sim, { method: 'GET', path: new RegExp(`${id}(\\?|$)`), nth: 2 });
      },
    },
  });
  const recorded: (readonly string[] | undefined)[] = [];
  const run = await actWithPost(
    sim,
    {},
    {
      signal: { name, when: arrival.promise },
      between: (main) => {
        recorded.push(cleanupStateOf(main)?.pending);
        end.resolve();
      },
    },
  );
  expect(fault.applied).toBe(1);
  const [put] = sim.journal.filter(({ method, faulted }) => method === 'PUT' && faulted);
  // After SIGINT the step itself has deleted what interface and machine stand on, so Azure refuses those.
  expect([201, ...(name === 'SIGINT' ? [400] : [])]).toContain(put?.status);
  expect([run.exitCode, run.post?.exitCode]).toEqual([name === 'SIGKILL' ? null : 1, 0]);
  // Azure makes the disk with the machine.
  expect(recorded[0]).toEqual(expect.arrayContaining(part === 'machine' ? [id, vm1.osDisk] : [id]));
  expectAllGone(sim, before);
});
