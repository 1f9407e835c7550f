import { describe, expect, test } from '@jest/globals';
import { settings } from '../../simulator/providers/compute/settings.ts';
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
// The parts of the network are created by the same code.
test.concurrent.each([
  ['public IP', 'publicIPAddresses', actWithPost],
  ['machine', 'virtualMachines', act],
] as const)('deletes what was created and reports the error when Azure refuses the %s', async (_, type, runSteps) => {
  const sim = await startWorld({ world: (made) => addStrangers(made, 'vm1') });
  const before = snapshot(sim);
  sim.faults.add({
    match: { method: 'PUT', path: new RegExp(`/${type}/`) },
    effect: {
      status: 403,
      code: 'RequestDisallowedByPolicy',
      message: 'Resource was disallowed by policy.',
    },
  });
  const run = await runSteps(sim);
  expect(run.exitCode).toBe(1);
  expect(errorOf(run)).toContain('RequestDisallowedByPolicy');
  expect(errorOf(run)).toMatch(/Correlation ID: [0-9a-f-]{36}/);
  expectAllGone(sim, before);
  expect(cleanupStateOf(run)).toMatchObject({ created: [], completed: false });
  expect(run.outputs['created']).not.toContain(`/${type}/`);
  // No output names what does not exist.
  expect(Object.values(run.outputs).filter((value) => value.startsWith(group))).toEqual([]);
  expect(run.outputs['public-ip-address'] ?? '').toBe('');
  if (run.post)
    expect([run.post.exitCode, run.post.stdout]).toEqual([0, expect.stringContaining('Nothing to clean up')]);
});

test.concurrent('keeps and lists everything with `cleanup: never` when the VM fails', async () => {
  const sim = await startWorld();
  const before = snapshot(sim);
  sim.faults.add({
    match: { method: 'PUT', path: /\/virtualMachines\// },
    effect: { operationFails: { code: 'OperationNotAllowed', message: 'oops' } },
  });
  const run = await actWithPost(sim, { cleanup: 'never' });
  expect([run.exitCode, run.post?.exitCode]).toEqual([1, 0]);
  expect(errorOf(run)).toContain('OperationNotAllowed');
  expect(errorOf(run)).not.toContain('long-running operation');
  const left = since(sim, before);
  expect(left.length).toBeGreaterThan(4);
  for (const id of left) expect(warningsOf(run)).toContain(id);
});

// Both signals have the same handler. A signal during the PUT of each resource: ownership.test.ts
test.concurrent.each([
  ['virtualNetworks', 'vnetPut', 'SIGINT'],
  ['virtualMachines', 'vmPutLinux', 'SIGTERM'],
] as const)('a PUT to %s (%s) does not delay the deletions when %s ends the step', async (type, hanging, name) => {
  const sim = await startWorld({ world: (made) => addStrangers(made, 'vm1') });
  const before = snapshot(sim);
  for (const latency of ['nsgPut', 'vnetPut', 'publicIpPut', 'nicPut', 'vmPutLinux']) sim.world.latencies[latency] = 1;
  sim.world.latencies[hanging] = 100_000;
  // Only a DELETE that was refused and sent again ends the operation: a run that waits for it first never ends.
  sim.faults.add({
    match: { method: 'DELETE', path: new RegExp(`/${type}/`), nth: 2 },
    effect: { onArrival: () => sim.world.clock.advance(100_000) },
  });
  // On a busy machine the post step deletes what the step had no time for.
  const run = await actWithPost(sim, {}, { signal: { name, whenLog: new RegExp(`::debug::PUT \\S+/${type}/`) } });
  expect([run.exitCode, run.post?.exitCode]).toEqual([1, 0]);
  expect(errorOf(run)).toContain(`The workflow run was cancelled (${name})`);
  expectAllGone(sim, before);
});

describe('cleanup', () => {
  test('reads the VM with its parts and deletes it first, and the security group after the network that uses it', async () => {
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
    const requests = sim.journal.filter(({ host }) => host === 'arm').map(({ method, path }) => [method, path]);
    const deletion = requests.findIndex(([method]) => method === 'DELETE');
    // The VM is read at the same time as what Azure deletes with it.
    const read = [vm1.machine, vm1.osDisk, vm1.nic, vm1.publicIp].map((id) => ['GET', id]);
    expect(new Set(requests.slice(deletion - read.length, deletion))).toEqual(new Set(read));
  });

  test('does not look for a public IP that Azure deleted with its network interface', async () => {
    const sim = await startWorld();
    const before = snapshot(sim);
    sim.faults.add({
      match: { method: 'PUT', path: /\/virtualMachines\/vm1\?/ },
      effect: { status: 409, code: 'SkuNotAvailable', message: 'The requested VM size is not available.' },
    });
    sim.faults.add({
      match: { method: 'DELETE', path: /\/networkInterfaces\/vm1-nic\?/ },
      effect: { onArrival: () => sim.world.resources.remove(vm1.publicIp) },
    });
    const run = await actWithPost(sim);
    expect(errorOf(run)).toContain('SkuNotAvailable');
    expect(JSON.parse(run.outputs['deleted'] ?? '')).toContain(vm1.publicIp);
    expect([warningsOf(run), warningsOf(run.post)]).toEqual(['', '']);
    expect(run.stdout).not.toContain('checking again');
    expectAllGone(sim, before);
  });

  test('waits when Azure reserves the NIC for its failed VM', async () => {
    const sim = await startWorld({ timeScale: 0.02 });
    const before = snapshot(sim);
    settings(sim.world).shortages.push({ code: 'AllocationFailed', at: 'operation' });
    // Somebody detaches the NIC from the failed VM, so that it is not deleted with it: Azure reserves it for 180 s.
    const detach = (): void => {
      const machine = sim.world.resources.get(vm1.machine)?.body['properties'];
      if (machine) machine.networkProfile.networkInterfaces[0].properties.deleteOption = 'Detach';
    };
    const run = await act(sim, {}, { onLine: detach });
    expect(run.exitCode).toBe(1);
    expect(errorOf(run)).toContain('AllocationFailed');
    expect([run.outputs['vm-size'], run.outputs['spot']]).toEqual(['', '']);
    expect(run.stdout).toContain('is not deleted yet (NicReservedForAnotherVm)');
    expectAllGone(sim, before);
  });

  test.each(['on-failure', 'never'])(
    'offers commands for the failed VM only if it exists, with `cleanup: %s`',
    async (cleanup) => {
      const sim = await startWorld();
      const codes = ['OSProvisioningTimedOut', 'VMStartTimedOut', 'VMExtensionProvisioningError'];
      for (const [index, code] of codes.entries()) {
        sim.faults.add({
          match: { method: 'PUT', path: /\/virtualMachines\//, nth: index + 1 },
          effect: { operationFails: { code, message: "VM 'vm1' failed." } },
        });
      }
      for (const command of ['az vm delete', 'az vm get-instance-view', 'az vm get-instance-view']) {
        const run = await act(sim, { cleanup });
        expect(errorOf(run)).toContain('What to do:');
        if (cleanup === 'never') {
          expect(errorOf(run)).toContain(command);
          await act(sim, { operation: 'delete' });
        } else expect(errorOf(run)).not.toMatch(/\baz vm |incurs costs/);
      }
    },
  );

  test('lists the IDs of what cannot be deleted, and reports the first error', async () => {
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
    // It is in the state, so the post step tries again and warns again.
    expect(warningsOf(run.post)).toContain(vm1.machine);
  });

  test('deletes everything when the time limit is reached', async () => {
    const sim = await startWorld();
    const before = snapshot(sim);
    sim.world.latencies['vmPutLinux'] = 100_000;
    const run = await act(sim, { 'timeout-minutes': '4' });
    expect(run.exitCode).toBe(1);
    expect(errorOf(run)).toContain('The time limit of 4 minutes was reached');
    expectAllGone(sim, before);
  });

  test('is finished by the post step when the runner kills the step during it', async () => {
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

  test('does not wait for a Retry-After when the run is cancelled', async () => {
    const sim = await startWorld();
    sim.faults.add({
      match: { path: /virtualMachines\/vm1/, times: Number.POSITIVE_INFINITY },
      effect: { status: 429, code: 'TooManyRequests', message: 'later', headers: { 'retry-after': '3000' } },
    });
    // Up to 1 s is added at random. A wait of 3,000 s would not end within the limit of the test.
    const run = await act(sim, {}, { signal: { name: 'SIGINT', whenLog: /retrying in 300\d/ } });
    expect(run.exitCode).toBe(1);
  });

  test('has nothing to do when the step was killed before its first write', async () => {
    const sim = await startWorld();
    const arrival = arrivalOf(sim, { method: 'GET', path: /resourceGroups\/deploy-rg/ });
    const run = await actWithPost(sim, {}, { signal: { name: 'SIGKILL', when: arrival } });
    expect([run.exitCode, cleanupStateOf(run)]).toEqual([null, undefined]);
    expect(sim.journal.some(({ faulted }) => faulted)).toBe(true);
    expect(run.post?.stdout).toContain('Nothing to clean up');
    expect(writesOf(sim.journal)).toEqual([]);
  });
});
