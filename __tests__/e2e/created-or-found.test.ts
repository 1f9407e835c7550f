/** Which resources a run has created: decided by the answers to its PUTs, also when Azure is late or somebody is faster. */
import { describe, expect, test } from '@jest/globals';
import {
  act,
  addIdentity,
  addStranger,
  addStrangers,
  cleanupStateOf,
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
const main = { phases: ['main'] } as const;
const notFound = { status: 404, code: 'ResourceNotFound', message: 'The Resource was not found.' } as const;

describe('a network resource that appears between its lookup and its PUT', () => {
  // The parts of the network are created by the same code.
  test.concurrent.each([
    ['vnet', vm1.vnet, actWithPost],
    ['publicIp', vm1.publicIp, act],
  ])('is not deleted, and fails the step: %s', async (_, id, runSteps) => {
    const sim = await startWorld({ world: (world) => addStrangers(world, 'vm1') });
    const before = snapshot(sim);
    sim.faults.add({
      match: { method: 'PUT', path: new RegExp(`${id}(\\?|$)`) },
      effect: { onArrival: () => addStranger(sim.world, id) },
    });
    const run = await runSteps(sim, { cleanup: 'always' });
    expect([run.exitCode, run.post?.exitCode ?? 0]).toEqual([1, 0]);
    expect(errorOf(run)).toContain('exists, although this step did not find it before');
    expect(errorOf(run)).toContain(id);
    // Azure has no conditional PUT of a network: ours put the security group on its subnet, and it cannot be deleted then.
    const kept = id === vm1.vnet ? [vm1.nsg] : [];
    expect(since(sim, before).toSorted()).toEqual([id, ...kept].toSorted());
    for (const left of kept) expect(warningsOf(run)).toContain(left);
    expect(run.outputs['created']).not.toContain(id);
    expect(JSON.stringify(cleanupStateOf(run)?.created)).not.toContain(id);
    expect(errorOf(run)).toContain(`az tag update --resource-id ${id} --operation Delete --tags cross-tenant-vm=vm1`);
  });
});

describe('a resource that appears after its group was listed', () => {
  test.concurrent.each([
    ['vnet', vm1.vnet],
    ['nic', vm1.nic],
  ])('is not overwritten: %s', async (_, id) => {
    const sim = await startWorld();
    const match = { method: 'GET', path: new RegExp(`${id}(\\?|$)`), times: 1 } as const;
    sim.faults.add({ match, effect: { onArrival: () => addStranger(sim.world, id) } });
    const run = await act(sim, {}, main);
    expect(run.exitCode).toBe(1);
    expect(errorOf(run)).toContain('already exists and was not created by this action');
    expect(writesOf(sim.journal).filter(({ path }) => path === id)).toEqual([]);
  });

  test.concurrent('is used and kept when it is an identity', async () => {
    const sim = await startWorld();
    const id = `${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/puller`;
    // The first read finds no identity.
    const match = { method: 'GET', path: /userAssignedIdentities\/puller/, nth: 2, times: 1 } as const;
    sim.faults.add({ match, effect: { onArrival: () => void addIdentity(sim.world, id) } });
    const run = await actWithPost(sim, { identity: 'puller', cleanup: 'always' });
    expect([errorOf(run), run.exitCode]).toEqual(['', 0]);
    expect(writesOf(sim.journal).filter(({ path }) => path === id)).toEqual([]);
    expect(sim.world.resources.has(id)).toBe(true);
  });
});

test.concurrent("an identity that somebody creates while ours is refused is not listed as this run's", async () => {
  const sim = await startWorld();
  const id = `${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/puller`;
  const path = /userAssignedIdentities\/puller/;
  sim.faults.add({
    match: { method: 'PUT', path },
    effect: { status: 503, code: 'ServiceUnavailable', message: 'Not now.' },
  });
  // Preflight and the PUT have each looked before.
  const match = { method: 'GET', path, nth: 3, times: 1 } as const;
  sim.faults.add({ match, effect: { onArrival: () => void addIdentity(sim.world, id) } });
  const run = await actWithPost(sim, { identity: 'puller', cleanup: 'always' });
  expect([errorOf(run), run.exitCode, run.post?.exitCode]).toEqual(['', 0, 0]);
  expect(run.outputs['created']).not.toContain(id);
  expect(JSON.stringify(cleanupStateOf(run)?.created)).not.toContain(id);
  expect(sim.world.resources.has(id)).toBe(true);
});

describe('a network resource that the group lists and a GET does not find', () => {
  test.concurrent.each([
    ['for seconds', 3, 'was not created by this action'],
    ['for minutes', Number.POSITIVE_INFINITY, 'is listed in its resource group'],
  ])('is not overwritten when it is missing %s', async (_, times, message) => {
    const sim = await startWorld();
    addStranger(sim.world, vm1.publicIp);
    sim.world.clock.advance(60);
    const before = JSON.stringify(sim.world.resources.get(vm1.publicIp)?.body);
    sim.faults.add({ match: { method: 'GET', path: /publicIPAddresses\/vm1-ip/, times }, effect: notFound });
    const run = await act(sim, {}, main);
    expect(run.exitCode).toBe(1);
    expect(errorOf(run)).toContain(message);
    expect(errorOf(run)).toContain(vm1.publicIp);
    expect(JSON.stringify(sim.world.resources.get(vm1.publicIp)?.body)).toBe(before);
  });
});

test.concurrent('the next size replaces our failed VM when its operation ended with HTTP 409', async () => {
  const sim = await startWorld();
  const before = snapshot(sim);
  sim.world.latencies['vmPutLinux'] = 0.1;
  // With Location only, the poll has the status of the error.
  sim.faults.add({
    match: { phase: 'poll', path: /Microsoft\.Compute\/locations/ },
    effect: { status: 409, code: 'AllocationFailed', message: 'Allocation failed.' },
  });
  const run = await actWithPost(sim, { 'vm-size': 'Standard_D2s_v5\nStandard_D4s_v5', cleanup: 'always' });
  expect([run.exitCode, run.post?.exitCode]).toEqual([0, 0]);
  expect(run.outputs['vm-size']).toBe('Standard_D4s_v5');
  expectAllGone(sim, before);
});

describe('a resource that Azure accepted but does not show yet', () => {
  const get = (path: RegExp, nth: number, times: number) => ({
    match: { method: 'GET', path, nth, times } as const,
    effect: notFound,
  });

  test('is waited for by create, and found again or reported by the post step', async () => {
    const sim = await startWorld();
    const before = snapshot(sim);
    // The first read is for the address: a free name is looked up in the list of the group.
    const address = sim.faults.add(get(/publicIPAddresses\/vm1-ip/, 1, 7));
    const run = await actWithPost(
      sim,
      { cleanup: 'always' },
      {
        between: () => {
          expect(address.applied).toBe(7);
          sim.faults.add(get(/virtualMachines\/vm1\?/, 1, 3));
          sim.faults.add(get(/virtualNetworks\/vm1-vnet/, 1, 3));
          sim.faults.add(get(/networkSecurityGroups\/vm1-nsg/, 1, Number.POSITIVE_INFINITY));
        },
      },
    );
    expect([errorOf(run), run.exitCode, run.post?.exitCode]).toEqual(['', 0, 0]);
    expect(since(sim, before)).toEqual([vm1.nsg]);
    expect(warningsOf(run.post)).toContain(vm1.nsg);
    expect(warningsOf(run.post)).toContain('may be left behind');
  });
});
