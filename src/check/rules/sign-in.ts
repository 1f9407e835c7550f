import type { TenantSignIn } from '../../auth/session.ts';
import type { Subscription } from '../../azure/subscriptions.ts';
import type { FilledErrorContext } from '../../error-catalog/entry.ts';
import {
  type CheckFacts,
  type Finding,
  type Question,
  type RuleContext,
  answered,
  faultFinding,
  faultFromError,
  isForbidden,
  okFinding,
  unknownFromError,
  unknownFinding,
  warnFinding,
} from '../facts.ts';
import { shellCommand } from '../../lib/escape.ts';

export function checkSignIn({ tenant, role, result }: TenantSignIn, known: FilledErrorContext): Finding {
  const input = { tenant: 'tenant-id', 'image-tenant': 'image-tenant-id', auxiliary: 'auxiliary-tenant-ids' };
  const question = {
    id: role === 'auxiliary' ? `sign-in/auxiliary/${tenant}` : `sign-in/${role}`,
    asked: `a token of tenant ${tenant} (\`${input[role]}\`) for app ${known.clientId}`,
  };
  if ('error' in result) return faultFromError(question, result.error, known);
  const { objectId } = result.value;
  const principal = objectId
    ? `Signed in as service principal ${objectId}.`
    : 'Signed in; the token does not name the service principal.';
  return okFinding(question, principal);
}

/** https://learn.microsoft.com/azure/cost-management-billing/manage/subscription-states */
const readOnlyStates = new Set(['Disabled', 'Warned', 'Expired', 'Deleted']);

export function checkSubscription({ subscription, inputs }: CheckFacts, known: FilledErrorContext): Finding[] {
  if (!subscription) return [];
  const question = {
    id: 'subscription',
    asked: `subscription ${inputs.subscriptionId ?? 'to deploy to (`subscription-id` is not given)'}`,
  };
  if ('value' in subscription) return [checkSubscriptionState(question, subscription.value)];
  const permission = {
    action: 'Microsoft.Resources/subscriptions/read',
    scope: `/subscriptions/${inputs.subscriptionId ?? ''}`,
  };
  return [
    isForbidden(subscription.error)
      ? unknownFromError(question, subscription.error, permission, known)
      : faultFromError(question, subscription.error, known),
  ];
}

function checkSubscriptionState(question: Question, { displayName, subscriptionId, state }: Subscription): Finding {
  const name = `${displayName} (${subscriptionId})`;
  const owner = `the owner of subscription ${subscriptionId}`;
  const billing = 'https://learn.microsoft.com/azure/cost-management-billing/manage';
  if (readOnlyStates.has(state)) {
    return faultFinding(question, `${name} is ${state}: nothing can be created in it.`, owner, [
      'Reactivate the subscription:',
      `${billing}/subscription-disabled`,
    ]);
  }
  if (state !== 'PastDue') return okFinding(question, `${name} is ${state}.`);
  return warnFinding(question, `${name} is past due and will be disabled unless the bill is paid.`, owner, [
    `${billing}/resolve-past-due-balance`,
  ]);
}

export function checkResourceGroup({ inputs, facts, known }: RuleContext): Finding[] {
  const question = { id: 'resource-group', asked: `resource group ${inputs.resourceGroup}` };
  if ('error' in facts.group) return [faultFromError(question, facts.group.error, known)];
  const { location, exists } = facts.group.value;
  return [
    okFinding(
      question,
      exists ? `Exists. The VM will be deployed to ${location}.` : `Does not exist; it will be created in ${location}.`,
    ),
  ];
}

/** https://learn.microsoft.com/azure/virtual-machines/disks-enable-host-based-encryption-portal#prerequisites */
export function checkEncryptionAtHost({ facts, known, subscription }: RuleContext): Finding[] {
  const question = {
    id: 'encryption-at-host',
    asked: 'feature EncryptionAtHost of the subscription',
    permission: { action: 'Microsoft.Features/providers/features/read', scope: subscription },
  };
  return answered(question, facts.encryptionAtHost, known, (state) =>
    state === 'Registered'
      ? okFinding(question, 'Registered.')
      : faultFinding(question, `${state}: Azure refuses it.`, `the owner of subscription ${known.subscriptionId}`, [
          'Register it once per subscription (it takes a few minutes), then refresh the provider:',
          shellCommand`az feature register --namespace Microsoft.Compute --name EncryptionAtHost --subscription ${known.subscriptionId}`,
          shellCommand`az provider register --namespace Microsoft.Compute --subscription ${known.subscriptionId}`,
        ]),
  );
}

export function checkProviders({ facts, known, subscription }: RuleContext): Finding[] {
  return facts.providers.flatMap(({ namespace, state }) => {
    const question = {
      id: `provider/${namespace}`,
      asked: `resource provider ${namespace} in the subscription`,
      permission: { action: 'Microsoft.Resources/subscriptions/providers/read', scope: subscription },
    };
    const command = shellCommand`az provider register --namespace ${namespace} --subscription ${known.subscriptionId} --wait`;
    const owner = `the owner of subscription ${known.subscriptionId}`;
    return answered(question, state, known, (value) => {
      if (value === 'Registered') return okFinding(question, 'Registered.');
      if (value === 'Unknown') {
        return unknownFinding(question, 'Azure did not say whether it is registered.');
      }
      if (value === 'Registering') {
        return warnFinding(question, 'Being registered, which takes a minute or two.', owner, [
          'Wait until it is registered:',
          command,
        ]);
      }
      return faultFinding(question, `${value}: Azure refuses to create its resources.`, owner, [
        'Register it once per subscription (it takes a minute or two):',
        command,
      ]);
    });
  });
}
