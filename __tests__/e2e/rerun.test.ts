import { afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { settings } from '../../simulator/providers/compute/settings.ts';
import { defaults, principals, type Simulator } from '../../simulator/index.ts';
import type { Resource } from '../../simulator/model/entities.ts';
import { generatedKey, type Run } from '../support/harness.ts';
import {
  act,
  actWithPost,
  addDeployment,
  disturbed,
  errorOf,
  expectAllGone,
  group,
  cleanupStateOf,
  partsOf,
  snapshot,
  startWorld,
  warningsOf,
  writesOf,
} from '../support/lifecycle.ts';

const vm1 = partsOf('vm1');
/** Its private key exists nowhere. */
const key =
  'ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC76SDTZAmcNLI1iPjRFvSQB8hyEzkc0KkMBAPVw8/yzjvLsm8Dm02zgqQtGtMnHMd7VcInykMypCp9f19SnAQ/TYe6oI03+p58Dk1lIzqYPScWwTBLgo2QK2u1s67IIW/zPqRRpA19AeRBKNnHfyIYesf2E733U8iw9+LJXVTRY0noBpyswVjd+LgmqtYez2YQTV26OQ4k8dSLSa2UECbSBe08ZG+GPHMzf4Ev+rkIVwD+rWS6WF+DNHuzEOnumi6IsCxtt5F6rYLws1c6xqIAWW4zQjfZNzDL3MTknj4P9MG37IEeeOWAnYi3ggdzVu47nGRV8xoFaNj2lTH92Tu/ nobody@example';
const tagOf = (sim: Simulator, id: string, name: string): string | undefined =>
  sim.world.resources.get(id)?.body['tags']?.[name];
/** Bodies without tags: what a rerun must not change. */
const withoutTags = (all: ReadonlyMap<string, string>): ReadonlyMap<string, string> =>
  new Map([...all].map(([id, body]) => [id, JSON.stringify({ ...JSON.parse(body), tags: undefined })]));

describe('a rerun on a finished deployment', () => {
  let sim: Simulator;
  let first: Run;
  let created: readonly Resource[];
  const inputs = { tags: '{"team": "blue"}', 'ssh-public-key': key };
  beforeAll(async () => {
    sim = await startWorld();
    const inputsOfFirst = { ...inputs, 'expires-after': 'PT2H', 'image-id': defaults.imageId('linux', '1.0.0') };
    first = await act(sim, inputsOfFirst, { env: { GITHUB_RUN_ID: '1' } });
    expect([errorOf(first), first.exitCode, first.outputs['outcome']]).toEqual(['', 0, 'created']);
    expect(JSON.parse(first.outputs['created'] ?? '')).toHaveLength(6);
    created = structuredClone([...sim.world.resources.all()]);
  });
  beforeEach(() => {
    for (const resource of structuredClone(created)) sim.world.resources.put(resource);
  });
  afterEach(() => sim.faults.clear());
  const rerun = (runId: string, changed: Readonly<Record<string, string>> = {}, options = {}) =>
    act(sim, { ...inputs, ...changed }, { env: { GITHUB_RUN_ID: runId }, ...options });
  const expectSameOutputs = (run: Run): void => {
    const same = Object.keys(first.outputs).filter((name) => !['created', 'result', 'outcome'].includes(name));
    expect(same.map((name) => [name, run.outputs[name]])).toEqual(same.map((name) => [name, first.outputs[name]]));
  };

  test('does not call a deallocated VM ready', async () => {
    const machine = sim.world.resources.get(vm1.machine);
    if (machine) machine.internal['powerState'] = 'deallocated';
    const run = await rerun('1', { 'expires-after': 'PT2H' });
    expect([errorOf(run), run.outputs['outcome']]).toEqual(['', 'kept']);
    expect(`${run.lines.at(-1)?.text}${run.summary}`).not.toMatch(/Ready in/);
  });

  test('warns what sweep goes by, and sets all outputs, when a lock prevents the update of tags', async () => {
    sim.world.addLock(group, 'ReadOnly', 'frozen');
    const image = defaults.imageId('linux', '1.0.0');
    const check = await rerun('2', {
      operation: 'check',
      'if-exists': 'replace',
      'image-id': image,
      tags: 'Team: red',
    });
    expect(check.exitCode).toBe(0);
    expect(check.outputs['findings']).toContain('Only this would be updated: tag Team (blue → red).');
    const run = await rerun('2');
    expect([errorOf(run), run.exitCode]).toEqual(['', 0]);
    expect(warningsOf(run)).toMatch(/vm1-nsg keeps github-run-id=1, cleanup=on-failure, expires-on=.*ScopeLocked/);
    expectSameOutputs(run);
    sim.world.locks = [];
  });

  test('changes only the tags, sets the same outputs and warns of a newer image when others change a resource', async () => {
    const before = withoutTags(snapshot(sim));
    const written = writesOf(sim.journal).length;
    sim.faults.add({
      match: { method: 'PATCH', path: /vm1-vnet.*\/tags\/default/, times: 2 },
      effect: { status: 409, code: 'Conflict', message: 'Another operation changes the resource.' },
    });
    const run = await rerun('3', { cleanup: 'always' });
    expect([errorOf(run), run.exitCode]).toEqual(['', 0]);
    expect(withoutTags(snapshot(sim))).toEqual(before);
    const writes = writesOf(sim.journal).slice(written);
    expect(new Set(writes.map(({ kind }) => kind))).toEqual(new Set(['tags.patch', 'fault']));
    expect(writes.filter(({ kind }) => kind === 'fault').map(({ status }) => status)).toEqual([409, 409]);
    for (const id of Object.values(vm1)) {
      expect([id, tagOf(sim, id, 'github-run-id')]).toEqual([id, '3']);
      expect(tagOf(sim, id, 'cleanup')).toBe('always');
      expect(tagOf(sim, id, 'team')).toBe('blue');
      // This run has no `expires-after`.
      expect(tagOf(sim, id, 'expires-on')).toBeUndefined();
    }
    expect(run.annotations.filter(({ message }) => message.includes('tags'))).toEqual([]);
    expectSameOutputs(run);
    expect([run.outputs['outcome'], run.outputs['created']]).toEqual(['kept', '[]']);
    expect(cleanupStateOf(run)).toMatchObject({ created: [], completed: true });
    expect(run.outputs['image-version']).toBe('1.0.0');
    expect(warningsOf(run)).toMatch(/created from image version 1\.0\.0 and keeps it; the newest one is 1\.10\.0/);
  });

  test('updates the tags with the resources when the role may not write tags alone, and once', async () => {
    sim.faults.add({
      match: { method: 'PATCH', path: /\/tags\/default/, times: Number.POSITIVE_INFINITY },
      effect: { status: 403, code: 'AuthorizationFailed', message: 'no right to write tags' },
    });
    const before = withoutTags(snapshot(sim));
    const withCostCenter = { tags: 'team: blue\ncost-center: "7"' };
    const run = await rerun('4', withCostCenter);
    expect(run.exitCode).toBe(0);
    expect(run.stdout).toContain('tag cost-center: none → 7');
    for (const id of Object.values(vm1)) expect([id, tagOf(sim, id, 'github-run-id')]).toEqual([id, '4']);
    const changed = [...withoutTags(snapshot(sim))].filter(([id, body]) => before.get(id) !== body);
    expect(changed.map(([id]) => id).filter((id) => !/network/i.test(id))).toEqual([]);
    // The tags are right now.
    const all = snapshot(sim);
    const written = writesOf(sim.journal).length;
    expect((await rerun('4', withCostCenter)).exitCode).toBe(0);
    expect(writesOf(sim.journal).slice(written)).toEqual([]);
    expect(snapshot(sim)).toEqual(all);
  });

  test.each([
    ['another deployment', { 'cross-tenant-vm': 'vm2' }],
    ['another repository', { 'github-repository': 'contoso/other' }],
    ['another job of the same run', { 'github-run-id': '12', 'github-job': 'other' }],
  ])('leaves the tags of a resource alone when %s has taken it over since the look-up', async (_, taken) => {
    sim.faults.add({
      match: { method: 'GET', path: /vm1-nsg\?/, nth: 2 },
      effect: { changeAnswer: (nsg: { tags: object }) => Object.assign(nsg.tags, taken) },
    });
    const run = await rerun('12');
    expect([errorOf(run), run.outputs['outcome']]).toEqual(['', 'kept']);
    expect([tagOf(sim, vm1.nsg, 'github-run-id'), tagOf(sim, vm1.vnet, 'github-run-id')]).toEqual(['1', '12']);
  });

  test('sets the outputs before it updates the tags', async () => {
    sim.faults.add({
      match: { method: 'PATCH', path: /vm1-nic.*\/tags\/default/, times: Number.POSITIVE_INFINITY },
      effect: { status: 412, code: 'PreconditionFailed', message: 'unexpected' },
    });
    const run = await rerun('5');
    expect(run.exitCode).toBe(1);
    for (const name of ['vm-instance-id', 'public-ip-address', 'private-ip-address', 'nic-id', 'os-disk-id'])
      expect([name, run.outputs[name]]).toEqual([name, first.outputs[name]]);
  });

  test('updates the tags of the inputs that changed, and reports each before it does', async () => {
    const before = withoutTags(snapshot(sim));
    const changed = {
      'if-exists': 'replace',
      'image-id': defaults.imageId('linux', '1.0.0'),
      tags: 'Team: red\ncost-center: "7"',
      overrides: JSON.stringify({ nic: { tags: { 'Cost-Center': '8' } } }),
    };
    const run = await rerun('6', changed);
    expect([errorOf(run), run.outputs['outcome']]).toEqual(['', 'kept']);
    expect(run.stdout).toContain('Updating tag Team: blue → red');
    expect(withoutTags(snapshot(sim))).toEqual(before);
    for (const id of Object.values(vm1)) {
      expect([id, tagOf(sim, id, 'team')]).toEqual([id, 'red']);
      expect([id, tagOf(sim, id, 'cost-center')]).toEqual([id, id === vm1.nic ? '8' : '7']);
    }
  });

  // Each property alone: __tests__/unit/plan/drift.test.ts
  test.each<[string, Record<string, string>, readonly string[]]>([
    [
      'network',
      {
        'allow-inbound': '22 from 203.0.113.0/24',
        'dns-label': 'my-machine',
        'subnet-prefix': '192.168.2.0/24',
        'accelerated-networking': 'true',
      },
      [
        'inbound rules: none; the inputs request 22/tcp from 203.0.113.0/24',
        'DNS label: none; the inputs request my-machine',
        'subnet prefix: 192.168.1.0/24; the inputs request 192.168.2.0/24',
        'accelerated networking: false; the inputs request true',
      ],
    ],
    [
      'VM',
      {
        'image-id': defaults.imageId('linux', '1.10.0'),
        'vm-size': 'Standard_D4s_v5',
        zone: '2',
        'admin-username': 'bob',
        spot: 'true',
        'os-disk-size-gb': '200',
        'security-type': 'Standard',
        identity: 'system',
      },
      [
        'image: /',
        'size: Standard_D2s_v5; the inputs request Standard_D4s_v5',
        'zone: none; the inputs request 2',
        'admin user: azureuser; the inputs request bob',
        'priority: Regular; the inputs request Spot',
        'OS disk size in GB: 30; the inputs request 200',
        'security type: TrustedLaunch; the inputs request Standard',
        'identity: none; the inputs request system',
      ],
    ],
  ])('fails with all differences and what to do when the inputs request another %s', async (what, changed, says) => {
    const before = snapshot(sim);
    // The post step has nothing to clean up after a refusal.
    const phases = ['main', ...(what === 'VM' ? (['post'] as const) : [])];
    const run = await rerun('7', { cleanup: 'always', ...changed }, { phases });
    expect(run.exitCode).toBe(1);
    for (const line of says) expect(errorOf(run)).toContain(line);
    expect(errorOf(run)).toContain('operation: delete');
    expect(errorOf(run)).toContain('another `vm-name`');
    expect(disturbed(sim, before)).toEqual([]);
    if (what === 'VM') expect(run.outputs['admin-username']).toBe('azureuser');
  });
});

describe('a rerun on a deployment that others changed', () => {
  test('keeps an identity that Azure Policy added without roles for it, and a rule that somebody added', async () => {
    const sim = await startWorld({
      world: (world) => world.grant(principals.deploy, 'Role Based Access Control Administrator', group),
    });
    const inputs = { identity: 'puller', 'role-assignments': `Reader on ${group}`, 'allow-inbound': '22 from *' };
    expect(errorOf(await act(sim, inputs))).toBe('');
    const granted = sim.world.roleAssignments.length;
    const body = sim.world.resources.get(vm1.machine)?.body;
    const added = {
      ...body?.['identity'],
      type: 'SystemAssigned, UserAssigned',
      principalId: defaults.clientId,
      tenantId: defaults.tenantId,
    };
    if (body) body['identity'] = added;
    const rules = sim.world.resources.get(vm1.nsg)?.body['properties'].securityRules;
    rules.push({ name: 'office', properties: { ...rules[0].properties, priority: 300 } });
    const before = withoutTags(snapshot(sim));

    const same = await act(sim, inputs);
    expect([errorOf(same), same.exitCode]).toEqual(['', 0]);
    expect(same.stdout).toContain('It has identities that the inputs do not name, and keeps them: system.');
    expect(same.summary).toMatch(/NSG.*22\/tcp from.*rules of others.*office/);
    expect(sim.world.roleAssignments).toHaveLength(granted);

    const closed = await act(sim, { ...inputs, 'allow-inbound': '' });
    expect(closed.exitCode).toBe(1);
    expect(errorOf(closed)).toContain('inbound rules: 22/tcp from *; the inputs request none');
    expect(errorOf(closed)).toMatch(/az network nsg rule delete .* --nsg-name vm1-nsg -n allow-22-tcp-1000/);

    const overrides = JSON.stringify({ nsg: { properties: { securityRules: rules } } });
    const overridden = await act(sim, { ...inputs, 'allow-inbound': '', overrides });
    expect([errorOf(overridden), overridden.exitCode]).toEqual(['', 0]);
    expect(overridden.summary).not.toContain('nothing is open');
    expect(withoutTags(snapshot(sim))).toEqual(before);
  });

  test('accepts any of several sizes and no provisioningState, and warns that a generated key is gone', async () => {
    const sim = await startWorld();
    await addDeployment(sim);
    for (const id of Object.values(vm1)) {
      delete sim.world.resources.get(id)?.body['properties'].provisioningState;
    }
    const before = withoutTags(snapshot(sim));
    const run = await act(sim, { ...generatedKey, 'vm-size': 'Standard_D4s_v5, Standard_D2s_v5' });
    expect([errorOf(run), run.exitCode, run.outputs['vm-size']]).toEqual(['', 0, 'Standard_D2s_v5']);
    expect(run.stdout).toContain('Virtual machine vm1: Succeeded.');
    expect(run.outputs['ssh-private-key-path']).toBeUndefined();
    expect(warningsOf(run)).toContain('key that an earlier run generated was deleted');
    expect(withoutTags(snapshot(sim))).toEqual(before);

    sim.world.removePrincipal(principals.image);
    const refused = await act(sim);
    expect(refused.exitCode).toBe(1);
    expect(errorOf(refused)).toContain(`signing in to tenant ${defaults.imageTenantId}`);
    expect(withoutTags(snapshot(sim))).toEqual(before);
  });
});

describe('a rerun on a half-finished deployment', () => {
  test('goes on when earlier runs were killed at some of its resources, and deletes all of it in the end', async () => {
    const sim = await startWorld();
    const before = snapshot(sim);
    const types = ['networkInterfaces', 'virtualMachines'];
    for (const [index, type] of types.entries()) {
      for (const later of types.slice(index + 1)) {
        const match = { method: 'PUT', path: new RegExp(`/${later}/`), times: Number.POSITIVE_INFINITY };
        sim.faults.add({ match, effect: { reset: true } });
      }
      // The PUT is held until the runner is gone, and carried out after that.
      const arrival = Promise.withResolvers<void>();
      const end = Promise.withResolvers<void>();
      const fault = sim.faults.add({
        match: { method: 'PUT', path: new RegExp(`/${type}/`) },
        effect: {
          onArrival: async () => {
            arrival.resolve();
            await end.promise;
          },
        },
      });
      const lost = await act(sim, {}, { signal: { name: 'SIGKILL', when: arrival.promise } });
      expect([type, fault.applied, lost.exitCode]).toEqual([type, 1, null]);
      sim.faults.clear();
      end.resolve();
    }
    const run = await actWithPost(sim, { cleanup: 'always' }, { env: { GITHUB_RUN_ID: '2' } });
    expect([errorOf(run), run.exitCode, run.post?.exitCode]).toEqual(['', 0, 0]);
    expectAllGone(sim, before);
  });

  test('creates again what failed, and the VM when Azure never placed it', async () => {
    const sim = await startWorld();
    settings(sim.world).shortages.push({ code: 'AllocationFailed', at: 'operation', times: 1 });
    const first = await act(sim, { cleanup: 'never' }, { env: { GITHUB_RUN_ID: '1' } });
    expect(first.exitCode).toBe(1);
    expect(errorOf(first)).toContain('AllocationFailed');
    expect(warningsOf(first)).toContain(vm1.machine);
    const network = sim.world.resources.get(vm1.vnet)?.body['properties'];
    network.provisioningState = 'Failed';
    const run = await act(sim, generatedKey, { env: { GITHUB_RUN_ID: '2' } });
    expect([errorOf(run), run.exitCode]).toEqual(['', 0]);
    expect(run.outputs['ssh-private-key-path']).toBeTruthy();
    expect(tagOf(sim, vm1.machine, 'github-run-id')).toBe('2');
    expect(sim.world.resources.get(vm1.vnet)?.body['properties'].provisioningState).toBe('Succeeded');
    expect(JSON.parse(run.outputs['created'] ?? '')).not.toContain(vm1.vnet);
  });

  test('neither adopts nor replaces a VM that failed after it had run', async () => {
    const sim = await startWorld();
    await addDeployment(sim);
    const machine = sim.world.resources.get(vm1.machine);
    if (machine) {
      machine.internal['failure'] = { code: 'OSProvisioningTimedOut', message: 'Timed out.' };
      machine.body['properties'].provisioningState = 'Failed';
    }
    const before = snapshot(sim);
    const run = await act(sim, { cleanup: 'always' });
    expect(run.exitCode).toBe(1);
    expect(errorOf(run)).toContain('OSProvisioningTimedOut');
    expect(errorOf(run)).toContain('if-exists: replace');
    expect(disturbed(sim, before)).toEqual([]);
  });

  test('fails when the OS disk exists without its VM', async () => {
    const sim = await startWorld();
    await addDeployment(sim);
    sim.world.resources.remove(vm1.machine);
    const before = snapshot(sim);
    const run = await act(sim);
    expect(run.exitCode).toBe(1);
    expect(errorOf(run)).toContain('still exists, without its VM');
    expect(disturbed(sim, before)).toEqual([]);
  });

  test('waits and then creates the VM when it is being deleted', async () => {
    const sim = await startWorld();
    await addDeployment(sim, { tags: { 'github-run-id': '1' } });
    const machine = sim.world.resources.get(vm1.machine)?.body;
    if (machine) machine['properties'].provisioningState = 'Deleting';
    // Three reads find it so. Its disk, NIC and public IP are deleted with it.
    const fourth = sim.faults.add({
      match: { method: 'GET', path: new RegExp(`${vm1.machine}\\?`), nth: 4 },
      effect: {
        onArrival: () => {
          for (const id of [vm1.machine, vm1.osDisk, vm1.nic, vm1.publicIp]) sim.world.resources.remove(id);
        },
      },
    });
    const run = await act(sim, {}, { env: { GITHUB_RUN_ID: '2' } });
    expect(fourth.applied).toBe(1);
    expect(errorOf(run)).toBe('');
    expect(run.exitCode).toBe(0);
    expect(sim.world.resources.get(vm1.machine)?.body['properties'].provisioningState).toBe('Succeeded');
    expect(tagOf(sim, vm1.nsg, 'github-run-id')).toBe('2');
  });
});
