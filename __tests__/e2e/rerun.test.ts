import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { settings } from '../../simulator/providers/compute/settings.ts';
import { defaults, principals, type Simulator } from '../../simulator/index.ts';
import { generatedKey, type Run, windowsImage } from '../support/harness.ts';
import {
  act,
  actWithPost,
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
  test('changes nothing but the tags of the run, and gives the same outputs, when the inputs are the same', async () => {
    const sim = await startWorld();
    const inputs = { tags: '{"team": "blue"}', 'expires-after': 'PT2H', 'ssh-public-key': key };
    const first = await act(sim, inputs, { env: { GITHUB_RUN_ID: '1' } });
    expect(first.exitCode).toBe(0);
    const before = withoutTags(snapshot(sim));
    const written = writesOf(sim.journal).length;
    const second = await act(
      sim,
      { ...inputs, 'expires-after': '', cleanup: 'always' },
      { env: { GITHUB_RUN_ID: '2' } },
    );
    expect(second.exitCode).toBe(0);
    expect(withoutTags(snapshot(sim))).toEqual(before);
    const writes = writesOf(sim.journal).slice(written);
    expect(new Set(writes.map(({ kind }) => kind))).toEqual(new Set(['tags.patch']));
    for (const id of Object.values(vm1)) {
      expect([id, tagOf(sim, id, 'github-run-id')]).toEqual([id, '2']);
      expect(tagOf(sim, id, 'cleanup')).toBe('always');
      expect(tagOf(sim, id, 'team')).toBe('blue');
      // The second run has no `expires-after`.
      expect(tagOf(sim, id, 'expires-on')).toBeUndefined();
    }
    const { created, result: _result, outcome, ...outputs } = second.outputs;
    const { created: made, result: _first, outcome: firstOutcome, ...firstOutputs } = first.outputs;
    expect([firstOutcome, outcome]).toEqual(['created', 'kept']);
    expect(outputs).toEqual(firstOutputs);
    expect([created, JSON.parse(made ?? '').length]).toEqual(['[]', 6]);
    expect(cleanupStateOf(second)).toMatchObject({ created: [], completed: true });
  });

  test('warns what sweep goes by, and sets all outputs, when a lock prevents the update of tags', async () => {
    const sim = await startWorld();
    const inputs = { 'ssh-public-key': key };
    const first = await act(sim, { ...inputs, 'expires-after': 'PT2H' }, { env: { GITHUB_RUN_ID: '1' } });
    sim.world.addLock(group, 'ReadOnly', 'frozen');
    const check = await act(sim, { ...inputs, operation: 'check' });
    expect(check.exitCode).toBe(0);
    const run = await act(sim, inputs, { env: { GITHUB_RUN_ID: '2' } });
    expect([errorOf(run), run.exitCode]).toEqual(['', 0]);
    expect(warningsOf(run)).toMatch(/vm1-nsg keeps github-run-id=1, cleanup=on-failure, expires-on=.*ScopeLocked/);
    const unchanged = Object.keys(first.outputs).filter((name) => !['created', 'result', 'outcome'].includes(name));
    expect(unchanged.map((name) => [name, run.outputs[name]])).toEqual(
      unchanged.map((name) => [name, first.outputs[name]]),
    );
  });

  describe('that the tests share', () => {
    let sim: Simulator;
    let first: Run;
    beforeAll(async () => {
      sim = await startWorld();
      const inputs = { 'ssh-public-key': key, 'image-id': defaults.imageId('linux', '1.0.0') };
      first = await act(sim, inputs, { env: { GITHUB_RUN_ID: '1' } });
      expect([errorOf(first), first.exitCode]).toEqual(['', 0]);
    });
    afterEach(() => sim.faults.clear());
    const rerun = (runId: string, inputs: Readonly<Record<string, string>> = {}) =>
      act(sim, { 'ssh-public-key': key, ...inputs }, { env: { GITHUB_RUN_ID: runId } });

    test('updates the tags with the resources when the role may not write tags alone', async () => {
      sim.faults.add({
        match: { method: 'PATCH', path: /\/tags\/default/, times: Number.POSITIVE_INFINITY },
        effect: { status: 403, code: 'AuthorizationFailed', message: 'no right to write tags' },
      });
      const before = withoutTags(snapshot(sim));
      const run = await rerun('2');
      expect(run.exitCode).toBe(0);
      for (const id of Object.values(vm1)) expect([id, tagOf(sim, id, 'github-run-id')]).toEqual([id, '2']);
      const changed = [...withoutTags(snapshot(sim))].filter(([id, body]) => before.get(id) !== body);
      expect(changed.map(([id]) => id).filter((id) => !/network/i.test(id))).toEqual([]);
    });

    test('writes nothing when the tags are right already', async () => {
      expect((await rerun('3')).exitCode).toBe(0);
      const before = snapshot(sim);
      const written = writesOf(sim.journal).length;
      expect((await rerun('3')).exitCode).toBe(0);
      expect(writesOf(sim.journal).slice(written)).toEqual([]);
      expect(snapshot(sim)).toEqual(before);
    });

    test('updates the tags after other operations on the resource have ended', async () => {
      const fault = sim.faults.add({
        match: { method: 'PATCH', path: /vm1-vnet.*\/tags\/default/, times: 2 },
        effect: { status: 409, code: 'Conflict', message: 'Another operation changes the resource.' },
      });
      const run = await rerun('4');
      expect([errorOf(run), run.exitCode]).toEqual(['', 0]);
      expect(fault.applied).toBe(2);
      expect(tagOf(sim, vm1.vnet, 'github-run-id')).toBe('4');
      expect(run.annotations.filter(({ message }) => message.includes('tags'))).toEqual([]);
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
      expect((await rerun('6', { tags: 'team: blue\ncost-center: "7"' })).stdout).toContain('tag team: none → blue');
      const before = withoutTags(snapshot(sim));
      const changed = {
        'if-exists': 'replace',
        'image-id': defaults.imageId('linux', '1.0.0'),
        tags: 'Team: red\ncost-center: "7"',
        overrides: JSON.stringify({ nic: { tags: { 'Cost-Center': '8' } } }),
      };
      const check = await rerun('6', { ...changed, operation: 'check' });
      expect(check.outputs['findings']).toContain('Only this would be updated: tag Team (blue → red).');
      const run = await rerun('6', changed);
      expect([errorOf(run), run.outputs['outcome']]).toEqual(['', 'kept']);
      expect(run.stdout).toContain('Updating tag Team: blue → red');
      expect(withoutTags(snapshot(sim))).toEqual(before);
      for (const id of Object.values(vm1)) {
        expect([id, tagOf(sim, id, 'team')]).toEqual([id, 'red']);
        expect([id, tagOf(sim, id, 'cost-center')]).toEqual([id, id === vm1.nic ? '8' : '7']);
      }
    });

    test('warns of a newer image version and keeps the version of the VM', async () => {
      const run = await rerun('7');
      expect(run.exitCode).toBe(0);
      expect(run.outputs['image-version']).toBe('1.0.0');
      expect(run.outputs['outcome']).toBe('kept');
      expect(warningsOf(run)).toMatch(/created from image version 1\.0\.0 and keeps it; the newest one is 1\.10\.0/);
    });

    test.each<[string, Record<string, string>, readonly string[]]>([
      ['image', { 'image-id': defaults.imageId('linux-data-disks') }, ['image: /']],
      ['image version', { 'image-id': defaults.imageId('linux', '1.10.0') }, ['image: /']],
      ['operating system', windowsImage(), ['operating system: Linux; the inputs request Windows']],
      [
        'region',
        { location: 'North Europe' },
        ['region of the network interface: westeurope; the inputs request northeurope'],
      ],
      [
        'security group, DNS label, subnet and accelerated networking',
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
      ['public IP', { 'public-ip': 'false' }, ['public IP: /']],
      [
        'VM',
        {
          'vm-size': 'Standard_D4s_v5',
          zone: '2',
          'admin-username': 'bob',
          spot: 'true',
          'os-disk-size-gb': '200',
          'security-type': 'Standard',
          identity: 'system',
        },
        [
          'size: Standard_D2s_v5; the inputs request Standard_D4s_v5',
          'zone: none; the inputs request 2',
          'admin user: azureuser; the inputs request bob',
          'priority: Regular; the inputs request Spot',
          'OS disk size in GB: 30; the inputs request 200',
          'security type: TrustedLaunch; the inputs request Standard',
          'identity: none; the inputs request system',
        ],
      ],
    ])('fails with all differences and what to do when the inputs request another %s', async (what, inputs, says) => {
      const before = snapshot(sim);
      // The post step has nothing to clean up after a refusal.
      const phases = ['main', ...(what === 'VM' ? (['post'] as const) : [])] as const;
      const run = await act(sim, { 'ssh-public-key': key, cleanup: 'always', ...inputs }, { phases });
      expect(run.exitCode).toBe(1);
      for (const line of says) expect(errorOf(run)).toContain(line);
      expect(errorOf(run)).toContain('operation: delete');
      expect(errorOf(run)).toContain('another `vm-name`');
      expect(disturbed(sim, before)).toEqual([]);
      if (what === 'VM') expect(run.outputs['admin-username']).toBe('azureuser');
    });
  });

  test('warns when a policy changed a tag while the VM was created', async () => {
    const sim = await startWorld();
    const policy = () => {
      const body = sim.world.resources.get(vm1.machine)?.body;
      if (body) body['tags'] = { ...body['tags'], team: 'finance' };
    };
    sim.faults.add({
      match: { method: 'GET', path: new RegExp(`${vm1.machine}\\?`), nth: 2 },
      effect: { onArrival: policy },
    });
    const run = await act(sim, { 'ssh-public-key': key, tags: 'team: blue' });
    expect([errorOf(run), run.exitCode]).toEqual(['', 0]);
    expect(warningsOf(run)).toContain('tag team: finance; the inputs request blue');
  });

  test('warns and leaves the output empty when the generated key is gone', async () => {
    const sim = await startWorld();
    expect((await act(sim, generatedKey)).outputs['ssh-private-key-path']).toBeTruthy();
    const run = await act(sim, generatedKey);
    expect(run.exitCode).toBe(0);
    expect(run.outputs['ssh-private-key-path']).toBeUndefined();
    expect(warningsOf(run)).toContain('key that an earlier run generated was deleted');
  });

  test('keeps an identity that Azure Policy added and assigns no roles to it', async () => {
    const sim = await startWorld({
      world: (world) => world.grant(principals.deploy, 'Role Based Access Control Administrator', group),
    });
    const inputs = {
      'ssh-public-key': key,
      identity: 'puller',
      'role-assignments': `Reader on ${group}`,
    };
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
    const run = await act(sim, inputs);
    expect([errorOf(run), run.exitCode]).toEqual(['', 0]);
    expect(run.stdout).toContain('It has identities that the inputs do not name, and keeps them: system.');
    expect(sim.world.resources.get(vm1.machine)?.body['identity']).toEqual(added);
    expect(sim.world.roleAssignments).toHaveLength(granted);
  });

  test('keeps a rule that somebody added, and fails when the inputs close a port', async () => {
    const sim = await startWorld();
    const inputs = { 'ssh-public-key': key, 'allow-inbound': '22 from *' };
    expect((await act(sim, inputs)).exitCode).toBe(0);
    const rules = sim.world.resources.get(vm1.nsg)?.body['properties'].securityRules;
    rules.push({ name: 'office', properties: { ...rules[0].properties, priority: 300 } });
    const before = withoutTags(snapshot(sim));
    const same = await act(sim, inputs);
    expect([errorOf(same), same.exitCode]).toEqual(['', 0]);
    expect(same.summary).toMatch(/NSG.*22\/tcp from.*rules of others.*office/);
    const closed = await act(sim, { ...inputs, 'allow-inbound': '' });
    expect(closed.exitCode).toBe(1);
    expect(errorOf(closed)).toContain('inbound rules: 22/tcp from *; the inputs request none');
    expect(errorOf(closed)).toMatch(/az network nsg rule delete .* --nsg-name vm1-nsg -n allow-22-tcp-1000/);
    expect(withoutTags(snapshot(sim))).toEqual(before);
    const overridden = await act(sim, {
      ...inputs,
      'allow-inbound': '',
      overrides: JSON.stringify({ nsg: { properties: { securityRules: rules } } }),
    });
    expect([errorOf(overridden), overridden.exitCode]).toEqual(['', 0]);
    expect(overridden.summary).not.toContain('nothing is open');
  });

  test('accepts a size by override, and any of several sizes', async () => {
    const sim = await startWorld();
    const inputs = {
      overrides: '{"vm": {"properties": {"hardwareProfile": {"vmSize": "Standard_D4s_v5"}}}}',
    };
    expect((await act(sim, inputs)).exitCode).toBe(0);
    expect((await act(sim, inputs)).exitCode).toBe(0);
    const run = await act(sim, { 'vm-size': 'Standard_D2s_v5, Standard_D4s_v5' });
    expect([run.exitCode, run.outputs['vm-size']]).toEqual([0, 'Standard_D4s_v5']);
  });

  test('adopts resources that have no provisioningState, and fails when the image tenant refuses the sign-in', async () => {
    const sim = await startWorld();
    expect((await act(sim)).exitCode).toBe(0);
    for (const id of Object.values(vm1)) {
      delete sim.world.resources.get(id)?.body['properties'].provisioningState;
    }
    const written = writesOf(sim.journal).length;
    const run = await act(sim);
    expect([errorOf(run), run.exitCode]).toEqual(['', 0]);
    expect(writesOf(sim.journal).slice(written)).toEqual([]);
    expect(run.stdout).toContain('Virtual machine vm1: Succeeded.');

    const before = snapshot(sim);
    sim.world.removePrincipal(principals.image);
    const refused = await act(sim);
    expect(refused.exitCode).toBe(1);
    expect(errorOf(refused)).toContain(`signing in to tenant ${defaults.imageTenantId}`);
    expect(disturbed(sim, before)).toEqual([]);
  });
});

describe('a rerun on a half-finished deployment', () => {
  test('goes on when earlier runs were killed at each of its resources, and deletes all of it in the end', async () => {
    const sim = await startWorld();
    const before = snapshot(sim);
    const types = [
      'networkSecurityGroups',
      'virtualNetworks',
      'publicIPAddresses',
      'networkInterfaces',
      'virtualMachines',
    ];
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

  test('creates a resource again when it failed', async () => {
    const sim = await startWorld();
    // Any code that is not retried, or the first run would not fail.
    sim.faults.add({
      match: { method: 'PUT', path: /virtualNetworks/ },
      effect: { operationFails: { code: 'OperationNotAllowed', message: 'oops' } },
    });
    const state = (): unknown => sim.world.resources.get(vm1.vnet)?.body['properties'].provisioningState;
    expect((await act(sim, { cleanup: 'never' })).exitCode).toBe(1);
    expect(state()).toBe('Failed');
    const run = await act(sim);
    expect([run.exitCode, state()]).toEqual([0, 'Succeeded']);
    expect(JSON.parse(run.outputs['created'] ?? '')).not.toContain(vm1.vnet);
  });

  test('creates the VM again when Azure never placed it', async () => {
    const sim = await startWorld();
    settings(sim.world).shortages.push({ code: 'AllocationFailed', at: 'operation', times: 1 });
    const first = await act(sim, { cleanup: 'never', ...generatedKey }, { env: { GITHUB_RUN_ID: '1' } });
    expect(first.exitCode).toBe(1);
    expect(errorOf(first)).toContain('AllocationFailed');
    expect(warningsOf(first)).toContain(vm1.machine);
    const run = await act(sim, generatedKey, { env: { GITHUB_RUN_ID: '2' } });
    expect(errorOf(run)).toBe('');
    expect(run.exitCode).toBe(0);
    expect(run.outputs['ssh-private-key-path']).toBeTruthy();
    expect(tagOf(sim, vm1.machine, 'github-run-id')).toBe('2');
  });

  test('neither adopts nor replaces a VM that failed after it had run', async () => {
    const sim = await startWorld();
    settings(sim.world).provisioning.push({
      failure: { code: 'OSProvisioningTimedOut', message: '' },
      afterSeconds: 30,
      times: 1,
    });
    expect((await act(sim, { cleanup: 'never' })).exitCode).toBe(1);
    const before = snapshot(sim);
    const run = await act(sim, { cleanup: 'always' }, { phases: ['main', 'post'] });
    expect(run.exitCode).toBe(1);
    expect(errorOf(run)).toContain('OSProvisioningTimedOut');
    expect(errorOf(run)).toContain('if-exists: replace');
    expect(disturbed(sim, before)).toEqual([]);
  });

  test('fails when the OS disk exists without its VM', async () => {
    const sim = await startWorld();
    const first = await act(sim, {
      overrides: '{"vm": {"properties": {"storageProfile": {"osDisk": {"deleteOption": "Detach"}}}}}',
    });
    expect(first.exitCode).toBe(0);
    sim.world.resources.remove(vm1.machine);
    const before = snapshot(sim);
    const run = await act(sim);
    expect(run.exitCode).toBe(1);
    expect(errorOf(run)).toContain('still exists, without its VM');
    expect(disturbed(sim, before)).toEqual([]);
  });

  test('waits and then creates the VM when it is being deleted', async () => {
    const sim = await startWorld();
    expect((await act(sim, {}, { env: { GITHUB_RUN_ID: '1' } })).exitCode).toBe(0);
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
