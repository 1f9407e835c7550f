import { describe, test } from '@jest/globals';
import { denied, ok, refusal, subscriptionIn, expectFindings, type Case } from '../../../support/check-facts.ts';

describe('tenants, subscription, resource group and providers', () => {
  test.each<Case>([
    [
      'no consent',
      {
        check: {
          signIns: [
            {
              tenant: 'image-tenant',
              role: 'image-tenant',
              result: refusal(400, 'AADSTS700016', "Application with identifier 'app' was not found", {
                tenant: 'image-tenant',
              }),
            },
          ],
        },
      },
      [['sign-in/image-tenant', 'fault', /no service principal in the image tenant/]],
    ],
    ['a disabled subscription', { check: subscriptionIn('Disabled') }, [['subscription', 'fault', /Disabled/]]],
    ['a warned subscription', { check: subscriptionIn('Warned') }, [['subscription', 'fault', /Warned/]]],
    ['a subscription past due', { check: subscriptionIn('PastDue') }, [['subscription', 'warning', /past due/]]],
    [
      'an unknown subscription',
      { check: { subscription: refusal(404, 'SubscriptionNotFound') }, noSubscription: true },
      [
        ['subscription', 'fault', /does not exist/],
        ['deployment', 'unknown'],
      ],
    ],
    [
      'a group that may not be seen',
      { facts: { group: denied } },
      [['resource-group', 'fault', /AuthorizationFailed|no role/]],
    ],
    [
      'providers',
      {
        facts: {
          providers: [
            { namespace: 'A', state: ok('NotRegistered') },
            { namespace: 'B', state: ok('Registering') },
            { namespace: 'C', state: denied },
            { namespace: 'D', state: ok(undefined) },
          ],
        },
      },
      [
        ['provider/A', 'fault', /NotRegistered/],
        ['provider/B', 'warning'],
        ['provider/C', 'unknown', /lacks Microsoft.Resources\/subscriptions\/providers\/read/],
        ['provider/D', 'unknown', /did not say/],
      ],
    ],
  ])('reports findings for %s', (_, change, expected) => {
    expectFindings(change, expected);
  });
});
