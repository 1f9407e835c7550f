import type { Call, Route } from '../../http/provider.ts';
import { ArmError } from '../../model/arm-error.ts';
import type { Json } from '../../model/contract.ts';
import type { Subscription } from '../../model/entities.ts';

export function subscriptionScopeOf(call: Call): string {
  return `/subscriptions/${call.params['subscriptionId']}`;
}

function subscriptionReadError(call: Call, action: string): ArmError {
  return new ArmError(
    403,
    'AuthorizationFailed',
    `The client '${call.caller.app}' with object id '${call.caller.oid}' does not have authorization to perform action '${action}' over scope '${call.resourceId}' or the scope is invalid. If access was recently granted, please refresh your credentials.`,
    { gateway: true },
  );
}

/** Visible to principals with a role on the subscription or anything in it. */
function isVisible(call: Call, subscription: Subscription): boolean {
  if (subscription.state === 'Deleted') return false;
  if (subscription.tenant !== call.caller.tenant && !subscription.managedByTenants.includes(call.caller.tenant)) {
    return false;
  }
  const root = `/subscriptions/${subscription.id}`;
  return call.world.roleAssignments.some(
    (assignment) =>
      assignment.principalId.toLowerCase() === call.caller.oid.toLowerCase() &&
      (assignment.scope === '/' ||
        assignment.scope.toLowerCase() === root ||
        assignment.scope.toLowerCase().startsWith(`${root}/`)),
  );
}

function subscriptionBody(subscription: Subscription): Json {
  return {
    id: `/subscriptions/${subscription.id}`,
    authorizationSource: 'RoleBased',
    managedByTenants: subscription.managedByTenants.map((tenantId) => ({ tenantId })),
    subscriptionId: subscription.id,
    tenantId: subscription.tenant,
    displayName: subscription.displayName,
    state: subscription.state,
    subscriptionPolicies: {
      locationPlacementId: 'Public_2014-09-01',
      quotaId: 'PayAsYouGo_2014-09-01',
      spendingLimit: 'Off',
    },
  };
}

export const subscriptionRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/subscriptions',
    kind: 'subscriptions.list',
    action: null,
    handle: (call) => {
      const seen = [...call.world.subscriptions.values()].filter((subscription) => isVisible(call, subscription));
      return {
        status: 200,
        body: {
          value: seen.map(subscriptionBody),
          count: { type: 'Total', value: seen.length },
        },
      };
    },
  },
  {
    method: 'GET',
    path: '/tenants',
    kind: 'tenants.list',
    action: null,
    handle: (call) => ({
      status: 200,
      body: {
        value: [
          {
            id: `/tenants/${call.tenant.id}`,
            tenantId: call.tenant.id,
            tenantCategory: 'Home',
            displayName: call.tenant.displayName,
            defaultDomain: call.tenant.domain,
            domains: [call.tenant.domain],
          },
        ],
      },
    }),
  },
  {
    method: 'GET',
    path: '/subscriptions/:subscriptionId',
    kind: 'subscription.get',
    action: null,
    handle: (call) => {
      // Any role within the subscription is sufficient, as for the list.
      if (!isVisible(call, call.subscription))
        throw subscriptionReadError(call, 'Microsoft.Resources/subscriptions/read');
      return { status: 200, body: subscriptionBody(call.subscription) };
    },
  },
];
