/** What Resource Manager refuses before a provider sees the request. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { defaults, principals, type Simulator, startSimulator } from '../../simulator/index.ts';
import { signToken } from '../../simulator/http/keys.ts';
import { type Client, connect, type Reply } from '../support/simulator-client.ts';

let simulator: Simulator;
let client: Client;
let path: string;

const body = { location: 'westeurope' };
const audience = 'https://management.simulator.localhost/';

beforeAll(async () => {
  simulator = await startSimulator({ timeScale: 0.002 });
  client = await connect(simulator);
  path = `${client.group}/providers/Microsoft.Network/networkSecurityGroups/nsg?api-version=2026-01-01`;
});

afterAll(async () => {
  await simulator.close();
});

function forge(claims: Record<string, unknown>): Promise<string> {
  return signToken('entra', {
    aud: audience,
    iss: `https://sts.windows.net/${defaults.tenantId}/`,
    exp: Math.floor(Date.now() / 1000) + 600,
    tid: defaults.tenantId,
    appid: defaults.clientId,
    oid: principals.deploy,
    ...claims,
  });
}

async function withToken(token: string): Promise<Reply> {
  return client.send('GET', `${simulator.armEndpoint}${path}`, {
    headers: { authorization: `Bearer ${token}` },
  });
}

function expectError(reply: Reply, status: number, code: string, text?: RegExp): void {
  expect({ status: reply.status, code: reply.body?.error?.code }).toEqual({ status, code });
  expect(reply.headers['x-ms-failure-cause']).toBe('gateway');
  expect(reply.headers['x-ms-request-id']).toMatch(/^[0-9a-f-]{36}$/);
  if (text) expect(reply.body.error.message).toMatch(text);
}

describe('who', () => {
  test('no token: 401, and the header names the tenant of the subscription', async () => {
    const reply = await client.send(
      'GET',
      `${simulator.armEndpoint}/subscriptions/${defaults.imageSubscriptionId}?api-version=2022-12-01`,
    );
    expectError(reply, 401, 'AuthenticationFailed');
    expect(reply.headers['www-authenticate']).toContain(
      `authorization_uri="${simulator.loginEndpoint}/${defaults.imageTenantId}"`,
    );
  });

  test('not a token, a foreign signature, an expired one, a wrong audience, no oid', async () => {
    expectError(await withToken('nonsense'), 401, 'InvalidAuthenticationToken', /invalid/);
    const strange = await signToken('somebody', { aud: audience, tid: defaults.tenantId });
    expectError(await withToken(strange), 401, 'InvalidAuthenticationToken');
    expectError(
      await withToken(await forge({ exp: 1_679_216_146 })),
      401,
      'ExpiredAuthenticationToken',
      /^The access token expiry UTC time '3\/19\/2023 8:55:46 AM' is earlier than current UTC time '/,
    );
    expectError(
      await withToken(await forge({ aud: 'https://graph.microsoft.com' })),
      401,
      'InvalidAuthenticationTokenAudience',
    );
    expectError(await withToken(await forge({ oid: undefined })), 401, 'InvalidAuthenticationToken', /'oid'/);
  });

  test('a token of another tenant than the subscription: InvalidAuthenticationTokenTenant in both texts', async () => {
    const token = await client.token(defaults.imageTenantId);
    const reply = await withToken(token.body.access_token);
    expectError(
      reply,
      401,
      'InvalidAuthenticationTokenTenant',
      /^The access token is from the wrong issuer 'https:\/\/sts/,
    );
    expect(reply.headers['www-authenticate']).toContain('error="invalid_token"');
  });

  test('no right: 403 with client, object ID, action and scope; also where the group does not exist', async () => {
    const reply = await client.arm('GET', path.replace('deploy-rg', 'nowhere'));
    expectError(reply, 403, 'AuthorizationFailed');
    expect(reply.body.error.message).toBe(
      `The client '${defaults.clientId}' with object id '${principals.deploy}' does not have authorization to perform action 'Microsoft.Network/networkSecurityGroups/read' over scope '${(path.split('?')[0] ?? '').replace('deploy-rg', 'nowhere')}' or the scope is invalid. If access was recently granted, please refresh your credentials.`,
    );
    simulator.world.grant(defaults.clientId, 'Reader', `/subscriptions/${defaults.subscriptionId}`);
    const seen = await client.arm('GET', path.replace('deploy-rg', 'nowhere'));
    expectError(seen, 404, 'ResourceGroupNotFound', /^Resource group 'nowhere' could not be found\.$/);
    simulator.world.revoke(defaults.clientId, `/subscriptions/${defaults.subscriptionId}`, 'Reader');
  });

  test('notActions take away: Contributor may not write role assignments', async () => {
    expect(simulator.world.allowed(principals.deploy, 'Microsoft.Compute/virtualMachines/write', client.group)).toBe(
      true,
    );
    expect(
      simulator.world.allowed(principals.deploy, 'Microsoft.Authorization/roleAssignments/write', client.group),
    ).toBe(false);
    expect(
      simulator.world.allowed(principals.deploy, 'Microsoft.Authorization/roleAssignments/read', client.group),
    ).toBe(true);
  });
});

describe('what', () => {
  test('no api-version, an impossible one, an unknown path, a body that is no JSON', async () => {
    expectError(await client.arm('GET', path.replace(/\?.*/, '')), 400, 'MissingApiVersionParameter');
    expectError(
      await client.arm('GET', path.replace(/api-version=.*/, 'api-version=soon')),
      400,
      'InvalidApiVersionParameter',
    );
    const unknown = await client.arm('GET', `${client.group}/providers/Microsoft.Unheard/of?api-version=2020-01-01`);
    expect(unknown.status).toBe(501);
    expect(unknown.body.error.code).toBe('SimulatorUnknown');
    expectError(await client.arm('PUT', path, 'not json'), 400, 'InvalidRequestContent');
  });

  test('paths are compared without case, and the correlation ID comes back', async () => {
    const reply = await client.arm('GET', `${client.group.toUpperCase()}?api-version=2022-09-01`, undefined, {
      'x-ms-correlation-request-id': '0f0e0d0c-0000-4000-8000-000000000001',
    });
    expect(reply.status).toBe(200);
    expect(reply.body.name).toBe('deploy-rg');
    expect(reply.headers['x-ms-correlation-request-id']).toBe('0f0e0d0c-0000-4000-8000-000000000001');
    expect(reply.headers['x-ms-ratelimit-remaining-subscription-reads']).toMatch(/^\d+$/);
  });

  test('a property that the API does not have is refused, one that the simulator does not model is a 501', async () => {
    const wrong = await client.arm('PUT', path, { ...body, properties: { securityRule: [] } });
    expect(wrong.status).toBe(400);
    expect(wrong.body.error.code).toBe('InvalidRequestFormat');
    expect(wrong.body.error.details[0].message).toMatch(/Could not find member 'securityRule'/);
    const unmodelled = await client.arm('PUT', path, { ...body, properties: { flushConnection: true } });
    expect(unmodelled.status).toBe(501);
  });
});

describe('api-versions', () => {
  const compute = '/providers/Microsoft.Compute/virtualMachines';

  test.each([
    ['GET', compute, '2099-01-01'],
    ['GET', compute, '1999-01-01'],
    ['GET', compute, '2025-99-99'],
    ['GET', compute, '2026-04-01-banana'],
    ['PUT', `${compute}/vm`, '2010-01-01'],
    ['POST', `${compute}/vm/start`, '2010-01-01'],
    ['GET', `${compute}/vm/runCommands`, '2025-12-03'],
    ['GET', '/providers/Microsoft.Compute/galleries/g/images', '2026-04-01'],
    ['GET', '/providers/Microsoft.Compute/disks', '2026-04-01'],
    ['PUT', '/providers/Microsoft.Network/networkSecurityGroups/nsg', '2026-04-01'],
    ['GET', '/providers/Microsoft.Network/virtualNetworks/v/subnets', '2026-04-01'],
    ['GET', '/providers/Microsoft.ManagedIdentity/userAssignedIdentities', '2026-04-01'],
    ['GET', '/providers/Microsoft.Authorization/roleAssignments', '2020-05-01'],
    ['GET', `${compute}/vm/providers/Microsoft.Authorization/locks`, '2022-04-01'],
    ['GET', '/resources', '2026-04-01'],
    ['GET', '', '2026-04-01'],
  ])('%s %s at %s: a version that the type is not known to have', async (method, what, version) => {
    const reply = await client.arm(method, `${client.group}${what}?api-version=${version}`, undefined);
    expect([reply.status, reply.body.error.code]).toEqual([501, 'SimulatorUnknown']);
    expect(reply.body.error.message).toContain(`api-version ${version} of Microsoft.`);
  });

  test.each([
    `/subscriptions/${defaults.subscriptionId}/providers/Microsoft.Compute?api-version=2022-09-01`,
    '/subscriptions?api-version=2022-12-01',
    '/tenants?api-version=2022-12-01',
    `$${compute}?api-version=2024-07-01`,
    `$/providers/Microsoft.Authorization/locks?api-version=2020-05-01`,
  ])('%s: one that it has', async (path) => {
    expect([200, 403]).toContain((await client.arm('GET', path.replace('$', client.group))).status);
  });
});

describe('query options', () => {
  const subscription = `/subscriptions/${defaults.subscriptionId}`;
  const compute = 'providers/Microsoft.Compute/virtualMachines';

  test.each([
    ['GET', `$/${compute}/vm?expand=instanceView&api-version=2026-04-01`],
    ['GET', `$/${compute}/vm?$select=name&api-version=2026-04-01`],
    ['GET', `$/${compute}?$expand=instanceView&api-version=2026-04-01`],
    ['GET', `$/${compute}?$filter=name&api-version=2026-04-01`],
    ['DELETE', `$/${compute}/vm?forceDelete=true&api-version=2026-04-01`],
    ['DELETE', `$/${compute}/vm?forceDeletion=yes&api-version=2026-04-01`],
    ['GET', '$/providers/Microsoft.Network/networkInterfaces?$top=1&api-version=2026-01-01'],
    ['GET', '$/providers/Microsoft.Network/networkInterfaces/nic?$expand=x&api-version=2026-01-01'],
    ['DELETE', '$/providers/Microsoft.Network/networkSecurityGroups/nsg?force=true&api-version=2026-01-01'],
    ['GET', `${subscription}/resourceGroups?$top=1&api-version=2022-09-01`],
    ['GET', `${subscription}/resourceGroups?$skiptoken=x&api-version=2022-09-01`],
    ['GET', `${subscription}/resources?$top=1&api-version=2022-09-01`],
    ['GET', '/subscriptions?$top=1&api-version=2022-12-01'],
    ['GET', '$/providers/Microsoft.Authorization/roleAssignments?$top=1&api-version=2022-04-01'],
    ['GET', '$/providers/Microsoft.Authorization/roleAssignments?tenantId=x&api-version=2022-04-01'],
  ])('%s %s: what no handler reads is not passed over', async (method, path) => {
    const reply = await client.arm(method, path.replace(/^\$/, client.group));
    expect([reply.status, reply.body?.error?.code]).toEqual([501, 'SimulatorUnknown']);
  });

  test.each([
    ['DELETE', `$/${compute}/vm?forceDeletion=true&api-version=2026-04-01`, 204],
    ['GET', `${subscription}/resources?$filter=tagName eq 'x'&api-version=2022-09-01`, 200],
    ['GET', `$/${compute}/vm?%24Expand=instanceView&API-Version=2026-04-01`, 404],
  ])('%s %s is known', async (method, path, status) => {
    const reply = await client.arm(method, encodeURI(path.replace(/^\$/, client.group)).replaceAll('%25', '%'));
    expect(reply.status).toBe(status);
  });
});

describe('auxiliary tokens', () => {
  const auxiliary = (value: string) =>
    client.arm('GET', `${client.group}?api-version=2022-09-01`, undefined, {
      'x-ms-authorization-auxiliary': value,
    });

  test('valid ones are taken and noted; three at most', async () => {
    const token: string = (await client.token(defaults.imageTenantId)).body.access_token;
    expect((await auxiliary(`Bearer ${token}`)).status).toBe(200);
    expect(simulator.journal.at(-1)?.auxiliary).toEqual([{ tenant: defaults.imageTenantId, app: defaults.clientId }]);
    expect((await auxiliary([token, token, token].map((one) => `Bearer ${one}`).join(', '))).status).toBe(200);
    expectError(
      await auxiliary([token, token, token, token].map((one) => `Bearer ${one}`).join(', ')),
      401,
      'InvalidAuthenticationToken',
    );
  });

  test('malformed, expired, of another app: 401 that names client and tenant', async () => {
    const token: string = (await client.token(defaults.imageTenantId)).body.access_token;
    expectError(await auxiliary(token), 401, 'InvalidAuthenticationToken');
    expectError(await auxiliary(`Bearer ${token}; Bearer ${token}`), 401, 'InvalidAuthenticationToken');
    const old = await forge({ tid: defaults.imageTenantId, exp: 1 });
    expectError(
      await auxiliary(`Bearer ${old}`),
      401,
      'InvalidAuthenticationToken',
      new RegExp(`${defaults.clientId}.*${defaults.imageTenantId}.*expired`),
    );
    expectError(await auxiliary(`Bearer ${await forge({ appid: 'another' })}`), 401, 'InvalidAuthenticationToken');
  });

  test('linked resources: each text of LinkedAuthorizationFailed', async () => {
    const nic = path.replace('networkSecurityGroups/nsg', 'networkInterfaces/nic');
    const link = (subscription: string) => ({
      ...body,
      properties: {
        ipConfigurations: [
          {
            name: 'a',
            properties: {
              subnet: {
                id: `/subscriptions/${subscription}/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/s`,
              },
            },
          },
        ],
      },
    });
    const scope = nic.split('?')[0] ?? '';
    const action = 'Microsoft.Network/virtualNetworks/subnets/join/action';
    const withoutToken = await client.arm('PUT', nic, link(defaults.imageSubscriptionId));
    expectError(withoutToken, 403, 'LinkedAuthorizationFailed');
    expect(withoutToken.body.error.message).toBe(
      `The client has permission to perform action '${action}' on scope '${scope}', however the current tenant '${defaults.tenantId}' is not authorized to access linked subscription '${defaults.imageSubscriptionId}'.`,
    );
    const token: string = (await client.token(defaults.imageTenantId)).body.access_token;
    const withoutRole = await client.arm('PUT', nic, link(defaults.imageSubscriptionId), {
      'x-ms-authorization-auxiliary': `Bearer ${token}`,
    });
    expectError(withoutRole, 403, 'LinkedAuthorizationFailed');
    expect(withoutRole.body.error.message).toBe(
      `The client '${defaults.clientId}' with object id '${principals.image}' has permission to perform action 'Microsoft.Network/networkInterfaces/write' on scope '${scope}'; however, it does not have permission to perform action '${action}' on the linked scope(s) '/subscriptions/${defaults.imageSubscriptionId}/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/s' or the linked scope(s) are invalid.`,
    );
    const nowhere = await client.arm('PUT', nic, link('00000000-0000-4000-8000-000000000000'));
    expectError(nowhere, 403, 'LinkedAuthorizationFailed', /linked subscription '0{8}-.*' was not found\. $/);
  });
});

describe('long-running operations', () => {
  test('an altered poll URL is refused, the whole one is not, and signatures stay out of the journal', async () => {
    const reply = await client.arm('PUT', path, body);
    const url = reply.headers['azure-asyncoperation'] ?? '';
    expect(url.length).toBeGreaterThan(2000);
    expect((await client.arm('GET', url.replace(/&c=[^&]*/, ''))).status).toBe(501);
    expect((await client.arm('GET', url.replace('api-version=2026-01-01', 'api-version=2025-01-01'))).status).toBe(501);
    expect((await client.settle(reply)).body).toEqual({ status: 'Succeeded' });
    expect(JSON.stringify(simulator.journal)).not.toContain(new URL(url).searchParams.get('s'));
  });

  test('Retry-After changes from poll to poll as recorded', async () => {
    // Ten times as slow as Azure, so that the operation is still running when it is read.
    const slow = await startSimulator({ timeScale: 10 });
    try {
      const there = await connect(slow);
      const reply = await there.arm('PUT', path, body);
      expect(reply.headers['retry-after']).toBe('30');
      expect((await there.arm('GET', reply.headers['azure-asyncoperation'] ?? '')).headers['retry-after']).toBe('100');
    } finally {
      await slow.close();
    }
  });

  test('a failed operation is HTTP 200 with status Failed, and leaves the resource', async () => {
    simulator.faults.add({
      match: { method: 'PUT', path: /\/failing\?/ },
      effect: { operationFails: { code: 'InternalServerError', message: 'An error occurred.' } },
    });
    const failing = path.replace('/nsg?', '/failing?');
    const end = await client.settle(await client.arm('PUT', failing, body));
    expect(end.status).toBe(200);
    expect(end.body).toEqual({
      status: 'Failed',
      error: { code: 'InternalServerError', message: 'An error occurred.', details: [] },
    });
    expect((await client.arm('GET', failing)).body.properties.provisioningState).toBe('Failed');
  });
});

describe('faults and budgets', () => {
  test('a status, a reset, and an answer that never comes although the request was carried out', async () => {
    simulator.faults.add({
      match: { method: 'GET', path: /\/deploy-rg\?/i, nth: 2 },
      effect: {
        status: 503,
        code: 'ServiceUnavailable',
        message: 'Try again.',
        headers: { 'retry-after': '1' },
      },
    });
    const group = `${client.group}?api-version=2022-09-01`;
    expect((await client.arm('GET', group)).status).toBe(200);
    const refused = await client.arm('GET', group);
    expect(refused.status).toBe(503);
    expect(refused.headers['retry-after']).toBe('1');
    expect(refused.headers['x-ms-request-id']).toBeDefined();
    expect((await client.arm('GET', group)).status).toBe(200);

    simulator.faults.add({ match: { method: 'GET', path: /deploy-rg/i }, effect: { reset: true } });
    await expect(client.arm('GET', group)).rejects.toThrow(/hang up|ECONNRESET/);
    simulator.faults.add({
      match: { method: 'PUT', path: /\/dropped\?/ },
      effect: { dropAfterCommit: true },
    });
    const dropped = path.replace('/nsg?', '/dropped?');
    await expect(client.arm('PUT', dropped, body)).rejects.toThrow(/hang up|ECONNRESET/);
    expect((await client.arm('GET', dropped)).status).toBe(200);
    simulator.faults.clear();
  });

  test('faults can be told to strike polls alone', async () => {
    const fault = simulator.faults.add({
      match: { phase: 'poll' },
      effect: { status: 500, code: 'InternalServerError' },
    });
    const reply = await client.arm('PUT', path.replace('/nsg?', '/polled?'), body);
    expect(reply.status).toBe(201);
    expect((await client.arm('GET', reply.headers['azure-asyncoperation'] ?? '')).status).toBe(500);
    expect((await client.settle(reply)).body.status).toBe('Succeeded');
    expect(fault.applied).toBe(1);
    simulator.faults.clear();
  });

  test('an empty bucket of the principal: 429 with Retry-After', async () => {
    // A token comes back after 40 ms; on this clock, after 40 s.
    const slow = await startSimulator({ timeScale: 1000 });
    try {
      const there = await connect(slow);
      await there.arm('GET', `${there.group}?api-version=2022-09-01`);
      slow.world.budgets.drain('subscription-reads', `${defaults.subscriptionId};${principals.deploy}`);
      const reply = await there.arm('GET', `${there.group}?api-version=2022-09-01`);
      expectError(reply, 429, 'SubscriptionRequestsThrottled');
      expect(reply.headers['retry-after']).toBe('40');
    } finally {
      await slow.close();
    }
  });
});

test('tokens never reach the journal', async () => {
  const token: string = (await client.token(defaults.tenantId)).body.access_token;
  await withToken(token);
  const text = JSON.stringify(simulator.journal);
  expect(text).not.toContain(token);
  expect(text).not.toContain(defaults.clientSecret);
  expect(simulator.journal.at(-1)?.caller).toEqual({
    tenant: defaults.tenantId,
    app: defaults.clientId,
    oid: principals.deploy,
  });
});
