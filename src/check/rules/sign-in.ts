import type { TenantSignIn } from '../../auth/session.ts';
import type { Subscription } from '../../azure/subscriptions.ts';
import { subscriptionOwner } from '../../error-catalog/entry.ts';
import { shellCommand } from '../../lib/escape.ts';
import { type CheckFacts, type Finding, type Question, type RuleContext, isForbidden } from '../facts.ts';

const tenantInputs = { tenant: 'tenant-id', 'image-tenant': 'image-tenant-id', auxiliary: 'auxiliary-tenant-ids' };

export function checkSignIn(
  { tenant, role, result }: TenantSignIn,
  clientId: string,
  ask: RuleContext['ask'],
): Finding {
  const question = ask(
    role === 'auxiliary' ? `sign-in/auxiliary/${tenant}` : `sign-in/${role}`,
    `a token of tenant ${tenant} (\`${tenantInputs[role]}\`) for app ${clientId}`,
  );
  if ('error' in result) return question.refused(result.error);
  const { objectId } = result.value;
  const name = objectId ? ` as service principal ${objectId}` : '; the token does not name the service principal';
  return question.ok(`Signed in${name}.`);
}

/** https://learn.microsoft.com/azure/cost-management-billing/manage/subscription-states */
const readOnlyStates = new Set(['Disabled', 'Warned', 'Expired', 'Deleted']);

export function checkSubscription({ subscription, inputs }: CheckFacts, ask: RuleContext['ask']): Finding[] {
  if (!subscription) return [];
  const question = ask(
    'subscription',
    `subscription ${inputs.subscriptionId ?? 'to deploy to (`subscription-id` is not given)'}`,
    'Microsoft.Resources/subscriptions/read',
  );
  if ('value' in subscription) return [checkSubscriptionState(question, subscription.value)];
  const { error } = subscription;
  return [isForbidden(error) ? question.skipped(error) : question.refused(error)];
}

function checkSubscriptionState(question: Question, { displayName, subscriptionId, state }: Subscription): Finding {
  const name = `${displayName} (${subscriptionId})`;
  const owner = `the owner of subscription ${subscriptionId}`;
  const billing = 'https://learn.microsoft.com/azure/cost-management-billing/manage';
  if (readOnlyStates.has(state)) {
    const fix = ['Reactivate the subscription:', `${billing}/subscription-disabled`];
    return question.fault(`${name} is ${state}: nothing can be created in it.`, fix, owner);
  }
  if (state !== 'PastDue') return question.ok(`${name} is ${state}.`);
  const fix = [`${billing}/resolve-past-due-balance`];
  return question.warning(`${name} is past due and will be disabled unless the bill is paid.`, fix, owner);
}

function checkResourceGroup({ inputs, facts: { group }, ask }: RuleContext): Finding[] {
  const question = ask('resource-group', `resource group ${inputs.resourceGroup}`);
  if ('error' in group) return [question.refused(group.error)];
  const { location, exists } = group.value;
  const existing = `Exists. The VM will be deployed to ${location}.`;
  return [question.ok(exists ? existing : `Does not exist; it will be created in ${location}.`)];
}

/** https://learn.microsoft.com/azure/virtual-machines/disks-enable-host-based-encryption-portal#prerequisites */
function checkEncryptionAtHost({ facts, known, ask }: RuleContext): Finding[] {
  const asked = 'feature EncryptionAtHost of the subscription';
  const question = ask('encryption-at-host', asked, 'Microsoft.Features/providers/features/read');
  const fix = [
    'Register it once per subscription (it takes a few minutes), then refresh the provider:',
    shellCommand`az feature register --namespace Microsoft.Compute --name EncryptionAtHost --subscription ${known.subscriptionId}`,
    shellCommand`az provider register --namespace Microsoft.Compute --subscription ${known.subscriptionId}`,
  ];
  return question.answered(facts.encryptionAtHost, (state) =>
    state === 'Registered'
      ? question.ok('Registered.')
      : question.fault(`${state ?? 'Unknown'}: Azure refuses it.`, fix, subscriptionOwner(known)),
  );
}

function checkProviders({ facts, known, ask }: RuleContext): Finding[] {
  const owner = subscriptionOwner(known);
  return facts.providers.flatMap(({ namespace, state }) => {
    const asked = `resource provider ${namespace} in the subscription`;
    const question = ask(`provider/${namespace}`, asked, 'Microsoft.Resources/subscriptions/providers/read');
    const command = shellCommand`az provider register --namespace ${namespace} --subscription ${known.subscriptionId} --wait`;
    return question.answered(state, (value) => {
      if (value === 'Registered') return question.ok('Registered.');
      if (value === undefined) return question.unknown('Azure did not say whether it is registered.');
      if (value === 'Registering') {
        const fix = ['Wait until it is registered:', command];
        return question.warning('Being registered, which takes a minute or two.', fix, owner);
      }
      const fix = ['Register it once per subscription (it takes a minute or two):', command];
      return question.fault(`${value}: Azure refuses to create its resources.`, fix, owner);
    });
  });
}

export const subscriptionRules = [checkResourceGroup, checkProviders, checkEncryptionAtHost];
