/** The documented custom roles: sufficient for every operation, and without an action that nothing uses. */
import { afterAll, afterEach, expect, test } from '@jest/globals';
import { roleDefinition, roles } from '../../scripts/docs/roles.ts';
import { defaults, principals, type Simulator, startSimulator, type World } from '../../simulator/index.ts';
import { applyFailure } from '../../simulator/failures.ts';
import { addRegistry } from '../../simulator/providers/registry.ts';
import { defaultInputs, runAction, runJob } from '../support/harness.ts';
import { addIdentity, addStranger, expireDeployments, warningsOf } from '../support/lifecycle.ts';

const group = `/subscriptions/${defaults.subscriptionId}/resourceGroups/${defaults.resourceGroup}`;
const networkGroup = `${group.replace(defaults.resourceGroup, 'network-rg')}/providers/Microsoft.Network`;
const vnet = `${networkGroup}/virtualNetworks/hub`;
const subnet = `${vnet}/subnets/machines`;
const nsg = `${networkGroup}/networkSecurityGroups/shared`;
const publicIp = `${networkGroup}/publicIPAddresses/shared`;
const nic = `${networkGroup}/networkInterfaces/shared`;
const registry = `${group.replace(defaults.resourceGroup, 'registry-rg')}/providers/Microsoft.ContainerRegistry/registries/acr`;
const identity = `${networkGroup.replace('Network', 'ManagedIdentity')}/userAssignedIdentities/shared`;

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
    name: 'an existing subnet, NSG, public IP and identity, and Spot',
    roles: [
      ['deploy-into-given-network.json', group],
      ['use-given-network.json', subnet],
      ['use-given-network.json', nsg],
      ['use-given-network.json', publicIp],
      ['use-given-identities.json', identity],
    ],
    inputs: { 'subnet-id': subnet, 'network-security-group-id': nsg, 'public-ip': publicIp, identity, spot: 'true' },
  },
  {
    name: 'an existing network interface, identities with a role, and a script',
    roles: [
      ['deploy-into-given-network.json', group],
      ['use-given-network.json', nic],
      ['run-scripts.json', group],
      ['create-identities.json', group],
      ['use-given-identities.json', identity],
      ['grant-roles.json', registry],
      ['find-role-assignments.json', `/subscriptions/${defaults.subscriptionId}`],
    ],
    inputs: {
      'nic-id': nic,
      identity: `puller, ${identity}`,
      'role-assignments': `AcrPull on ${registry}`,
      'run-script': 'true',
    },
  },
];

function prepare(world: World, situation: Situation): void {
  for (const name of ['network-rg', 'registry-rg']) world.addGroup(defaults.subscriptionId, name, defaults.location);
  addRegistry(world, { subscription: defaults.subscriptionId, group: 'registry-rg', name: 'acr' });
  for (const id of [vnet, nsg, publicIp, nic]) addStranger(world, id);
  const configuration = {
    primary: true,
    provisioningState: 'Succeeded',
    privateIPAddress: '10.20.0.9',
    subnet: { id: subnet },
  };
  Object.assign(world.resources.get(nic)?.body['properties'], {
    ipConfigurations: [{ id: `${nic}/ipConfigurations/one`, name: 'one', properties: configuration }],
  });
  addIdentity(world, identity);
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
  const replacing = { 'if-exists': 'replace', 'vm-size': 'Standard_D4s_v5' };
  const replaced = await run({ ...replacing, 'expires-after': '8h' }, 0, { env: { GITHUB_RUN_ID: '2' } });
  expect(replaced.outputs['outcome']).toBe('replaced');
  await run({ operation: 'list' });
  expireDeployments(started);
  expect((await run({ operation: 'sweep' })).outputs['deleted']).toContain('virtualMachines/vm1');
  await run({ cleanup: 'always' }, 0, { runSteps: runJob });
  await run({});
  await run({ operation: 'delete' });
  applyFailure(started.world, 'quota-exceeded');
  await run({ spot: 'false' }, 1);
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
  expect(warningsOf(deleted)).toContain(`--all --assignee ${assignment?.principalId}`);
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
