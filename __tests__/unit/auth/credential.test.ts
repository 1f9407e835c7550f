import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { AccessToken, TokenCredential } from '@azure/core-auth';
import {
  createDefaultHttpClient,
  createHttpHeaders,
  type HttpClient,
  type PipelineRequest,
  RestError,
} from '@azure/core-rest-pipeline';
import { transientNetworkCodes } from '../../../src/azure/policies/retry.ts';
import { type Cloud, knownClouds, discoverCloud, resourceManagerScope } from '../../../src/azure/clouds.ts';
import { ActionError } from '../../../src/errors/action-error.ts';
import { AzureError } from '../../../src/errors/azure-error.ts';
import {
  isSignInError,
  type TenantCredentialOptions,
  createTenantCredential,
} from '../../../src/auth/credential.ts';
import { requestGitHubIdToken } from '../../../src/auth/github-oidc.ts';
import { parseOidcClaims, parseTokenClaims } from '../../../src/auth/identity.ts';
import { createHttpGet } from '../../../src/azure/http.ts';
import { setTimeScale } from '../../../src/lib/clock.ts';
import { githubSettings, idTokenEnvironment } from '../../../simulator/github/github.ts';
import { defaults, makeClientCertificate, type Simulator, startSimulator } from '../../../simulator/index.ts';

const tenantId = '33333333-3333-3333-3333-333333333333';
const clientId = '22222222-2222-2222-2222-222222222222';
const secret = 'not~a.real-Secret_but/with+signs=';
const scope = 'https://management.azure.com/.default';

/** The 90 seconds of retries pass in 0.9 s, an attempt without a response ends after 0.2 s. */
const timeScale = '0.01';
const attemptTimeoutSeconds = 0.2;

const logDebug = (lines: string[]) => ({ debug: (line: string) => lines.push(line), info: () => undefined });

beforeAll(() => setTimeScale(timeScale));
afterAll(() => setTimeScale(undefined));

/** What the other side does with one request. */
type Step =
  | { readonly status: number; readonly body?: string; readonly headers?: Record<string, string> }
  | { readonly lost: string }
  | 'hangs'
  | 'trickles';

/** The far end of the wire: takes its steps in turn, the last one again and again. */
function wire(...steps: Step[]): {
  client: HttpClient;
  requests: { url: URL; body: string; form: URLSearchParams }[];
} {
  const requests: { url: URL; body: string; form: URLSearchParams }[] = [];
  return {
    requests,
    client: {
      async sendRequest(request) {
        const body = typeof request.body === 'string' ? request.body : '';
        requests.push({ url: new URL(request.url), body, form: new URLSearchParams(body) });
        const step = steps[Math.min(requests.length, steps.length) - 1] ?? 'hangs';
        if (step === 'hangs') return await aborted(request);
        if (step === 'trickles')
          throw await aborted(request).catch(() => new RestError('aborted', { code: 'PARSE_ERROR' }));
        if ('lost' in step) throw new RestError(`connect ${step.lost}`, { code: step.lost, request });
        return {
          request,
          status: step.status,
          headers: createHttpHeaders(step.headers),
          bodyAsText: step.body ?? '',
        };
      },
    },
  };
}

function aborted(request: PipelineRequest): Promise<never> {
  return new Promise((_resolve, reject) => {
    request.abortSignal?.addEventListener('abort', () => {
      reject(new DOMException('aborted', 'AbortError'));
    });
  });
}

let issued = 0;
function token(seconds = 3600): Step {
  issued += 1;
  return {
    status: 200,
    body: JSON.stringify({ token_type: 'Bearer', expires_in: seconds, access_token: `token-${issued}` }),
  };
}

const refusal: Step = {
  status: 400,
  headers: { 'x-ms-request-id': 'c07bcae7-0000-0000-0000-000000000000' },
  body: JSON.stringify({
    error: 'unauthorized_client',
    error_description: `AADSTS700016: Application with identifier '${clientId}' was not found in the directory 'Default Directory'.\r\nTrace ID: c07bcae7-ba0e-4a79-a071-a56335343000\r\nCorrelation ID: f6d0f194-0ceb-4f50-a36a-1d40a304f647\r\nTimestamp: 2026-05-15 03:41:29Z`,
    error_codes: [700016],
    trace_id: 'c07bcae7-ba0e-4a79-a071-a56335343000',
    correlation_id: 'f6d0f194-0ceb-4f50-a36a-1d40a304f647',
  }),
};

function withSecret(client: HttpClient, more: Partial<TenantCredentialOptions> = {}): TokenCredential {
  return createTenantCredential({
    credential: { kind: 'secret', secret },
    clientId,
    tenantId,
    cloud: knownClouds.azurecloud,
    httpClient: client,
    attemptTimeoutSeconds,
    ...more,
  });
}

async function failureOf(promise: Promise<unknown>): Promise<Error> {
  const error = await promise.then(
    () => new Error('it did not fail'),
    (thrown: unknown) => thrown,
  );
  // No secret is printed, with all causes and properties.
  expect(inspect(error, { depth: Infinity, showHidden: true })).not.toContain(secret);
  expect(inspect(error, { depth: Infinity, showHidden: true })).not.toContain(encodeURIComponent(secret));
  return error as Error;
}

async function faultOf(promise: Promise<unknown>): Promise<AzureError['fault']> {
  const error = await failureOf(promise);
  expect(error).toBeInstanceOf(AzureError);
  return (error as AzureError).fault;
}

/** Sets the time of day; timers stay real. */
function setTime(now: number): void {
  jest.useFakeTimers({
    now,
    doNotFake: [
      'clearImmediate',
      'clearInterval',
      'clearTimeout',
      'hrtime',
      'nextTick',
      'performance',
      'queueMicrotask',
      'setImmediate',
      'setInterval',
      'setTimeout',
    ],
  });
}
afterEach(() => {
  jest.useRealTimers();
});

/** Goes to the time at which the token is due for a refresh, or has ended. MSAL rounds to seconds, so no fixed time would do. */
function until(held: AccessToken | null, moment: 'refreshAfterTimestamp' | 'expiresOnTimestamp'): void {
  setTime((held?.[moment] ?? 0) + 20);
}

describe('one token for all', () => {
  test('callers at the same time share one request, later ones its token', async () => {
    const { client, requests } = wire(token());
    const credential = withSecret(client);
    const tokens = await Promise.all(Array.from({ length: 20 }, () => credential.getToken(scope)));
    expect(new Set(tokens.map((each) => each?.token)).size).toBe(1);
    await credential.getToken([scope]);
    // No discovery: MSAL knows the endpoints of the public clouds.
    expect(requests.map(({ url }) => url.pathname)).toEqual([`/${tenantId}/oauth2/v2.0/token`]);
    expect(requests[0]?.form.get('scope')).toBe(scope);
  });

  test('a challenge for continuous access evaluation or another tenant makes no second sign-in', async () => {
    const { client, requests } = wire(token());
    const credential = withSecret(client);
    await credential.getToken(scope);
    await credential.getToken(scope, { enableCae: true });
    await credential.getToken(scope, { tenantId: '99999999-9999-9999-9999-999999999999' });
    expect(requests).toHaveLength(1);
  });

  test('claims of a challenge are asked for at once, and that token is kept', async () => {
    const { client, requests } = wire(token(), token());
    const credential = withSecret(client);
    const first = await credential.getToken(scope);
    const claims = '{"access_token":{"nbf":{"essential":true,"value":"1"}}}';
    const second = await credential.getToken(scope, { claims });
    expect(second?.token).not.toBe(first?.token);
    expect(await credential.getToken(scope)).toEqual(second);
    expect(requests).toHaveLength(2);
    expect(requests[1]?.form.get('claims')).toContain('nbf');
  });

  test.each([
    [86_400, 290],
    [3600, 290],
    [600, 120],
    [60, 12],
  ])('a token of %i s is replaced %i s before its end', async (seconds, margin) => {
    const { client } = wire(token(seconds));
    const fresh = await withSecret(client).getToken(scope);
    const left = (fresh?.expiresOnTimestamp ?? 0) - (fresh?.refreshAfterTimestamp ?? 0);
    expect(Math.abs(left / 1000 - margin)).toBeLessThan(1);
  });

  test('it is asked for again after that time', async () => {
    const { client, requests } = wire(token(2), token());
    const credential = withSecret(client);
    const first = await credential.getToken(scope);
    setTime((first?.refreshAfterTimestamp ?? 0) - 800);
    expect((await credential.getToken(scope))?.token).toBe(first?.token);
    until(first, 'refreshAfterTimestamp');
    expect((await credential.getToken(scope))?.token).not.toBe(first?.token);
    expect(requests).toHaveLength(2);
  });

  test('an outage near the end is bridged with the present token, and told when that has ended', async () => {
    const { client, requests } = wire(token(3), refusal);
    const lines: string[] = [];
    const credential = withSecret(client, { log: logDebug(lines) });
    const first = await credential.getToken(scope);
    until(first, 'refreshAfterTimestamp');
    const bridged = await credential.getToken(scope);
    expect(bridged?.token).toBe(first?.token);
    // Not before half a minute, but never later than it ends.
    expect(bridged?.refreshAfterTimestamp).toBe(first?.expiresOnTimestamp);
    await credential.getToken(scope);
    expect(requests).toHaveLength(2);
    expect(lines.join()).toContain('the current token is still valid');
    until(first, 'expiresOnTimestamp');
    expect((await faultOf(credential.getToken(scope))).code).toBe('AADSTS700016');
  });

  test('returns the cached token when the caller aborts a refresh', async () => {
    const { client } = wire(token(3), 'hangs');
    const credential = withSecret(client);
    const first = await credential.getToken(scope);
    until(first, 'refreshAfterTimestamp');
    const stop = new AbortController();
    const refreshing = credential.getToken(scope, { abortSignal: stop.signal });
    stop.abort();
    expect((await refreshing)?.token).toBe(first?.token);
  });

  test('what a credential threw is known again', async () => {
    const { client } = wire(refusal);
    const thrown = await failureOf(withSecret(client).getToken(scope));
    expect(isSignInError(thrown)).toBe(true);
    expect(isSignInError(new AzureError((thrown as AzureError).fault))).toBe(false);
    expect(isSignInError(undefined)).toBe(false);
  });

  test('an aborted caller stops at once without affecting the others', async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const { client, requests } = wire(token());
    const credential = withSecret({
      sendRequest: async (request) => {
        await held;
        return await client.sendRequest(request);
      },
    });
    const stop = new AbortController();
    const impatient = credential.getToken(scope, { abortSignal: stop.signal });
    const patient = credential.getToken(scope);
    stop.abort();
    await expect(impatient).rejects.toMatchObject({ name: 'AbortError' });
    release();
    expect((await patient)?.token).toMatch(/^token-/);
    await expect(credential.getToken(scope, { abortSignal: AbortSignal.abort() })).resolves.toBeTruthy();
    expect(requests).toHaveLength(1);
  });
});

describe('failures', () => {
  test('a refusal of Entra is kept whole, and not asked for twice', async () => {
    const { client, requests } = wire(refusal);
    const fault = await faultOf(withSecret(client, { tenantId: 'contoso.example' }).getToken(scope));
    expect(fault).toMatchObject({
      status: 400,
      code: 'AADSTS700016',
      tenant: 'contoso.example',
      method: 'POST',
      url: '/contoso.example/oauth2/v2.0/token',
    });
    expect(JSON.parse(fault.body)).toMatchObject({
      error_codes: [700016],
      trace_id: 'c07bcae7-ba0e-4a79-a071-a56335343000',
      correlation_id: 'f6d0f194-0ceb-4f50-a36a-1d40a304f647',
    });
    expect(requests).toHaveLength(1);
  });

  test.each<[string, Step[], number]>([
    ['429', [{ status: 429 }, token()], 2],
    ['5xx', [{ status: 503 }, { status: 500, body: '<html>' }, token()], 3],
    ['a connection lost twice', [{ lost: 'ECONNRESET' }, { lost: 'EAI_AGAIN' }, token()], 3],
    ...[...transientNetworkCodes].map((code): [string, Step[], number] => [
      code,
      [{ lost: code }, token()],
      2,
    ]),
    ['no answer', ['hangs', token()], 2],
    ['an answer that does not end', ['trickles', token()], 2],
  ])('%s passes', async (_what, steps, sent) => {
    const { client, requests } = wire(...steps);
    const lines: string[] = [];
    const fresh = await withSecret(client, { log: logDebug(lines) }).getToken(scope);
    expect(fresh?.token).toMatch(/^token-/);
    expect(requests).toHaveLength(sent);
    const tries = lines.filter((line) =>
      /^POST login\.microsoftonline\.com\/3{8}\S+ (?:\d{3}|[A-Z_]+) \d+ ms correlation \S+$/.test(line),
    );
    expect(tries).toHaveLength(sent);
  });

  test.each<[string, Step, object]>([
    ['503', { status: 503, body: 'down' }, { status: 503 }],
    ['a reset connection', { lost: 'ECONNRESET' }, { status: 0, code: 'ECONNRESET' }],
    ['no response', 'hangs', { status: 0, code: 'ETIMEDOUT' }],
  ])('reports %s after the last retry when it does not pass', async (_what, step, fault) => {
    const { client, requests } = wire(step);
    expect(await faultOf(withSecret(client).getToken(scope))).toMatchObject({ ...fault, tenant: tenantId });
    expect(requests.length).toBeGreaterThan(2);
  });

  test.each<[string, Step, object]>([
    [
      'an untrusted certificate',
      { lost: 'SELF_SIGNED_CERT_IN_CHAIN' },
      { status: 0, code: 'SELF_SIGNED_CERT_IN_CHAIN' },
    ],
    [
      'a Retry-After that is too long',
      { status: 429, headers: { 'retry-after': '120' } },
      { status: 429, retryAfterSeconds: 120 },
    ],
    ['a proxy that requires a password', { status: 407, body: 'no' }, { status: 407 }],
  ])('reports %s without a retry', async (_what, step, fault) => {
    const { client, requests } = wire(step);
    expect(await faultOf(withSecret(client).getToken(scope))).toMatchObject({ ...fault, tenant: tenantId });
    expect(requests).toHaveLength(1);
  });

  test('a failure is forgotten, also by the library below, which keeps 429 and 5xx for a minute', async () => {
    const { client, requests } = wire({ status: 429, headers: { 'retry-after': '120' } }, token());
    const credential = withSecret(client);
    await faultOf(credential.getToken(scope));
    expect((await credential.getToken(scope))?.token).toMatch(/^token-/);
    expect(requests).toHaveLength(2);
  });

  test.each<[string, Step]>([
    ['a redirect', { status: 307, headers: { location: 'https://portal.example/' } }],
    ['a page', { status: 200, body: '<html>welcome</html>', headers: { 'content-type': 'text/html' } }],
    ['an answer without token', { status: 200, body: '{}' }],
  ])('%s instead of Entra is reported and not followed', async (_what, step) => {
    const { client, requests } = wire(step);
    const failure = await failureOf(withSecret(client).getToken(scope));
    expect(failure).toBeInstanceOf(ActionError);
    expect(failure.message).toMatch(
      /^login\.microsoftonline\.com\/\S+ answered \d+ \(.+\), which is not an answer of a sign-in service/,
    );
    expect(requests).toHaveLength(1);
  });

  test('an impossible tenant is rejected without a request', async () => {
    const { client, requests } = wire(token());
    const failure = await failureOf(withSecret(client, { tenantId: 'not a tenant' }).getToken(scope));
    expect(failure).toBeInstanceOf(ActionError);
    expect(requests).toHaveLength(0);
  });
});

describe('other proofs', () => {
  test('the requests carry the correlation ID of the run', async () => {
    const { client, requests } = wire(token());
    const correlationId = '11111111-2222-3333-4444-555555555555';
    await withSecret(client, { correlationId }).getToken(scope);
    expect(requests[0]?.url.searchParams.get('client-request-id')).toBe(correlationId);
    expect(requests[0]?.form.get('client-request-id')).toBe(correlationId);
  });

  test('certificate: blanks at line ends do no harm', async () => {
    const { certificate, privateKey } = await makeClientCertificate();
    const pem = `${privateKey}\n${certificate}\n`.replaceAll('\n', '  \r\n');
    const { client, requests } = wire(token());
    await withSecret(client, { credential: { kind: 'certificate', pem } }).getToken(scope);
    const form = requests[0]?.form;
    expect(form?.get('client_assertion_type')).toBe('urn:ietf:params:oauth:client-assertion-type:jwt-bearer');
    const head = JSON.parse(
      Buffer.from(form?.get('client_assertion')?.split('.')[0] ?? '', 'base64url').toString(),
    );
    expect(head).toMatchObject({ alg: 'PS256', 'x5t#S256': expect.any(String) });
    expect(requests[0]?.body).not.toContain('PRIVATE');
  });

  test('certificate: what cannot be read is not quoted', async () => {
    const { client } = wire(token());
    const pem = '-----BEGIN PRIVATE KEY-----\nhushhush\n-----END PRIVATE KEY-----';
    const failure = await failureOf(
      withSecret(client, { credential: { kind: 'certificate', pem } }).getToken(scope),
    );
    expect(failure).toBeInstanceOf(ActionError);
    expect(inspect(failure)).not.toContain('hushhush');
  });

  test.each([
    [knownClouds.azurecloud, undefined, 'api://AzureADTokenExchange'],
    [knownClouds.azureusgovernment, undefined, 'api://AzureADTokenExchangeUSGov'],
    [knownClouds.azurecloud, 'api://own', 'api://own'],
  ])('OIDC: one fresh ID token for each token of Entra', async (cloud, own, expected) => {
    const { client, requests } = wire({ status: 503 }, token(1), token());
    const audiences: string[] = [];
    const credential = withSecret(client, {
      cloud,
      credential: { kind: 'oidc', ...(own ? { audience: own } : {}) },
      idToken: async (audience) => `id.token.${audiences.push(audience)}`,
    });
    const [first] = await Promise.all([credential.getToken(scope), credential.getToken(scope)]);
    until(first, 'refreshAfterTimestamp');
    await credential.getToken(scope);
    expect(audiences).toEqual([expected, expected]);
    expect(requests.map(({ form }) => form.get('client_assertion'))).toEqual([
      'id.token.1',
      'id.token.1',
      'id.token.2',
    ]);
  });

  test('OIDC: the error says why GitHub issued no ID token', async () => {
    const { client, requests } = wire(token());
    const reason = new ActionError('asking for an ID token', { message: 'no permission' });
    const credential = withSecret(client, {
      credential: { kind: 'oidc' },
      idToken: () => Promise.reject(reason),
    });
    expect(await failureOf(credential.getToken(scope))).toBe(reason);
    expect(requests).toHaveLength(0);
  });
});

function jwt(claims: object): string {
  return `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.c2ln`;
}

describe('what tokens say', () => {
  const access = { tid: tenantId, appid: clientId, oid: 'oid-1', exp: 1_790_000_000 };
  const all = { tenantId, appId: clientId, objectId: 'oid-1' };
  test.each<[string, string, object]>([
    ['version 1', jwt(access), all],
    ['version 2', jwt({ ...access, appid: undefined, azp: clientId }), all],
    ['umlauts', jwt({ ...access, app_displayname: 'Bücher ✓' }), all],
    ['without an end', jwt({ ...access, exp: undefined }), all],
    ['without principal', jwt({ ...access, oid: undefined }), { tenantId, appId: clientId }],
    ['without tenant', jwt({ ...access, tid: undefined }), { appId: clientId, objectId: 'oid-1' }],
    ['without app', jwt({ ...access, appid: undefined }), { tenantId, objectId: 'oid-1' }],
    ['claims of other types', jwt({ tid: 1, appid: [clientId], oid: null }), {}],
    ['opaque', 'abcdef', {}],
    ['encrypted', 'eyJlbmMiOiJBMjU2R0NNIn0.a.b.c.d', {}],
    ['not JSON', 'a.b.c', {}],
    ['null', jwt([null]), {}],
  ])('access token: %s', (_what, text, claims) => {
    expect(parseTokenClaims(text)).toEqual(claims);
  });

  const id = {
    iss: 'https://token.actions.githubusercontent.com',
    aud: 'api://AzureADTokenExchange',
    repository: 'octo-org/octo.repo',
    repository_owner_id: '65',
    repository_id: '74',
  };
  const facts = { issuer: id.iss, audience: id.aud };
  const ids = { ownerId: '65', repositoryId: '74' };
  test.each<[string, object, object | undefined]>([
    [
      'classic',
      { ...id, sub: 'repo:octo-org/octo.repo:ref:refs/heads/main' },
      { ...facts, ...ids, subject: 'repo:octo-org/octo.repo:ref:refs/heads/main' },
    ],
    [
      'immutable',
      { ...id, sub: 'repo:octo-org@65/octo.repo@74:environment:production' },
      { ...facts, ...ids, subject: 'repo:octo-org@65/octo.repo@74:environment:production' },
    ],
    [
      'without IDs',
      { ...id, sub: 'repo:octo-org/octo.repo:pull_request', repository_id: undefined },
      { ...facts, subject: 'repo:octo-org/octo.repo:pull_request' },
    ],
    [
      'two audiences',
      { ...id, sub: 'repository_owner:octo-org', aud: ['a', 'b'] },
      { ...facts, ...ids, subject: 'repository_owner:octo-org', audience: 'a, b' },
    ],
    ['nothing', {}, undefined],
    ['no audience', { ...id, sub: 'x', aud: undefined }, undefined],
  ])('ID token: %s', (_what, claims, expected) => {
    expect(parseOidcClaims(jwt(claims))).toEqual(expected);
  });
});

describe('ID tokens from GitHub', () => {
  const env = {
    GITHUB_ACTIONS: 'true',
    GITHUB_EVENT_NAME: 'push',
    ACTIONS_ID_TOKEN_REQUEST_URL: 'https://run.actions.example/idtoken?api-version=2.0',
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: secret,
  };
  const audience = 'api://AzureADTokenExchange';
  const options = { audience, mask: () => undefined, attemptTimeoutSeconds };

  test('the token is hidden before it is handed out', async () => {
    const { client, requests } = wire(
      { lost: 'ECONNRESET' },
      { status: 502 },
      { status: 200, body: '{"count":1,"value":"a.b.c"}' },
    );
    const masked: string[] = [];
    const value = await requestGitHubIdToken(env, {
      ...options,
      httpClient: client,
      mask: (text) => masked.push(text),
    });
    expect(value).toBe('a.b.c');
    expect(masked).toEqual(['a.b.c']);
    expect(requests).toHaveLength(3);
    expect(requests[2]?.url.href).toBe(
      'https://run.actions.example/idtoken?api-version=2.0&audience=api%3A%2F%2FAzureADTokenExchange',
    );
  });

  test('of a local runner or a mock, by http', async () => {
    const provider = createServer((request, response) => {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ value: `${request.headers.authorization} ${request.url}` }));
    });
    await new Promise<void>((resolve) => {
      provider.listen(0, '127.0.0.1', resolve);
    });
    const { port } = provider.address() as AddressInfo;
    const here = { ...env, ACTIONS_ID_TOKEN_REQUEST_URL: `http://127.0.0.1:${port}/idtoken` };
    try {
      expect(await requestGitHubIdToken(here, options)).toBe(
        `Bearer ${secret} /idtoken?audience=api%3A%2F%2FAzureADTokenExchange`,
      );
      // That one request only: nothing else is ever sent in the clear.
      await expect(createHttpGet({ attemptTimeoutSeconds })(`http://127.0.0.1:${port}/`)).rejects.toThrow(
        'allowInsecureConnection',
      );
    } finally {
      provider.close();
      provider.closeAllConnections();
    }
  });

  test.each<[string, Step, RegExp]>([
    ['refused', { status: 401, body: '{"message":"expired"}' }, /answered 401: \{"message":"expired"\}/],
    ['down', { status: 503 }, /answered 503: \(nothing\)/],
    ['empty', { status: 200, body: '{"value":""}' }, /answered 200 without a token/],
    ['a page', { status: 200, body: '<html>' }, /answered 200 without a token/],
    ['lost', { lost: 'ENOTFOUND' }, /run\.actions\.example could not be reached: connect ENOTFOUND/],
    ['redirected', { status: 302, headers: { location: 'https://elsewhere.example/' } }, /answered 302/],
  ])('%s', async (_what, step, message) => {
    const { client } = wire(step);
    const failure = await failureOf(requestGitHubIdToken(env, { ...options, httpClient: client }));
    expect(failure).toBeInstanceOf(ActionError);
    expect(failure.message).toMatch(message);
  });

  const pull = (head: string | undefined): object => ({
    pull_request: {
      head: { repo: head ? { full_name: head } : null },
      base: { repo: { full_name: 'octo/repo' } },
    },
  });
  test.each<[string, Record<string, string>, unknown, RegExp, RegExp]>([
    ['no permission', {}, {}, /`permissions: id-token: write` is missing/, /reusable workflow/],
    [
      'own pull request',
      { GITHUB_EVENT_NAME: 'pull_request' },
      pull('octo/repo'),
      /`permissions: id-token: write` is missing/,
      /id-token: write/,
    ],
    [
      'fork',
      { GITHUB_EVENT_NAME: 'pull_request' },
      pull('someone/repo'),
      /pull request from a fork/,
      /head\.repo\.full_name/,
    ],
    ['deleted fork', { GITHUB_EVENT_NAME: 'pull_request' }, pull(undefined), /from a fork/, /on push/],
    [
      'pull_request_target',
      { GITHUB_EVENT_NAME: 'pull_request_target' },
      pull('someone/repo'),
      /is missing/,
      /id-token: write/,
    ],
    [
      'Dependabot',
      { GITHUB_EVENT_NAME: 'pull_request', GITHUB_ACTOR: 'dependabot[bot]' },
      pull('octo/repo'),
      /Dependabot/,
      /id-token: write/,
    ],
    ['elsewhere', { GITHUB_ACTIONS: '' }, undefined, /only to jobs of GitHub Actions/, /client-secret/],
  ])('%s says what to do', async (_what, where, event, cause, fix) => {
    const { ACTIONS_ID_TOKEN_REQUEST_URL: _url, ...without } = env;
    const failure = (await failureOf(
      requestGitHubIdToken({ ...without, ...where }, { ...options, event }),
    )) as ActionError;
    expect(failure).toBeInstanceOf(ActionError);
    expect(failure.explanation?.cause).toMatch(cause);
    expect(failure.explanation?.fix.join('\n')).toMatch(fix);
  });
});

describe('plain requests', () => {
  test('are tried again, carry no credential, and are not redirected', async () => {
    const { client, requests } = wire(
      { status: 503 },
      { status: 302, headers: { location: 'https://elsewhere.example/' } },
    );
    expect(
      await createHttpGet({ httpClient: client, attemptTimeoutSeconds })(
        'https://management.example/metadata',
      ),
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

  /** When each request was sent and each line was logged, in milliseconds from the start. */
  async function timesOf(...steps: Step[]) {
    const { client } = wire(...steps);
    const start = Date.now();
    const sent: number[] = [];
    const logged: { readonly ms: number; readonly line: string }[] = [];
    const get = createHttpGet({
      httpClient: {
        sendRequest: async (request) => {
          sent.push(Date.now() - start);
          return await client.sendRequest(request);
        },
      },
      log: { debug: () => undefined, info: (line) => logged.push({ ms: Date.now() - start, line }) },
    });
    const response = get(url).catch((error: unknown) => error);
    await jest.runAllTimersAsync();
    await response;
    return { sent, logged, end: Date.now() - start };
  }

  test.each<[string, Step]>([
    ['429 with Retry-After: 0', { status: 429, headers: { 'retry-after': '0' } }],
    ['503 with Retry-After: 0', { status: 503, headers: { 'retry-after': '0' } }],
    ['503 with a Retry-After in the past', { status: 503, headers: { 'retry-after': past } }],
    ['503 without Retry-After', { status: 503 }],
  ])('back off exponentially after %s', async (_what, step) => {
    const { sent } = await timesOf(step, step, step, step, step, step, { status: 200 });
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
      httpClient: trusting(sim.certificateFile),
    };
  });

  /** NODE_EXTRA_CA_CERTS is read once, at the start of a process, so here each request says whom to trust. */
  function trusting(certificateFile: string): HttpClient {
    const client = createDefaultHttpClient();
    const tlsSettings = { ca: readFileSync(certificateFile) };
    return {
      sendRequest: async (request) => {
        request.tlsSettings = tlsSettings;
        return await client.sendRequest(request);
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

  test.each(['2015-01-01', '2019-05-01', '2022-09-01'] as const)(
    'metadata in the shape of %s',
    async (shape) => {
      sim.world.metadataShape = shape;
      const found = await discoverCloud(
        { kind: 'discovered', resourceManager: sim.armEndpoint },
        createHttpGet({ httpClient: trusting(sim.certificateFile) }),
      );
      expect(found).toMatchObject({ resourceManager: sim.armEndpoint, loginEndpoint: sim.loginEndpoint });
      sim.world.metadataShape = 'auto';
    },
  );

  test('one discovery and one token request for each tenant, however many ask', async () => {
    const mark = sim.journal.length;
    const both = [defaults.tenantId, defaults.imageTenantId].map((tenant) =>
      createTenantCredential({ ...options, tenantId: tenant }),
    );
    await Promise.all([...both, ...both, ...both].map(ask));
    expect(kinds(mark).toSorted()).toEqual([
      'entra.discovery 200',
      'entra.discovery 200',
      'entra.token 200',
      'entra.token 200',
    ]);
  });

  test('a refresh asks for the token alone', async () => {
    sim.world.tokens.lifetimeSeconds = 2;
    const credential = createTenantCredential(options);
    const mark = sim.journal.length;
    until(await ask(credential), 'refreshAfterTimestamp');
    await ask(credential);
    expect(kinds(mark)).toEqual(['entra.discovery 200', 'entra.token 200', 'entra.token 200']);
  });

  test('a tenant named by its domain gives a token of its GUID', async () => {
    const { token: text } = await ask(
      createTenantCredential({ ...options, tenantId: defaults.tenantDomain }),
    );
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
    [
      'a tenant that does not exist',
      { tenantId: '99999999-9999-4999-8999-999999999999' },
      'AADSTS90002',
      'GET',
    ],
    ['a tenant without the app', { tenantId: defaults.otherTenantId }, 'AADSTS700016', 'POST'],
    [
      'an expired secret',
      { credential: { kind: 'secret', secret: defaults.expiredSecret } },
      'AADSTS7000222',
      'POST',
    ],
    ['a wrong secret', { credential: { kind: 'secret', secret } }, 'AADSTS7000215', 'POST'],
  ] as const)('%s', async (_what, wrong, code, method) => {
    const mark = sim.journal.length;
    const fault = await faultOf(ask(createTenantCredential({ ...options, ...wrong })));
    expect(fault).toMatchObject({
      code,
      method,
      tenant: 'tenantId' in wrong ? wrong.tenantId : defaults.tenantId,
    });
    expect(JSON.parse(fault.body)).toMatchObject({
      error_codes: [Number(code.slice('AADSTS'.length))],
      trace_id: expect.any(String),
      correlation_id: expect.any(String),
    });
    expect(kinds(mark).filter((kind) => kind.endsWith(' 200'))).toHaveLength(method === 'GET' ? 0 : 1);
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
    expect(parseTokenClaims((await ask(createTenantCredential(slow))).token).tenantId).toBe(
      defaults.tenantId,
    );
  });

  test('an untrusted TLS certificate is reported as untrusted', async () => {
    const untrusting = createDefaultHttpClient();
    const fault = await faultOf(ask(createTenantCredential({ ...options, httpClient: untrusting })));
    expect(fault).toMatchObject({
      status: 0,
      code: 'DEPTH_ZERO_SELF_SIGNED_CERT',
      tenant: defaults.tenantId,
    });
  });
});
