/** Sign-in: every refusal with its status, error, code and text; tokens as Entra makes them. */
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt, SignJWT } from 'jose';
import { githubIssuer } from '../../simulator/entra/entra.ts';
import { githubSettings, subjectOf } from '../../simulator/github/github.ts';
import { defaults, makeClientCertificate, principals, type Simulator, startSimulator } from '../../simulator/index.ts';
import { signToken } from '../../simulator/http/keys.ts';
import { type Body, type Client, connect, type Reply } from '../support/simulator-client.ts';

let simulator: Simulator;
let client: Client;
const known: { code: string; httpStatus: number; body: Body }[] = JSON.parse(
  readFileSync(new URL('../fixtures/errors.json', import.meta.url), 'utf8'),
);

beforeAll(async () => {
  simulator = await startSimulator();
  client = await connect(simulator);
});

afterAll(async () => {
  await simulator.close();
});

/** Same status and error as catalogued, the whole envelope, and the first words of the text. */
function expectRefusal(reply: Reply, code: string): void {
  const entry = known.find((one) => one.code === code);
  if (entry) {
    expect(reply.status).toBe(entry.httpStatus);
    expect(reply.body.error).toBe(entry.body.error);
    expect(Object.keys(reply.body).toSorted()).toEqual(Object.keys(entry.body).toSorted());
    const words = (text: string): string => text.split(/['\r(]| [0-9a-f]{8}-/)[0]?.slice(0, 60) ?? '';
    if (code !== 'AADSTS90002') expect(words(reply.body.error_description)).toBe(words(entry.body.error_description));
  }
  expect(reply.body.error_codes).toEqual([Number(code.slice(6))]);
  expect(reply.body.error_description).toMatch(
    new RegExp(
      `^${code}: .*\\r\\nTrace ID: [0-9a-f-]{36}\\r\\nCorrelation ID: [0-9a-f-]{36}\\r\\nTimestamp: .*Z$`,
      's',
    ),
  );
  expect(reply.headers['cache-control']).toContain('no-store');
}

const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

function assert(assertion: string, tenant: string = defaults.tenantId): Promise<Reply> {
  return client.token(tenant, { client_assertion: assertion, client_assertion_type: assertionType });
}

describe('secrets and tenants', () => {
  test('a token has tenant, app, object ID, audience and lifetime', async () => {
    const reply = await client.token(defaults.tenantId);
    expect(reply.status).toBe(200);
    expect(reply.body).toMatchObject({ token_type: 'Bearer', expires_in: 3599, ext_expires_in: 3599 });
    expect(decodeJwt(reply.body.access_token)).toMatchObject({
      iss: `https://sts.windows.net/${defaults.tenantId}/`,
      aud: 'https://management.simulator.localhost/',
      tid: defaults.tenantId,
      appid: defaults.clientId,
      oid: principals.deploy,
    });
    expect((await client.token(defaults.tenantDomain)).status).toBe(200);
  });

  test('a lifetime that a scenario sets', async () => {
    simulator.world.tokens.lifetimeSeconds = 2;
    const reply = await client.token(defaults.tenantId);
    simulator.world.tokens.lifetimeSeconds = 3599;
    const { exp = 0, iat = 0 } = decodeJwt(reply.body.access_token);
    expect(exp - iat).toBe(2);
  });

  test.each([
    ['AADSTS7000215', defaults.tenantId, { client_secret: 'wrong' }],
    ['AADSTS7000222', defaults.tenantId, { client_secret: defaults.expiredSecret }],
    ['AADSTS700016', defaults.otherTenantId, { client_secret: defaults.clientSecret }],
    ['AADSTS90002', '99999999-9999-4999-8999-999999999999', { client_secret: 'any' }],
    ['AADSTS900023', 'contoso', { client_secret: 'any' }],
    ['AADSTS7000218', defaults.tenantId, {}],
    ['AADSTS500011', defaults.tenantId, { scope: 'https://graph.microsoft.com/.default' }],
    ['AADSTS1002012', defaults.tenantId, { scope: 'https://management.simulator.localhost/' }],
  ] as const)('%s', async (code, tenant, form) => {
    expectRefusal(await client.token(tenant, { ...form }), code);
  });

  test('AADSTS7000229: the registration is there, its principal is not', async () => {
    const lonely = '5d5d5d5d-0000-4000-8000-000000000001';
    simulator.world.addApp({ clientId: lonely, homeTenant: defaults.tenantId, secrets: [{ value: 's' }] });
    simulator.world.uninstallApp(lonely, defaults.tenantId);
    expectRefusal(await client.token(defaults.tenantId, { client_id: lonely, client_secret: 's' }), 'AADSTS7000229');
  });

  test('discovery: endpoints of the tenant; an unknown one is invalid_tenant', async () => {
    const found = await client.send(
      'GET',
      `${simulator.loginEndpoint}/${defaults.tenantDomain}/v2.0/.well-known/openid-configuration`,
    );
    expect(found.body.token_endpoint).toBe(`${simulator.loginEndpoint}/${defaults.tenantId}/oauth2/v2.0/token`);
    const missing = await client.send(
      'GET',
      `${simulator.loginEndpoint}/99999999-9999-4999-8999-999999999999/v2.0/.well-known/openid-configuration`,
    );
    expect(missing.status).toBe(400);
    expect(missing.body.error).toBe('invalid_tenant');
  });
});

describe('GitHub OIDC', () => {
  function idToken(claims: Record<string, unknown> = {}): Promise<string> {
    const now = Math.floor(Date.now() / 1000);
    return signToken('github', {
      iss: githubIssuer,
      sub: subjectOf(githubSettings(simulator.world)),
      aud: 'api://AzureADTokenExchange',
      iat: now,
      nbf: now,
      exp: now + 300,
      ...claims,
    });
  }

  test('works for both tenants of the app', async () => {
    expect((await assert(await idToken())).status).toBe(200);
    expect((await assert(await idToken(), defaults.imageTenantId)).status).toBe(200);
  });

  test('an immutable subject matches only a credential with IDs', async () => {
    const subject = 'repo:contoso@123456/deploy@456789:ref:refs/heads/main';
    expectRefusal(await assert(await idToken({ sub: subject })), 'AADSTS700213');
    simulator.world.apps.get(defaults.clientId)?.federatedCredentials.push({
      name: 'immutable',
      issuer: githubIssuer,
      subject,
      audiences: ['api://AzureADTokenExchange'],
    });
    expect((await assert(await idToken({ sub: subject }))).status).toBe(200);
  });

  test.each([
    ['AADSTS700211', { iss: `${githubIssuer}/` }],
    ['AADSTS700213', { sub: 'repo:contoso/deploy:pull_request' }],
    ['AADSTS700212', { aud: 'https://github.com/contoso' }],
    ['AADSTS700024', { exp: 1_690_885_706, nbf: 1_690_882_106 }],
  ] as const)('%s', async (code, claims) => {
    expectRefusal(await assert(await idToken(claims)), code);
  });

  test('AADSTS70021 while a new credential is not everywhere yet', async () => {
    simulator.world.tokens.federation = 'legacy';
    const reply = await assert(await idToken({ sub: 'repo:contoso/other:ref:refs/heads/main' }));
    simulator.world.tokens.federation = 'exact';
    expectRefusal(reply, 'AADSTS70021');
  });

  test('a signature that is not the issuer’s', async () => {
    const now = Math.floor(Date.now() / 1000);
    const forged = await signToken('stranger', {
      iss: githubIssuer,
      sub: subjectOf(githubSettings(simulator.world)),
      aud: 'api://AzureADTokenExchange',
      exp: now + 300,
    });
    expectRefusal(await assert(forged), 'AADSTS50013');
  });
});

describe('certificates', () => {
  let pair: { certificate: string; privateKey: string };

  beforeAll(async () => {
    pair = await makeClientCertificate();
    simulator.world.apps.get(defaults.clientId)?.certificates.push(pair.certificate);
  });

  async function assertion(
    with_: { certificate: string; privateKey: string },
    claims: { aud?: string; exp?: number } = {},
    hash: 'sha1' | 'sha256' = 'sha256',
  ): Promise<string> {
    const thumbprint = createHash(hash).update(new X509Certificate(with_.certificate).raw).digest('base64url');
    return new SignJWT({})
      .setProtectedHeader({
        alg: hash === 'sha256' ? 'PS256' : 'RS256',
        typ: 'JWT',
        ...(hash === 'sha256' ? { 'x5t#S256': thumbprint } : { x5t: thumbprint }),
      })
      .setIssuer(defaults.clientId)
      .setSubject(defaults.clientId)
      .setAudience(claims.aud ?? `${simulator.loginEndpoint}/${defaults.tenantId}/oauth2/v2.0/token`)
      .setNotBefore(Math.floor(Date.now() / 1000) - 60)
      .setExpirationTime(claims.exp ?? Math.floor(Date.now() / 1000) + 600)
      .sign(createPrivateKey(with_.privateKey));
  }

  test('both thumbprints are taken', async () => {
    expect((await assert(await assertion(pair))).status).toBe(200);
    expect((await assert(await assertion(pair, {}, 'sha1'))).status).toBe(200);
  });

  test('an unknown certificate, a key that does not belong to it, an expired one', async () => {
    const other = await makeClientCertificate();
    expectRefusal(await assert(await assertion(other)), 'AADSTS700027');
    expectRefusal(
      await assert(await assertion({ certificate: pair.certificate, privateKey: other.privateKey })),
      'AADSTS700027',
    );
    const old = await makeClientCertificate({
      notBefore: new Date('2024-01-01'),
      notAfter: new Date('2025-01-01'),
    });
    simulator.world.apps.get(defaults.clientId)?.certificates.push(old.certificate);
    const reply = await assert(await assertion(old));
    expectRefusal(reply, 'AADSTS700027');
    expect(reply.body.error_description).toContain('The key used is expired.');
  });

  test('a wrong audience, an assertion out of its time', async () => {
    expectRefusal(await assert(await assertion(pair, { aud: 'https://elsewhere' })), 'AADSTS700023');
    expectRefusal(await assert(await assertion(pair, { exp: 1_690_885_706 })), 'AADSTS700024');
  });
});

test.each([
  ['2015-01-01', (body: Body) => body.authentication.loginEndpoint],
  ['2019-05-01', (body: Body) => body.find((one: Body) => one.name === 'Simulator').authentication.loginEndpoint],
  ['2022-09-01', (body: Body) => body.authentication.loginEndpoint],
])('metadata in the shape of %s', async (version, login) => {
  const reply = await client.send('GET', `${simulator.armEndpoint}/metadata/endpoints?api-version=${version}`);
  expect(reply.status).toBe(200);
  expect(String(login(reply.body)).replace(/\/$/, '')).toBe(simulator.loginEndpoint);
});
