import { expect, test } from '@jest/globals';
import type { Session } from '../../../src/azure/arm-client.ts';
import { createCleanupState } from '../../../src/deployment/cleanup-state.ts';
import { createIfMissing } from '../../../src/deployment/create-if-missing.ts';
import { ownershipTags } from '../../../src/deployment/ownership.ts';

const run = {
  serverUrl: 'https://github.com',
  repository: 'owner/repo',
  runId: '42',
  runAttempt: '1',
  job: 'deploy',
  action: 'vm',
  workflow: 'Release',
  sha: 'abc',
  actor: 'someone',
};

test.each([
  ['no provisioningState', {}],
  ['provisioningState Succeeded', { provisioningState: 'Succeeded' }],
])('uses an existing resource as it is when it has %s', async (_, provisioning) => {
  const state = createCleanupState(
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
  const existing = { tags: ownershipTags(run, 'vm1', 'always'), ...provisioning };
  const waiting = {
    signal: new AbortController().signal,
    rateLimits: () => ({}),
    onProgress: () => undefined,
  };
  const session = { waiting } as unknown as Session;
  const ignore = () => undefined;
  const unexpected = (request: string) => (): never => {
    throw new Error(`unexpected ${request}`);
  };
  const found = await createIfMissing(
    { cleanupState: state, run, session, log: { debug: ignore, info: ignore, notice: ignore, warning: ignore } },
    { what: 'a network', id: '/a', existing, reread: unexpected('GET'), put: unexpected('PUT') },
  );
  expect(found).toBe(existing);
  expect(state.entries.created).toEqual([]);
});
