import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { transientNetworkCodes } from '../../../src/azure/policies/retry.ts';
import { knownClouds } from '../../../src/azure/clouds.ts';
import { ActionError, AzureError } from '../../../src/errors/errors.ts';
import { isSignInError } from '../../../src/auth/credential.ts';
import { setTimeScale } from '../../../src/lib/clock.ts';
import { makeClientCertificate } from '../../../simulator/index.ts';
import {
  tenantId,
  scope,
  timeScale,
  logDebug,
  type Step,
  wire,
  token,
  refusal,
  withSecret,
  failureOf,
  faultOf,
  setTime,
  until,
} from '../../support/sign-in.ts';

beforeAll(() => setTimeScale(timeScale));

afterAll(() => setTimeScale(undefined));

afterEach(() => {
  jest.useRealTimers();
});

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
    ...[...transientNetworkCodes].map((code): [string, Step[], number] => [code, [{ lost: code }, token()], 2]),
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
    ['a redirect', { status: 307, headers: { location: 'https://login.microsoftonline.com/elsewhere' } }],
    ['an answer without token', { status: 200, body: '{}' }],
  ])('reports %s that is not an answer of Entra without a retry', async (_what, step) => {
    const { client, requests } = wire(step);
    const failure = await failureOf(withSecret(client).getToken(scope));
    expect(failure).toBeInstanceOf(ActionError);
    expect(failure.message).toMatch(
      /^login\.microsoftonline\.com\/\S+ answered \d+ \(.+\), which is not an answer of a sign-in service/,
    );
    expect(requests).toHaveLength(1);
  });

  test('reports a page instead of an answer of Entra after retries', async () => {
    const { client, requests } = wire({
      status: 200,
      body: '<html>welcome</html>',
      headers: { 'content-type': 'text/html' },
    });
    const failure = await failureOf(withSecret(client).getToken(scope));
    expect(failure).toBeInstanceOf(ActionError);
    expect(failure.message).toBe('login.microsoftonline.com answered 200 with an HTML page.');
    expect(requests.length).toBeGreaterThan(2);
  });

  test('derives the token endpoint of a cloud unknown to MSAL without a request', async () => {
    const { client, requests } = wire(token());
    const cloud = { ...knownClouds.azurecloud, loginEndpoint: 'https://login.example' };
    await withSecret(client, { cloud }).getToken(scope);
    expect(requests.map(({ url }) => `${url.host}${url.pathname}`)).toEqual([
      'login.example/33333333-3333-3333-3333-333333333333/oauth2/v2.0/token',
    ]);
  });

  test('sends no request to the regional host that MSAL takes from the environment', async () => {
    const { client, requests } = wire(token());
    process.env['AZURE_REGIONAL_AUTHORITY_NAME'] = 'westeurope';
    const failure = await failureOf(withSecret(client).getToken(scope)).finally(() => {
      delete process.env['AZURE_REGIONAL_AUTHORITY_NAME'];
    });
    expect(failure.message).toContain('leads to westeurope.login.microsoft.com, but sign-in requests are sent to');
    expect(requests).toHaveLength(0);
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
    const head = JSON.parse(Buffer.from(form?.get('client_assertion')?.split('.')[0] ?? '', 'base64url').toString());
    expect(head).toMatchObject({ alg: 'PS256', 'x5t#S256': expect.any(String) });
    expect(requests[0]?.body).not.toContain('PRIVATE');
  });

  test('certificate: what cannot be read is not quoted', async () => {
    const { client } = wire(token());
    const pem = '-----BEGIN PRIVATE KEY-----\nhushhush\n-----END PRIVATE KEY-----';
    const failure = await failureOf(withSecret(client, { credential: { kind: 'certificate', pem } }).getToken(scope));
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
