import { inspect } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type ArmRequest, createArmRequest, listAllPages } from '../../../src/azure/arm-client.ts';
import { newestSupportedVersion } from '../../../src/azure/policies/api-version-fallback.ts';
import { createRateLimitTracker } from '../../../src/azure/poll-schedule.ts';
import { knownClouds } from '../../../src/azure/clouds.ts';
import { AzureError } from '../../../src/errors/errors.ts';
import { type Simulator, startSimulator } from '../../../simulator/index.ts';

let sim: Simulator;
beforeAll(async () => {
  sim = await startSimulator();
});
afterAll(() => sim.close());

test('hides the token in the error when the connection fails', async () => {
  const token = 'eyJhbGciOiJSUzI1NiJ9.eyJ0aWQiOiJ4In0.signature';
  const arm = createArmRequest({
    cloud: { ...knownClouds.azurecloud, resourceManager: sim.armEndpoint },
    credential: { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3_600_000 }) },
    correlationId: '00000000-0000-4000-8000-000000000000',
    log: { debug: () => undefined, info: () => undefined },
    rateLimits: createRateLimitTracker(),
    signal: new AbortController().signal,
    mask: () => undefined,
  });
  // Nothing here trusts the simulator's certificate.
  const error: unknown = await arm('GET', '/subscriptions', '2022-12-01').catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(AzureError);
  expect((error as AzureError).fault).toMatchObject({ status: 0, code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
  expect(inspect(error, { depth: Infinity, showHidden: true })).not.toContain(token);
});

test.each<[string, string, string, string | undefined]>([
  [
    'NoRegisteredProviderFound',
    "The supported api-versions are '2019-03-01, 2024-07-01, 2023-09-01'.",
    '2026-04-01',
    '2024-07-01',
  ],
  [
    'InvalidResourceType',
    "The supported api-versions are '2024-07-01,2025-11-01-preview'.",
    '2026-04-01',
    '2024-07-01',
  ],
  ['InvalidApiVersionParameter', "The supported versions are '2027-01-01,2022-12-01'.", '2026-04-01', '2022-12-01'],
  ['NoRegisteredProviderFound', "The supported api-versions are '2027-01-01'.", '2026-04-01', undefined],
  // The version is known; the region is not.
  ['NoRegisteredProviderFound', "The supported api-versions are '2024-07-01, 2026-04-01'.", '2026-04-01', undefined],
  ['InvalidParameter', "The supported api-versions are '2024-07-01'.", '2026-04-01', undefined],
  ['InvalidResourceType', 'No such type.', '2026-04-01', undefined],
])('%s, %s: instead of %s it is asked in %s', (code, message, asked, older) => {
  const fault = { status: 400, code, message, details: [], method: 'GET', url: '/', body: '' };
  expect(newestSupportedVersion(fault, asked)).toBe(older);
});

const headersOf = (headers: Readonly<Record<string, string | undefined>>) => ({
  get: (name: string) => headers[name],
});

test('keeps the last Retry-After of each operation until an answer to its poll has none', () => {
  const rateLimits = createRateLimitTracker();
  const operations = ['https://arm.example/operations/1?t=a', 'https://arm.example/operations/2'] as const;
  const hints = () => operations.map((operation) => rateLimits.read(operation).retryAfter);
  expect(hints()).toEqual([undefined, undefined]);
  rateLimits.record(headersOf({ 'azure-asyncoperation': operations[0], 'retry-after': '3' }), 'https://arm.example/vm');
  rateLimits.record(headersOf({ location: operations[1], 'retry-after': '10' }), 'https://arm.example/nic');
  expect(hints()).toEqual([3, 10]);
  rateLimits.record(headersOf({ 'retry-after': '1' }), 'https://arm.example/operations/1?t=b');
  rateLimits.record(headersOf({}), operations[1]);
  expect(hints()).toEqual([1, undefined]);
});

test('keeps the latest value of each rate limit when responses report different ones', () => {
  const rateLimits = createRateLimitTracker();
  const answer = (resource: string, reads?: string) =>
    rateLimits.record(
      headersOf({
        'x-ms-ratelimit-remaining-resource': resource,
        'x-ms-ratelimit-remaining-subscription-reads': reads,
      }),
      'https://arm.example/subscriptions',
    );
  expect(rateLimits.read()).toEqual({});
  // Lines as recorded.
  answer('Microsoft.Compute/GetOperationResource;44,Microsoft.Compute/GetOperationSubscriptionMaximum;14999', '249');
  answer('Microsoft.Compute/LowCostGetSubscriptionMaximum;23988,Microsoft.Compute/LowCostGetResource;35', '');
  expect(rateLimits.read()).toEqual({ polls: 44, vmReads: 35, reads: 249 });
  answer('Microsoft.Compute/PutVMSubscriptionMaximum;1499,Microsoft.Compute/PutVMResource;11', '248');
  answer('Microsoft.Compute/GetOperationResource;41,Microsoft.Compute/GetOperationSubscriptionMaximum;14980');
  expect(rateLimits.read()).toEqual({ polls: 41, vmReads: 35, reads: 248 });
});

test('ends a list whose next link points to itself', async () => {
  const requested: string[] = [];
  const arm: ArmRequest = async <T>(_method: string, path: string) => {
    requested.push(path);
    return { value: [path], nextLink: '/next' } as T;
  };
  expect(await listAllPages(arm, '/first', '2021-04-01')).toEqual(['/first', '/next']);
  expect(requested).toEqual(['/first', '/next']);
});
