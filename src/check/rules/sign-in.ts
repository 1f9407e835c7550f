import type { TenantSignIn } from '../../auth/session.ts';
import { type FilledErrorContext, fillPlaceholders } from '../../error-catalog/entry.ts';
import {
  type CheckFacts,
  type Finding,
  type RuleContext,
  azureErrorIn,
  faultFinding,
  faultFromError,
  okFinding,
  unknownFromError,
  warnFinding,
} from '../facts.ts';

// Tenants, subscription, group

export function checkSignIn({ tenant, role, result }: TenantSignIn, known: FilledErrorContext): Finding {
  const id = role === 'auxiliary' ? `sign-in/auxiliary/${tenant}` : `sign-in/${role}`;
  const input = { tenant: 'tenant-id', 'image-tenant': 'image-tenant-id', auxiliary: 'auxiliary-tenant-ids' };
  const asked = `a token of tenant ${tenant} (\`${input[role]}\`) for app ${known.clientId}`;
  if ('error' in result) return faultFromError(id, asked, result.error, known);
  const { objectId } = result.value;
  return okFinding(
    id,
    asked,
    objectId
      ? `Signed in as service principal ${objectId}.`
      : 'Signed in; as which service principal the token does not say.',
  );
}

/** https://learn.microsoft.com/azure/cost-management-billing/manage/subscription-states */
const readOnlyStates = new Set(['Disabled', 'Warned', 'Expired', 'Deleted']);

export function checkSubscription({ subscription, inputs, situation }: CheckFacts): Finding[] {
  if (!subscription) return [];
  const known = fillPlaceholders(situation);
  const asked = `subscription ${inputs.subscriptionId ?? 'to deploy to (`subscription-id` is not given)'}`;
  if ('error' in subscription) {
    const right = {
      action: 'Microsoft.Resources/subscriptions/read',
      scope: `/subscriptions/${inputs.subscriptionId ?? ''}`,
    };
    return [
      azureErrorIn(subscription.error)?.status === 403
        ? unknownFromError('subscription', asked, subscription.error, right, known)
        : faultFromError('subscription', asked, subscription.error, known),
    ];
  }
  const { displayName, subscriptionId, state } = subscription.value;
  const name = `${displayName} (${subscriptionId})`;
  if (readOnlyStates.has(state)) {
    return [
      faultFinding(
        'subscription',
        asked,
        `${name} is ${state}: nothing can be made in it.`,
        `the owner of subscription ${subscriptionId}`,
        [
          'Have it enabled again:',
          'https://learn.microsoft.com/azure/cost-management-billing/manage/subscription-disabled',
        ],
      ),
    ];
  }
  if (state === 'PastDue') {
    return [
      warnFinding(
        'subscription',
        asked,
        `${name} is past due: it will be disabled unless the bill is paid.`,
        `the owner of subscription ${subscriptionId}`,
        ['https://learn.microsoft.com/azure/cost-management-billing/manage/resolve-past-due-balance'],
      ),
    ];
  }
  return [okFinding('subscription', asked, `${name} is ${state}.`)];
}

export function checkResourceGroup({ facts: { inputs }, subscriptionFacts, known }: RuleContext): Finding[] {
  const id = 'resource-group';
  const asked = `resource group ${inputs.resourceGroup}`;
  if ('error' in subscriptionFacts.group)
    return [faultFromError(id, asked, subscriptionFacts.group.error, known)];
  const { location, exists } = subscriptionFacts.group.value;
  return [
    okFinding(
      id,
      asked,
      exists
        ? `It is there; the deployment goes to ${location}.`
        : `It does not exist, and will be created in ${location}.`,
    ),
  ];
}

export function checkProviders({ subscriptionFacts, known }: RuleContext): Finding[] {
  return subscriptionFacts.providers.map(({ namespace, state }) => {
    const id = `provider/${namespace}`;
    const asked = `resource provider ${namespace} in the subscription`;
    const command = `az provider register --namespace ${namespace} --subscription ${known.subscriptionId} --wait`;
    const owner = `the owner of subscription ${known.subscriptionId}`;
    if ('error' in state) {
      const right = {
        action: 'Microsoft.Resources/subscriptions/providers/read',
        scope: `/subscriptions/${subscriptionFacts.subscriptionId}`,
      };
      return unknownFromError(id, asked, state.error, right, known);
    }
    if (state.value === 'Registered') return okFinding(id, asked, 'Registered.');
    if (state.value === 'Registering') {
      return warnFinding(id, asked, 'Being registered; that takes a minute or two.', owner, [
        'Wait for its end:',
        command,
      ]);
    }
    return faultFinding(id, asked, `${state.value}: Azure refuses to make anything of its kind.`, owner, [
      'Register it once per subscription (it takes a minute or two):',
      command,
    ]);
  });
}
