import { expect, test } from '@jest/globals';
import type { Arm, Session } from '../src/azure.ts';
import { findAssignments } from '../src/granted.ts';

const tenantId = '22222222-bbbb-4c3d-9d63-1e8e2f6a2b02';

test('every subscription is searched that is not known to be of another tenant', async () => {
  const asked: string[] = [];
  const arm: Arm = async <T>(_method: string, path: string) => {
    asked.push(path);
    const listed = [
      { subscriptionId: 'own', tenantId: tenantId.toUpperCase() },
      { subscriptionId: 'silent' },
      { subscriptionId: 'delegated', tenantId: 'another' },
    ];
    return { value: path === '/subscriptions' ? listed : [] } as T;
  };
  const session = { arm, tenantId, subscriptionId: 'own' } as Session;
  const search = {
    session,
    log: { warning: () => undefined },
    resourceGroup: 'deploy-rg',
    principals: ['principal'],
  };
  expect(await findAssignments(search, 'vm1')).toEqual([]);
  expect(asked.filter((path) => path.endsWith('/roleAssignments'))).toEqual([
    '/subscriptions/own/providers/Microsoft.Authorization/roleAssignments',
    '/subscriptions/silent/providers/Microsoft.Authorization/roleAssignments',
  ]);
});
