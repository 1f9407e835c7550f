import { inspect } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { openArm, openGauge } from '../src/azure.ts';
import { knownClouds } from '../src/cloud.ts';
import { AzureError } from '../src/failure.ts';
import { type Simulator, startSimulator } from '../simulator/index.ts';

let sim: Simulator;
beforeAll(async () => {
  sim = await startSimulator();
});
afterAll(() => sim.close());

test('a lost connection keeps nothing of the request: whatever prints the error whole, no token', async () => {
  const token = 'eyJhbGciOiJSUzI1NiJ9.eyJ0aWQiOiJ4In0.signature';
  const arm = openArm({
    cloud: { ...knownClouds.azurecloud, resourceManager: sim.armEndpoint },
    credential: { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3_600_000 }) },
    correlationId: '00000000-0000-4000-8000-000000000000',
    log: { debug: () => undefined, info: () => undefined },
    gauge: openGauge(),
    signal: new AbortController().signal,
  });
  // Nothing here trusts the simulator's certificate.
  const error: unknown = await arm('GET', '/subscriptions', '2022-12-01').catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(AzureError);
  expect((error as AzureError).fault).toMatchObject({ status: 0, code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
  expect(inspect(error, { depth: Infinity, showHidden: true })).not.toContain(token);
});
