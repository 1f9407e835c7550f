import { afterEach, describe, expect, test } from '@jest/globals';
import { addVersion } from '../../simulator/providers/compute/galleries.ts';
import { settings } from '../../simulator/providers/compute/settings.ts';
import { defaults, type Simulator, startSimulator, type World } from '../../simulator/index.ts';
import { networkSettings } from '../../simulator/providers/network/usages.ts';
import { addRegistry } from '../../simulator/providers/registry.ts';
import type { Finding } from '../../src/check/facts.ts';
import { isCommandOrUrl } from '../../src/errors/format-error.ts';
import { defaultInputs, type Run, runAction, runJob } from '../support/harness.ts';

let sim: Simulator;
afterEach(() => sim.close());

const subscription = `/subscriptions/${defaults.subscriptionId}`;
const group = `${subscription}/resourceGroups/${defaults.resourceGroup}`;

async function check(
  world: (world: World) => void,
  inputs: Readonly<Record<string, string>> = {},
  runSteps = runAction,
): Promise<{ run: Run; findings: readonly Finding[]; of: (level: Finding['level']) => string[] }> {
  sim = await startSimulator({ timeScale: 0.002, world });
  const run = await runSteps({
    sim,
    inputs: { ...defaultInputs(sim), 'vm-name': 'vm1', operation: 'check', ...inputs },
  });
  const findings = JSON.parse(run.outputs['findings'] ?? 'null') as readonly Finding[];
  const of = (level: Finding['level']) => findings.filter((finding) => finding.level === level).map(({ id }) => id);
  return { run, findings, of };
}

/** Requests that change something: POSTs for a token and for the evaluation of policies do not. */
function writes(): string[] {
  return sim.journal
    .filter(({ method, kind }) => method !== 'GET' && !['entra.token', 'policy.check', 'graph.query'].includes(kind))
    .map(({ method, path }) => `${method} ${path}`);
}

/** Rights to read the whole subscription, so that nothing stays unknown. */
function mayReadAll(world: World): void {
  world.grant(defaults.clientId, 'Reader', subscription);
}

test('with rights to ask, all is well', async () => {
  const { run, findings, of } = await check(mayReadAll, {}, runJob);
  expect(findings.filter(({ level }) => level !== 'ok')).toEqual([]);
  expect(of('ok')).toEqual([
    'sign-in/tenant',
    'sign-in/image-tenant',
    'subscription',
    'resource-group',
    'provider/Microsoft.Compute',
    'provider/Microsoft.Network',
    'image',
    'rights/resource-group',
    'rights/clean-up',
    'rights/rerun',
    'name/virtual-machine',
    'name/network-security-group',
    'name/virtual-network',
    'name/public-ip',
    'name/network-interface',
    'name/disk',
    'size/Standard_D2s_v5',
    'quota/cores',
    'quota/standardDSv5Family',
    'quota/public-ip',
    'locks',
    'deny-assignments',
    'policy',
  ]);
  expect(run.exitCode).toBe(0);
  expect(run.summary).toContain('## ✅ Preflight passed for <code>vm1</code>');
  expect(run.annotations).toEqual([]);
  expect(JSON.parse(run.outputs['result'] ?? '{}')).toEqual({
    findings,
    'image-version': '1.10.0',
    outcome: 'checked',
    'image-version-id': defaults.imageId('linux', '1.10.0'),
  });
  expect(run.state).not.toHaveProperty('cleanup');
  expect(run.post?.exitCode).toBe(0);
  expect(writes()).toEqual([]);
});

test('ends with the commands of the only failed check, and says what was checked', async () => {
  const { run, findings } = await check((world) => {
    mayReadAll(world);
    settings(world).quota['cores'] = { limit: 0 };
  });
  const [fault] = findings.filter(({ level }) => level === 'fault');
  const [error] = run.annotations.filter(({ level }) => level === 'error');
  for (const line of [fault?.asked, ...(fault?.fix ?? ['no fix'])]) expect(error?.message).toContain(line);
  expect(error?.message.split(fault?.answer ?? '')).toHaveLength(2);
  expect(error?.title).toBe('quota/cores: 0 of 0 are in use, and Standard_D2s_v5 needs 2');
});

test('names the checks that were skipped when the app has permissions on the group only', async () => {
  const { run, findings, of } = await check(() => undefined);
  expect(of('fault')).toEqual([]);
  expect(of('warning')).toEqual([]);
  const unknown = findings.filter(({ level }) => level === 'unknown');
  expect(unknown.map(({ id, answer }) => [id, /lacks (\S+) on (\S+),/.exec(answer)?.slice(1)])).toEqual([
    ['provider/Microsoft.Compute', ['Microsoft.Resources/subscriptions/providers/read', subscription]],
    ['provider/Microsoft.Network', ['Microsoft.Resources/subscriptions/providers/read', subscription]],
    ['size', ['Microsoft.Compute/skus/read', subscription]],
    ['quota', ['Microsoft.Compute/locations/usages/read', subscription]],
    ['quota/public-ip', ['Microsoft.Network/locations/usages/read', subscription]],
  ]);
  for (const { fix } of unknown) {
    expect(fix).toContain(
      `az role assignment create --assignee ${defaults.clientId} --role Reader --scope ${subscription}`,
    );
  }
  expect(run.exitCode).toBe(0);
  expect(run.summary).toContain('## ⚠️ Preflight passed for <code>vm1</code>, 5 checks skipped');
  expect(run.annotations.map(({ level }) => level)).toEqual(['warning']);
  const [{ message } = { message: '' }] = run.annotations;
  for (const { id } of unknown) expect(message).toContain(id);
  for (const action of ['skus/read', 'Compute/locations/usages/read', 'Network/locations/usages/read'])
    expect(message).toContain(action);
  expect(message).toContain(`on ${subscription}`);
  expect(writes()).toEqual([]);
});

test('fails as create does when the app has no role in the subscription, with other mistakes', async () => {
  const inputs = { 'image-id': defaults.imageId('linux', '9.9.9'), location: 'westeurope' };
  const noRole = (world: World) => world.revoke(defaults.clientId, group);
  const { run, findings, of } = await check(noRole, inputs);
  expect(run.exitCode).toBe(1);
  expect(run.summary).toContain('## ❌ Preflight failed for <code>vm1</code>');
  expect(of('fault')).toContain('resource-group');
  const fault = findings.find(({ id }) => id === 'resource-group');
  expect(fault?.fix).toContain(
    `az role assignment create --assignee ${defaults.clientId} --role Contributor --scope ${group}`,
  );
  expect(fault?.who).toContain(defaults.tenantId);
  const otherCommands = findings.filter(({ id }) => id !== 'resource-group').flatMap(({ fix }) => fix);
  expect(otherCommands.filter((step) => step.includes('role assignment create'))).toEqual([]);
  const created = await runAction({
    sim,
    inputs: { ...defaultInputs(sim), 'vm-name': 'vm1', ...inputs },
    phases: ['main'],
  });
  expect(created.exitCode).toBe(1);
  expect(writes()).toEqual([]);
});

test('many faults at once are as many findings and nothing else', async () => {
  const image = `${defaults.imageId('linux-plan')}/versions/3.0.0`;
  const networkGroup = `${subscription}/resourceGroups/network-rg`;
  const subnet = `${networkGroup}/providers/Microsoft.Network/virtualNetworks/hub/subnets/machines`;
  const registry = `${subscription}/resourceGroups/network-rg/providers/Microsoft.ContainerRegistry/registries/pictures`;
  const lock = `${group}/providers/Microsoft.Authorization/locks/frozen`;
  const { run, findings, of } = await check(
    (world) => {
      mayReadAll(world);
      addVersion(world, defaults.imageId('linux-plan'), '3.0.0', { regions: ['North Europe'] });
      const own = world.subscriptions.get(defaults.subscriptionId);
      own?.providers.delete('microsoft.managedidentity');
      world.revoke(defaults.clientId, group);
      const { actions, notActions } = world.role('Contributor') ?? { actions: [], notActions: [] };
      world.addRole({
        id: '11111111-2222-4333-8444-555555555555',
        name: 'No addresses',
        custom: true,
        actions,
        notActions: [
          ...notActions,
          'Microsoft.Network/publicIPAddresses/*/action',
          'Microsoft.Network/publicIPAddresses/write',
        ],
      });
      world.grant(defaults.clientId, 'No addresses', group);
      world.addGroup(defaults.subscriptionId, 'network-rg', defaults.location);
      addNetwork(world, networkGroup);
      addRegistry(world, { subscription: defaults.subscriptionId, group: 'network-rg', name: 'pictures' });
      settings(world).restrictions.push({
        location: 'westeurope',
        size: 'Standard_D2as_v5',
        reasonCode: 'NotAvailableForSubscription',
      });
      settings(world).quota['standardDSv5Family'] = { limit: 10, used: 9 };
      networkSettings(world).limits['StandardSkuPublicIpAddresses'] = 0;
      addLabelledAddress(world, networkGroup, 'shop');
      addForeignGroup(world);
      world.addLock(group, 'ReadOnly', 'frozen');
      // The list at a group has those below it too.
      world.addLock(`${group}/providers/Microsoft.Storage/storageAccounts/backup`, 'ReadOnly', 'elsewhere');
    },
    {
      'auxiliary-tenant-ids': defaults.otherTenantId,
      'image-id': image,
      identity: 'puller',
      'role-assignments': `AcrPull on ${registry}\nNo Such Role on ${group}`,
      'subnet-id': subnet,
      'dns-label': 'shop',
      'vm-size': 'Standard_D2s_v5\nStandard_D2as_v5',
    },
  );
  const found = Object.fromEntries(findings.map((finding) => [finding.id, finding]));
  expect(of('fault').toSorted()).toEqual(
    [
      `sign-in/auxiliary/${defaults.otherTenantId}`,
      'provider/Microsoft.ManagedIdentity',
      'image',
      'terms',
      'rights/resource-group',
      'rights/subnet',
      'role-assignment/1',
      'role-assignment/2',
      'name/network-security-group',
      'name/dns-label',
      'size/Standard_D2as_v5',
      'quota/standardDSv5Family',
      'quota/public-ip',
      'locks',
    ].toSorted(),
  );
  expect(of('warning')).toEqual([]);
  expect(of('unknown')).toEqual([]);
  expect(writes()).toEqual([]);

  expect(found['rights/resource-group']?.answer).toBe(
    'Missing: Microsoft.Network/publicIPAddresses/write, Microsoft.Network/publicIPAddresses/join/action.',
  );
  expect(found['rights/subnet']?.answer).toBe('Missing: Microsoft.Network/virtualNetworks/subnets/join/action.');
  const commands: Readonly<Record<string, string>> = {
    [`sign-in/auxiliary/${defaults.otherTenantId}`]: `${sim.loginEndpoint}/${defaults.otherTenantId}/adminconsent?client_id=${defaults.clientId}`,
    'provider/Microsoft.ManagedIdentity': `az provider register --namespace Microsoft.ManagedIdentity --subscription ${defaults.subscriptionId} --wait`,
    image: `az sig image-version update --subscription ${defaults.imageSubscriptionId} -g gallery-rg -r images -i linux-plan -e 3.0.0 --add publishingProfile.targetRegions name=westeurope`,
    terms: `az vm image terms accept --subscription ${defaults.subscriptionId} --publisher contoso --offer linux-images --plan hardened`,
    'rights/subnet': `az role assignment create --assignee ${defaults.clientId} --role 'Virtual Machine Contributor' --scope ${subnet}`,
    locks: `az lock delete --ids ${lock}`,
  };
  for (const [id, command] of Object.entries(commands)) expect(found[id]?.fix).toContain(command);
  for (const { level, who, fix } of findings) {
    if (level !== 'fault') continue;
    expect(who).not.toBe('');
    expect(fix.find(isCommandOrUrl) ?? '').not.toMatch(/<[a-z-]+>/);
  }

  expect(run.exitCode).toBe(1);
  const errors = run.annotations.filter(({ level }) => level === 'error');
  expect(errors).toHaveLength(1);
  for (const id of of('fault')) expect(errors[0]?.message).toContain(`- ${id}: `);
});

describe('a tenant that has not consented', () => {
  test('the image tenant: the URL to open, and everything else is asked all the same', async () => {
    const { run, findings, of } = await check((world) => {
      mayReadAll(world);
      world.uninstallApp(defaults.clientId, defaults.imageTenantId);
    });
    expect(of('fault')).toEqual(['sign-in/image-tenant']);
    expect(of('unknown')).toEqual(['image', 'size']);
    const fault = findings.find(({ id }) => id === 'sign-in/image-tenant');
    expect(fault?.who).toContain(defaults.imageTenantId);
    expect(fault?.fix).toContain(
      `${sim.loginEndpoint}/${defaults.imageTenantId}/adminconsent?client_id=${defaults.clientId}`,
    );
    expect(fault?.fix.filter(isCommandOrUrl)).toContain(`az ad sp create --id ${defaults.clientId}`);
    expect(of('ok')).toContain('quota/public-ip');
    expect(run.exitCode).toBe(1);
    expect(writes()).toEqual([]);
  });

  test('the tenant: nothing in the subscription can be asked, and it says so', async () => {
    const { run, of } = await check((world) => world.uninstallApp(defaults.clientId, defaults.tenantId));
    expect(of('fault')).toEqual(['sign-in/tenant']);
    expect(of('ok')).toEqual(['sign-in/image-tenant']);
    expect(of('unknown')).toEqual(['deployment']);
    expect(run.exitCode).toBe(1);
  });
});

test('check reports an unreadable VM as a fault, as create does, and a provider without state as unknown', async () => {
  sim = await startSimulator({ timeScale: 0.002, world: mayReadAll });
  sim.faults.add({
    match: { method: 'GET', path: /\/virtualMachines\/vm1\?/, times: Number.POSITIVE_INFINITY },
    effect: { status: 403, code: 'AuthorizationFailed', message: 'no right to read virtual machines' },
  });
  sim.faults.add({
    match: { method: 'GET', path: /\/providers\/Microsoft\.Network\?/ },
    effect: { changeAnswer: (body) => delete body.registrationState },
  });
  // Sent again, like every request whose success says nothing.
  const policyCheck = { method: 'POST', path: /checkPolicyRestrictions/ };
  sim.faults.add({ match: policyCheck, effect: { status: 204 } });
  const inputs = { ...defaultInputs(sim), 'vm-name': 'vm1' };
  const checked = await runAction({ sim, inputs: { ...inputs, operation: 'check' }, phases: ['main'] });
  const findings = JSON.parse(checked.outputs['findings'] ?? '[]') as readonly Finding[];
  const problems = findings.filter(({ level }) => level !== 'ok');
  expect(problems.map(({ id, level }) => [id, level])).toEqual([
    ['provider/Microsoft.Network', 'unknown'],
    ['name/virtual-machine', 'fault'],
  ]);
  const faults = problems.slice(1);
  expect(faults[0]?.answer).toContain('lacks Microsoft.Compute/virtualMachines/read');
  expect(faults[0]?.answer).not.toContain('does without');
  expect(faults[0]?.fix).toContain(
    `az role assignment create --assignee ${defaults.clientId} --role Reader --scope ${group}`,
  );
  const created = await runAction({ sim, inputs, phases: ['main'] });
  expect([checked.exitCode, created.exitCode]).toEqual([1, 1]);
  // The one that was not handled.
  expect(writes()).toEqual([expect.stringMatching(/^POST .*\/checkPolicyRestrictions$/)]);
});

describe('a group that is to be made', () => {
  const inputs = { 'resource-group': 'new-rg', location: 'West Europe' };

  test('with the right to make groups, all is well', async () => {
    const { run, findings } = await check(
      (world) => world.grant(defaults.clientId, 'Contributor', subscription),
      inputs,
    );
    expect(findings.filter(({ level }) => level !== 'ok')).toEqual([]);
    expect(findings.find(({ id }) => id === 'resource-group')?.answer).toContain('will be created in westeurope');
    expect(run.exitCode).toBe(0);
    expect(writes()).toEqual([]);
  });

  test('without it, that right and all others are missing in the subscription', async () => {
    const { of } = await check(mayReadAll, inputs);
    expect(of('fault')).toEqual(['rights/new-resource-group', 'rights/resource-group']);
    expect(of('warning')).toEqual(['rights/clean-up', 'rights/rerun']);
  });
});

test('check and create agree on what an earlier run created', async () => {
  sim = await startSimulator({ timeScale: 0.002, world: mayReadAll });
  const run = (inputs: Readonly<Record<string, string>>) =>
    runAction({ sim, inputs: { ...defaultInputs(sim), 'vm-name': 'vm1', ...inputs } });
  const problemsOf = ({ outputs }: Run) =>
    (JSON.parse(outputs['findings'] ?? '[]') as readonly Finding[])
      .filter(({ level }) => level !== 'ok')
      .map(({ id, level }) => [id, level]);
  expect((await run({})).exitCode).toBe(0);
  const failure = { code: 'OSProvisioningTimedOut', message: '' };
  settings(sim.world).provisioning.push({ failure, afterSeconds: 30, times: 1 });
  expect((await run({ 'vm-name': 'failed', cleanup: 'never' })).exitCode).toBe(1);

  const from = writes().length;
  const same = await run({ operation: 'check' });
  expect([same.exitCode, problemsOf(same)]).toEqual([0, []]);
  expect(same.outputs['findings']).toContain('"rerun"');
  expect(same.outputs['findings']).toContain('"rerun/network"');
  const check = await run({ operation: 'check', 'vm-name': 'failed' });
  expect([check.exitCode, problemsOf(check)]).toEqual([1, [['rerun', 'fault']]]);
  const isRefused = async (id: string, inputs: Readonly<Record<string, string>>): Promise<void> => {
    const checked = await run({ ...inputs, operation: 'check' });
    expect([checked.exitCode, problemsOf(checked)]).toEqual([1, [[id, 'fault']]]);
    expect((await run(inputs)).exitCode).toBe(1);
  };
  await isRefused('rerun/network', { 'public-ip': 'false' });
  // The disk stays.
  sim.world.resources.remove(`${group}/providers/Microsoft.Compute/virtualMachines/vm1`);
  await isRefused('name/disk', {});
  expect(writes().slice(from)).toEqual([]);
});

function addNetwork(world: World, inGroup: string): void {
  const id = `${inGroup}/providers/Microsoft.Network/virtualNetworks/hub`;
  const properties = { provisioningState: 'Succeeded', addressPrefix: '10.1.0.0/24' };
  const subnet = { name: 'machines', id: `${id}/subnets/machines`, properties };
  world.resources.put({
    id,
    type: 'Microsoft.Network/virtualNetworks',
    body: {
      id,
      name: 'hub',
      type: 'Microsoft.Network/virtualNetworks',
      location: defaults.location,
      properties: {
        provisioningState: 'Succeeded',
        addressSpace: { addressPrefixes: ['10.1.0.0/16'] },
        subnets: [subnet],
      },
    },
  });
}

function addLabelledAddress(world: World, inGroup: string, label: string): void {
  const id = `${inGroup}/providers/Microsoft.Network/publicIPAddresses/front`;
  const type = 'Microsoft.Network/publicIPAddresses';
  const dnsSettings = { domainNameLabel: label, fqdn: `${label}.${defaults.location}.cloudapp.azure.com` };
  const properties = { provisioningState: 'Succeeded', publicIPAddressVersion: 'IPv4', dnsSettings };
  world.resources.put({ id, type, body: { id, name: 'front', type, location: defaults.location, properties } });
}

function addForeignGroup(world: World): void {
  const id = `${group}/providers/Microsoft.Network/networkSecurityGroups/vm1-nsg`;
  const type = 'Microsoft.Network/networkSecurityGroups';
  const body = { id, name: 'vm1-nsg', type, location: defaults.location, properties: { securityRules: [] } };
  world.resources.put({ id, type, body });
}
