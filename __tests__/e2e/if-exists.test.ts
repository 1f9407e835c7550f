import { describe, expect, test } from '@jest/globals';
import type { FaultMatch } from '../../simulator/engine/faults.ts';
import { defaults, principals, type Simulator } from '../../simulator/index.ts';
import { generatedKey } from '../support/harness.ts';
import {
  act,
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
  test('replaces VM and disk of an older image version once, and keeps network and addresses', async () => {
    const sim = await startWorld();
    const first = await act(sim, oldVersion);
    expect(first.exitCode).toBe(0);
    const before = network(sim);
    const second = await act(sim, replace);
    expect([errorOf(second), second.exitCode]).toEqual(['', 0]);
    expect(second.outputs).toMatchObject({
      outcome: 'replaced',
      'image-version': '1.10.0',
      'public-ip-address': first.outputs['public-ip-address'],
      'private-ip-address': first.outputs['private-ip-address'],
      'nic-id': vm1.nic,
    });
    expect(second.outputs['vm-instance-id']).not.toBe(first.outputs['vm-instance-id']);
    expect(network(sim)).toEqual(before);
    expect(vmOf(sim).properties.networkProfile.networkInterfaces[0].properties.deleteOption).toBe('Delete');
    expect(JSON.parse(second.outputs['deleted'] ?? '')).toEqual([vm1.machine, vm1.osDisk]);
    expect(second.summary).toContain('| image version | 1.9.0 | 1.10.0 |');
    // Now it matches.
    const third = await act(sim, replace);
    expect(third.outputs).toMatchObject({ outcome: 'kept', 'vm-instance-id': second.outputs['vm-instance-id'] });
  });

  test('replaces a VM of another size and admin user', async () => {
    const sim = await startWorld();
    expect((await act(sim)).exitCode).toBe(0);
    const run = await act(sim, {
      ...replace,
      'vm-size': 'Standard_D4s_v5',
      'admin-username': 'alice',
      ...generatedKey,
    });
    expect([errorOf(run), run.outputs['outcome']]).toEqual(['', 'replaced']);
    expect(vmOf(sim).properties).toMatchObject({
      hardwareProfile: { vmSize: 'Standard_D4s_v5' },
      osProfile: { adminUsername: 'alice' },
    });
    expect(run.outputs['ssh-private-key-path']).toMatch(/id_rsa$/);
  });

  test('assigns the roles to the new system-assigned identity and deletes those of the old one', async () => {
    const sim = await startWorld({
      world: (world) => void world.grant(principals.deploy, 'Role Based Access Control Administrator', group),
    });
    const inputs = { identity: 'system', 'role-assignments': `Reader on ${group}` };
    const assigned = (principalId: string | undefined) =>
      sim.world.roleAssignments.filter((assignment) => assignment.principalId === principalId);
    const first = await act(sim, { ...inputs, ...oldVersion });
    expect(assigned(first.outputs['principal-id'])).toHaveLength(1);
    const second = await act(sim, { ...inputs, ...replace });
    expect([errorOf(second), second.outputs['outcome']]).toEqual(['', 'replaced']);
    expect(assigned(first.outputs['principal-id'])).toEqual([]);
    expect(assigned(second.outputs['principal-id'])).toHaveLength(1);
  });

  test('keeps the network when the new VM is refused, and says that a rerun creates the VM', async () => {
    const sim = await startWorld();
    expect((await act(sim, oldVersion)).exitCode).toBe(0);
    const before = network(sim);
    sim.faults.add({
      match: { method: 'PUT', path: /virtualMachines\/vm1\?/ },
      effect: { status: 400, code: 'BadRequest', message: 'No.' },
    });
    const failed = await act(sim, replace, { phases: ['main', 'post'] });
    expect(failed.exitCode).toBe(1);
    expect(failed.outputs['outcome']).toBe('');
    expect(warningsOf(failed)).toContain('Deployment vm1 has no VM now');
    expect(network(sim)).toEqual(before);
    const again = await act(sim, replace);
    expect([errorOf(again), again.outputs['outcome']]).toEqual(['', 'created']);
    expect(network(sim)).toEqual(before);
  });
});

/** Replaces the VM of image version `from` in a further workflow run. */
function replaceOnce(sim: Simulator, from: string, run: number, options: Parameters<typeof act>[2] = {}) {
  const image = from === '1.9.0' ? defaults.imageId('linux') : defaults.imageId('linux', '1.9.0');
  return act(sim, { ...replace, 'image-id': image }, { env: { GITHUB_RUN_ID: `${run}` }, ...options });
}

/** A match for each request of a replacement from its first write on, counted from its first request. */
async function requestsOfReplacement(): Promise<readonly FaultMatch[]> {
  const sim = await startWorld();
  expect((await act(sim, oldVersion)).exitCode).toBe(0);
  const from = sim.journal.length;
  expect((await replaceOnce(sim, '1.9.0', 1)).outputs['outcome']).toBe('replaced');
  // Not the boot log, whose path differs each time.
  const sent = sim.journal.slice(from).filter(({ host }) => host === 'arm');
  const seen = new Map<string, number>();
  const matches = sent.map(({ method, path, isPoll }): FaultMatch => {
    const key = isPoll ? 'poll' : `${method} ${path}`;
    const nth = (seen.get(key) ?? 0) + 1;
    seen.set(key, nth);
    if (isPoll) return { phase: 'poll', nth };
    return { phase: 'request', method, path: new RegExp(`^${path.replaceAll(/[.()]/g, '\\$&')}(?:\\?|$)`), nth };
  });
  // The number of polls differs between runs; every replacement has half of them.
  const polls = (seen.get('poll') ?? 0) / 2;
  const firstWrite = sent.findIndex((exchange) => writesOf([exchange]).length > 0);
  return matches.slice(firstWrite).filter(({ phase, nth = 1 }) => phase === 'request' || nth <= polls);
}

/** REPLACE_KILLED_AT=all: at every request (`npm run test:soak`); by default at some of them. */
test('a rerun completes a replacement that was killed at any request, with the same network and one VM', async () => {
  const requests = await requestsOfReplacement();
  const step = process.env['REPLACE_KILLED_AT'] === 'all' ? 1 : Math.ceil(requests.length / 4);
  const sim = await startWorld();
  expect((await act(sim, oldVersion)).exitCode).toBe(0);
  const before = network(sim);
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

describe('if-exists: fail', () => {
  test('fails without a write when the deployment exists', async () => {
    const sim = await startWorld();
    const first = await act(sim, { 'if-exists': 'fail' });
    expect(first.outputs['outcome']).toBe('created');
    const before = snapshot(sim);
    const written = writesOf(sim.journal).length;
    const run = await act(sim, { 'if-exists': 'fail' });
    expect(run.exitCode).toBe(1);
    expect(errorOf(run)).toContain('Deployment vm1 already exists');
    expect(errorOf(run)).toContain('if-exists: keep');
    expect(writesOf(sim.journal)).toHaveLength(written);
    expect(snapshot(sim)).toEqual(before);
  });
});
