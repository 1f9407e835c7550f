import { describe, expect, test } from '@jest/globals';
import { createHttpHeaders, createPipelineRequest } from '@azure/core-rest-pipeline';
import {
  isConcurrentOperation,
  retryDelaySeconds,
  transientErrorRetryPolicy,
  transientErrors,
} from '../../../../src/azure/policies/retry.ts';
import type { AzureErrorInfo } from '../../../../src/errors/errors.ts';
import { setTimeScale } from '../../../../src/lib/clock.ts';

const errorWith = (parts: Partial<AzureErrorInfo>): AzureErrorInfo => ({
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

describe('retryDelaySeconds', () => {
  test.each(transientErrors.map(({ id, source }) => [id, source]))('names a source for %s', (_, source) => {
    expect(source).toMatch(/^https:\/\/|^Recorded: /);
  });

  test.each([
    'NetworkingInternalOperationError',
    'InternalExecutionError',
    'OperationPreempted',
    'InternalServerError',
  ])('retries an operation that ended with %s for 15 minutes', (code) => {
    const failed = errorWith({ status: 200, code, body: bodyOf(code) });
    expect(retryDelaySeconds(failed, { retries: 0, elapsed: 0 })).toBeGreaterThanOrEqual(5);
    expect(retryDelaySeconds(failed, { retries: 50, elapsed: 900 })).toBeUndefined();
    expect(retryDelaySeconds({ ...failed, status: 400 }, { retries: 0, elapsed: 0 })).toBeUndefined();
  });

  test.each([
    ['DELETE', '/virtualMachines/vm1/runCommands/r', 'Conflict', 'The request failed due to conflict', true],
    ['PATCH', '/virtualMachines/vm1', 'Conflict', 'The request failed due to conflict', true],
    ['PUT', '/virtualMachines/vm1', 'Conflict', 'Run command extension execution is in progress.', true],
    ['PUT', '/virtualMachines/vm1', 'Conflict', 'The request failed due to conflict', false],
    ['DELETE', '/virtualMachines/vm1/runCommands/r', 'ScopeLocked', 'The scope is locked.', false],
  ])('decides on 409 for %s %s with %s: %s', (method, url, code, message, isRetried) => {
    const error = errorWith({ status: 409, method, url, code, message, body: bodyOf(code) });
    expect(retryDelaySeconds(error, { retries: 0, elapsed: 0 }) !== undefined).toBe(isRetried);
  });

  test('retries an image version that Compute does not know in the region yet', () => {
    const error = errorWith({ status: 404, code: 'GalleryImageNotFound', method: 'PUT' });
    expect(retryDelaySeconds(error, { retries: 0, elapsed: 0 })).toBeGreaterThanOrEqual(10);
    expect(retryDelaySeconds(error, { retries: 20, elapsed: 179 })).toBeUndefined();
  });

  test.each([
    ['a reset connection', { status: 0, code: 'ECONNRESET' }],
    ['a broken pipe', { status: 0, code: 'EPIPE' }],
    ['a host name that is not found', { status: 0, code: 'ENOTFOUND' }],
    ['a name server that does not answer', { status: 0, code: 'EAI_AGAIN' }],
    ['no response in time', { status: 0, code: 'ETIMEDOUT' }],
    ['a connection that broke during the response', { status: 0, code: 'PARSE_ERROR' }],
    ['500', { status: 500 }],
    ['502', { status: 502 }],
    ['503', { status: 503 }],
    ['504', { status: 504 }],
    ['a token refused as expired', { status: 401, body: bodyOf('ExpiredAuthenticationToken') }],
    ['a new resource group', { status: 404, code: 'ResourceGroupNotFound', method: 'PUT' }],
  ])('retries with growing delays for 90 s after %s', (_, parts) => {
    let elapsed = 0;
    for (let retries = 0; ; retries++) {
      const delay = retryDelaySeconds(errorWith(parts), { retries, elapsed });
      if (delay === undefined) break;
      expect(delay).toBeGreaterThanOrEqual(Math.min(5, 0.25 * 2 ** retries));
      elapsed += delay;
    }
    expect(elapsed).toBeGreaterThan(80);
    expect(elapsed).toBeLessThanOrEqual(90);
  });

  test.each([
    ['503', { status: 503, retryAfterSeconds: 7 }, 7],
    ['a busy resource', { status: 429, retryAfterSeconds: 12, body: bodyOf('RetryableError') }, 12],
  ])('waits for the Retry-After of %s', (_, parts, seconds) => {
    expect(retryDelaySeconds(errorWith(parts), { retries: 0, elapsed: 0 })).toBe(seconds);
  });

  test('waits at least a second after 429 without Retry-After', () => {
    const throttled = errorWith({ status: 429 });
    expect(retryDelaySeconds(throttled, { retries: 0, elapsed: 0 })).toBeGreaterThanOrEqual(1);
    expect(retryDelaySeconds(throttled, { retries: 39, elapsed: 3000 })).toBeLessThanOrEqual(18);
  });

  test('fails at once when Retry-After is beyond the time limit', () => {
    const throttled = errorWith({ status: 429, retryAfterSeconds: 1200 });
    expect(retryDelaySeconds(throttled, { retries: 0, elapsed: 0, remaining: 1199 })).toBeUndefined();
    expect(retryDelaySeconds(throttled, { retries: 0, elapsed: 0, remaining: 1300 })).toBeGreaterThan(1199);
  });

  test.each([
    [0, 1],
    [1, 2],
    [2, 4],
    [10, 8],
  ])('adds a random delay to Retry-After when throttled %d times before, at most %d s', (retries, most) => {
    const retryAfterSeconds = 1200;
    const added = Array.from({ length: 200 }, () => {
      const error = errorWith({ status: 429, retryAfterSeconds });
      return (retryDelaySeconds(error, { retries, elapsed: 0 }) ?? Number.NaN) - retryAfterSeconds;
    });
    expect(Math.min(...added)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...added)).toBeLessThanOrEqual(most);
    expect(Math.max(...added) - Math.min(...added)).toBeGreaterThan(most / 2);
  });

  test.each([
    'RetryableError',
    'RetryableErrorDueToAnotherOperation',
    'AnotherOperationInProgress',
    'ReferencedResourceNotProvisioned',
  ])('waits for the other operation after %s, as a response and as the end of an operation', (code) => {
    for (const status of [200, 400, 409, 429]) {
      const busy = errorWith({ status, code, body: bodyOf(code) });
      expect(isConcurrentOperation(busy)).toBe(true);
      expect(retryDelaySeconds(busy, { retries: 0, elapsed: 0 })).toBeGreaterThanOrEqual(1);
      expect(retryDelaySeconds(busy, { retries: 30, elapsed: 1100 })).toBeGreaterThanOrEqual(1);
      expect(retryDelaySeconds(busy, { retries: 40, elapsed: 1200 })).toBeUndefined();
    }
  });

  test.each([
    ['an untrusted certificate', { status: 0, code: 'SELF_SIGNED_CERT_IN_CHAIN' }],
    ['a missing permission', { status: 403, body: bodyOf('AuthorizationFailed') }],
    ['an invalid request', { status: 400, body: bodyOf('InvalidParameter') }],
    ['a failed operation', { status: 200, body: bodyOf('OSProvisioningTimedOut') }],
    ['501', { status: 501 }],
  ])('does not retry %s', (_, parts) => {
    expect(retryDelaySeconds(errorWith(parts), { retries: 0, elapsed: 0 })).toBeUndefined();
  });
});

describe('transientErrorRetryPolicy', () => {
  const group = 'https://management.azure.com/subscriptions/s/resourceGroups/g/providers';
  const assignment = 'providers/Microsoft.Authorization/roleAssignments/11111111-1111-4111-8111-111111111111';

  test.each([
    ['a virtual network', 'Microsoft.Network/virtualNetworks/v', 1],
    ['an identity', 'Microsoft.ManagedIdentity/userAssignedIdentities/i', 1],
    ['a VM', 'Microsoft.Compute/virtualMachines/vm', 2],
    ['a role assignment on a virtual network', `Microsoft.Network/virtualNetworks/v/${assignment}`, 2],
    ['a role assignment on an identity', `Microsoft.ManagedIdentity/userAssignedIdentities/i/${assignment}`, 2],
  ])('sends a PUT again after 503 only if the resource need not be read first: %s', async (_, path, sent) => {
    setTimeScale('0.01');
    const request = createPipelineRequest({ url: `${group}/${path}?api-version=1`, method: 'PUT' });
    const statuses: number[] = [];
    const { sendRequest } = transientErrorRetryPolicy(
      () => undefined,
      () => Infinity,
    );
    await sendRequest(request, () => {
      statuses.push(statuses.length === 0 ? 503 : 201);
      return Promise.resolve({ request, status: statuses.at(-1) ?? 0, headers: createHttpHeaders() });
    });
    expect(statuses).toHaveLength(sent);
  });
});
