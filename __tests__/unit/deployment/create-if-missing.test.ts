import { expect, test } from '@jest/globals';
import type { Session } from '../../../src/azure/arm-client.ts';
import { createCleanupState } from '../../../src/deployment/cleanup-state.ts';
import { createIfMissing } from '../../../src/deployment/create-if-missing.ts';
import { ownershipTags } from '../../../src/deployment/ownership.ts';
import { AzureError } from '../../../src/errors/errors.ts';
import { workflowRun as run } from '../../support/values.ts';

function createContext() {
  const cleanupState = createCleanupState(
    {
      operation: 'create',
      vmName: 'vm1',
      cleanup: 'always',
      clientId: '',
      tenantId: '',
      environment: { kind: 'known', name: 'azurecloud' },
      credential: { kind: 'oidc' },
      resourceGroup: 'rg',
    },
    run,
    () => undefined,
  );
  const waiting = {
    signal: new AbortController().signal,
    rateLimits: () => ({}),
    onProgress: () => undefined,
  };
  const session = { waiting } as unknown as Session;
  const ignore = () => undefined;
  const log = { debug: ignore, info: ignore, notice: ignore, warning: ignore };
  return { cleanupState, run, session, log };
}

test.each([
  ['no provisioningState', {}],
  ['provisioningState Succeeded', { provisioningState: 'Succeeded' }],
])('uses an existing resource as it is when it has %s', async (_, provisioning) => {
  const context = createContext();
  const existing = { tags: ownershipTags(run, 'vm1', 'always'), ...provisioning };
  const unexpected = (request: string) => (): never => {
    throw new Error(`unexpected ${request}`);
  };
  const found = await createIfMissing(context, {
    what: 'a network',
    id: '/a',
    existing,
    reread: unexpected('GET'),
    put: unexpected('PUT'),
  });
  expect(found).toBe(existing);
  expect(context.cleanupState.entries.created).toEqual([]);
});

test('reports why the PUT was refused when the resource cannot be read afterwards', async () => {
  const context = createContext();
  const refusal = (method: string, status: number) =>
    Promise.reject(new AzureError({ status, code: 'No', message: '', details: [], method, url: '/a', body: '' }));
  const creation = { existing: undefined, put: () => refusal('PUT', 400), reread: () => refusal('GET', 403) };
  await expect(createIfMissing(context, { what: 'a network', id: '/a', ...creation })).rejects.toMatchObject({
    fault: { method: 'PUT' },
  });
  expect(context.cleanupState.entries.created).toEqual(['/a']);
});
