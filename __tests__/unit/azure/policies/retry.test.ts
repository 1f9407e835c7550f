import { describe, expect, test } from '@jest/globals';
import { isConcurrentOperation, retryDelaySeconds } from '../../../../src/azure/policies/retry.ts';
import type { AzureErrorInfo } from '../../../../src/errors/azure-error.ts';

const fault = (parts: Partial<AzureErrorInfo>): AzureErrorInfo => ({
  status: 500,
  code: '',
  message: '',
  details: [],
  method: 'GET',
  url: '/',
  body: '',
  ...parts,
});
const bodyOf = (code: string): string => JSON.stringify({ error: { code, message: 'not now' } });

describe('a request is sent again', () => {
  test.each([
    ['a reset connection', { status: 0, code: 'ECONNRESET' }],
    ['a broken pipe', { status: 0, code: 'EPIPE' }],
    ['a name that is not found for a moment', { status: 0, code: 'ENOTFOUND' }],
    ['a name server that does not answer', { status: 0, code: 'EAI_AGAIN' }],
    ['no answer in time', { status: 0, code: 'ETIMEDOUT' }],
    ['a connection that broke in the middle of the answer', { status: 0, code: 'PARSE_ERROR' }],
    ['500', { status: 500 }],
    ['502', { status: 502 }],
    ['503', { status: 503 }],
    ['504', { status: 504 }],
    ['a token refused as too old', { status: 401, body: bodyOf('ExpiredAuthenticationToken') }],
  ])('after %s: six times, ever later, within half a minute', (_, parts) => {
    const pauses = Array.from({ length: 7 }, (__, tries) => retryDelaySeconds(fault(parts), tries));
    expect(pauses.slice(0, 6).every((seconds) => seconds !== undefined && seconds > 0)).toBe(true);
    expect(pauses[6]).toBeUndefined();
    expect(pauses.slice(0, 6).reduce<number>((sum, seconds) => sum + (seconds ?? 0), 0)).toBeLessThan(32);
  });

  test.each([
    ['503 with Retry-After', { status: 503, retryAfterSeconds: 7 }, 7],
    [
      'a busy resource that says when',
      { status: 429, retryAfterSeconds: 12, body: bodyOf('RetryableError') },
      12,
    ],
  ])('after %s: when the service says', (_, parts, seconds) => {
    expect(retryDelaySeconds(fault(parts), 0)).toBe(seconds);
  });

  test('after 429 without Retry-After: after a second at least, up to 40 times', () => {
    const throttled = fault({ status: 429 });
    expect(retryDelaySeconds(throttled, 0)).toBeGreaterThanOrEqual(1);
    expect(retryDelaySeconds(throttled, 39)).toBeLessThanOrEqual(12);
    expect(retryDelaySeconds(throttled, 40)).toBeUndefined();
  });

  test.each([
    [0, 1],
    [1, 2],
    [2, 4],
    [10, 8],
  ])(
    'after 429 with Retry-After, throttled %d times before: up to %d s later, each run at its own time',
    (tries, most) => {
      const asked = 1200;
      const later = Array.from(
        { length: 200 },
        () =>
          (retryDelaySeconds(fault({ status: 429, retryAfterSeconds: asked }), tries) ?? Number.NaN) - asked,
      );
      expect(Math.min(...later)).toBeGreaterThanOrEqual(0);
      expect(Math.max(...later)).toBeLessThanOrEqual(most);
      expect(Math.max(...later) - Math.min(...later)).toBeGreaterThan(most / 2);
    },
  );

  test.each([
    'RetryableError',
    'RetryableErrorDueToAnotherOperation',
    'AnotherOperationInProgress',
    'ReferencedResourceNotProvisioned',
  ])('after %s, as a refusal and as the end of an operation', (code) => {
    for (const status of [200, 400, 409, 429]) {
      const busy = fault({ status, code, body: bodyOf(code) });
      expect(isConcurrentOperation(busy)).toBe(true);
      expect(retryDelaySeconds(busy, 0)).toBeGreaterThanOrEqual(1);
    }
  });

  test.each([
    ['a certificate that is not trusted', { status: 0, code: 'SELF_SIGNED_CERT_IN_CHAIN' }],
    ['a refusal', { status: 403, body: bodyOf('AuthorizationFailed') }],
    ['a bad request', { status: 400, body: bodyOf('InvalidParameter') }],
    ['an operation that failed', { status: 200, body: bodyOf('OSProvisioningTimedOut') }],
    ['501', { status: 501 }],
  ])('never after %s', (_, parts) => {
    expect(retryDelaySeconds(fault(parts), 0)).toBeUndefined();
  });
});
