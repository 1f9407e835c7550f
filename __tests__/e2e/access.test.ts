/** Identities and roles, as the shipped action makes, finds, refuses and removes them. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { settings } from '../../simulator/providers/compute/settings.ts';
import { defaults, principals, type Simulator, startSimulator, type World } from '../../simulator/index.ts';
import { addRegistry } from '../../simulator/providers/registry.ts';
import { defaultInputs, runAction, runJob } from '../support/harness.ts';
import { addIdentity, expireDeployments } from '../support/lifecycle.ts';

const registryIn = (subscription: string, name = 'acrimages') =>
  `/subscriptions/${subscription}/resourceGroups/registry-rg/providers/Microsoft.ContainerRegistry/registries/${name}`;
const registryId = registryIn(defaults.subscriptionId);
const identityAt = (name: string) =>
  `/subscriptions/${defaults.subscriptionId}/resourceGroups/${defaults.resourceGroup}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/${name}`;
const acrPullId = '7f951dda-4ed3-4680-a7ca-43fe172d538d';
const grantingRole = 'Role Based Access Control Administrator';

interface Setting {
  readonly subscription?: string;
  readonly name?: string;
  readonly abac?: boolean;
  /** The app may grant roles on the registry. */
  readonly mayGrant?: boolean;
}

/** A registry in a separate group; the app's other permissions are limited to the VM's group. */
function addRegistryTo(world: World, { subscription, name = 'acrimages', abac, mayGrant = true }: Setting = {}): void {
  const where = {
    subscription: subscription ?? defaults.subscriptionId,
    group: 'registry-rg',
    name,
  };
  world.addGroup(where.subscription, where.group, defaults.location);
  const id = addRegistry(world, where, abac);
  if (mayGrant) world.grant(principals.deploy, grantingRole, id);
}

function roleDefinitionOf(roleName: string): { readonly id: string; readonly name: string } {
  const guid = { Owner: '8e3af657-a8ff-443c-a75c-2fe8c4bcb635', AcrPull: '7f951dda-4ed3-4680-a7ca-43fe172d538d' }[
    roleName
  ];
  const id = `/subscriptions/${defaults.subscriptionId}/providers/Microsoft.Authorization/roleDefinitions/${guid}`;
  return { id, name: guid ?? '' };
}

let sim: Simulator;
afterEach(() => sim.close());

async function start(world: (world: World) => void): Promise<Record<string, string>> {
  sim = await startSimulator({ timeScale: 0.002, world });
  return { ...defaultInputs(sim), 'vm-name': 'host' };
}

const sent = (kind: string) => sim.journal.filter((exchange) => exchange.kind === kind);
const writes = () =>
  sim.journal.filter(({ host, method }) => host === 'arm' && (method === 'PUT' || method === 'DELETE'));
/** Role assignments of identities, without the app's own. */
const granted = () =>
  sim.world.roleAssignments.filter(({ principalId }) => !Object.values<string>(principals).includes(principalId));
const errors = (run: Awaited<ReturnType<typeof runAction>>) =>
  run.annotations
    .filter(({ level }) => level === 'error')
    .map(({ message }) => message)
    .join('\n');

test('all identities are granted the role; what others made stays when the deployment goes', async () => {
  let given = '';
  let foreign = '';
  const shared = '4d5b9f5b-8a3b-4f4e-8d86-9c3c3f2c4b04';
  const inputs = await start((world) => {
    addRegistryTo(world);
    world.addSubscription({ id: shared, tenant: defaults.tenantId, displayName: 'Shared services' });
    addRegistryTo(world, { subscription: shared });
    given = addIdentity(world, identityAt('given'));
    foreign = addIdentity(world, identityAt('foreign'), { team: 'blue' });
    world.grant(given, 'Reader', registryId);
  });
  // A server that ignores the filter by name.
  const definitions = ['Owner', 'AcrPull'].map((roleName) => ({
    ...roleDefinitionOf(roleName),
    properties: { roleName },
  }));
  sim.faults.add({
    match: { method: 'GET', path: new RegExp(`${registryId}/.*roleDefinitions\\?`) },
    effect: { status: 200, body: { value: definitions } },
  });
  // However busy the machine is: the directory does not know one identity at first.
  sim.faults.add({
    match: { method: 'PUT', path: /roleAssignments/ },
    effect: { status: 400, code: 'PrincipalNotFound', message: 'Principal x does not exist in the directory y.' },
  });
  const run = await runAction({
    sim,
    inputs: {
      ...inputs,
      identity: `system\n${identityAt('given')}\npuller\nforeign`,
      'role-assignments': `acrpull on ${registryId}\nAcrPull on ${registryIn(shared)}`,
    },
  });
  expect(errors(run)).toBe('');
  expect(run.exitCode).toBe(0);
  expect(run.stdout).toContain('Entra ID does not know');

  const bodies = sent('assignment.put')
    .filter(({ status, path }) => status === 201 && !path.includes(shared))
    .map(({ requestBody }) => (requestBody as { properties: Record<string, string> }).properties);
  expect(bodies).toHaveLength(4);
  const elsewhere = sim.world.roleAssignments.filter(({ scope }) => scope === registryIn(shared));
  expect(new Set(elsewhere.map(({ principalId }) => principalId))).toEqual(
    new Set([principals.deploy, ...bodies.map(({ principalId }) => principalId)]),
  );
  for (const { principalType, description } of bodies) {
    expect(principalType).toBe('ServicePrincipal');
    expect(description).toMatch(/^cross-tenant-vm=host; .*github-run-id=\d+/);
  }
  const puller = sim.world.resources.get(identityAt('puller'))?.body;
  expect(puller?.['tags']).toMatchObject({ 'cross-tenant-vm': 'host' });
  expect(sim.world.resources.get(identityAt('foreign'))?.body['tags']).toEqual({ team: 'blue' });
  expect(new Set(bodies.map(({ principalId }) => principalId))).toEqual(
    new Set([run.outputs['principal-id'], given, foreign, puller?.['properties'].principalId]),
  );
  // Beside the network: what is there already waits for nothing; the machine's own follows its first answer.
  const firstGrant = sent('assignment.put')[0]?.at ?? Infinity;
  expect(firstGrant).toBeLessThan(sent('vm.put')[0]?.at ?? 0);
  const created = JSON.parse(run.outputs['created'] ?? '[]') as string[];
  expect(created.filter((id) => id.includes('/roleAssignments/'))).toHaveLength(8);
  expect(created).toContain(identityAt('puller'));
  expect(created).not.toContain(identityAt('foreign'));

  expect(new Set(bodies.map(({ roleDefinitionId }) => roleDefinitionId))).toEqual(
    new Set([roleDefinitionOf('AcrPull').id]),
  );

  // Azure tells machines apart without case, and so does what goes with them.
  const removal = await runAction({ sim, inputs: { ...inputs, 'vm-name': 'HOST', operation: 'delete' } });
  expect(removal.exitCode).toBe(0);
  expect(granted().map(({ principalId, role }) => [principalId, sim.world.role(role)?.name])).toEqual([
    [given, 'Reader'],
  ]);
  const lastGrantGone = Math.max(...sent('assignment.delete').map(({ endedAt }) => endedAt));
  expect(lastGrantGone).toBeLessThanOrEqual(sent('vm.delete')[0]?.at ?? 0);
  expect(sim.world.resources.has(identityAt('puller'))).toBe(false);
  expect(sim.world.resources.has(identityAt('given'))).toBe(true);
  expect(sim.world.resources.has(identityAt('foreign'))).toBe(true);
});

test('what is granted already is left as it is, and takes no right to grant', async () => {
  const inputs = await start((world) => {
    addRegistryTo(world, { mayGrant: false });
    world.grant(principals.deploy, 'Reader', registryId);
    world.grant(addIdentity(world, identityAt('given')), 'AcrPull', registryId);
  });
  const run = await runAction({
    sim,
    inputs: {
      ...inputs,
      identity: identityAt('given'),
      'role-assignments': `7f951dda-4ed3-4680-a7ca-43fe172d538d on ${registryId.toUpperCase().replace('/SUBSCRIPTIONS', '/subscriptions')}`,
    },
  });
  expect(errors(run)).toBe('');
  expect(run.exitCode).toBe(0);
  expect(sent('assignment.put')).toEqual([]);
  expect(run.outputs['created']).not.toContain('roleAssignments');
  const removal = await runAction({ sim, inputs: { ...inputs, operation: 'delete' } });
  expect(removal.exitCode).toBe(0);
  expect(granted()).toHaveLength(1);
});

/** The app may assign roles on the registry and see none of those that exist. */
function addGrantOnly(world: World): void {
  addRegistryTo(world, { mayGrant: false });
  world.addRole({
    id: 'd1d1d1d1-0000-4000-8000-000000000001',
    name: 'Grant only',
    custom: true,
    actions: ['Microsoft.Authorization/roleAssignments/write'],
    notActions: [],
  });
  world.grant(principals.deploy, 'Grant only', registryId);
}

test('a deployment leaves the role assignment of another one with the same identity as it is', async () => {
  const inputs = await start((world) => {
    addGrantOnly(world);
    addIdentity(world, identityAt('given'));
  });
  const shared = { ...inputs, identity: identityAt('given'), 'role-assignments': `${acrPullId} on ${registryId}` };
  expect((await runAction({ sim, inputs: { ...shared, 'vm-name': 'first' } })).exitCode).toBe(0);
  const before = structuredClone(granted());
  const second = await runAction({ sim, inputs: { ...shared, 'vm-name': 'second' } });
  expect([errors(second), second.exitCode]).toEqual(['', 0]);
  expect(before).toHaveLength(1);
  expect(granted()).toEqual(before);
});

test('one that the app could not see is met as RoleAssignmentExists, which is fine', async () => {
  const inputs = await start((world) => {
    addGrantOnly(world);
    world.grant(addIdentity(world, identityAt('given')), 'AcrPull', registryId);
  });
  const run = await runAction({
    sim,
    inputs: {
      ...inputs,
      identity: identityAt('given'),
      'role-assignments': `${acrPullId} on ${registryId}`,
    },
  });
  expect(errors(run)).toBe('');
  expect(run.exitCode).toBe(0);
  expect(sent('assignment.put').map(({ status }) => status)).toEqual([409]);
  expect(run.state['cleanup']).not.toContain('roleAssignments');
});

test.each(['system', 'given'])(
  'delete also removes a role that another run has assigned since the list: %s',
  async (identity) => {
    const inputs = await start((world) => {
      addRegistryTo(world);
      addIdentity(world, identityAt('given'));
    });
    const assigned = {
      ...inputs,
      identity: identity === 'given' ? identityAt(identity) : identity,
      'role-assignments': `AcrPull on ${registryId}`,
    };
    expect((await runAction({ sim, inputs: assigned })).exitCode).toBe(0);
    const [assignment] = granted();
    const assignAgain = (): void => {
      if (assignment) sim.world.roleAssignments.push(assignment);
    };
    sim.faults.add({ match: { method: 'DELETE', path: /virtualMachines\/host/ }, effect: { onArrival: assignAgain } });
    const removal = await runAction({ sim, inputs: { ...inputs, operation: 'delete' } });
    expect([errors(removal), removal.exitCode]).toEqual(['', 0]);
    expect(sent('assignment.delete')).toHaveLength(2);
    expect(granted()).toEqual([]);
  },
);

test.each(['delete', 'sweep'])(
  'a %s keeps the role of a VM that another run creates after its end',
  async (operation) => {
    const inputs = {
      ...(await start(addRegistryTo)),
      identity: 'system',
      'role-assignments': `AcrPull on ${registryId}`,
      'expires-after': '1h',
    };
    expect((await runAction({ sim, inputs })).exitCode).toBe(0);
    expireDeployments(sim);
    let other: Awaited<ReturnType<typeof runAction>> | undefined;
    const createAgain = async (): Promise<void> => {
      other = await runAction({ sim, inputs, env: { GITHUB_RUN_ID: '2' } });
    };
    sim.faults.add({ match: { method: 'DELETE', path: /networkSecurityGroups/ }, effect: { onArrival: createAgain } });
    await runAction({ sim, inputs: { ...inputs, operation } });
    expect(other && errors(other)).toBe('');
    expect(granted().map(({ principalId }) => principalId)).toEqual([other?.outputs['principal-id']]);
  },
);

test('the post step does not wait for a deleted role assignment that a list still shows', async () => {
  const inputs = { ...(await start(addRegistryTo)), cleanup: 'always', identity: 'system' };
  const between = (): void => {
    const [assignment] = granted();
    const showAgain = (): void => {
      if (!assignment) return;
      sim.world.roleAssignments.push(assignment);
      sim.faults.add({
        match: { method: 'GET', path: new RegExp(assignment.id), times: Infinity },
        effect: { status: 404, code: 'RoleAssignmentNotFound', message: 'The role assignment is not found.' },
      });
    };
    sim.faults.add({ match: { method: 'DELETE', path: /virtualMachines\/host/ }, effect: { onArrival: showAgain } });
  };
  const run = await runJob({ sim, inputs: { ...inputs, 'role-assignments': `AcrPull on ${registryId}` }, between });
  expect([errors(run), run.post?.exitCode]).toEqual(['', 0]);
  expect(run.post?.stdout).toContain('Deleting virtual machine host.');
  expect(run.post?.stdout).not.toContain('checking again');
});

test('delete keeps the identity for the next delete when a list cannot be read', async () => {
  const inputs = await start(addRegistryTo);
  const made = await runAction({
    sim,
    inputs: { ...inputs, identity: 'puller', 'role-assignments': `AcrPull on ${registryId}` },
  });
  expect(errors(made)).toBe('');
  for (const path of [/\/userAssignedIdentities\?/, /\/roleAssignments\?/]) {
    sim.faults.add({
      match: { method: 'GET', path, times: Infinity },
      effect: { status: 401, code: 'InvalidAuthenticationToken', message: 'The access token is invalid.' },
    });
    const removal = await runAction({ sim, inputs: { ...inputs, operation: 'delete' } });
    expect([path, removal.exitCode]).toEqual([path, 1]);
    expect(errors(removal)).toContain('401 InvalidAuthenticationToken');
    expect(sim.world.resources.has(identityAt('puller'))).toBe(true);
    sim.faults.clear();
  }
  const next = await runAction({ sim, inputs: { ...inputs, operation: 'delete' } });
  expect([errors(next), next.exitCode]).toEqual(['', 0]);
  expect([granted(), sim.world.resources.has(identityAt('puller'))]).toEqual([[], false]);
});

test('a machine that fails and moves to another zone takes its roles along', async () => {
  const inputs = await start((world) => {
    addRegistryTo(world);
    world.latencies['principalVisible'] = 1;
    settings(world).shortages.push({ code: 'ZonalAllocationFailed', zone: '1', at: 'operation' });
  });
  const run = await runAction({
    sim,
    inputs: { ...inputs, identity: 'system', zone: '1, 2', 'role-assignments': `AcrPull on ${registryId}` },
  });
  expect(errors(run)).toBe('');
  expect(run.exitCode).toBe(0);
  expect(run.outputs['zone']).toBe('2');
  expect(granted().map(({ principalId }) => principalId)).toEqual([run.outputs['principal-id']]);
});

test('a create that fails leaves neither identity nor role', async () => {
  const inputs = await start((world) => {
    addRegistryTo(world);
    settings(world).nicReservation = 0;
    settings(world).shortages.push({ code: 'AllocationFailed', at: 'operation' });
  });
  const run = await runAction({
    sim,
    inputs: { ...inputs, identity: 'system, puller', 'role-assignments': `AcrPull on ${registryId}` },
  });
  expect(run.exitCode).toBe(1);
  expect(granted()).toEqual([]);
  expect([...sim.world.resources.under(`/subscriptions/${defaults.subscriptionId}`)].map(({ id }) => id)).toEqual([
    registryId,
  ]);
});

test('an answer that is lost grants nothing twice', async () => {
  const inputs = await start(addRegistryTo);
  sim.faults.add({
    match: { method: 'PUT', path: /roleAssignments/, nth: 1, times: 100 },
    effect: { dropAfterCommit: true },
  });
  sim.world.latencies['principalVisible'] = 0;
  const run = await runAction({
    sim,
    inputs: { ...inputs, identity: 'puller', 'role-assignments': `AcrPull on ${registryId}` },
    onLine: ({ text }) => {
      if (text.includes('retrying')) sim.faults.clear();
    },
  });
  expect(errors(run)).toBe('');
  expect(run.exitCode).toBe(0);
  expect(sent('assignment.put').length).toBeGreaterThan(1);
  expect(granted()).toHaveLength(1);
});

test('a failed create deletes a role assignment whose answer was lost and that Azure then reports as existing', async () => {
  const inputs = await start((world) => {
    addRegistryTo(world);
    settings(world).shortages.push({ code: 'AllocationFailed', at: 'operation' });
  });
  sim.world.latencies['principalVisible'] = 0;
  const match = { method: 'PUT', path: /roleAssignments/ };
  sim.faults.add({ match, effect: { dropAfterCommit: true } });
  const message = 'The role assignment already exists.';
  const effect = { status: 409, code: 'RoleAssignmentExists', message };
  const refusal = sim.faults.add({ match: { ...match, nth: 2 }, effect });
  const run = await runAction({
    sim,
    inputs: { ...inputs, identity: 'puller', 'role-assignments': `AcrPull on ${registryId}` },
  });
  expect(errors(run)).toContain('AllocationFailed');
  expect([sent('assignment.put').length, refusal.applied]).toEqual([1, 1]);
  expect(granted()).toEqual([]);
});

test('a run that is killed while it grants leaves nothing behind its post step', async () => {
  const inputs = await start(addRegistryTo);
  sim.world.latencies['principalVisible'] = 0;
  const run = await runJob({
    sim,
    inputs: { ...inputs, identity: 'system, puller', 'role-assignments': `AcrPull on ${registryId}` },
    signal: { name: 'SIGKILL', whenLog: /Role AcrPull on .* is assigned/ },
  });
  expect(run.exitCode).toBeNull();
  expect(run.post?.annotations.filter(({ level }) => level !== 'notice')).toEqual([]);
  expect(granted()).toEqual([]);
  expect([...sim.world.resources.under(`/subscriptions/${defaults.subscriptionId}`)]).toHaveLength(1);
});

test('the roles of an adopted machine go too, though another run granted them', async () => {
  const inputs = {
    ...(await start(addRegistryTo)),
    cleanup: 'always',
    identity: 'system, puller',
    'role-assignments': `AcrPull on ${registryId}`,
  };
  const first = await runAction({ sim, inputs, phases: ['main'] });
  expect(first.exitCode).toBe(0);
  const later = await runJob({ sim, inputs, env: { GITHUB_RUN_ID: '2' } });
  expect(errors(later)).toBe('');
  expect(later.outputs['created']).toBe('[]');
  expect(granted()).toEqual([]);
  expect([...sim.world.resources.under(`/subscriptions/${defaults.subscriptionId}`)]).toHaveLength(1);
});

test.each(['adopts it without the identity', 'adopts it between the steps of the first'])(
  'a role assignment stays with the identity that another run owns when a run %s',
  async (order) => {
    const inputs = { ...(await start(addRegistryTo)), cleanup: 'always' };
    const access = { identity: 'puller', 'role-assignments': `AcrPull on ${registryId}` };
    const first = { sim, inputs: { ...inputs, ...access } };
    const other = { GITHUB_RUN_ID: '2' };
    if (order === 'adopts it without the identity') {
      expect((await runAction(first)).exitCode).toBe(0);
      expect((await runJob({ sim, inputs, env: other })).post?.exitCode).toBe(0);
    } else {
      const between = async () => {
        expect((await runAction({ ...first, env: other })).exitCode).toBe(0);
      };
      expect((await runJob({ ...first, between })).post?.exitCode).toBe(0);
    }
    expect(granted()).toHaveLength(1);
    expect(sim.world.resources.has(identityAt('puller'))).toBe(true);
    expect((await runAction({ sim, inputs: { ...inputs, operation: 'delete' } })).exitCode).toBe(0);
    expect(granted()).toEqual([]);
    expect(sim.world.resources.has(identityAt('puller'))).toBe(false);
  },
);

test('`cleanup: always` leaves neither identity nor role, but keeps an identity whose role assignment cannot be deleted', async () => {
  const inputs = {
    ...(await start(addRegistryTo)),
    cleanup: 'always',
    identity: 'system\npuller',
    'role-assignments': `AcrPull on ${registryId}`,
  };
  const run = await runAction({ sim, inputs });
  expect(errors(run)).toBe('');
  expect(run.outputs['created']?.match(/roleAssignments/g)).toHaveLength(2);
  sim.faults.add({
    match: { method: 'DELETE', path: /roleAssignments/, times: Number.POSITIVE_INFINITY },
    effect: { status: 403, code: 'AuthorizationFailed', message: 'no permission' },
  });
  const refused = await runAction({ sim, inputs, phases: ['post'], state: run.state });
  expect(refused.exitCode).toBe(0);
  const log = refused.stdout;
  expect(granted()).toHaveLength(2);
  expect(sim.world.resources.has(identityAt('puller'))).toBe(true);
  for (const { id } of granted()) expect(log).toContain(`az role assignment delete --ids ${id}`);
  expect(log).toContain(identityAt('puller'));
  expect([...sim.world.resources.all()].some(({ id }) => id.endsWith('/virtualMachines/host'))).toBe(true);

  sim.faults.clear();
  const post = await runAction({ sim, inputs, phases: ['post'], state: run.state });
  expect(post.exitCode).toBe(0);
  expect(granted()).toEqual([]);
  expect([...sim.world.resources.under(`/subscriptions/${defaults.subscriptionId}`)]).toHaveLength(1);
});

test('a role of an existing identity is removed by `delete` after the run was killed before its VM', async () => {
  let given = '';
  const inputs = await start((world) => {
    addRegistryTo(world);
    given = addIdentity(world, identityAt('theirs'));
  });
  const run = await runAction({
    sim,
    inputs: { ...inputs, identity: identityAt('theirs'), 'role-assignments': `AcrPull on ${registryId}` },
    phases: ['main'],
    signal: { name: 'SIGKILL', whenLog: /Role AcrPull on .* is assigned/ },
  });
  expect(run.exitCode).toBeNull();
  sim.world.resources.remove(
    `/subscriptions/${defaults.subscriptionId}/resourceGroups/${defaults.resourceGroup}/providers/Microsoft.Compute/virtualMachines/host`,
  );
  expect(granted().filter(({ principalId }) => principalId === given)).toHaveLength(1);
  const deletion = await runAction({ sim, inputs: { ...inputs, operation: 'delete' }, phases: ['main'] });
  expect(deletion.exitCode).toBe(0);
  expect(granted()).toEqual([]);
  expect(sim.world.resources.has(identityAt('theirs'))).toBe(true);
});

test('a sweep removes the role that a killed run has assigned to an existing identity when nothing else remains', async () => {
  const inputs = await start((world) => {
    addRegistryTo(world);
    addIdentity(world, identityAt('theirs'));
  });
  const run = await runAction({
    sim,
    inputs: {
      ...inputs,
      identity: identityAt('theirs'),
      'role-assignments': `AcrPull on ${registryId}`,
      'expires-after': '1h',
    },
    signal: { name: 'SIGKILL', whenLog: /Role AcrPull on .* is assigned/ },
  });
  expect(run.exitCode).toBeNull();
  const { resources, roleAssignments } = sim.world;
  for (const { id } of [...resources.all()]) if (/\/host(?:-|$)/.test(id)) resources.remove(id);
  const [assignment] = granted();
  const described = assignment?.description?.replace(/expires-on=[^;]*/, 'expires-on=2026-01-01T00:00:00Z') ?? '';
  const kept = [
    assignment?.description?.replace('vm=host', 'vm=unexpired'),
    described.replace('contoso/deploy', 'contoso/other'),
    described.replace(/(resource-group=.*)$/, '$1-2'),
    described.replace(/; resource-group=.*$/, '').replace('vm=host', 'vm=elsewhere'),
  ];
  for (const [index, description] of [described, ...kept].entries()) {
    if (assignment) roleAssignments.push({ ...assignment, id: `${assignment.id.slice(0, -1)}${index}`, description });
  }
  if (assignment) roleAssignments.splice(roleAssignments.indexOf(assignment), 1);
  const sweep = await runAction({ sim, inputs: { ...inputs, operation: 'sweep' } });
  expect([errors(sweep), sweep.exitCode]).toEqual(['', 0]);
  expect(JSON.parse(sweep.outputs['deleted'] ?? '[]')).toEqual([`${assignment?.id.slice(0, -1)}0`]);
  expect(granted().map(({ description }) => description)).toEqual(kept);
  expect(resources.has(identityAt('theirs'))).toBe(true);
});

test('delete keeps the role of a deployment of the same name in another resource group', async () => {
  const inputs = await start((world) => {
    addRegistryTo(world);
    world.addGroup(defaults.subscriptionId, 'other-rg', defaults.location);
    world.grant(principals.deploy, 'Contributor', `/subscriptions/${defaults.subscriptionId}/resourceGroups/other-rg`);
  });
  const made = { ...inputs, identity: 'system', 'role-assignments': `AcrPull on ${registryId}` };
  expect(errors(await runAction({ sim, inputs: made }))).toBe('');
  const other = await runAction({ sim, inputs: { ...made, 'resource-group': 'other-rg' } });
  expect([errors(other), granted()]).toEqual(['', [expect.anything(), expect.anything()]]);
  // Without a group in its description, the name of the deployment decides.
  const [own] = granted();
  const description = own?.description?.replace(/; resource-group=.*$/, '') ?? '';
  if (own) sim.world.roleAssignments.push({ ...own, id: `${own.id.slice(0, -1)}x`, description });
  const removal = await runAction({ sim, inputs: { ...inputs, operation: 'delete' } });
  expect([errors(removal), removal.exitCode]).toEqual(['', 0]);
  expect(granted().map(({ principalId }) => principalId)).toEqual([other.outputs['principal-id']]);
});

describe('refused before anything is created', () => {
  test.each([
    [
      'a scope where the app may not grant',
      (world: World) => {
        addRegistryTo(world, { mayGrant: false });
        world.grant(principals.deploy, 'Contributor', registryId);
      },
      { identity: 'system' },
      [
        new RegExp(`App ${defaults.clientId} has no permission to assign roles on ${registryId}`),
        /Owner or User Access Administrator of/,
        /az role assignment create --assignee \S+ --role 'Role Based Access Control Administrator' --scope \S+ --condition '/,
        /7f951dda-4ed3-4680-a7ca-43fe172d538d/,
      ],
    ],
    [
      'an identity that is not there',
      addRegistryTo,
      { identity: identityAt('nobody') },
      [/reading identity .*nobody/, /ResourceNotFound/],
    ],
  ] as const)('%s', async (_, world, identity, expected) => {
    const inputs = await start((into) => world(into));
    const request = { ...identity, 'role-assignments': `AcrPull on ${registryId}` };
    const run = await runAction({ sim, inputs: { ...inputs, ...request } });
    expect(run.exitCode).toBe(1);
    for (const text of expected) expect(errors(run)).toMatch(text);
    expect(writes()).toEqual([]);
  });

  test('a scope of another tenant when only the refusal of the token shows it', async () => {
    const foreign = registryIn(defaults.otherSubscriptionId);
    const inputs = await start((world) =>
      addRegistryTo(world, { subscription: defaults.otherSubscriptionId, mayGrant: false }),
    );
    sim.faults.add({
      match: { method: 'GET', path: new RegExp(`^/subscriptions/${defaults.otherSubscriptionId}(\\?|$)`) },
      effect: { status: 401, code: 'AuthenticationFailed', message: 'Authentication failed.' },
    });
    const requested = { identity: 'system', 'role-assignments': `AcrPull on ${foreign}` };
    const run = await runAction({ sim, inputs: { ...inputs, ...requested } });
    expect(run.exitCode).toBe(1);
    expect(errors(run)).toContain(
      `The scope belongs to tenant ${defaults.otherTenantId}, the VM to tenant ${defaults.tenantId}.`,
    );
    expect(errors(run)).toContain("az acr import --name '<registry>' --source 'acrimages.azurecr.io/");
    expect(writes()).toEqual([]);
  });

  // `create` resolves each assignment by the same function, and ends with the first error.
  test('every assignment that cannot be resolved, as `check` lists them', async () => {
    const closed = registryIn(defaults.subscriptionId, 'closed');
    const foreign = registryIn(defaults.otherSubscriptionId);
    const inputs = await start((world) => {
      addRegistryTo(world, { abac: true });
      world.grant(principals.deploy, 'Reader', registryId);
      addRegistryTo(world, { name: 'closed', mayGrant: false });
      addRegistryTo(world, { subscription: defaults.otherSubscriptionId, mayGrant: false });
    });
    const expected: readonly (readonly [request: string, texts: readonly RegExp[]])[] = [
      [`AcrPull on ${registryId}`, [/ignores AcrPull/, /`Container Registry Repository Reader on \/subscriptions\//]],
      [
        `AcrPull on ${foreign}`,
        [
          new RegExp(`belongs to tenant ${defaults.otherTenantId}, the VM to tenant ${defaults.tenantId}`),
          /az acr import --name '<registry>' --source 'acrimages\.azurecr\.io/,
          /federated credential/,
        ],
      ],
      [`AcrPul on ${registryId}`, [/There is no role named "AcrPul"/, /az role definition list --scope/]],
      [
        `AcrPull on ${closed}`,
        [/Use the role's GUID instead/, /az role definition list --scope \S+ --name AcrPull --query/],
      ],
    ];
    const requests = expected.map(([request]) => request).join('\n');
    const run = await runAction({
      sim,
      inputs: { ...inputs, operation: 'check', identity: 'system', 'role-assignments': requests },
    });
    const findings: { id: string; level: string; answer: string; fix: string[] }[] = JSON.parse(
      run.outputs['findings'] ?? '[]',
    );
    for (const [index, [, texts]] of expected.entries()) {
      const finding = findings.find(({ id }) => id === `role-assignment/${index + 1}`);
      expect([index, finding?.level]).toEqual([index, 'fault']);
      for (const text of texts) expect(`${finding?.answer}\n${finding?.fix.join('\n')}`).toMatch(text);
    }
  });
});
