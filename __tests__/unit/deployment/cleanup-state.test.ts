import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { type CleanupStateData, createCleanupState, parseCleanupState } from '../../../src/deployment/cleanup-state.ts';
import { workflowRun as run } from '../../support/values.ts';

const inputs = {
  operation: 'create',
  vmName: 'vm1',
  cleanup: 'always',
  clientId: '8d1f3c5e-3b1a-4b5e-9a53-5c1c3c8a1d01',
  tenantId: '22222222-bbbb-4c3d-9d63-1e8e2f6a2b02',
  environment: { kind: 'known', name: 'azurecloud' },
  credential: { kind: 'oidc', audience: 'api://AzureADTokenExchange' },
  subscriptionId: '2b3f7d3f-6e1f-4d2c-8b64-7a1a1d0a2f02',
  resourceGroup: 'rg',
} as const;

const openState = (save: (entries: CleanupStateData, everCreated: readonly string[]) => void) =>
  createCleanupState(inputs, run, save);

describe('createCleanupState', () => {
  test('saves every change at once', () => {
    const saved: CleanupStateData[] = [];
    const state = openState((entries) => saved.push(entries));
    state.addPending('/a');
    state.addPending('/A');
    state.addPending('/b');
    state.markDeleted('/a');
    state.markCompleted();
    expect(saved.map(({ created, completed }) => [created, completed])).toEqual([
      [[], false],
      [['/a'], false],
      [['/a', '/b'], false],
      [['/b'], false],
      [['/b'], true],
    ]);
  });

  test('saves how the main step signed in, without the secret', () => {
    const credential = { kind: 'secret', secret: 'hidden' } as const;
    const { signIn } = createCleanupState({ ...inputs, credential, changeReference: 'CHG1' }, run, () => {}).entries;
    const { clientId, tenantId, environment } = inputs;
    expect(signIn).toEqual({ clientId, tenantId, environment, credential: 'secret', changeReference: 'CHG1' });
    expect(openState(() => {}).entries.signIn).toMatchObject({
      credential: 'oidc',
      audience: inputs.credential.audience,
    });
  });

  test('saves of the run only what identifies the step', () => {
    const { entries } = createCleanupState(inputs, run, () => {});
    expect(Object.keys(entries.run)).toEqual(['serverUrl', 'repository', 'runId', 'runAttempt', 'job', 'action']);
  });

  test('excludes a resource that existed when its PUT was sent from what may be deleted', () => {
    let everCreated: readonly string[] = [];
    const state = openState((_, all) => {
      everCreated = all;
    });
    state.addPending('/a');
    state.markExisting('/a');
    expect([state.entries.created, everCreated, state.claim.notCreated]).toEqual([[], [], ['/a']]);
  });

  test('does not count as being deleted what is created again', () => {
    const state = openState(() => {});
    state.addPending('/a');
    state.markAccepted('/a');
    state.markDeleting(['/a', '/b']);
    expect(state.entries.deleting).toEqual(['/a', '/b']);
    state.addPending('/A');
    expect(state.entries).toMatchObject({ pending: ['/A'], deleting: ['/b'] });
  });

  test('records nothing that is still in progress after it was disowned', () => {
    let last: CleanupStateData | undefined;
    let everCreated: readonly string[] = [];
    const state = openState((entries, all) => {
      last = entries;
      everCreated = all;
    });
    state.addPending('/a');
    state.disown();
    state.addPending('/b');
    expect(last).toMatchObject({ created: [], pending: [], cleanup: 'never', completed: false });
    expect([everCreated, state.entries.created]).toEqual([[], []]);
  });
});

describe('parseCleanupState', () => {
  const saved: CleanupStateData = {
    ...openState(() => {}).entries,
    created: ['/a'],
    privateKeyPath: '/tmp/cross-tenant-vm-abcdef/id_rsa',
  };

  test('reads back what was saved', () => {
    expect(parseCleanupState(JSON.stringify(saved))).toEqual({ state: saved });
  });

  test.each<[string, object]>([
    ['operation', { operation: 'sweep' }],
    ['deployment', { deployment: '../vm1' }],
    ['cleanup', { cleanup: 'sometimes' }],
    ['signIn', { signIn: { ...saved.signIn, clientId: 'me' } }],
    ['signIn', { signIn: { ...saved.signIn, environment: { kind: 'discovered' } } }],
    ['signIn', { signIn: null }],
    ['run', { run: { ...run, action: undefined } }],
    ['subscriptionId', { subscriptionId: 'x/../y' }],
    ['resourceGroup', { resourceGroup: 'a/b' }],
    ['created', { created: ['/a', 7] }],
    ['created', { created: '/a' }],
    ['pending', { pending: ['a'] }],
    ['deleting', { deleting: undefined }],
    ['notCreated', { notCreated: undefined }],
    ['completed', { completed: 'yes' }],
    ['privateKeyPath', { privateKeyPath: ['/tmp'] }],
  ])('names %s when it is not valid', (name, changed) => {
    expect(parseCleanupState(JSON.stringify({ ...saved, ...changed }))).toMatchObject({ damaged: [name] });
  });

  test('accepts any text without throwing', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        expect(parseCleanupState(text)).toHaveProperty('damaged');
      }),
    );
  });
});
