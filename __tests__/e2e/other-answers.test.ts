/**
 * Answers that Azure may give and the simulator's own handlers do not: other api-versions, other kinds of 404, ends of
 * operations without a reason, front ends that lag behind.
 */
import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { FaultMatch } from '../../simulator/engine/faults.ts';
import { defaults, principals, type Simulator } from '../../simulator/index.ts';
import { addDefinition, addVersion } from '../../simulator/providers/compute/galleries.ts';
import { settings } from '../../simulator/providers/compute/settings.ts';
import {
  act,
  addDeployment,
  addStranger,
  errorOf,
  expectAllGone,
  cleanupStateOf,
  copyDeployment,
  partsOf,
  snapshot,
  startWorld,
  warningsOf,
  writesOf,
  expireDeployments,
} from '../support/lifecycle.ts';

const vm1 = partsOf('vm1');
const main = { phases: ['main'] } as const;
const gallery = defaults.imageId('linux').replace(/\/images\/linux$/, '');
const every = Number.POSITIVE_INFINITY;

/** Refuses every version of a type but these, in Resource Manager's words. */
function knowOnly(sim: Simulator, type: RegExp, versions: string): void {
  const name = type.source.replaceAll('\\', '');
  sim.faults.add({
    match: {
      path: new RegExp(`${type.source}[^?]*\\?.*api-version=(?!(?:${versions.replaceAll(', ', '|')})\\b)`),
      times: every,
    },
    effect: {
      status: 400,
      code: 'NoRegisteredProviderFound',
      message: `No registered resource provider found for location 'westeurope' and API version 'asked' for type '${name}'. The supported api-versions are '${versions}'. The supported locations are 'westeurope'.`,
    },
  });
}
const versionsOf = (sim: Simulator, path: RegExp): string[] => [
  ...new Set(
    sim.journal
      .filter((one) => path.test(one.path) && one.status < 400 && !one.isPoll)
      .map(({ apiVersion }) => apiVersion ?? ''),
  ),
];

describe('where the newest api-version is not known', () => {
  test.concurrent('uses the newest stable supported version and logs it once per type', async () => {
    const sim = await startWorld();
    knowOnly(sim, /\/virtualMachines\//, '2023-06-01, 2024-07-01, 2024-11-01-preview');
    knowOnly(sim, /\/networkInterfaces\//, '2024-05-01');
    const run = await act(sim, { identity: 'system' });
    expect(errorOf(run)).toBe('');
    expect(versionsOf(sim, /\/virtualMachines\/vm1$/)).toEqual(['2024-07-01']);
    expect(versionsOf(sim, /\/networkInterfaces\/vm1-nic$/)).toEqual(['2024-05-01']);
    const put = sim.journal.find(({ kind, status }) => kind === 'vm.put' && status === 201);
    expect(put?.requestHeaders['if-none-match']).toBe('*');
    expect(put?.auxiliary).toHaveLength(1);
    const refused = sim.journal.filter(({ status }) => status === 400);
    // One pipeline each for requests with and without the auxiliary token; the boot log counts as another type.
    expect(refused.map(({ path }) => path)).toHaveLength(4);
  });

  test.concurrent('does not overwrite a VM that appeared before a PUT whose API version ignores If-None-Match', async () => {
    const sim = await startWorld();
    knowOnly(sim, /\/virtualMachines\//, '2023-09-01');
    sim.faults.add({
      match: { method: 'PUT', path: /networkInterfaces\/vm1-nic\?/ },
      effect: { delaySeconds: 2 },
    });
    const stranger = vm1.machine;
    const run = await act(
      sim,
      {},
      {
        ...main,
        onLine: ({ text }) => {
          if (!text.includes('Creating network interface') || sim.world.resources.has(stranger)) return;
          addStranger(sim.world, stranger, { owner: 'somebody' });
        },
      },
    );
    expect(run.exitCode).toBe(1);
    expect(errorOf(run)).toContain('virtual machine vm1 already exists and was not created by this action');
    expect(sim.world.resources.get(stranger)?.body['tags']).toEqual({ owner: 'somebody' });
    expect(sim.journal.some(({ kind }) => kind === 'vm.put')).toBe(false);
  });

  test.concurrent('and a page comes in place of that look: nothing is written', async () => {
    const sim = await startWorld();
    knowOnly(sim, /\/virtualMachines\//, '2023-09-01');
    // The first look in the old version is the survey's.
    sim.faults.add({
      match: { method: 'GET', path: /virtualMachines\/vm1\?.*2023-09-01/, nth: 2, times: every },
      effect: { status: 404, body: '<html><title>Not here</title></html>' },
    });
    const run = await act(sim, {}, main);
    expect(run.exitCode).toBe(1);
    expect(errorOf(run)).toContain('404 with an HTML page titled "Not here"');
    expect(sim.journal.some(({ kind }) => kind === 'vm.put')).toBe(false);
  });

  test.concurrent('reports the error when the only supported versions are a preview and older than the request bodies', async () => {
    const sim = await startWorld();
    knowOnly(sim, /\/virtualMachines\//, '2099-01-01-preview, 2022-11-01');
    const run = await act(sim, {}, main);
    expect(errorOf(run)).toContain('NoRegisteredProviderFound');
    expect(errorOf(run)).toContain('Who must act:');
    expect(writesOf(sim.journal)).toEqual([]);
  });
});

describe('with a VM of an earlier run', () => {
  let sim: Simulator;
  beforeAll(async () => {
    sim = await startWorld();
    expect((await act(sim, {}, main)).exitCode).toBe(0);
  });
  afterEach(() => sim.faults.clear());

  test('a rerun goes on where disks may not be read', async () => {
    sim.faults.add({
      match: { method: 'GET', path: /\/disks\/vm1-osdisk\?/, times: every },
      effect: { status: 403, code: 'AuthorizationFailed', message: 'may not read' },
    });
    const rerun = await act(sim, {}, { ...main, env: { GITHUB_RUN_ID: '7' } });
    expect(errorOf(rerun)).toBe('');
    expect(sim.world.resources.get(vm1.machine)?.body['tags']).toMatchObject({ 'github-run-id': '7' });
  });

  test.each([
    ['a page', { status: 404, body: '<html><title>Not here</title></html>' }, ['delete', 'create']],
    [
      'an unknown type',
      { status: 404, code: 'InvalidResourceType', message: 'The resource type could not be found.' },
      ['delete'],
    ],
  ])(
    'a 404 with %s is neither taken for gone by `delete`, nor for a free name by `create`',
    async (_, effect, operations) => {
      const before = snapshot(sim);
      sim.faults.add({ match: { method: 'GET', path: /\/virtualMachines\/vm1\?/, times: every }, effect });
      for (const operation of operations) {
        const run = await act(sim, { operation }, main);
        expect([operation, run.exitCode]).toEqual([operation, 1]);
        expect(errorOf(run)).toContain('404');
      }
      expect(
        [...before.keys()].filter((id) => id.includes('/virtualmachines/vm1')).every((id) => snapshot(sim).has(id)),
      ).toBe(true);
    },
  );

  test("`delete` leaves the machine where somebody else's disk could not be kept out of its end", async () => {
    const disk = sim.world.resources.get(vm1.osDisk);
    if (disk) disk.body['tags'] = { owner: 'somebody' };
    const machine = sim.world.resources.get(vm1.machine)?.body;
    sim.faults.add({
      match: { method: 'PATCH', path: /virtualMachines\/vm1\?/ },
      effect: {
        status: 200,
        body: { ...machine, properties: { ...machine?.['properties'], provisioningState: 'Failed' } },
      },
    });
    const run = await act(sim, { operation: 'delete' }, main);
    expect(run.exitCode).toBe(1);
    expect(errorOf(run)).toContain('virtual machine vm1 ended as failed');
    expect(sim.world.resources.has(vm1.machine)).toBe(true);
    expect(sim.world.resources.has(vm1.osDisk)).toBe(true);
  });
});

test.concurrent('reads JSON with a byte order mark and another content type', async () => {
  const sim = await startWorld();
  const vm = {
    id: vm1.machine,
    tags: { 'cross-tenant-vm': 'vm1' },
    properties: { vmId: '7', provisioningState: 'Succeeded' },
  };
  // The SDK parses the list of VMs, the action itself that of the resources.
  const faults = [/deploy-rg\/resources\?/, /deploy-rg\/providers\/Microsoft\.Compute\/virtualMachines\?/].map((path) =>
    sim.faults.add({
      match: { method: 'GET', path },
      effect: {
        status: 200,
        body: `\uFEFF${JSON.stringify({ value: [vm] })}`,
        headers: { 'content-type': 'text/plain' },
      },
    }),
  );
  const run = await act(sim, { operation: 'list', 'image-id': '', 'image-tenant-id': '' }, main);
  expect(errorOf(run)).toBe('');
  expect(faults.map(({ applied }) => applied)).toEqual([1, 1]);
  expect(JSON.parse(run.outputs['deployments'] ?? '')).toMatchObject([{ 'vm-name': 'vm1', state: 'Succeeded' }]);
});

test.concurrent('creates, adopts and deletes a deployment when lists without entries are null', async () => {
  const sim = await startWorld();
  const before = snapshot(sim);
  const setNulls = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    for (const [key, inner] of Object.entries(value)) {
      if (Array.isArray(inner) && inner.length === 0) Object.assign(value, { [key]: null });
      else setNulls(inner);
    }
  };
  sim.faults.add({ match: { host: 'arm', method: 'GET', times: every }, effect: { changeAnswer: setNulls } });
  const inputs = { identity: 'vm1-app' };
  for (const [operation, outcome] of [
    ['check', 'checked'],
    ['create', 'created'],
    ['create', 'kept'],
    ['delete', 'deleted'],
  ] as const) {
    const run = await act(sim, { ...inputs, operation }, main);
    expect([operation, errorOf(run), run.outputs['outcome']]).toEqual([operation, '', outcome]);
  }
  expectAllGone(sim, before);
});

test.concurrent('takes the newest usable image version when the list contains IDs only', async () => {
  const sim = await startWorld();
  const deleted = { regions: ['West Europe'], softDeletedUntil: '2099-01-31T00:00:00Z' };
  addVersion(sim.world, defaults.imageId('linux'), '1.11.0', deleted);
  sim.faults.add({
    match: { method: 'GET', path: /\/images\/linux\/versions\?/, times: every },
    effect: { changeAnswer: ({ value }) => value.forEach((version: { name?: string }) => delete version.name) },
  });
  const run = await act(sim, { 'image-id': defaults.imageId('linux') }, main);
  expect([errorOf(run), run.outputs['image-version']]).toEqual(['', '1.10.0']);
});

test.concurrent('sends a request again whose success says nothing', async () => {
  const sim = await startWorld();
  const answer = (method: string, path: RegExp, effect: { status: number; body?: string }) =>
    sim.faults.add({ match: { method, path }, effect: { ...effect, headers: { 'content-type': 'application/json' } } });
  const faults = [
    answer('PUT', /networkSecurityGroups\//, { status: 204 }),
    answer('PUT', /virtualNetworks\//, { status: 202 }),
    answer('PUT', /virtualMachines\/vm1\?/, { status: 204 }),
    answer('POST', new RegExp(`${defaults.imageTenantId}/oauth2`), { status: 200, body: '{"access_token": "' }),
  ];
  const run = await act(sim, {}, main);
  expect([errorOf(run), run.exitCode]).toEqual(['', 0]);
  expect(faults.map(({ applied }) => applied)).toEqual([1, 1, 1, 1]);
});

describe('an operation that ends without a reason', () => {
  test.concurrent.each(['Cancelled'])('as "%s": an error of ours with the request, and clean-up', async (status) => {
    const sim = await startWorld();
    const before = snapshot(sim);
    sim.faults.add({
      match: { path: /Microsoft\.Network\/locations/, phase: 'poll' },
      effect: { status: 200, body: { status } },
    });
    const run = await act(sim, {}, main);
    expect(run.exitCode).toBe(1);
    expect(errorOf(run)).toContain(`The operation failed, ${status}`);
    expect(errorOf(run)).toContain('Request: GET');
    expectAllGone(sim, before);
  });

  test.concurrent('in the answer to the PUT itself: not taken for built', async () => {
    const sim = await startWorld();
    sim.faults.add({
      match: { method: 'PUT', path: /networkSecurityGroups\/vm1-nsg\?/ },
      effect: {
        status: 201,
        body: {
          id: vm1.nsg,
          name: 'vm1-nsg',
          location: 'westeurope',
          properties: { provisioningState: 'Failed' },
        },
      },
    });
    const run = await act(sim, {}, main);
    expect(run.exitCode).toBe(1);
    expect(errorOf(run)).toMatch(/network security group vm1-nsg ended as failed/);
    expect(sim.journal.some(({ method, path }) => method === 'PUT' && path.includes('virtualMachines'))).toBe(false);
  });

  test.concurrent('in the VM, which was read as Creating before: its own status tells why', async () => {
    const sim = await startWorld({ timeScale: 0.0001 });
    settings(sim.world).shortages.push({ code: 'AllocationFailed', at: 'operation' });
    sim.faults.add({
      match: { path: /Microsoft\.Compute\/locations/, phase: 'poll', times: every },
      effect: { status: 200, body: { status: 'Succeeded' } },
    });
    const late = sim.faults.add({
      match: { method: 'GET', path: /virtualMachines\/vm1\?/, nth: 2 },
      effect: { changeAnswer: (body) => (body.properties.provisioningState = 'Creating') },
    });
    sim.world.latencies['vmPutLinux'] = 0.1;
    const run = await act(sim, {}, main);
    expect([run.exitCode, late.applied]).toEqual([1, 1]);
    expect(errorOf(run)).toContain('AllocationFailed');
  });
});

describe('a machine that failed', () => {
  test.concurrent('reports the operation error when the VM cannot be read', async () => {
    const sim = await startWorld({ timeScale: 0.0001 });
    settings(sim.world).shortages.push({ code: 'AllocationFailed', at: 'operation' });
    sim.faults.add({
      match: { path: /Microsoft\.Compute\/locations/, phase: 'poll', times: every },
      effect: { status: 200, body: { status: 'Succeeded' } },
    });
    sim.faults.add({
      match: { method: 'GET', path: /virtualMachines\/vm1\?.*instanceView/, times: every },
      effect: { status: 403, code: 'AuthorizationFailed', message: 'may not read' },
    });
    sim.world.latencies['vmPutLinux'] = 0.1;
    const run = await act(sim, {}, main);
    expect(run.exitCode).toBe(1);
    expect(errorOf(run)).toContain('virtual machine vm1 ended as failed');
  });

  test.concurrent('and that Azure is still busy with is no twin of ours: the next size is tried again', async () => {
    const sim = await startWorld();
    settings(sim.world).shortages.push({
      size: 'Standard_D2s_v5',
      code: 'AllocationFailed',
      at: 'operation',
    });
    sim.faults.add({
      match: { method: 'PUT', path: /virtualMachines\/vm1\?/, nth: 2 },
      effect: {
        status: 409,
        code: 'Conflict',
        message: 'The request failed due to conflict with a concurrent request.',
      },
    });
    const run = await act(sim, { 'vm-size': 'Standard_D2s_v5, Standard_D2as_v5' }, main);
    expect([errorOf(run), run.exitCode]).toEqual(['', 0]);
    expect(run.outputs['vm-size']).toBe('Standard_D2as_v5');
    expect(cleanupStateOf(run)?.created.length).toBeGreaterThan(5);
  });
});

describe('clean-up', () => {
  test.concurrent('of one deployment that cannot be looked at does not stop the sweep of the others', async () => {
    const sim = await startWorld();
    expect((await act(sim, { 'vm-name': 'aa', 'expires-after': '1h' }, main)).exitCode).toBe(0);
    copyDeployment(sim, 'aa', 'bb');
    expireDeployments(sim);
    sim.faults.add({
      match: { method: 'GET', path: /virtualMachines\/aa\?/, nth: 2, times: every },
      effect: { status: 403, code: 'AuthorizationFailed', message: 'may not read' },
    });
    const run = await act(sim, { operation: 'sweep' }, main);
    expect(run.exitCode).toBe(1);
    expect(errorOf(run)).toContain('AuthorizationFailed');
    const left = [...sim.world.resources.all()].map(({ id }) => id);
    expect(left.filter((id) => Object.values(partsOf('bb')).includes(id))).toEqual([]);
    expect(JSON.parse(run.outputs['deleted'] ?? '[]')).toContain(partsOf('bb').machine);
    expect(left).toContain(partsOf('aa').machine);
  });

  test.concurrent('of a run command that fails is left to the post step, which names only that when it fails too', async () => {
    const sim = await startWorld();
    sim.faults.add({
      match: { method: 'DELETE', path: /\/runCommands\// },
      effect: { status: 409, code: 'ScopeLocked', message: 'The scope is locked.' },
    });
    const run = await act(sim, { 'run-script': 'true' });
    expect([errorOf(run), run.exitCode]).toEqual(['', 0]);
    expect(warningsOf(run)).toContain('The run command of the script could not be deleted (ScopeLocked');
    expect(cleanupStateOf(run)?.created.some((id) => id.includes('/runCommands/'))).toBe(true);

    sim.faults.add({
      match: { host: 'entra', times: every },
      effect: { status: 400, body: { error: 'invalid_client', error_description: 'AADSTS7000215: no.' } },
    });
    const refused = await act(sim, {}, { phases: ['post'], state: run.state });
    expect(refused.exitCode).toBe(0);
    expect(warningsOf(refused)).toMatch(/Resources that may be left:\n\S+\/runCommands\/\S+$/m);
    expect(warningsOf(refused)).not.toContain(vm1.vnet);

    sim.faults.clear();
    expect((await act(sim, {}, { phases: ['post'], state: run.state })).exitCode).toBe(0);
    const ids = [...sim.world.resources.all()].map(({ id }) => id);
    expect(ids.filter((id) => id.includes('/runCommands/'))).toEqual([]);
    expect(ids).toContain(vm1.machine);
  });
});

describe('front ends that lag behind', () => {
  test.concurrent('do not know a new group yet: its first resources are asked for again', async () => {
    const sim = await startWorld({
      world: (world) => world.grant(principals.deploy, 'Contributor', `/subscriptions/${defaults.subscriptionId}`),
    });
    sim.faults.add({
      match: { method: 'PUT', path: /resourceGroups\/new-rg\/providers/, times: 4 },
      effect: { status: 404, code: 'ResourceGroupNotFound', message: "Resource group 'new-rg' could not be found." },
    });
    const run = await act(sim, { 'resource-group': 'new-rg', location: 'North Europe' }, main);
    expect([errorOf(run), run.exitCode]).toEqual(['', 0]);
    expect(run.outputs['location']).toBe('northeurope');
    expect(writesOf(sim.journal)[0]).toMatchObject({
      path: expect.stringMatching(/resourceGroups\/new-rg$/i),
      requestBody: { location: 'northeurope' },
    });
  });

  test.concurrent('do not know yet what an operation has just made, in a group whose name is written otherwise in the URL', async () => {
    const name = 'größe(test)';
    const sim = await startWorld({
      world: (world) => {
        const { id } = world.addGroup(defaults.subscriptionId, name, defaults.location);
        world.grant(principals.deploy, 'Contributor', id);
      },
    });
    const late = (path: RegExp, nth: number) =>
      sim.faults.add({
        match: { method: 'GET', path, nth, times: 2 },
        effect: { status: 404, code: 'ResourceNotFound', message: 'not yet' },
      });
    // The first read of the VM is the one before its PUT.
    const faults = [late(/publicIPAddresses\/vm1-ip\?/, 1), late(/virtualMachines\/vm1\?/, 2)];
    const overrides = JSON.stringify({ vm: { tags: { tier: 'gold' } }, nsg: { tags: { tier: 'gold' } } });
    const run = await act(sim, { 'resource-group': name, overrides }, main);
    expect([errorOf(run), run.exitCode]).toEqual(['', 0]);
    expect(faults.map(({ applied }) => applied)).toEqual([2, 2]);
    const bodies = sim.journal.filter(({ kind }) => kind === 'vm.put' || kind === 'nsg.put');
    expect(bodies.map(({ requestBody }) => (requestBody as any).tags.tier)).toEqual(['gold', 'gold']);
  });
});

describe('what fails beside the machine', () => {
  test.concurrent('a wait for the image does not outlive the refusal of something else', async () => {
    const sim = await startWorld({
      world: (world) => {
        const slow = addDefinition(world, gallery, 'slow', { osType: 'Linux' });
        addVersion(world, slow, '1.0.0', { regions: [{ region: 'West Europe', completesAfter: 1_000_000 }] });
      },
    });
    const run = await act(
      sim,
      {
        'image-id': defaults.imageId('slow'),
        'image-wait-minutes': '60',
        identity: 'system',
        'role-assignments': `No Such Role on /subscriptions/${defaults.subscriptionId}/resourceGroups/${defaults.resourceGroup}`,
      },
      main,
    );
    expect(errorOf(run)).toContain('There is no role named "No Such Role"');
  });

  test.concurrent('a cancellation during the clean-up of a failed run does not take the place of its error', async () => {
    const sim = await startWorld();
    settings(sim.world).shortages.push({ code: 'AllocationFailed', at: 'operation' });
    const run = await act(sim, {}, { signal: { name: 'SIGINT', whenLog: /Deleting virtual machine/ } });
    expect(run.exitCode).toBe(1);
    expect(errorOf(run)).toContain('AllocationFailed');
    expect(errorOf(run)).toContain('Azure has no capacity for Standard_D2s_v5 in westeurope');
    expect(errorOf(run)).not.toContain('cancelled');
  });

  test.concurrent('an address that may not be read is left out; the machine is made', async () => {
    const sim = await startWorld();
    const given = partsOf('given').publicIp;
    addStranger(sim.world, given);
    sim.faults.add({
      match: { method: 'GET', path: /publicIPAddresses\/given-ip\?/, times: every },
      effect: { status: 403, code: 'AuthorizationFailed', message: 'may not read' },
    });
    const run = await act(sim, { 'public-ip': given }, main);
    expect(errorOf(run)).toBe('');
    expect(run.outputs['public-ip-id']).toBe(given);
    expect(run.outputs['public-ip-address'] ?? '').toBe('');
  });

  test.concurrent('a private key that cannot be removed does not keep the machine', async () => {
    const sim = await startWorld();
    const before = snapshot(sim);
    const run = await act(sim, { cleanup: 'always' }, main);
    const state = {
      ...run.state,
      cleanup: JSON.stringify({ ...cleanupStateOf(run), privateKeyPath: 'no\u0000path/id_rsa' }),
    };
    const post = await act(sim, { cleanup: 'always' }, { phases: ['post'], state });
    expect(post.exitCode).toBe(0);
    expect(warningsOf(post)).toContain('The generated private key could not be removed');
    expectAllGone(sim, before);
  });
});

describe('a job of the same name in the same run does not take over what its twin created:', () => {
  test.each<[string, FaultMatch, string]>([
    [
      'its network',
      { method: 'PUT', path: /\/(networkSecurityGroups|publicIPAddresses)\//, times: 2 },
      'exists, although this step did not find it before',
    ],
    [
      'its VM, on a network that was there',
      { method: 'PUT', path: /virtualMachines\/vm1\?/ },
      'Another job of this run created',
    ],
  ])('%s', async (_, match, message) => {
    const inputs = { cleanup: 'always' };
    const sim = await startWorld();
    if (message.includes('Another job')) {
      await addDeployment(sim, { inputs });
      for (const id of [vm1.machine, vm1.osDisk]) sim.world.resources.remove(id);
    }
    const hasTwinEnded = Promise.withResolvers<void>();
    const hasArrived = new Promise<void>((arrived) => {
      const onArrival = (): Promise<void> => {
        arrived();
        return hasTwinEnded.promise;
      };
      sim.faults.add({ match, effect: { onArrival } });
    });
    const held = act(sim, inputs, main);
    await hasArrived;
    const twin = await act(sim, inputs, main);
    hasTwinEnded.resolve();
    const late = await held;
    expect([late.exitCode, twin.exitCode]).toEqual([1, 0]);
    expect(errorOf(late)).toContain(message);
    expect(errorOf(late)).toContain('`vm-name`');
    expect(cleanupStateOf(late)?.created).toEqual([]);
    const before = snapshot(sim);
    const post = await act(sim, inputs, { phases: ['post'], state: late.state });
    expect(post.exitCode).toBe(0);
    expect(snapshot(sim)).toEqual(before);
    expect(before.has(vm1.machine.toLowerCase())).toBe(true);
  });
});

test.concurrent('size and GUID are put out as soon as the machine is taken, for a job that is cancelled then', async () => {
  const sim = await startWorld();
  sim.world.latencies['vmPutLinux'] = 1000;
  const run = await act(
    sim,
    { cleanup: 'never' },
    { ...main, signal: { name: 'SIGINT', whenLog: /GET \S+Microsoft\.Compute\/locations/ } },
  );
  expect(run.exitCode).toBe(1);
  expect(run.outputs['vm-size']).toBe('Standard_D2s_v5');
  expect(run.outputs['vm-instance-id']).toMatch(/^[0-9a-f-]{36}$/);
});

test.concurrent("a machine's bucket of polls that is nearly empty is not emptied", async () => {
  // At the same speed as the action, because buckets are refilled by the simulator's time.
  const sim = await startWorld({ timeScale: 0.02 });
  Object.assign(sim.world.latencies, { nsgPut: 0, vnetPut: 0, publicIpPut: 0, nicPut: 0, vmPutLinux: 9 });
  // When the VM is requested: until then, the bucket would be refilled.
  sim.faults.add({
    match: { method: 'PUT', path: /\/virtualMachines\/vm1\?/ },
    effect: {
      onArrival: () => sim.world.budgets.drain('Microsoft.Compute/GetOperationResource', vm1.machine, -2),
    },
  });
  const run = await act(sim, {}, main);
  expect(errorOf(run)).toBe('');
  const polls = sim.journal.filter(({ path, isPoll }) => isPoll && path.includes('Microsoft.Compute'));
  expect(polls.filter(({ status }) => status === 429)).toEqual([]);
  // The poll schedule alone would have sent six requests by then.
  expect(polls.length).toBeLessThan(5);
});
