import { describe, expect, test } from '@jest/globals';
import type { ArmRequest, Session } from '../../../src/azure/arm-client.ts';
import { AzureError } from '../../../src/errors/errors.ts';
import { findRoleAssignments } from '../../../src/access/role-assignments.ts';

const tenantId = '22222222-bbbb-4c3d-9d63-1e8e2f6a2b02';

test('every subscription is searched that is not known to be of another tenant', async () => {
  const asked: string[] = [];
  const arm: ArmRequest = async <T>(_method: string, path: string) => {
    asked.push(path);
    const listed = [
      { subscriptionId: 'own', tenantId: tenantId.toUpperCase() },
      { subscriptionId: 'silent' },
      { subscriptionId: 'delegated', tenantId: 'another' },
    ];
    return { value: path === '/subscriptions' ? listed : [] } as T;
  };
  const session = { arm, tenantId, subscriptionId: 'own' } as Session;
  expect(await findRoleAssignments(session, 'deploy-rg', () => true)).toMatchObject({ ids: [], incomplete: [] });
  expect(asked.filter((path) => path.endsWith('/roleAssignments'))).toEqual([
    '/subscriptions/own/providers/Microsoft.Authorization/roleAssignments',
    '/subscriptions/silent/providers/Microsoft.Authorization/roleAssignments',
  ]);
});

describe('a role assignment list that Azure refuses', () => {
  const searchRefusedWith = (status: number, code: string, body = JSON.stringify({ error: { code } })) => {
    const refusal = new AzureError({ status, code, message: '', details: [], method: 'GET', url: '/', body });
    const session = {
      arm: () => Promise.reject(refusal),
      tenantId,
      subscriptionId: 'own',
    } as unknown as Session;
    return findRoleAssignments(session, 'deploy-rg', () => true);
  };

  test.each([
    [403, 'AuthorizationFailed'],
    [404, 'SubscriptionNotFound'],
    [404, ''],
    [401, 'InvalidAuthenticationTokenTenant'],
  ])('is reported as incomplete when the app has no access: %d %s', async (status, code) => {
    const found = await searchRefusedWith(status, code, code ? undefined : '');
    expect(found).toMatchObject({ ids: [], incomplete: ['own'] });
  });

  test.each([
    [429, 'SubscriptionRequestsThrottled'],
    [401, 'ExpiredAuthenticationToken'],
    [401, 'InvalidAuthenticationToken'],
    [400, 'InvalidFilter'],
    [408, 'RequestTimeout'],
    [409, 'Conflict'],
  ])('stops the search when the answer says nothing about access: %d %s', async (status, code) => {
    await expect(searchRefusedWith(status, code)).rejects.toMatchObject({ fault: { status, code } });
  });

  test.each([403, 404])('stops the search when a proxy answers %d with a page', async (status) => {
    const page = '<html><title>Not here</title></html>';
    await expect(searchRefusedWith(status, '', page)).rejects.toMatchObject({ fault: { status } });
  });
});
