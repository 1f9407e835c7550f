/** Identities, roles, registries and GitHub of the simulator, against recorded answers. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { addCondition } from '../../simulator/providers/authorization/role-assignments.ts';
import { authorizationState } from '../../simulator/world/permissions.ts';
import { githubSettings, idTokenEnvironment, subjectOf } from '../../simulator/github/github.ts';
import { defaults, principals } from '../../simulator/index.ts';
import type { Json } from '../../simulator/model/contract.ts';
import { addRegistry } from '../../simulator/providers/registry.ts';
import type { Reply } from '../support/simulator-client.ts';
import { type ComputeTestClient, createComputeTestClient } from '../support/compute-client.ts';

interface Recorded {
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly body: Json;
}

function recorded(name: string): Recorded[] {
  const file = new URL(`../fixtures/recordings/${name}.json`, import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { exchanges: Recorded[] }).exchanges;
}

let client: ComputeTestClient;
let registry: string;
beforeAll(async () => {
  client = await createComputeTestClient();
  client.world.grant(defaults.clientId, 'Owner', client.group);
  registry = addRegistry(client.world, {
    subscription: defaults.subscriptionId,
    group: defaults.resourceGroup,
    name: 'images',
  });
});
afterAll(async () => {
  await client.sim.close();
});

async function identity(name: string): Promise<Json> {
  const id = `${client.group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/${name}`;
  return (await client.send('PUT', id, { location: 'westeurope' })).body;
}

async function acrPull(): Promise<string> {
  const found = await client.send(
    'GET',
    `${registry}/providers/Microsoft.Authorization/roleDefinitions?$filter=roleName eq 'AcrPull'`,
  );
  const wanted = recorded('role-assignment-acrpull-put')[1]?.body;
  expect(found.body['value'][0].properties.permissions).toEqual(wanted?.['value'][0].properties.permissions);
  return String(found.body['value'][0].id);
}

test('Managed Identity Operator may assign, though its pattern has one slash more', () => {
  const { world, group } = client;
  const id = `${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/assigned`;
  const oid = world.uuid();
  world.addPrincipal({
    oid,
    tenant: defaults.tenantId,
    app: world.uuid(),
    type: 'ServicePrincipal',
    displayName: 'operator',
  });
  world.grant(oid, 'Managed Identity Operator', group);
  const may = (verb: string) => world.allowed(oid, `Microsoft.ManagedIdentity/userAssignedIdentities/${verb}`, id);
  expect(['assign/action', 'read', 'write', 'delete'].filter(may)).toEqual(['assign/action', 'read']);
});

test('a user-assigned identity lives as recorded', async () => {
  const id = `${client.group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/lived`;
  const [put, , deleted] = recorded('identity-put-get-delete');
  const made = await client.send('PUT', id, { location: 'westeurope' });
  expect(made.status).toBe(put?.status);
  expect(made.headers['location']).toBe(made.body['id']);
  expect(Object.keys(made.body)).toEqual(Object.keys(put?.body ?? {}));
  expect(Object.keys(made.body['properties'])).toEqual(Object.keys(put?.body['properties']));
  expect((await client.send('PUT', id, { location: 'westeurope', tags: { a: 'b' } })).status).toBe(200);
  expect((await client.send('GET', id)).body['tags']).toEqual({ a: 'b' });
  expect((await client.send('DELETE', id)).status).toBe(deleted?.status);
  expect((await client.send('DELETE', id)).status).toBe(204);
  expect((await client.send('GET', id)).body['error'].code).toBe('ResourceNotFound');
});

describe('a role assignment', () => {
  const name = (last: number): string =>
    `${registry}/providers/Microsoft.Authorization/roleAssignments/88888888-0000-4000-8000-${String(last).padStart(12, '0')}`;

  test('waits for the directory, then is there once', async () => {
    client.world.latencies['principalVisible'] = 200;
    const principalId = String((await identity('fresh'))['properties'].principalId);
    const properties = {
      roleDefinitionId: await acrPull(),
      principalId,
      principalType: 'ServicePrincipal',
      description: 'ours',
    };
    const early = await client.send('PUT', name(1), { properties });
    const [refused] = recorded('role-assignment-principalnotfound-then-created').filter((one) => one.status === 400);
    expect(early.status).toBe(400);
    expect(early.body['error'].code).toBe(refused?.body['error'].code);
    const bare = (text: string): string => text.replaceAll(/[0-9a-f]{32}|[0-9a-f-]{36}/g, '<id>');
    expect(bare(early.body['error'].message)).toBe(bare(refused?.body['error'].message));

    client.advance(220);
    const created = await client.send('PUT', name(1), { properties });
    const wanted = recorded('role-assignment-acrpull-put')[2];
    expect(created.status).toBe(wanted?.status);
    expect(Object.keys(created.body['properties'])).toEqual(Object.keys(wanted?.body['properties']));
    expect((await client.send('PUT', name(1), { properties })).status).toBe(200);

    const twice = await client.send('PUT', name(2), { properties });
    const exists = recorded('role-assignment-exists').at(-1);
    expect([twice.status, twice.body]).toEqual([exists?.status, exists?.body]);

    const other = String((await identity('other'))['properties'].principalId);
    client.advance(220);
    const reused = await client.send('PUT', name(1), { properties: { ...properties, principalId: other } });
    expect([reused.status, reused.body['error'].code]).toEqual([403, 'RoleAssignmentUpdateNotPermitted']);

    // Below and above the scope that is asked: the registry's assignment is seen from the group.
    const listed = await client.send(
      'GET',
      `${client.group}/providers/Microsoft.Authorization/roleAssignments?$filter=principalId eq '${principalId}'`,
    );
    expect(listed.body['value'].map((one: Json) => one['properties'].description)).toEqual(['ours']);
    const atScope = await client.send(
      'GET',
      `${client.group}/providers/Microsoft.Authorization/roleAssignments?$filter=atScope()`,
    );
    expect(atScope.body['value'].some((one: Json) => one['properties'].principalId === principalId)).toBe(false);
    expect((await client.send('DELETE', name(1))).status).toBe(200);
    expect((await client.send('DELETE', name(1))).status).toBe(204);
    expect((await client.send('GET', name(1))).body['error'].code).toBe('RoleAssignmentNotFound');
  });

  test('needs a right that Contributor lacks', async () => {
    const alone = await createComputeTestClient();
    const reply = await alone.send(
      'PUT',
      `${alone.group}/providers/Microsoft.Authorization/roleAssignments/88888888-0000-4000-8000-000000000009`,
      { properties: {} },
    );
    expect([reply.status, reply.body['error'].code]).toEqual([403, 'AuthorizationFailed']);
    await alone.sim.close();
  });
});

test('permissions, locks and deny assignments are read', async () => {
  const at = (what: string): string => `${client.group}/providers/Microsoft.Authorization/${what}`;
  const granted = client.world.grant(defaults.clientId, 'Role Based Access Control Administrator', client.group);
  addCondition(client.world, granted, "(@Resource[...] StringEquals 'x')");
  const permissions = await client.send('GET', at('permissions'));
  expect(permissions.body['value'].map((one: Json) => one['condition'] !== undefined)).toEqual([false, false, true]);
  authorizationState(client.world).denyAssignments.push({
    properties: { scope: client.group, denyAssignmentName: 'no' },
  });
  client.world.addLock(`${client.group}/providers/Microsoft.Network/virtualNetworks/v`, 'CanNotDelete', 'kept');
  expect((await client.send('GET', at('locks'))).body['value'][0]).toMatchObject({
    name: 'kept',
    properties: { level: 'CanNotDelete' },
  });
  expect((await client.send('GET', at('denyAssignments'))).body['value']).toHaveLength(1);
});

describe('what the simulator cannot judge is no answer', () => {
  const everyone = '00000000-0000-0000-0000-000000000000';
  const nsg = (client: ComputeTestClient): string =>
    `${client.group}/providers/Microsoft.Network/networkSecurityGroups/nsg`;
  const put = async (client: ComputeTestClient): Promise<[number, string]> => {
    const reply = await client.send('PUT', nsg(client), { location: 'westeurope' }, { auxiliary: false });
    return [reply.status, reply.body['error']?.code];
  };
  const denied = async (properties: Json, grants = true): Promise<[number, string]> => {
    const alone = await createComputeTestClient(0.002);
    try {
      if (!grants) alone.world.revoke(defaults.clientId, alone.group);
      authorizationState(alone.world).denyAssignments.push({
        properties: {
          scope: alone.group,
          permissions: [{ actions: ['*/write'], notActions: ['Microsoft.Compute/*'] }],
          principals: [{ id: everyone, type: 'SystemDefined' }],
          excludePrincipals: [],
          ...properties,
        },
      });
      return await put(alone);
    } finally {
      await alone.sim.close();
    }
  };

  test.each<[string, Json]>([
    ['everyone', {}],
    ['this principal', { principals: [{ id: principals.deploy.toUpperCase(), type: 'ServicePrincipal' }] }],
    ['a group that it may be in', { principals: [{ id: 'a-group', type: 'Group' }] }],
  ])('a deny assignment of %s', async (_, properties) => {
    expect(await denied(properties)).toEqual([501, 'SimulatorUnknown']);
  });

  test.each<[string, Json]>([
    ['somebody else', { principals: [{ id: principals.image, type: 'ServicePrincipal' }] }],
    ['others than this principal', { excludePrincipals: [{ id: principals.deploy, type: 'ServicePrincipal' }] }],
    ['another action', { permissions: [{ actions: ['*/delete'], notActions: [] }] }],
    ['all but this action', { permissions: [{ actions: ['*'], notActions: ['Microsoft.Network/*'] }] }],
    ['another scope', { scope: `/subscriptions/${defaults.subscriptionId}/resourceGroups/other` }],
    ['the group, not what is in it', { doNotApplyToChildScopes: true }],
  ])('a deny assignment of %s changes nothing', async (_, properties) => {
    expect(await denied(properties)).toEqual([201, undefined]);
  });

  test('nobody is denied what nobody granted', async () => {
    expect(await denied({}, false)).toEqual([403, 'AuthorizationFailed']);
  });

  test('a right that only an assignment with a condition gives', async () => {
    const alone = await createComputeTestClient(0.002);
    try {
      const [given] = alone.world.roleAssignments.filter((one) => one.principalId === principals.deploy);
      if (given === undefined) throw new Error('the default world grants nothing');
      addCondition(alone.world, given, "(@Resource[...] StringEquals 'x')");
      expect(await put(alone)).toEqual([501, 'SimulatorUnknown']);
      alone.world.grant(defaults.clientId, 'Network Contributor', alone.group);
      expect(await put(alone)).toEqual([201, undefined]);
    } finally {
      await alone.sim.close();
    }
  });
});

test('a registry says which kind of rights it knows', async () => {
  const mode = async (id: string): Promise<unknown> =>
    (await client.send('GET', id, undefined, { apiVersion: '2025-04-01' })).body['properties'].roleAssignmentMode;
  const abac = addRegistry(
    client.world,
    { subscription: defaults.subscriptionId, group: defaults.resourceGroup, name: 'abac' },
    true,
  );
  expect(await mode(registry)).toBe('LegacyRegistryPermissions');
  expect(await mode(abac)).toBe('AbacRepositoryPermissions');
});

describe('GitHub', () => {
  const get = (path: string, authorization?: string): Promise<Reply> =>
    client.raw(path, authorization === undefined ? {} : { authorization });

  test('tells how a run stands', async () => {
    const own = githubSettings(client.world);
    own.runs.set('contoso/deploy/7', { status: 'completed', conclusion: 'failure' });
    own.runs.set('contoso/deploy/8', { refuse: 403 });
    const run = (id: string): Promise<Reply> =>
      get(`${client.sim.githubEndpoint}/repos/contoso/deploy/actions/runs/${id}`, 'Bearer x');
    expect((await run('7')).body).toMatchObject({ id: 7, status: 'completed', conclusion: 'failure' });
    expect((await run('7/attempts/2')).body).toMatchObject({ run_attempt: 2, conclusion: 'failure' });
    expect((await run('8')).status).toBe(403);
    expect((await run('9')).status).toBe(404);
  });

  test('gives ID tokens with classic and immutable subjects', async () => {
    const environment = idTokenEnvironment(client.world, client.sim.githubEndpoint);
    const url = `${environment['ACTIONS_ID_TOKEN_REQUEST_URL']}&audience=api://AzureADTokenExchange`;
    expect((await get(url, 'Bearer wrong')).status).toBe(401);
    const token = async (): Promise<ReturnType<typeof decodeJwt>> => {
      const reply = await get(url, `Bearer ${environment['ACTIONS_ID_TOKEN_REQUEST_TOKEN']}`);
      return decodeJwt(reply.body.value as string);
    };
    expect(await token()).toMatchObject({
      iss: 'https://token.actions.githubusercontent.com',
      sub: 'repo:contoso/deploy:ref:refs/heads/main',
      aud: 'api://AzureADTokenExchange',
    });
    const own = githubSettings(client.world);
    own.immutableSubject = true;
    own.environment = 'production';
    expect((await token()).sub).toBe('repo:contoso@123456/deploy@456789:environment:production');
    expect(subjectOf(own)).toBe((await token()).sub);
    const openid = await get(`${client.sim.githubEndpoint}/.well-known/openid-configuration`);
    const keys = (await get(openid.body.jwks_uri as string)).body.keys as Json[];
    expect(keys[0]).toMatchObject({ kty: 'RSA', alg: 'RS256' });
  });
});
