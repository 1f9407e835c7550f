/** What a body or a state holds that the simulator has no model of: a 501, never an answer as if Azure had taken it. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { defaults } from '../../simulator/index.ts';
import type { Json } from '../../simulator/model/contract.ts';
import { type ComputeTestClient, createComputeTestClient } from '../support/compute-client.ts';

let client: ComputeTestClient;
beforeAll(async () => {
  client = await createComputeTestClient(0.002);
  client.world.grant(defaults.clientId, 'Owner', `/subscriptions/${defaults.subscriptionId}`);
  const principal = client.world.servicePrincipal(defaults.clientId, defaults.tenantId);
  principalId = principal?.oid ?? '';
});
afterAll(() => client.sim.close());

let principalId: string;
const { location } = defaults;
const group = `/subscriptions/${defaults.subscriptionId}/resourceGroups`;
const reader = `/subscriptions/${defaults.subscriptionId}/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7`;
const assignment = 'providers/Microsoft.Authorization/roleAssignments/88888888-0000-4000-8000-000000000001';
const addresses = 'providers/Microsoft.Network/publicIPAddresses/ip';
const tooMany = Object.fromEntries(Array.from({ length: 51 }, (_, index) => [`tag${index}`, '']));

async function outcome(method: string, path: string, body?: unknown): Promise<[number, string]> {
  const reply = await client.send(method, path.replace('$', client.group), body, { auxiliary: false });
  return [reply.status, reply.body['error']?.code];
}
const unknown = [501, 'SimulatorUnknown'];

const address = (change: Json, top: Json = {}): Json => ({
  location,
  sku: { name: 'Standard' },
  properties: { publicIPAllocationMethod: 'Static', ...change },
  ...top,
});

describe('role assignments', () => {
  const put = (path: string, properties: Json, top: Json = {}): Promise<[number, string]> =>
    outcome('PUT', `${path}/${assignment}`, {
      ...top,
      properties: { roleDefinitionId: reader, principalId, ...properties },
    });

  test.each<[string, () => Promise<[number, string]>]>([
    ['an unknown member', () => put('$', {}, { foo: 1 })],
    ['a scope that is not there', () => put('$/providers/Microsoft.Network/virtualNetworks/none', {})],
    ['a role of nowhere', () => put('$', { roleDefinitionId: `nonsense/${reader.split('/').at(-1)}` })],
    ['a condition of no version', () => put('$', { condition: 'true' })],
  ])('%s', async (_, put) => {
    expect(await put()).toEqual(unknown);
  });

  test('a condition of the version that there is', async () => {
    expect(await put('$', { condition: 'true', conditionVersion: '2.0' })).toEqual([201, undefined]);
  });
});

describe('regions, zones and members', () => {
  test.each<[string, string, unknown]>([
    ['identity', '$/providers/Microsoft.ManagedIdentity/userAssignedIdentities/one', { location: 'nowhere' }],
    [
      'identity',
      '$/providers/Microsoft.ManagedIdentity/userAssignedIdentities/two',
      { location, properties: { foo: 1 } },
    ],
    ['security group', '$/providers/Microsoft.Network/networkSecurityGroups/nsg', { location: 'nowhere' }],
    ['group', `${group}/nowhere`, { location: 'nowhere' }],
    ['public IP address in no zone', `$/${addresses}`, address({}, { zones: ['9'] })],
    ['public IP address with a slip', `$/${addresses}`, address({ deleteOption: 'Foo' })],
  ])('%s: PUT %s of %j', async (_, path, body) => {
    expect(await outcome('PUT', path, body)).toEqual(unknown);
  });

  test('what is right is taken', async () => {
    expect(
      await outcome('PUT', `$/${addresses}`, address({ deleteOption: 'Delete' }, { zones: ['1', '2', '3'] })),
    ).toEqual([201, undefined]);
    expect(await outcome('PUT', `${group}/somewhere`, { location: 'West Europe', tags: { a: 'b' } })).toEqual([
      201,
      undefined,
    ]);
  });

  test('rejects properties on a resource group', async () => {
    expect(await outcome('PUT', `${group}/odd`, { location, properties: { foo: 1 } })).toEqual([
      400,
      'InvalidRequestContent',
    ]);
  });
});

test('tags keep to their limits on groups, identities and disks too', async () => {
  const id = '$/providers/Microsoft.ManagedIdentity/userAssignedIdentities/tagged';
  await outcome('PUT', id, { location });
  const disk = `${client.group}/providers/Microsoft.Compute/disks/tagged`;
  client.world.resources.put({ id: disk, type: 'Microsoft.Compute/disks', body: { id: disk, location } });
  const refused = [400, 'InvalidTagsCount'];
  expect(await outcome('PUT', `${group}/tagged`, { location, tags: tooMany })).toEqual(refused);
  expect(await outcome('PATCH', '$', { tags: tooMany })).toEqual(refused);
  expect(await outcome('PATCH', id, { tags: tooMany })).toEqual(refused);
  expect(await outcome('PATCH', disk, { tags: tooMany })).toEqual(refused);
});

describe('a machine', () => {
  const command = (vm: string): string => `${client.vmId(vm)}/runCommands/script`;
  const script = (top: Json, source: Json = {}): Json => ({
    location,
    properties: { source: { script: 'true', ...source } },
    ...top,
  });

  test('that is not there has no scripts to delete', async () => {
    expect(await outcome('DELETE', command('none'))).toEqual(unknown);
  });

  test('that is being created is not stopped', async () => {
    const nic = client.addNic('making-nic');
    const created = await client.send('PUT', client.vmId('making'), client.vmBody(nic));
    expect(created.status).toBe(201);
    expect(await outcome('POST', `${client.vmId('making')}/deallocate`)).toEqual(unknown);
    await client.finish(created);
    expect(await outcome('POST', `${client.vmId('making')}/deallocate`)).toEqual([202, undefined]);
  });

  test('runs scripts whose members are known', async () => {
    await client.finish(await client.send('PUT', client.vmId('runs'), client.vmBody(client.addNic('runs-nic'))));
    expect(await outcome('PUT', command('runs'), script({ foo: 1 }))).toEqual(unknown);
    expect(await outcome('PUT', command('runs'), script({}, { bar: 1 }))).toEqual(unknown);
    expect(await outcome('PUT', command('runs'), script({ tags: { a: 'b' } }))).toEqual([201, undefined]);
  });
});
