import type { Call } from '../../http/provider.ts';
import { ArmError } from '../../model/arm-error.ts';
import type { Json } from '../../model/contract.ts';
import type { Subscription } from '../../model/entities.ts';

export function subscriptionScopeOf(call: Call): string {
  return `/subscriptions/${call.params['subscriptionId']}`;
}

export function subscriptionReadError(call: Call, action: string): ArmError {
  return new ArmError(
    403,
    'AuthorizationFailed',
    `The client '${call.caller.app}' with object id '${call.caller.oid}' does not have authorization to perform action '${action}' over scope '${call.resourceId}' or the scope is invalid. If access was recently granted, please refresh your credentials.`,
    { gateway: true },
  );
}

/** A subscription is seen by whoever has a role on it or on anything in it. */
export function isVisible(call: Call, subscription: Subscription): boolean {
  if (subscription.state === 'Deleted') return false;
  if (
    subscription.tenant !== call.caller.tenant &&
    !subscription.managedByTenants.includes(call.caller.tenant)
  ) {
    return false;
  }
  const root = `/subscriptions/${subscription.id}`;
  return call.world.roleAssignments.some(
    (one) =>
      one.principalId.toLowerCase() === call.caller.oid.toLowerCase() &&
      (one.scope === '/' ||
        one.scope.toLowerCase() === root ||
        one.scope.toLowerCase().startsWith(`${root}/`)),
  );
}

export function subscriptionBody(subscription: Subscription): Json {
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
