/** The documented custom roles: sufficient for every operation, and without an action that nothing uses. */
import { afterAll, afterEach, expect, test } from '@jest/globals';
import { roleDefinition, roles } from '../../scripts/docs/roles.ts';
import { defaults, principals, type Simulator, startSimulator, type World } from '../../simulator/index.ts';
import { applyFailure } from '../../simulator/failures.ts';
import { addRegistry } from '../../simulator/providers/registry.ts';
import { defaultInputs, runAction, runJob } from '../support/harness.ts';
import { expireDeployments, warningsOf } from '../support/lifecycle.ts';

const group = `/subscriptions/${defaults.subscriptionId}/resourceGroups/${defaults.resourceGroup}`;
const subnet = `${group.replace(defaults.resourceGroup, 'network-rg')}/providers/Microsoft.Network/virtualNetworks/hub/subnets/vms`;
const registry = `${group.replace(defaults.resourceGroup, 'registry-rg')}/providers/Microsoft.ContainerRegistry/registries/acr`;

interface Situation {
  readonly name: string;
  /** Files in docs/roles, by the scope of their assignment. */
  readonly roles: readonly (readonly [file: string, scope: string])[];
  readonly inputs: Readonly<Record<string, string>>;
}

const situations: readonly Situation[] = [
  {
    name: 'a new network',
    roles: [['deploy.json', group]],
    inputs: { 'allow-inbound': '22 from 203.0.113.0/24' },
  },
  {
    name: 'an existing subnet',
    roles: [
      ['deploy-into-given-network.json', group],
      ['use-given-network.json', subnet],
    ],
    inputs: { 'subnet-id': subnet, 'public-ip': 'false' },
  },
  {
    name: 'an identity with a role, and a script',
    roles: [
      ['deploy.json', group],
      ['run-scripts.json', group],
      ['create-identities.json', group],
      ['grant-roles.json', registry],
      ['find-role-assignments.json', `/subscriptions/${defaults.subscriptionId}`],
    ],
    inputs: { identity: 'puller', 'role-assignments': `AcrPull on ${registry}`, 'run-script': 'true' },
  },
];

function prepare(world: World, situation: Situation): void {
  for (const name of ['network-rg', 'registry-rg']) world.addGroup(defaults.subscriptionId, name, defaults.location);
  addRegistry(world, { subscription: defaults.subscriptionId, group: 'registry-rg', name: 'acr' });
  const properties = { provisioningState: 'Succeeded', addressPrefix: '10.1.0.0/24' };
  const id = subnet.replace('/subnets/vms', '');
  const type = 'Microsoft.Network/virtualNetworks';
  const vnet = {
    provisioningState: 'Succeeded',
    addressSpace: { addressPrefixes: ['10.1.0.0/16'] },
    subnets: [{ name: 'vms', id: subnet, properties }],
  };
  world.resources.put({ id, type, body: { id, name: 'hub', type, location: defaults.location, properties: vnet } });
  world.revoke(principals.deploy, group, 'Contributor');
  for (const [file, scope] of situation.roles) {
    const role = roleIn(file);
    const roleId = `c0000000-0000-4000-8000-00000000000${roles.indexOf(role)}`;
    const { Name: name, Actions: actions } = roleDefinition(role);
    if (!world.role(roleId)) world.addRole({ id: roleId, name, custom: true, actions, notActions: [] });
    world.grant(principals.deploy, name, scope);
  }
}

function roleIn(file: string) {
  const role = roles.find((each) => each.file === file);
  if (!role) throw new Error(`There is no role ${file}.`);
  return role;
}

let sim: Simulator | undefined;
afterEach(async () => {
  await sim?.close();
  sim = undefined;
});

/** Actions that a request of the app needed and had, in lower case. */
const used = new Set<string>();
const completed = new Set<string>();

function recordActions(world: World): void {
  const decide = world.allowed.bind(world);
  world.allowed = (oid, action, scope) => {
    const allowed = decide(oid, action, scope);
    if (allowed) used.add(action.toLowerCase());
    return allowed;
  };
}

test.each(situations)('every operation works with the documented roles for $name', async (situation) => {
  const started = (sim = await startSimulator({
    timeScale: 0.002,
    world: (world) => {
      prepare(world, situation);
      recordActions(world);
    },
  }));
  const inputs = { ...defaultInputs(started), ...situation.inputs, 'vm-name': 'vm1' };
  const forbidden: string[] = [];
  const run = async (
    changes: Readonly<Record<string, string>>,
    exitCode = 0,
    { runSteps = runAction, env = {} }: { runSteps?: typeof runAction; env?: Record<string, string> } = {},
  ) => {
    const seen = started.journal.length;
    const result = await runSteps({ sim: started, inputs: { ...inputs, ...changes }, env });
    expect([changes, result.exitCode, result.stdout]).toEqual([changes, exitCode, expect.any(String)]);
    const refused = started.journal.slice(seen).filter(({ method, status }) => status === 403 && method !== 'GET');
    forbidden.push(...refused.map(({ method, path }) => `${JSON.stringify(changes)}: ${method} ${path}`));
    return result;
  };
  await run({ operation: 'check' });
  await run({});
  await run({}, 0, { env: { GITHUB_RUN_ID: '2' } });
  await run({ operation: 'list' });
  await run({ operation: 'delete' });
  await run({ 'expires-after': '8h' });
  expireDeployments(started);
  expect((await run({ operation: 'sweep' })).outputs['deleted']).toContain('virtualMachines/vm1');
  await run({ cleanup: 'always' }, 0, { runSteps: runJob });
  applyFailure(started.world, 'quota-exceeded');
  await run({}, 1, { runSteps: runJob });
  const left = [...started.world.resources.under(group)].map(({ id }) => id);
  expect(left).toEqual([]);
  // Reads that are refused are optional: roles of other scopes, quotas and sizes.
  expect(forbidden).toEqual([]);
  const granted = started.world.roleAssignments.filter(({ scope }) => scope.toLowerCase() === registry.toLowerCase());
  expect(granted.map(({ principalId }) => principalId).filter((id) => id !== principals.deploy)).toEqual([]);
  completed.add(situation.name);
});

test('delete says that role assignments may remain when it may not look for them', async () => {
  const [situation] = situations.slice(-1);
  const roles = situation?.roles.filter(([file]) => file !== 'find-role-assignments.json') ?? [];
  const started = (sim = await startSimulator({
    timeScale: 0.002,
    world: (world) => prepare(world, { name: '', inputs: {}, roles }),
  }));
  const inputs = { ...defaultInputs(started), ...situation?.inputs, 'vm-name': 'vm1' };
  expect((await runAction({ sim: started, inputs })).exitCode).toBe(0);
  const [assignment] = started.world.roleAssignments.slice(-1);
  const deleted = await runAction({ sim: started, inputs: { ...inputs, operation: 'delete' } });
  expect(deleted.exitCode).toBe(0);
  expect(warningsOf(deleted)).toContain(`az role assignment list --all --assignee ${assignment?.principalId}`);
});

/**
 * Azure asks for these, the simulator does not: disks of a new VM, and operations that are polled. A disk is deleted by itself only
 * if it was detached from its VM.
 */
const askedByAzureOnly = new Set([
  'Microsoft.Compute/disks/write',
  'Microsoft.Compute/disks/delete',
  'Microsoft.Compute/locations/operations/read',
  'Microsoft.Network/locations/operationResults/read',
  'Microsoft.Network/locations/operations/read',
]);

afterAll(() => {
  // One situation alone, run by its name, does not use all actions.
  if (completed.size < situations.length) return;
  const inRoles = situations.flatMap((each) => each.roles.flatMap(([file]) => roleDefinition(roleIn(file)).Actions));
  const unused = [...new Set(inRoles)].filter(
    (action) => !used.has(action.toLowerCase()) && !askedByAzureOnly.has(action),
  );
  expect(unused).toEqual([]);
});
