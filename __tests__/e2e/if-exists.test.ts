import { beforeAll, describe, expect, test } from '@jest/globals';
import type { FaultMatch } from '../../simulator/engine/faults.ts';
import type { Exchange } from '../../simulator/engine/journal.ts';
import { settings } from '../../simulator/providers/compute/settings.ts';
import { defaults, principals, type Simulator } from '../../simulator/index.ts';
import { generatedKey, type Run } from '../support/harness.ts';
import {
  act,
  actWithPost,
  addDeployment,
  arrivalOf,
  errorOf,
  group,
  partsOf,
  snapshot,
  startWorld,
  warningsOf,
  writesOf,
} from '../support/lifecycle.ts';

const vm1 = partsOf('vm1');
const oldVersion = { 'image-id': defaults.imageId('linux', '1.9.0') };
const replace = { 'if-exists': 'replace' };
const vmOf = (sim: Simulator): any => sim.world.resources.get(vm1.machine)?.body;
const network = (sim: Simulator) =>
  new Map(
    [vm1.nic, vm1.nsg, vm1.vnet, vm1.publicIp].map((id) => {
      const body = sim.world.resources.get(id)?.body as any;
      return [id, body && [body.properties.ipAddress, body.properties.resourceGuid]];
    }),
  );

describe('if-exists: replace', () => {
  const access = { identity: 'system', 'role-assignments': `Reader on ${group}` };
  let sim: Simulator;
  let first: Run;
  let second: Run;
  let before: ReturnType<typeof network>;
  /** Of the VM of `second`, the network, and how many roles the identities of both VMs have. */
  let after: { readonly vm: any; readonly network: ReturnType<typeof network>; readonly roles: readonly number[] };
  const assigned = ({ outputs }: Run) =>
    sim.world.roleAssignments.filter(({ principalId }) => principalId === outputs['principal-id']);
  beforeAll(async () => {
    sim = await startWorld({
      world: (world) => void world.grant(principals.deploy, 'Role Based Access Control Administrator', group),
    });
    first = await act(sim, { ...access, ...oldVersion });
    expect([errorOf(first), assigned(first).length]).toEqual(['', 1]);
    before = network(sim);
    const changed = { 'vm-size': 'Standard_D4s_v5', 'admin-username': 'alice', ...generatedKey };
    second = await act(sim, { ...access, ...replace, ...changed });
    expect([errorOf(second), second.exitCode]).toEqual(['', 0]);
    const roles = [first, second].map((run) => assigned(run).length);
    after = { vm: structuredClone(vmOf(sim).properties), network: network(sim), roles };
  });

  test('replaces VM and disk when image version, size and admin user differ', () => {
    expect(second.outputs).toMatchObject({ outcome: 'replaced', 'image-version': '1.10.0' });
    expect(second.outputs['vm-instance-id']).not.toBe(first.outputs['vm-instance-id']);
    const deleted: string[] = JSON.parse(second.outputs['deleted'] ?? '');
    expect(deleted).toEqual([expect.stringContaining('/roleAssignments/'), vm1.machine, vm1.osDisk]);
    expect(second.summary).toContain('| image version | 1.9.0 | 1.10.0 |');
    expect(after.vm).toMatchObject({
      hardwareProfile: { vmSize: 'Standard_D4s_v5' },
      osProfile: { adminUsername: 'alice' },
    });
    expect(second.outputs['ssh-private-key-path']).toMatch(/id_rsa$/);
  });

  test('keeps network and addresses', () => {
    for (const name of ['public-ip-address', 'private-ip-address', 'nic-id'])
      expect([name, second.outputs[name]]).toEqual([name, first.outputs[name]]);
    expect(after.network).toEqual(before);
    expect(after.vm.networkProfile.networkInterfaces[0].properties.deleteOption).toBe('Delete');
  });

  test('assigns the roles to the new system-assigned identity and deletes those of the old one', () => {
    expect(after.roles).toEqual([0, 1]);
  });

  test('keeps the network when the new VM is refused, says that a rerun creates it, and keeps one that matches', async () => {
    sim.faults.add({
      match: { method: 'PUT', path: /virtualMachines\/vm1\?/ },
      effect: { status: 400, code: 'BadRequest', message: 'No.' },
    });
    const failed = await act(sim, { ...replace, ...oldVersion }, { phases: ['main', 'post'] });
    expect(failed.exitCode).toBe(1);
    expect(failed.outputs['outcome']).toBe('');
    expect(warningsOf(failed)).toContain('Deployment vm1 has no VM now');
    expect(network(sim)).toEqual(before);
    const again = await act(sim, { ...replace, ...oldVersion });
    expect([errorOf(again), again.outputs['outcome']]).toEqual(['', 'created']);
    expect(network(sim)).toEqual(before);
    const matching = await act(sim, { ...replace, ...oldVersion });
    expect(matching.outputs).toMatchObject({ outcome: 'kept', 'vm-instance-id': again.outputs['vm-instance-id'] });
  });
});

test('does not call the old VM rolled back when Azure refuses the new one', async () => {
  const sim = await startWorld();
  await addDeployment(sim);
  sim.faults.add({
    match: { method: 'PUT', path: /\/virtualMachines\/vm1/ },
    effect: { status: 409, code: 'OperationNotAllowed', message: 'refused' },
  });
  const run = await act(sim, { ...replace, 'vm-size': 'Standard_D4s_v5' });
  expect(errorOf(run)).toContain('refused');
  expect(run.summary).toContain('Deleted: 2 resources');
  expect(run.summary).not.toContain('Rolled back');
});

test('reports the disks of a VM that cannot be deleted as attached, not as those of another deployment', async () => {
  const sim = await startWorld();
  expect(errorOf(await act(sim, oldVersion))).toBe('');
  sim.faults.add({
    match: { method: 'DELETE', path: /\/virtualMachines\/vm1\?/, times: Number.POSITIVE_INFINITY },
    effect: { status: 409, code: 'ScopeLocked', message: 'The scope is locked.' },
  });
  const run = await act(sim, replace);
  expect(errorOf(run)).toContain('ScopeLocked');
  expect(warningsOf(run)).not.toContain('their tags do not name');
  expect(warningsOf(run)).toMatch(/vm1-osdisk: .*attached/);
  expect(sim.world.resources.has(vm1.osDisk)).toBe(true);
});

describe('a VM that another run has replaced since it was found', () => {
  test.each(['never started', 'had an old image', 'did not exist'])(
    'is kept when the one before %s',
    async (reason) => {
      const sim = await startWorld();
      if (reason === 'never started') {
        settings(sim.world).shortages.push({ code: 'AllocationFailed', at: 'operation', times: 1 });
        expect((await act(sim, { cleanup: 'never' })).exitCode).toBe(1);
      } else if (reason === 'had an old image') {
        await addDeployment(sim, { inputs: oldVersion });
      }
      let other: Run | undefined;
      const replaceFirst = async (): Promise<void> => {
        other = await act(sim, replace, { env: { GITHUB_RUN_ID: '3' } });
      };
      // The group is listed after the VM was not found: then the list shows what is left of a deployment.
      const list = { method: 'GET', path: /deploy-rg\/resources\?/ };
      const match = reason === 'did not exist' ? list : { method: 'PATCH', path: /tags\/default/ };
      sim.faults.add({ match, effect: { onArrival: replaceFirst } });
      const run = await actWithPost(sim, replace, { env: { GITHUB_RUN_ID: '2' } });
      expect([run.exitCode, other && errorOf(other)]).toEqual([1, '']);
      expect(errorOf(run)).toContain(`Another run has replaced or taken over ${vm1.machine} since.`);
      expect(vmOf(sim)?.properties.vmId).toBe(other?.outputs['vm-instance-id']);
      expect(run.outputs).toMatchObject({ created: '[]', deleted: '[]' });
    },
  );
});

test('a replacement that fails keeps the network and its addresses', async () => {
  const sim = await startWorld();
  await addDeployment(sim, { inputs: oldVersion });
  const before = network(sim);
  settings(sim.world).shortages.push({ code: 'AllocationFailed', at: 'operation' });
  const run = await actWithPost(sim, replace, { env: { GITHUB_RUN_ID: '2' } });
  expect([run.exitCode, run.outputs['deleted']]).toEqual([1, JSON.stringify([vm1.machine, vm1.osDisk])]);
  expect(warningsOf(run)).toContain('Its network, addresses and identities are unchanged.');
  expect(network(sim)).toEqual(before);
});

/** Replaces the VM of image version `from` in a further workflow run. */
function replaceOnce(sim: Simulator, from: string, run: number, options: Parameters<typeof act>[2] = {}) {
  const image = from === '1.9.0' ? defaults.imageId('linux') : defaults.imageId('linux', '1.9.0');
  return act(sim, { ...replace, 'image-id': image }, { env: { GITHUB_RUN_ID: `${run}` }, ...options });
}

/** A match for each request of a replacement from its first write on, counted from its first request. */
function requestsOfReplacement(journal: readonly Exchange[]): readonly FaultMatch[] {
  // Not the boot log, whose path differs each time.
  const sent = journal.filter(({ host }) => host === 'arm');
  const seen = new Map<string, number>();
  const matches = sent.map(({ method, path, isPoll }): FaultMatch => {
    const key = isPoll ? 'poll' : `${method} ${path}`;
    const nth = (seen.get(key) ?? 0) + 1;
    seen.set(key, nth);
    if (isPoll) return { phase: 'poll', nth };
    return { phase: 'request', method, path: new RegExp(`^${path.replaceAll(/[.()]/g, '\\$&')}(?:\\?|$)`), nth };
  });
  // The number of polls depends on the speed of the machine; every replacement has two.
  const firstWrite = sent.findIndex((exchange) => writesOf([exchange]).length > 0);
  return matches.slice(firstWrite).filter(({ phase, nth = 1 }) => phase === 'request' || nth <= 2);
}

describe('a deployment that is created with `if-exists: fail`', () => {
  let sim: Simulator;
  beforeAll(async () => {
    sim = await startWorld();
    const first = await act(sim, { ...oldVersion, 'if-exists': 'fail' });
    expect([errorOf(first), first.outputs['outcome']]).toEqual(['', 'created']);
  });

  test('fails a further step with it, without a write', async () => {
    const before = snapshot(sim);
    const written = writesOf(sim.journal).length;
    const run = await act(sim, { 'if-exists': 'fail' });
    expect(run.exitCode).toBe(1);
    expect(errorOf(run)).toContain('Deployment vm1 already exists');
    expect(errorOf(run)).toContain('if-exists: keep');
    expect(writesOf(sim.journal)).toHaveLength(written);
    expect(snapshot(sim)).toEqual(before);
  });

  /** REPLACE_KILLED_AT=all: at every request (`npm run test:soak`); by default at some of them. */
  test('is replaced by a rerun when a replacement was killed at any request, with the same network and one VM', async () => {
    const before = network(sim);
    const from = sim.journal.length;
    expect((await replaceOnce(sim, '1.9.0', 0)).outputs['outcome']).toBe('replaced');
    const requests = requestsOfReplacement(sim.journal.slice(from));
    const step = process.env['REPLACE_KILLED_AT'] === 'all' ? 1 : Math.ceil(requests.length / 3);
    const vms = () => [...sim.world.resources.all()].filter(({ type }) => /virtualMachines$/i.test(type));
    for (let index = 0; index < requests.length; index += step) {
      const match = requests[index] ?? {};
      const version = vmOf(sim).properties.storageProfile.imageReference.id.split('/').at(-1);
      const killed = await replaceOnce(sim, version, 2 * index + 2, {
        signal: { when: arrivalOf(sim, match), name: 'SIGKILL' },
      });
      const state = { match, vms: vms().length <= 1, network: network(sim), exitCode: killed.exitCode };
      expect(state).toEqual({ match, vms: true, network: before, exitCode: null });
      const rerun = await replaceOnce(sim, version, 2 * index + 3);
      expect([match, errorOf(rerun), rerun.exitCode]).toEqual([match, '', 0]);
      expect([match, rerun.outputs['image-version']]).toEqual([match, version === '1.9.0' ? '1.10.0' : '1.9.0']);
      expect([match, network(sim), vms().length]).toEqual([match, before, 1]);
    }
  });
});
