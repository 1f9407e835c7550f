import { inspect } from 'node:util';
import { expect, jest } from '@jest/globals';
import type { AccessToken, TokenCredential } from '@azure/core-auth';
import { createHttpHeaders, type HttpClient, type PipelineRequest, RestError } from '@azure/core-rest-pipeline';
import { knownClouds } from '../../src/azure/clouds.ts';
import { AzureError } from '../../src/errors/errors.ts';
import { type TenantCredentialOptions, createTenantCredential } from '../../src/auth/credential.ts';

export const tenantId = '33333333-3333-3333-3333-333333333333';

export const clientId = '22222222-2222-2222-2222-222222222222';

export const secret = 'not~a.real-Secret_but/with+signs=';

export const scope = 'https://management.azure.com/.default';

/** The 90 seconds of retries pass in 0.9 s, an attempt without a response ends after 0.2 s. */
export const timeScale = '0.01';

export const attemptTimeoutSeconds = 0.2;

export const logDebug = (lines: string[]) => ({
  debug: (line: string) => lines.push(line),
  info: () => undefined,
});

/** What the other side does with one request. */
export type Step =
  | { readonly status: number; readonly body?: string; readonly headers?: Record<string, string> }
  | { readonly lost: string }
  | 'hangs'
  | 'trickles';

/** The far end of the wire: takes its steps in turn, the last one again and again. */
export function wire(...steps: Step[]): {
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

export function aborted(request: PipelineRequest): Promise<never> {
  return new Promise((_resolve, reject) => {
    request.abortSignal?.addEventListener('abort', () => {
      reject(new DOMException('aborted', 'AbortError'));
    });
  });
}

export let issued = 0;

export function token(seconds = 3600): Step {
  issued += 1;
  return {
    status: 200,
    body: JSON.stringify({ token_type: 'Bearer', expires_in: seconds, access_token: `token-${issued}` }),
  };
}

export const refusal: Step = {
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

export function withSecret(client: HttpClient, more: Partial<TenantCredentialOptions> = {}): TokenCredential {
  return createTenantCredential({
    credential: { kind: 'secret', secret },
    clientId,
    tenantId,
    cloud: knownClouds.azurecloud,
    correlationId: '44444444-4444-4444-4444-444444444444',
    idToken: async () => 'e30.e30.c2ln',
    mask: () => undefined,
    httpClient: client,
    attemptTimeoutSeconds,
    ...more,
  });
}

export async function failureOf(promise: Promise<unknown>): Promise<Error> {
  const error = await promise.then(
    () => new Error('it did not fail'),
    (thrown: unknown) => thrown,
  );
  // No secret is printed, with all causes and properties.
  expect(inspect(error, { depth: Infinity, showHidden: true })).not.toContain(secret);
  expect(inspect(error, { depth: Infinity, showHidden: true })).not.toContain(encodeURIComponent(secret));
  return error as Error;
}

export async function faultOf(promise: Promise<unknown>): Promise<AzureError['fault']> {
  const error = await failureOf(promise);
  expect(error).toBeInstanceOf(AzureError);
  return (error as AzureError).fault;
}

/** Sets the time of day; timers stay real. */
export function setTime(now: number): void {
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

/** Goes to the time at which the token is due for a refresh, or has ended. MSAL rounds to seconds, so no fixed time would do. */
export function until(held: AccessToken | null, moment: 'refreshAfterTimestamp' | 'expiresOnTimestamp'): void {
  setTime((held?.[moment] ?? 0) + 20);
}

export function jwt(claims: object): string {
  return `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.c2ln`;
}
