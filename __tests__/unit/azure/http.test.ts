import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { AccessToken, TokenCredential } from '@azure/core-auth';
import type { HttpClient } from '@azure/core-rest-pipeline';
import { type Cloud, discoverCloud, resourceManagerScope } from '../../../src/azure/clouds.ts';
import { type TenantCredentialOptions, createTenantCredential } from '../../../src/auth/credential.ts';
import { requestGitHubIdToken } from '../../../src/auth/github-oidc.ts';
import { parseOidcClaims, parseTokenClaims } from '../../../src/auth/identity.ts';
import { createHttpGet } from '../../../src/azure/http.ts';
import { sharedHttpClient } from '../../../src/azure/proxy.ts';
import { setTimeScale } from '../../../src/lib/clock.ts';
import { githubSettings, idTokenEnvironment } from '../../../simulator/github/github.ts';
import { defaults, makeClientCertificate, type Simulator, startSimulator } from '../../../simulator/index.ts';
import {
  secret,
  timeScale,
  attemptTimeoutSeconds,
  type Step,
  wire,
  token,
  faultOf,
  until,
} from '../../support/sign-in.ts';

beforeAll(() => setTimeScale(timeScale));

afterAll(() => setTimeScale(undefined));

afterEach(() => {
  jest.useRealTimers();
});

describe('plain requests', () => {
  test('are tried again, carry no credential, and are not redirected', async () => {
    const { client, requests } = wire(
      { status: 503 },
      { status: 302, headers: { location: 'https://management.example/elsewhere' } },
    );
    expect(
      await createHttpGet({ httpClient: client, attemptTimeoutSeconds })('https://management.example/metadata'),
    ).toMatchObject({ status: 302, body: '' });
    expect(requests).toHaveLength(2);
  });

  test('reject when there is no answer', async () => {
    const { client } = wire({ lost: 'ENOTFOUND' });
    await expect(
      createHttpGet({ httpClient: client, attemptTimeoutSeconds })('https://management.example/'),
    ).rejects.toThrow('ENOTFOUND');
  });
});

describe('retries', () => {
  beforeEach(() => {
    setTimeScale(undefined);
    jest.useFakeTimers();
  });
  afterEach(() => {
    jest.useRealTimers();
    setTimeScale(timeScale);
  });

  const url = 'https://management.example/metadata';
  const past = 'Sun, 01 Nov 2026 08:00:00 GMT';

  /** When each request was sent and each line was logged, in milliseconds of the fake clock. */
  async function timesOf(...steps: Step[]) {
    const { client } = wire(...steps);
    const start = jest.now();
    const sent: number[] = [];
    const logged: { readonly ms: number; readonly line: string }[] = [];
    const get = createHttpGet({
      httpClient: {
        sendRequest: async (request) => {
          sent.push(jest.now() - start);
          return await client.sendRequest(request);
        },
      },
      log: { debug: () => undefined, info: (line) => logged.push({ ms: jest.now() - start, line }) },
    });
    const response = get(url).catch((error: unknown) => error);
    await jest.runAllTimersAsync();
    await response;
    return { sent, logged, end: jest.now() - start };
  }

  test.each<[string, Step]>([
    ['429 with Retry-After: 0', { status: 429, headers: { 'retry-after': '0' } }],
    ['503 with Retry-After: 0', { status: 503, headers: { 'retry-after': '0' } }],
    ['503 with a Retry-After in the past', { status: 503, headers: { 'retry-after': past } }],
    ['503 without Retry-After', { status: 503 }],
  ])('back off exponentially after %s', async (_what, step) => {
    const { sent } = await timesOf(step, step, step, step, step, step, { status: 200, body: '{}' });
    const pauses = sent.slice(1).map((ms, index) => ms - (sent[index] ?? 0));
    expect(pauses).toHaveLength(6);
    for (const [index, ms] of pauses.entries()) {
      expect(ms).toBeGreaterThanOrEqual(Math.min(5000, Math.floor(250 * 2 ** index)));
    }
  });

  test('wait for the Retry-After of a throttled request', async () => {
    const { sent } = await timesOf({ status: 429, headers: { 'retry-after': '7' } }, { status: 200 });
    expect(sent[1]).toBeGreaterThanOrEqual(7000);
  });

  test.each<[string, Step[], RegExp]>([
    [
      'throttling',
      [{ status: 429, headers: { 'retry-after': '80' } }, token()],
      /^(management\.example: answered 429; retrying in 8\d(\.\d)? s|Still retrying management\.example \(\d+ s\))\.$/,
    ],
    [
      'attempts without a response',
      ['hangs'],
      /^(management\.example: the connection failed \(ETIMEDOUT\); retrying in|Still retrying)/,
    ],
    ['an outage', [{ status: 503 }], /^(management\.example: answered 503; retrying in|Still retrying)/],
  ])('log at least every 30 s during %s', async (_what, steps, expected) => {
    const { logged, end } = await timesOf(...steps);
    expect(logged.length).toBeGreaterThan(0);
    for (const { line } of logged) expect(line).toMatch(expected);
    const times = [0, ...logged.map(({ ms }) => ms), end];
    const silences = times.slice(1).map((ms, index) => ms - (times[index] ?? 0));
    expect(Math.max(...silences)).toBeLessThanOrEqual(30_000);
  });
});

describe('over TLS', () => {
  let sim: Simulator;
  let cloud: Cloud;
  let options: TenantCredentialOptions;

  beforeAll(async () => {
    sim = await startSimulator();
    const environment = { kind: 'discovered', resourceManager: sim.armEndpoint } as const;
    cloud = await discoverCloud(environment, createHttpGet({ httpClient: trusting(sim.certificateFile) }));
  });
  afterAll(async () => {
    await sim.close();
  });
  beforeEach(() => {
    sim.faults.clear();
    sim.world.tokens.lifetimeSeconds = 3599;
    options = {
      credential: { kind: 'secret', secret: defaults.clientSecret },
      clientId: defaults.clientId,
      tenantId: defaults.tenantId,
      cloud,
      correlationId: '44444444-4444-4444-4444-444444444444',
      idToken: () => Promise.reject(new Error('not needed')),
      mask: () => undefined,
      httpClient: trusting(sim.certificateFile),
    };
  });

  /** NODE_EXTRA_CA_CERTS is read once, at the start of a process, so here each request says whom to trust. */
  function trusting(certificateFile: string): HttpClient {
    const tlsSettings = { ca: readFileSync(certificateFile) };
    return {
      sendRequest: async (request) => {
        request.tlsSettings = tlsSettings;
        return await sharedHttpClient.sendRequest(request);
      },
    };
  }

  async function ask(credential: TokenCredential): Promise<AccessToken> {
    const fresh = await credential.getToken(resourceManagerScope(cloud));
    expect(fresh).not.toBeNull();
    return fresh as AccessToken;
  }

  function idToken(audience: string): Promise<string> {
    return requestGitHubIdToken(
      { GITHUB_ACTIONS: 'true', ...idTokenEnvironment(sim.world, sim.githubEndpoint) },
      { audience, mask: () => undefined, httpClient: trusting(sim.certificateFile) },
    );
  }

  /** The requests that sign-in has sent since the mark. */
  function kinds(mark: number): string[] {
    return sim.journal.slice(mark).map(({ kind, status }) => `${kind} ${status}`);
  }

  test.each(['2015-01-01', '2019-05-01', '2022-09-01'] as const)('metadata in the shape of %s', async (shape) => {
    sim.world.metadataShape = shape;
    const found = await discoverCloud(
      { kind: 'discovered', resourceManager: sim.armEndpoint },
      createHttpGet({ httpClient: trusting(sim.certificateFile) }),
    );
    expect(found).toMatchObject({ resourceManager: sim.armEndpoint, loginEndpoint: sim.loginEndpoint });
    sim.world.metadataShape = 'auto';
  });

  test('one token request for each tenant and no discovery, however many ask', async () => {
    const mark = sim.journal.length;
    const both = [defaults.tenantId, defaults.imageTenantId].map((tenant) =>
      createTenantCredential({ ...options, tenantId: tenant }),
    );
    await Promise.all([...both, ...both, ...both].map(ask));
    expect(kinds(mark)).toEqual(['entra.token 200', 'entra.token 200']);
  });

  test('a refresh asks for the token alone', async () => {
    sim.world.tokens.lifetimeSeconds = 2;
    const credential = createTenantCredential(options);
    const mark = sim.journal.length;
    until(await ask(credential), 'refreshAfterTimestamp');
    await ask(credential);
    expect(kinds(mark)).toEqual(['entra.token 200', 'entra.token 200']);
  });

  test('a tenant named by its domain gives a token of its GUID', async () => {
    const { token: text } = await ask(createTenantCredential({ ...options, tenantId: defaults.tenantDomain }));
    expect(parseTokenClaims(text)).toMatchObject({ tenantId: defaults.tenantId, appId: defaults.clientId });
  });

  test('certificate', async () => {
    const { certificate, privateKey } = await makeClientCertificate();
    sim.world.apps.get(defaults.clientId)?.certificates.push(certificate);
    const proof = { kind: 'certificate', pem: `${certificate}\n${privateKey}\n` } as const;
    const { token: text } = await ask(createTenantCredential({ ...options, credential: proof }));
    expect(parseTokenClaims(text).tenantId).toBe(defaults.tenantId);
  });

  test('OIDC: requests a separate ID token for each tenant', async () => {
    const mark = sim.journal.length;
    const both = [defaults.tenantId, defaults.imageTenantId].map((tenant) =>
      createTenantCredential({ ...options, tenantId: tenant, credential: { kind: 'oidc' }, idToken }),
    );
    const tokens = await Promise.all(both.map(ask));
    expect(tokens.map(({ token: text }) => parseTokenClaims(text).tenantId)).toEqual([
      defaults.tenantId,
      defaults.imageTenantId,
    ]);
    expect(kinds(mark).filter((kind) => kind.startsWith('entra.token'))).toHaveLength(2);
    expect(sim.journal.slice(mark).filter(({ host }) => host === 'github')).toHaveLength(2);
  });

  test('OIDC: what the ID token says is what Entra looked for', async () => {
    const github = githubSettings(sim.world);
    github.immutableSubject = true;
    let facts: ReturnType<typeof parseOidcClaims>;
    const credential = createTenantCredential({
      ...options,
      credential: { kind: 'oidc' },
      idToken: async (audience) => {
        const text = await idToken(audience);
        facts = parseOidcClaims(text);
        return text;
      },
    });
    const fault = await faultOf(ask(credential));
    github.immutableSubject = false;
    expect(fault).toMatchObject({ status: 401, code: 'AADSTS700213', tenant: defaults.tenantId });
    const subject = `repo:${github.owner}@${github.ownerId}/${github.repository}@${github.repositoryId}:ref:${github.ref}`;
    expect(fault.message).toContain(`'${subject}'`);
    expect(facts).toMatchObject({
      issuer: 'https://token.actions.githubusercontent.com',
      audience: 'api://AzureADTokenExchange',
      subject,
      ownerId: github.ownerId,
      repositoryId: github.repositoryId,
    });
  });

  test.each([
    ['a tenant that does not exist', { tenantId: '99999999-9999-4999-8999-999999999999' }, 'AADSTS90002'],
    ['a tenant without the app', { tenantId: defaults.otherTenantId }, 'AADSTS700016'],
    ['an expired secret', { credential: { kind: 'secret', secret: defaults.expiredSecret } }, 'AADSTS7000222'],
    ['a wrong secret', { credential: { kind: 'secret', secret } }, 'AADSTS7000215'],
  ] as const)('%s', async (_what, wrong, code) => {
    const mark = sim.journal.length;
    const fault = await faultOf(ask(createTenantCredential({ ...options, ...wrong })));
    expect(fault).toMatchObject({
      code,
      method: 'POST',
      tenant: 'tenantId' in wrong ? wrong.tenantId : defaults.tenantId,
    });
    expect(JSON.parse(fault.body)).toMatchObject({
      error_codes: [Number(code.slice('AADSTS'.length))],
      trace_id: expect.any(String),
      correlation_id: expect.any(String),
    });
    expect(kinds(mark).filter((kind) => kind.endsWith(' 200'))).toEqual([]);
  });

  test('resets, outages and delays on the way pass', async () => {
    const path = /oauth2/;
    sim.faults.add({ match: { host: 'entra', path, nth: 1 }, effect: { reset: true } });
    sim.faults.add({ match: { host: 'entra', path, nth: 2 }, effect: { status: 503, code: 'AADSTS90033' } });
    sim.faults.add({ match: { host: 'entra', path, nth: 3 }, effect: { delaySeconds: 2 } });
    const slow = {
      ...options,
      patience: { tries: 4, attemptTimeoutMs: 1000, totalMs: 10_000, firstPauseMs: 1 },
    };
    expect(parseTokenClaims((await ask(createTenantCredential(slow))).token).tenantId).toBe(defaults.tenantId);
  });

  test('an untrusted TLS certificate is reported as untrusted', async () => {
    const fault = await faultOf(ask(createTenantCredential({ ...options, httpClient: sharedHttpClient })));
    expect(fault).toMatchObject({
      status: 0,
      code: 'DEPTH_ZERO_SELF_SIGNED_CERT',
      tenant: defaults.tenantId,
    });
  });
});
