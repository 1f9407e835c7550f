import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { ActionError } from '../../../src/errors/errors.ts';
import { requestGitHubIdToken } from '../../../src/auth/github-oidc.ts';
import { createHttpGet } from '../../../src/azure/http.ts';
import { setTimeScale } from '../../../src/lib/clock.ts';
import { secret, timeScale, attemptTimeoutSeconds, type Step, wire, failureOf } from '../../support/sign-in.ts';

beforeAll(() => setTimeScale(timeScale));

afterAll(() => setTimeScale(undefined));

afterEach(() => {
  jest.useRealTimers();
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
    ['refused', { status: 401, body: '{"message":"expired"}' }, /answered 401: expired/],
    ['down', { status: 503 }, /answered 503 with an empty body/],
    ['empty', { status: 200, body: '{"value":""}' }, /answered 200 without a token/],
    ['a page', { status: 200, body: '<html>' }, /answered 200 with an HTML page/],
    ['lost', { lost: 'ENOTFOUND' }, /run\.actions\.example could not be reached: connect ENOTFOUND/],
    ['redirected', { status: 302, headers: { location: 'https://elsewhere.example/' } }, /answered 302/],
  ])('%s', async (_what, step, message) => {
    const { client } = wire(step);
    const failure = await failureOf(requestGitHubIdToken(env, { ...options, httpClient: client }));
    expect(failure).toBeInstanceOf(ActionError);
    expect(failure.message).toMatch(message);
  });

  test.each(['ACTIONS_ID_TOKEN_REQUEST_URL', 'ACTIONS_ID_TOKEN_REQUEST_TOKEN'])(
    'names both possible causes when %s is not set',
    async (variable) => {
      const failure = await failureOf(requestGitHubIdToken({ ...env, [variable]: undefined }, options));
      expect(failure).toMatchObject({
        message: expect.stringContaining(`${variable} `),
        explanation: {
          cause: expect.stringMatching(/lacks `permissions: id-token: write`, or another .* cleared/),
          fix: expect.arrayContaining([
            expect.stringMatching(/reusable workflow/),
            expect.stringMatching(/remove what clears the variables/),
          ]),
        },
      });
    },
  );
});
