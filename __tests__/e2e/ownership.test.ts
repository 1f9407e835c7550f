import { describe, expect, test } from '@jest/globals';
import type { FaultEffect, FaultMatch } from '../../simulator/engine/faults.ts';
import { settings } from '../../simulator/providers/compute/settings.ts';
import { defaults, principals, type Simulator } from '../../simulator/index.ts';
import { addRegistry } from '../../simulator/providers/registry.ts';
import { generatedKey } from '../support/harness.ts';
import {
  act,
  addDeployment,
  arrivalOf,
  addStranger,
  addStrangers,
  disturbed,
  errorOf,
  expectAllGone,
  group,
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

async function expectRefused(
  sim: Simulator,
  inputs: Readonly<Record<string, string>>,
  words: readonly string[],
): Promise<string> {
  const before = snapshot(sim);
  const written = writesOf(sim.journal).length;
  const run = await act(sim, { cleanup: 'always', ...inputs });
  expect(run.exitCode).toBe(1);
  expect(writesOf(sim.journal).slice(written)).toEqual([]);
  expect(disturbed(sim, before)).toEqual([]);
  for (const word of words) expect(errorOf(run)).toContain(word);
  return errorOf(run);
}

const notOurs = 'already exists and was not created by this action';

describe('existing resources', () => {
  test('are refused before any write when somebody else created one of the derived name', async () => {
    const sim = await startWorld();
    // The disk is read in a way that differs from the network. A public IP: created-or-found.test.ts
    for (const [part, name, advice] of [
      ['osDisk', 'vm1', 'Set a different `vm-name`'],
      ['nic', 'vm2', 'subnet-id'],
    ] as const) {
      const id = partsOf(name)[part];
      addStranger(sim.world, id, { owner: 'somebody' });
      await expectRefused(sim, { 'vm-name': name }, [notOurs, id, advice]);
    }
  });

  test('are refused when another job of the same run, or somebody else, created the VM', async () => {
    const sim = await startWorld();
    await addDeployment(sim, { tags: { 'github-job': 'one' } });
    await expectRefused(sim, {}, ['created by job "one" of this workflow run']);
    for (const part of Object.values(vm1)) delete sim.world.resources.get(part)?.body['tags'];
    expect(await expectRefused(sim, {}, [notOurs, vm1.machine])).not.toMatch(/matrix leg|subnet-id/);
  });
});

describe('cleanup', () => {
  test('deletes a VM with its data disks and the key, leaves the given subnet, and saves no secret', async () => {
    const sim = await startWorld({ world: (made) => addStrangers(made, 'vm1') });
    const before = snapshot(sim);
    const run = await actWithPost(sim, {
      cleanup: 'always',
      'subnet-id': sharedSubnet,
      'image-id': defaults.imageId('linux-data-disks'),
      ...generatedKey,
    });
    expect([run.exitCode, run.post?.exitCode]).toEqual([0, 0]);
    const created = JSON.parse(run.outputs['created'] ?? '') as readonly string[];
    expect(created.filter((id) => id.includes('/disks/')).length).toBeGreaterThan(1);
    expectAllGone(sim, before);
    expect(run.outputs['ssh-private-key-path']).toContain(run.temp);
    expect(Object.keys(run.files()).filter((path) => path.includes('cross-tenant-vm-'))).toEqual([]);
    expect(run.stateText).not.toContain(defaults.clientSecret);
    expect(run.stateText).not.toMatch(/PRIVATE KEY|eyJ/);
    expect(cleanupStateOf(run)).toMatchObject({ completed: true, pending: [] });
  });

  test('keeps a resource whose tags were changed before its DELETE, and the resources that it holds', async () => {
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
    // The NIC uses its public IP, its security group and its network.
    expect(left.toSorted()).toEqual([vm1.nic, vm1.nsg, vm1.osDisk, vm1.publicIp, vm1.vnet].toSorted());
    expect(sim.world.resources.get(vm1.osDisk)?.body['properties'].diskState).toBe('Unattached');
    for (const id of left) expect(warningsOf(run.post)).toContain(id);
    expect(warningsOf(run.post)).toMatch(
      /Not deleted, because their tags name another deployment, repository or run, or none/,
    );
  });

  test.each(['changes the tags of its NIC', 'attaches a disk', 'gives its NIC another public IP'])(
    'keeps what a VM would take along when somebody %s right before its DELETE',
    async (change) => {
      const sim = await startWorld();
      await addDeployment(sim);
      const [disk, address] = [vm1.osDisk, vm1.publicIp].map((id) => `${id}-of-somebody`) as [string, string];
      const tags = { owner: 'somebody' };
      const interfere = (): void => {
        const [nic, vm] = [vm1.nic, vm1.machine].map((id) => sim.world.resources.get(id)?.body);
        if (change === 'attaches a disk') {
          addStranger(sim.world, disk, tags);
          const attached = { lun: 9, createOption: 'Attach', deleteOption: 'Delete', managedDisk: { id: disk } };
          vm?.['properties'].storageProfile.dataDisks.push(attached);
        } else if (change === 'gives its NIC another public IP') {
          addStranger(sim.world, address, tags);
          const publicIPAddress = { id: address, properties: { deleteOption: 'Delete' } };
          nic?.['properties'].ipConfigurations.push({ name: 'second', properties: { publicIPAddress } });
        } else if (nic) {
          nic['tags'] = tags;
        }
      };
      // The VM is read to find its disks, before the tags of what it takes along, and together with these tags.
      const interfered = arrivalOf(sim, { method: 'GET', path: /virtualMachines\/vm1\?/, nth: 3 }, interfere);
      sim.faults.add({
        match: { method: 'GET', path: /networkInterfaces\/vm1-nic\?/, nth: 2 },
        effect: { onArrival: () => interfered },
      });
      const run = await act(sim, { operation: 'delete' });
      expect(run.stdout).toContain('Setting the delete option Detach on resources that outlive vm1');
      expect(sim.world.resources.has(vm1.machine)).toBe(false);
      const kept = { 'attaches a disk': disk, 'gives its NIC another public IP': address }[change] ?? vm1.nic;
      expect(sim.world.resources.has(kept)).toBe(true);
    },
  );

  test('keeps the public IP of another owner when Azure is late to show the NIC that holds it', async () => {
    const sim = await startWorld();
    await addDeployment(sim);
    const address = sim.world.resources.get(vm1.publicIp);
    if (address) address.body['tags'] = { owner: 'somebody' };
    sim.faults.add({
      match: { method: 'GET', path: /networkInterfaces\/vm1-nic/, times: 2 },
      effect: { status: 404, code: 'ResourceNotFound', message: 'The Resource was not found.' },
    });
    const run = await act(sim, { operation: 'delete' });
    expect(errorOf(run)).toBe('');
    expect(sim.world.resources.has(vm1.publicIp)).toBe(true);
    expect(sim.world.resources.has(vm1.nic)).toBe(false);
  });

  test('does not delete a VM while Azure still shows that it takes along what somebody else owns', async () => {
    const sim = await startWorld();
    await addDeployment(sim);
    const disk = sim.world.resources.get(vm1.osDisk);
    if (disk) disk.body['tags'] = { owner: 'somebody' };
    // The VM is read to find its disks, before the tags of what it takes along, and after the update.
    sim.faults.add({
      match: { method: 'GET', path: /virtualMachines\/vm1\?/, nth: 3, times: 3 },
      effect: { changeAnswer: (vm) => (vm.properties.storageProfile.osDisk.deleteOption = 'Delete') },
    });
    const run = await act(sim, { operation: 'delete' });
    expect(errorOf(run)).toBe('');
    expect(writesOf(sim.journal).filter(({ method }) => method === 'PATCH').length).toBeGreaterThan(1);
    expect([vm1.machine, vm1.osDisk].map((id) => sim.world.resources.has(id))).toEqual([false, true]);
  });

  test('keeps a NIC of another name with copied tags that somebody attached to the VM', async () => {
    const sim = await startWorld();
    await addDeployment(sim);
    const [vm, nic] = [vm1.machine, vm1.nic].map((id) => sim.world.resources.get(id)?.body);
    const other = `${vm1.nic}-2`;
    addStranger(sim.world, other, nic?.['tags']);
    vm?.['properties'].networkProfile.networkInterfaces.push({ id: other, properties: { deleteOption: 'Delete' } });
    const run = await act(sim, { operation: 'delete' });
    expect(errorOf(run)).toBe('');
    expect([vm1.machine, other].map((id) => sim.world.resources.has(id))).toEqual([false, true]);
  });

  test('keeps the network that an earlier run has created when the VM of this run fails', async () => {
    const sim = await startWorld();
    await addDeployment(sim);
    for (const id of [vm1.machine, vm1.osDisk]) sim.world.resources.remove(id);
    delete sim.world.resources.get(vm1.nic)?.body['properties'].virtualMachine;
    const network = [vm1.nic, vm1.publicIp].map((id) => sim.world.resources.get(id)?.body['properties'].resourceGuid);
    settings(sim.world).shortages.push({ code: 'ZonalAllocationFailed', at: 'operation' });
    const run = await actWithPost(sim, { zone: '1, 2' }, { env: { GITHUB_RUN_ID: '2' } });
    expect(errorOf(run)).toContain('ZonalAllocationFailed');
    expect(run.post?.stdout).toContain('Nothing to clean up');
    for (const id of [vm1.nic, vm1.publicIp]) expect(run.outputs['deleted']).not.toContain(id);
    const left = [vm1.nic, vm1.publicIp].map((id) => sim.world.resources.get(id)?.body['properties'].resourceGuid);
    expect(left).toEqual(network);
    expect(sim.world.resources.has(vm1.machine)).toBe(false);
  });

  test('reports nothing as left behind when another step of the job has deleted the deployment', async () => {
    const sim = await startWorld({
      world: (world) => void world.grant(principals.deploy, 'Role Based Access Control Administrator', group),
    });
    const before = snapshot(sim);
    const between = async (): Promise<void> => {
      const run = await act(sim, { operation: 'delete' }, { env: { GITHUB_ACTION: 'other' } });
      expect(errorOf(run)).toBe('');
    };
    const access = { identity: 'system', 'role-assignments': `Reader on ${group}` };
    const run = await actWithPost(sim, { ...access, cleanup: 'always' }, { between });
    expect([errorOf(run), warningsOf(run.post)]).toEqual(['', '']);
    expect(run.post?.stdout).toContain('Nothing was left to delete.');
    expectAllGone(sim, before);
  });

  test('deletes the disks with the VM when a cancelled run has updated only their tags', async () => {
    const sim = await startWorld();
    const before = snapshot(sim);
    const run = await actWithPost(
      sim,
      { cleanup: 'always', 'image-id': defaults.imageId('linux-data-disks') },
      {
        between: () => {
          for (const { id, body } of sim.world.resources.all()) {
            if (id.includes('/disks/')) body['tags'] = { ...body['tags'], 'github-run-id': '2' };
          }
        },
      },
    );
    expect([errorOf(run), run.exitCode, run.post?.exitCode]).toEqual(['', 0, 0]);
    expectAllGone(sim, before);
  });

  test('neither deletes nor writes to the NIC that the inputs name', async () => {
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
    // Azure writes the VM that uses it, and its MAC address.
    expect(disturbed(sim, before).filter((id) => id !== nic.toLowerCase())).toEqual([]);
    expect(writesOf(sim.journal).filter(({ path }) => path.includes('/networkInterfaces/'))).toEqual([]);
    expect(sim.world.resources.get(nic)?.body['properties'].virtualMachine).toBeUndefined();
  });
});

test.each(['while both are read', 'after a DELETE was refused', 'when the VM cannot be read'])(
  'delete keeps a role assignment whose VM somebody has taken over: %s',
  async (moment) => {
    const sim = await startWorld();
    const registry = addRegistry(sim.world, {
      subscription: defaults.subscriptionId,
      group: defaults.resourceGroup,
      name: 'images',
    });
    sim.world.grant(principals.deploy, 'User Access Administrator', registry);
    const made = await act(sim, { identity: 'system', 'role-assignments': `AcrPull on ${registry}` });
    expect(errorOf(made)).toBe('');
    const ofVm = () =>
      sim.world.roleAssignments.filter(({ principalId }) => principalId === made.outputs['principal-id']);
    const [assignment] = ofVm();
    const vm = sim.world.resources.get(vm1.machine);
    const own = { path: new RegExp(`${assignment?.id}\\?`) };
    const machine = { method: 'GET', path: /virtualMachines\/vm1\?/ };
    const takeOver = (): void => {
      if (vm) vm.body['tags'] = { owner: 'somebody' };
    };
    const fail = (match: FaultMatch, effect: FaultEffect): void => {
      sim.faults.add({ match, effect: { onArrival: takeOver } });
      sim.faults.add({ match, effect });
    };
    // The VM's first read finds its disks.
    if (moment === 'while both are read') {
      const arrived = arrivalOf(sim, { method: 'GET', ...own }, takeOver);
      sim.faults.add({ match: { ...machine, nth: 2 }, effect: { onArrival: () => arrived } });
    } else if (moment === 'after a DELETE was refused') {
      const busy = { status: 409, code: 'AnotherOperationInProgress', message: 'Another operation is in progress.' };
      fail({ method: 'DELETE', ...own }, busy);
    } else {
      const expired = { status: 401, code: 'InvalidAuthenticationToken', message: 'The access token is invalid.' };
      fail({ ...machine, nth: 2 }, expired);
    }
    await act(sim, { operation: 'delete' });
    expect(vm?.body['tags']).toEqual({ owner: 'somebody' });
    expect([assignment !== undefined, ofVm()]).toEqual([true, [assignment]]);
  },
);

describe('a VM of the same name that another run created', () => {
  test.concurrent('is kept by the post step of the run whose own VM is gone', async () => {
    const sim = await startWorld();
    let other: ReadonlyMap<string, string> = new Map();
    const between = async (): Promise<void> => {
      await addDeployment(sim, { tags: { 'github-run-id': '2' } });
      other = snapshot(sim);
    };
    const run = await actWithPost(sim, { cleanup: 'always' }, { env: { GITHUB_RUN_ID: '1' }, between });
    expect(run.post?.exitCode).toBe(0);
    expect(snapshot(sim)).toEqual(other);
    expect(warningsOf(run.post)).toContain(vm1.machine);
  });

  // Another run, attempt or job: mayDelete in __tests__/unit/deployment/ownership.test.ts
  test.concurrent('is kept by the post step of an earlier step of the same job', async () => {
    const sim = await startWorld();
    let adopted: ReadonlyMap<string, string> = new Map();
    const run = await actWithPost(
      sim,
      { cleanup: 'always' },
      {
        env: { GITHUB_ACTION: '__self' },
        between: async () => {
          expect((await act(sim, {}, { env: { GITHUB_ACTION: '__self_2' } })).exitCode).toBe(0);
          adopted = snapshot(sim);
        },
      },
    );
    expect(run.post?.exitCode).toBe(0);
    expect(snapshot(sim)).toEqual(adopted);
    expect(warningsOf(run.post)).toContain(vm1.machine);
  });

  // A sweep: delete-and-sweep.test.ts
  test.concurrent('is neither adopted nor deleted when the run belongs to another repository', async () => {
    const sim = await startWorld();
    await addDeployment(sim, { tags: { 'github-repository': 'fabrikam/other' } });
    const before = snapshot(sim);
    const adopting = await act(sim, { cleanup: 'always' });
    expect(adopting.exitCode).toBe(1);
    expect(errorOf(adopting)).toContain('belongs to another repository');
    expect(adopting.outputs['vm-id'] ?? '').toBe('');
    expect(await act(sim, { operation: 'delete' })).toMatchObject({ exitCode: 0 });
    expect(snapshot(sim)).toEqual(before);
  });
});

// The parts of the network are created by the same code. SIGTERM and SIGINT have the same handler.
test.concurrent.each<[string, 'SIGKILL' | 'SIGINT', readonly (keyof typeof vm1)[]]>([
  ['nsg, publicIp', 'SIGKILL', ['nsg', 'publicIp']],
  ['machine', 'SIGKILL', ['machine']],
  ['nsg, publicIp', 'SIGINT', ['nsg', 'publicIp']],
  ['machine', 'SIGINT', ['machine']],
])('the state has the ID of the %s before the PUT when %s ends the step during it', async (_, name, parts) => {
  const sim = await startWorld();
  const before = snapshot(sim);
  const ids = parts.map((part) => vm1[part]);
  const end = Promise.withResolvers<void>();
  const arrivals = ids.map((id) => {
    const arrival = Promise.withResolvers<void>();
    sim.faults.add({
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
    return arrival.promise;
  });
  const recorded: string[] = [];
  const run = await actWithPost(
    sim,
    {},
    {
      signal: { name, when: Promise.all(arrivals) },
      between: (main) => {
        recorded.push(...(cleanupStateOf(main)?.pending ?? []));
        end.resolve();
      },
    },
  );
  const puts = sim.journal.filter(({ method, faulted }) => method === 'PUT' && faulted);
  expect(puts).toHaveLength(ids.length);
  // After SIGINT the step itself has deleted what NIC and VM need, so Azure refuses those.
  for (const { status } of puts) expect([201, ...(name === 'SIGINT' ? [400] : [])]).toContain(status);
  expect([run.exitCode, run.post?.exitCode]).toEqual([name === 'SIGKILL' ? null : 1, 0]);
  // Azure creates the disk with the VM.
  expect(recorded).toEqual(expect.arrayContaining(parts[0] === 'machine' ? [...ids, vm1.osDisk] : ids));
  expectAllGone(sim, before);
});
