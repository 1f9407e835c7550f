import { describe, expect, test } from '@jest/globals';
import { settings } from '../../simulator/providers/compute/settings.ts';
import { defaults, principals, type Simulator } from '../../simulator/index.ts';
import { windowsImage, generatedKey } from '../support/harness.ts';
import {
  act,
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
/** Of no pair that anybody kept. */
const key =
  'ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC76SDTZAmcNLI1iPjRFvSQB8hyEzkc0KkMBAPVw8/yzjvLsm8Dm02zgqQtGtMnHMd7VcInykMypCp9f19SnAQ/TYe6oI03+p58Dk1lIzqYPScWwTBLgo2QK2u1s67IIW/zPqRRpA19AeRBKNnHfyIYesf2E733U8iw9+LJXVTRY0noBpyswVjd+LgmqtYez2YQTV26OQ4k8dSLSa2UECbSBe08ZG+GPHMzf4Ev+rkIVwD+rWS6WF+DNHuzEOnumi6IsCxtt5F6rYLws1c6xqIAWW4zQjfZNzDL3MTknj4P9MG37IEeeOWAnYi3ggdzVu47nGRV8xoFaNj2lTH92Tu/ nobody@example';
const tagOf = (sim: Simulator, id: string, name: string): string | undefined =>
  sim.world.resources.get(id)?.body['tags']?.[name];
/** Bodies without tags: what a rerun must not change. */
const withoutTags = (all: ReadonlyMap<string, string>): ReadonlyMap<string, string> =>
  new Map([...all].map(([id, body]) => [id, JSON.stringify({ ...JSON.parse(body), tags: undefined })]));

describe('on a finished deployment', () => {
  test('the same inputs change nothing but the tags of the run, and give the same outputs', async () => {
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
      // Nobody asked for an end this time.
      expect(tagOf(sim, id, 'expires-on')).toBeUndefined();
    }
    const { created, result: _result, outcome, ...outputs } = second.outputs;
    const { created: made, result: _first, outcome: firstOutcome, ...firstOutputs } = first.outputs;
    expect([firstOutcome, outcome]).toEqual(['created', 'kept']);
    expect(outputs).toEqual(firstOutputs);
    expect([created, JSON.parse(made ?? '').length]).toEqual(['[]', 6]);
    expect(cleanupStateOf(second)).toMatchObject({ created: [], completed: true });
  });

  test('a role that may write machines and networks but not tags alone will do', async () => {
    const sim = await startWorld();
    expect((await act(sim, {}, { env: { GITHUB_RUN_ID: '1' } })).exitCode).toBe(0);
    const tags = /\/tags\/default/;
    sim.faults.add({
      match: { method: 'PATCH', path: tags, times: Number.POSITIVE_INFINITY },
      effect: { status: 403, code: 'AuthorizationFailed', message: 'no right to write tags' },
    });
    const before = withoutTags(snapshot(sim));
    const run = await act(sim, {}, { env: { GITHUB_RUN_ID: '2' } });
    expect(run.exitCode).toBe(0);
    for (const id of Object.values(vm1)) expect([id, tagOf(sim, id, 'github-run-id')]).toEqual([id, '2']);
    const changed = [...withoutTags(snapshot(sim))].filter(([id, body]) => before.get(id) !== body);
    expect(changed.map(([id]) => id).filter((id) => !/network/i.test(id))).toEqual([]);
    expect(principals.deploy).toBeDefined();
  });

  test('writes nothing when the tags are right already', async () => {
    const sim = await startWorld();
    const inputs = { 'ssh-public-key': key };
    expect((await act(sim, inputs)).exitCode).toBe(0);
    const before = snapshot(sim);
    const written = writesOf(sim.journal).length;
    expect((await act(sim, inputs)).exitCode).toBe(0);
    expect(writesOf(sim.journal).slice(written)).toEqual([]);
    expect(snapshot(sim)).toEqual(before);
  });

  test('updates the tags of the inputs that changed, and reports each before it does', async () => {
    const sim = await startWorld();
    const inputs = { 'ssh-public-key': key, tags: 'team: blue\ncost-center: "7"' };
    expect((await act(sim, inputs)).exitCode).toBe(0);
    const before = withoutTags(snapshot(sim));
    const changed = {
      ...inputs,
      'if-exists': 'replace',
      tags: 'Team: red\ncost-center: "7"',
      overrides: JSON.stringify({ nic: { tags: { 'Cost-Center': '8' } } }),
    };
    const check = await act(sim, { ...changed, operation: 'check' });
    expect(check.outputs['findings']).toContain('Only this would be updated: tag Team (blue → red).');
    const run = await act(sim, changed);
    expect([errorOf(run), run.outputs['outcome']]).toEqual(['', 'kept']);
    expect(run.stdout).toContain('Updating tag Team: blue → red');
    expect(withoutTags(snapshot(sim))).toEqual(before);
    for (const id of Object.values(vm1)) {
      expect([id, tagOf(sim, id, 'team')]).toEqual([id, 'red']);
      expect([id, tagOf(sim, id, 'cost-center')]).toEqual([id, id === vm1.nic ? '8' : '7']);
    }
    const written = writesOf(sim.journal).length;
    expect((await act(sim, changed)).stdout).not.toContain('Updating tag');
    expect(writesOf(sim.journal).slice(written)).toEqual([]);
  });

  test('updates the tags after other operations on the resource have ended', async () => {
    const sim = await startWorld();
    expect((await act(sim, {}, { env: { GITHUB_RUN_ID: '1' } })).exitCode).toBe(0);
    const fault = sim.faults.add({
      match: { method: 'PATCH', path: /vm1-vnet.*\/tags\/default/, times: 2 },
      effect: { status: 409, code: 'Conflict', message: 'Another operation changes the resource.' },
    });
    const run = await act(sim, {}, { env: { GITHUB_RUN_ID: '2' } });
    expect([errorOf(run), run.exitCode]).toEqual(['', 0]);
    expect(fault.applied).toBe(2);
    expect(tagOf(sim, vm1.vnet, 'github-run-id')).toBe('2');
    expect(run.annotations.filter(({ message }) => message.includes('tags'))).toEqual([]);
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

  test('sets the outputs of a kept deployment before it updates the tags', async () => {
    const sim = await startWorld();
    const inputs = { 'ssh-public-key': key };
    const first = await act(sim, inputs, { env: { GITHUB_RUN_ID: '1' } });
    sim.faults.add({
      match: { method: 'PATCH', path: /vm1-nic.*\/tags\/default/, times: Number.POSITIVE_INFINITY },
      effect: { status: 412, code: 'PreconditionFailed', message: 'unexpected' },
    });
    const run = await act(sim, inputs, { env: { GITHUB_RUN_ID: '2' } });
    expect(run.exitCode).toBe(1);
    for (const name of ['vm-instance-id', 'public-ip-address', 'private-ip-address', 'nic-id', 'os-disk-id'])
      expect([name, run.outputs[name]]).toEqual([name, first.outputs[name]]);
  });

  test('warns of settings that a policy changed while the VM was created', async () => {
    const sim = await startWorld();
    sim.faults.add({
      match: { method: 'GET', path: new RegExp(`${vm1.machine}\\?`), nth: 2 },
      effect: {
        onArrival: () => {
          const body = sim.world.resources.get(vm1.machine)?.body;
          if (body) {
            body['properties'].licenseType = 'RHEL_BYOS';
            body['tags'] = { ...body['tags'], team: 'finance' };
          }
        },
      },
    });
    const run = await act(sim, { 'ssh-public-key': key, 'license-type': 'None', tags: 'team: blue' });
    expect([errorOf(run), run.exitCode]).toEqual(['', 0]);
    expect(warningsOf(run)).toContain('license: RHEL_BYOS; the inputs request None');
    expect(warningsOf(run)).toContain('tag team: finance; the inputs request blue');
    expect(run.summary).toContain('other settings than requested');
  });

  test('reports a newer image version and keeps the VM’s version', async () => {
    const sim = await startWorld();
    expect((await act(sim, { 'image-id': defaults.imageId('linux', '1.0.0') })).exitCode).toBe(0);
    const run = await act(sim);
    expect(run.exitCode).toBe(0);
    expect(run.outputs['image-version']).toBe('1.0.0');
    expect(run.stdout).toMatch(/created from image version 1\.0\.0 and keeps it; the newest one is 1\.10\.0/);
  });

  test('the key that an earlier run generated is gone: empty output and a warning', async () => {
    const sim = await startWorld();
    expect((await act(sim, generatedKey)).outputs['ssh-private-key-path']).toBeTruthy();
    const run = await act(sim, generatedKey);
    expect(run.exitCode).toBe(0);
    expect(run.outputs['ssh-private-key-path']).toBeUndefined();
    expect(warningsOf(run)).toContain('key that an earlier run generated was deleted');
  });

  test.concurrent.each<[string, Record<string, string>, string]>([
    ['image', { 'image-id': defaults.imageId('linux-data-disks') }, 'image: /'],
    ['version', { 'image-id': defaults.imageId('linux', '1.0.0') }, 'image: /'],
    ['operating system', windowsImage(), 'operating system: Linux'],
    ['size', { 'vm-size': 'Standard_D4s_v5' }, 'size: Standard_D2s_v5; the inputs request Standard_D4s_v5'],
    [
      'region',
      { location: 'North Europe' },
      'region of the network interface: westeurope; the inputs request northeurope',
    ],
    ['zone', { zone: '2' }, 'zone: none; the inputs request 2'],
    [
      'rule',
      { 'allow-inbound': '22 from 203.0.113.0/24' },
      'inbound rules: none; the inputs request 22/tcp from 203.0.113.0/24',
    ],
    ['label', { 'dns-label': 'my-machine' }, 'DNS label: none; the inputs request my-machine'],
    [
      'prefix',
      { 'subnet-prefix': '192.168.2.0/24' },
      'subnet prefix: 192.168.1.0/24; the inputs request 192.168.2.0/24',
    ],
    ['admin user', { 'admin-username': 'bob' }, 'admin user: azureuser; the inputs request bob'],
    [
      'accelerated networking',
      { 'accelerated-networking': 'true' },
      'accelerated networking: false; the inputs request true',
    ],
    ['priority', { spot: 'true' }, 'priority: Regular; the inputs request Spot'],
    ['disk size', { 'os-disk-size-gb': '200' }, 'OS disk size in GB: 30; the inputs request 200'],
    ['security type', { 'security-type': 'Standard' }, 'security type: TrustedLaunch; the inputs request Standard'],
    ['public IP', { 'public-ip': 'false' }, 'public IP: /'],
    ['identity', { identity: 'system' }, 'identity: none; the inputs request system'],
  ])('another %s ends in an error that says what differs and what to do', async (_, inputs, says) => {
    const sim = await startWorld();
    expect((await act(sim, { 'ssh-public-key': key })).exitCode).toBe(0);
    const before = snapshot(sim);
    const run = await act(sim, { 'ssh-public-key': key, cleanup: 'always', ...inputs }, { phases: ['main', 'post'] });
    expect(run.exitCode).toBe(1);
    expect(errorOf(run)).toContain(says);
    expect(errorOf(run)).toContain('operation: delete');
    expect(errorOf(run)).toContain('another `vm-name`');
    expect(disturbed(sim, before)).toEqual([]);
  });

  test('puts out the admin user of the VM when a rerun names another one', async () => {
    const sim = await startWorld();
    const inputs = { 'ssh-public-key': key, 'admin-username': 'alice' };
    expect((await act(sim, inputs)).outputs['admin-username']).toBe('alice');
    const run = await act(sim, { ...inputs, 'admin-username': 'bob' });
    expect(run.exitCode).toBe(1);
    expect(run.outputs['admin-username']).toBe('alice');
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

  test('a port that is to be closed is not passed over; a rule that somebody added is', async () => {
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

  test('one of several sizes is as good as another, and what overrides changed is as asked for', async () => {
    const sim = await startWorld();
    const inputs = {
      overrides: '{"vm": {"properties": {"hardwareProfile": {"vmSize": "Standard_D4s_v5"}}}}',
    };
    expect((await act(sim, inputs)).exitCode).toBe(0);
    expect((await act(sim, inputs)).exitCode).toBe(0);
    const run = await act(sim, { 'vm-size': 'Standard_D2s_v5, Standard_D4s_v5' });
    expect([run.exitCode, run.outputs['vm-size']]).toEqual([0, 'Standard_D4s_v5']);
  });

  test('an image tenant that refuses the sign-in is named', async () => {
    const sim = await startWorld();
    expect((await act(sim)).exitCode).toBe(0);
    const before = snapshot(sim);
    sim.world.removePrincipal(principals.image);
    const run = await act(sim);
    expect(run.exitCode).toBe(1);
    expect(errorOf(run)).toContain(`signing in to tenant ${defaults.imageTenantId}`);
    expect(disturbed(sim, before)).toEqual([]);
  });
});

describe('on a half-finished deployment', () => {
  const stages = [
    ['security group', 'networkSecurityGroups'],
    ['virtual network', 'virtualNetworks'],
    ['public IP', 'publicIPAddresses'],
    ['interface', 'networkInterfaces'],
    ['machine', 'virtualMachines'],
  ] as const;
  test.concurrent.each(stages)(
    'it goes on from a run that was lost at the %s, and deletes all of it in the end',
    async (_, type) => {
      const sim = await startWorld();
      const before = snapshot(sim);
      // The first try is held until the runner is gone, and carried out after that.
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
      const lost = await act(
        sim,
        {},
        { env: { GITHUB_RUN_ID: '1' }, signal: { name: 'SIGKILL', when: arrival.promise } },
      );
      expect(fault.applied).toBe(1);
      expect(lost.exitCode).toBeNull();
      end.resolve();
      const run = await act(sim, { cleanup: 'always' }, { env: { GITHUB_RUN_ID: '2' }, phases: ['main', 'post'] });
      expect(errorOf(run)).toBe('');
      expect([run.exitCode, run.post?.exitCode]).toEqual([0, 0]);
      expectAllGone(sim, before);
    },
  );

  test('a part that failed is made again', async () => {
    const sim = await startWorld();
    sim.faults.add({
      match: { method: 'PUT', path: /virtualNetworks/ },
      effect: { operationFails: { code: 'OperationNotAllowed', message: 'oops' } },
    });
    expect((await act(sim, { cleanup: 'never' })).exitCode).toBe(1);
    const run = await act(sim);
    expect(run.exitCode).toBe(0);
    expect(JSON.parse(run.outputs['created'] ?? '')).not.toContain(vm1.vnet);
  });

  test('a deployment whose resources have no provisioningState is adopted', async () => {
    const sim = await startWorld();
    expect((await act(sim)).exitCode).toBe(0);
    for (const id of Object.values(vm1)) {
      delete sim.world.resources.get(id)?.body['properties'].provisioningState;
    }
    const written = writesOf(sim.journal).length;
    const run = await act(sim);
    expect(errorOf(run)).toBe('');
    expect(run.exitCode).toBe(0);
    const writes = writesOf(sim.journal).slice(written);
    expect(writes).toEqual([]);
    expect(run.stdout).toContain('Virtual machine vm1: Succeeded.');
  });

  test('a machine that Azure never placed is made anew', async () => {
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

  test('a machine that failed after it had run is neither taken over nor replaced', async () => {
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

  test('a disk without its machine is not overwritten', async () => {
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

  test('one that is being deleted is waited for, then made', async () => {
    const sim = await startWorld();
    expect((await act(sim, {}, { env: { GITHUB_RUN_ID: '1' } })).exitCode).toBe(0);
    const machine = sim.world.resources.get(vm1.machine)?.body;
    if (machine) machine['properties'].provisioningState = 'Deleting';
    // Found so three times. What the machine takes along goes with it.
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
