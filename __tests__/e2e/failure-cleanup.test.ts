import { describe, expect, test } from '@jest/globals';
import { settings } from '../../simulator/providers/compute/settings.ts';
import { defaults } from '../../simulator/index.ts';
import {
  act,
  addStrangers,
  arrivalOf,
  errorOf,
  group,
  expectAllGone,
  cleanupStateOf,
  partsOf,
  snapshot,
  since,
  startWorld,
  warningsOf,
  writesOf,
  actWithPost,
} from '../support/lifecycle.ts';

const vm1 = partsOf('vm1');
const stages = [
  ['security group', 'networkSecurityGroups'],
  ['virtual network', 'virtualNetworks'],
  ['public IP', 'publicIPAddresses'],
  ['interface', 'networkInterfaces'],
  ['machine', 'virtualMachines'],
] as const;

describe.each(stages)('a failure at the %s', (_, type) => {
  const match = { method: 'PUT', path: new RegExp(`/${type}/`) };

  test.concurrent('on-failure: what was created goes, the error stays the error', async () => {
    const sim = await startWorld({ world: (made) => addStrangers(made, 'vm1') });
    const before = snapshot(sim);
    sim.faults.add({
      match,
      effect: {
        status: 403,
        code: 'RequestDisallowedByPolicy',
        message: 'Resource was disallowed by policy.',
      },
    });
    const run = await actWithPost(sim);
    expect([run.exitCode, run.post?.exitCode]).toEqual([1, 0]);
    expect(errorOf(run)).toContain('RequestDisallowedByPolicy');
    expect(errorOf(run)).toMatch(/Correlation ID: [0-9a-f-]{36}/);
    expectAllGone(sim, before);
    expect(cleanupStateOf(run)).toMatchObject({ created: [], completed: false });
    // What was refused was never created.
    expect(run.outputs['created']).not.toContain(`/${type}/`);
    // No output names what does not exist.
    expect(Object.values(run.outputs).filter((value) => value.startsWith(group))).toEqual([]);
    expect(run.outputs['public-ip-address'] ?? '').toBe('');
    expect(run.post?.stdout).toContain('Nothing to clean up');
  });

  test.concurrent('never: all of it stays and is listed', async () => {
    const sim = await startWorld();
    const before = snapshot(sim);
    // Otherwise there is no operation that could fail: an interface is often made at once.
    sim.world.latencies['nicPut'] = 1;
    sim.faults.add({
      match,
      effect: { operationFails: { code: 'OperationNotAllowed', message: 'oops' } },
    });
    const run = await actWithPost(sim, { cleanup: 'never' });
    expect([run.exitCode, run.post?.exitCode]).toEqual([1, 0]);
    expect(errorOf(run)).toContain('OperationNotAllowed');
    const left = since(sim, before);
    expect(left.length).toBeGreaterThan(0);
    for (const id of left) expect(warningsOf(run)).toContain(id);
  });

  // Both signals have the same handler, so one resource is enough for the second one.
  test.concurrent.each(type === 'virtualMachines' ? (['SIGINT', 'SIGTERM'] as const) : (['SIGINT'] as const))(
    '%s while it is made: deletions start at once, all is gone',
    async (name) => {
      const sim = await startWorld({ world: (made) => addStrangers(made, 'vm1') });
      const before = snapshot(sim);
      for (const latency of ['nsgPut', 'vnetPut', 'publicIpPut', 'nicPut', 'vmPutLinux'])
        sim.world.latencies[latency] = 1;
      const hanging = {
        networkSecurityGroups: 'nsgPut',
        virtualNetworks: 'vnetPut',
        publicIPAddresses: 'publicIpPut',
        networkInterfaces: 'nicPut',
        virtualMachines: 'vmPutLinux',
      }[type];
      sim.world.latencies[hanging] = 100_000;
      // Only a DELETE that was refused and sent again ends the operation: a run that waits for it first never ends.
      sim.faults.add({
        match: { method: 'DELETE', path: match.path, nth: 2 },
        effect: { onArrival: () => sim.world.clock.advance(100_000) },
      });
      const run = await actWithPost(sim, {}, { signal: { name, whenLog: new RegExp(`::debug::PUT \\S+/${type}/`) } });
      expect([run.exitCode, run.post?.exitCode]).toEqual([1, 0]);
      expect(errorOf(run)).toContain(`The workflow run was cancelled (${name})`);
      expectAllGone(sim, before);
    },
  );
});

describe('clean-up', () => {
  test('deletes the VM first and the security group after the network that uses it', async () => {
    const sim = await startWorld();
    const run = await actWithPost(sim, { cleanup: 'always' });
    expect([run.exitCode, run.post?.exitCode]).toEqual([0, 0]);
    const deletions = sim.journal.filter(({ method }) => method === 'DELETE');
    // Azure deletes disk, interface and public IP with the VM. A DELETE that comes too early would be refused and repeated.
    expect(deletions.map(({ path, status }) => [path, status])).toEqual([
      [vm1.machine, 202],
      [vm1.vnet, 202],
      [vm1.nsg, 202],
    ]);
  });

  test('waits for an interface that Azure keeps for its failed machine', async () => {
    const sim = await startWorld({ timeScale: 0.02 });
    const before = snapshot(sim);
    settings(sim.world).shortages.push({ code: 'AllocationFailed', at: 'operation' });
    // Somebody detaches the interface from the failed machine: it outlives that, and is held for 180 s.
    const detach = (): void => {
      const machine = sim.world.resources.get(vm1.machine)?.body['properties'];
      if (machine) machine.networkProfile.networkInterfaces[0].properties.deleteOption = 'Detach';
    };
    const run = await actWithPost(sim, {}, { onLine: detach });
    expect(run.exitCode).toBe(1);
    expect(errorOf(run)).toContain('AllocationFailed');
    expect(run.stdout).toContain('is still in use (NicReservedForAnotherVm)');
    expectAllGone(sim, before);
  });

  test('what cannot be deleted is listed with its ID, and the first error stays the error', async () => {
    const sim = await startWorld();
    settings(sim.world).provisioning.push({
      failure: { code: 'OSProvisioningTimedOut', message: '' },
      afterSeconds: 20,
    });
    sim.faults.add({
      match: { method: 'DELETE', path: /virtualMachines/, times: Number.POSITIVE_INFINITY },
      effect: { status: 403, code: 'AuthorizationFailed', message: 'may not delete' },
    });
    const run = await actWithPost(sim);
    expect([run.exitCode, run.post?.exitCode]).toEqual([1, 0]);
    expect(errorOf(run)).toContain('OSProvisioningTimedOut');
    for (const id of Object.values(vm1)) expect(warningsOf(run)).toContain(id);
    expect(warningsOf(run)).toContain('AuthorizationFailed');
    // It was recorded, so the post step tries again and says so again.
    expect(warningsOf(run.post)).toContain(vm1.machine);
  });

  test('the time limit ends the step as a failed create', async () => {
    const sim = await startWorld();
    const before = snapshot(sim);
    sim.world.latencies['vmPutLinux'] = 100_000;
    const run = await actWithPost(sim, { 'timeout-minutes': '4' });
    expect([run.exitCode, run.post?.exitCode]).toEqual([1, 0]);
    expect(errorOf(run)).toContain('The time limit of 4 minutes was reached');
    expectAllGone(sim, before);
  });

  test('the runner ends it in the middle of clean-up: the post step finishes', async () => {
    const sim = await startWorld();
    const before = snapshot(sim);
    const vm = /virtualMachines/;
    // Not a cancel: its own limit may end the step before the runner does.
    settings(sim.world).shortages.push({ code: 'AllocationFailed', at: 'operation' });
    const when = arrivalOf(sim, { method: 'DELETE', path: vm });
    const run = await actWithPost(sim, {}, { signal: { name: 'SIGKILL', when } });
    expect(run.exitCode).toBeNull();
    expect(sim.journal.some(({ method, path }) => method === 'DELETE' && path.includes('virtualMachines'))).toBe(true);
    expect(run.post?.exitCode).toBe(0);
    expectAllGone(sim, before);
  });

  test('a pause that Azure asked for does not hold up a cancelled run', async () => {
    const sim = await startWorld();
    sim.faults.add({
      match: { path: /virtualMachines\/vm1/, times: Number.POSITIVE_INFINITY },
      effect: { status: 429, code: 'TooManyRequests', message: 'later', headers: { 'retry-after': '1200' } },
    });
    const run = await act(sim, {}, { signal: { name: 'SIGINT', whenLog: /retrying in 1200/ } });
    // That it has ended at all: nobody here waits for 1200 s.
    expect(run.exitCode).toBe(1);
  });

  test('keeps a deployment that a later run has adopted', async () => {
    const sim = await startWorld();
    let adopted: ReadonlyMap<string, string> = new Map();
    const run = await actWithPost(
      sim,
      { cleanup: 'always' },
      {
        env: { GITHUB_RUN_ID: '1' },
        between: async () => {
          const later = await act(sim, { cleanup: 'on-failure' }, { phases: ['main'], env: { GITHUB_RUN_ID: '2' } });
          expect(later.exitCode).toBe(0);
          adopted = snapshot(sim);
        },
      },
    );
    expect(run.post?.exitCode).toBe(0);
    expect(snapshot(sim)).toEqual(adopted);
    expect(warningsOf(run.post)).toContain(vm1.machine);
    // The other way round: what it only took over stays with the run whose tags are on it.
    const other = await startWorld();
    expect((await act(other, {}, { phases: ['main'], env: { GITHUB_RUN_ID: '1' } })).exitCode).toBe(0);
    const before = snapshot(other);
    const adopting = await actWithPost(
      other,
      { cleanup: 'always' },
      {
        env: { GITHUB_RUN_ID: '2' },
        between: async () => {
          expect((await act(other, {}, { phases: ['main'], env: { GITHUB_RUN_ID: '3' } })).exitCode).toBe(0);
        },
      },
    );
    expect(adopting.post?.exitCode).toBe(0);
    expect([...before.keys()].filter((id) => !other.world.resources.has(id))).toEqual([]);
    expect(writesOf(other.journal).some(({ method }) => method === 'DELETE')).toBe(false);
    expect(defaults.resourceGroup).toBeTruthy();
  });

  test('killed before it recorded anything, the job leaves nothing, and its post step creates nothing', async () => {
    const sim = await startWorld();
    const arrival = arrivalOf(sim, { method: 'GET', path: /resourceGroups\/deploy-rg/ });
    const run = await actWithPost(sim, {}, { signal: { name: 'SIGKILL', when: arrival } });
    expect([run.exitCode, cleanupStateOf(run)]).toEqual([null, undefined]);
    expect(sim.journal.some(({ faulted }) => faulted)).toBe(true);
    expect(run.post?.stdout).toContain('Nothing to clean up');
    expect(writesOf(sim.journal)).toEqual([]);
  });
});
