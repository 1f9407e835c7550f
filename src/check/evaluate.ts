import { valueOf } from '../azure/lookup.ts';
import type { Plan } from '../deployment/resources.ts';
import { fillPlaceholders } from '../error-catalog/entry.ts';
import { type CheckFacts, type Finding, type RuleContext, createQuestion, isForbidden } from './facts.ts';
import { existingRules } from './rules/existing.ts';
import { checkImage } from './rules/image.ts';
import { permissionRules, restrictionRules } from './rules/permissions.ts';
import { referencedRules } from './rules/referenced.ts';
import { checkSignIn, checkSubscription, subscriptionRules } from './rules/sign-in.ts';

/**
 * Turns facts into findings.
 * @param plan for the image that was read, or for a placeholder; undefined if the subscription is not known.
 */
export function evaluateChecks(facts: CheckFacts, plan: Plan | undefined): Finding[] {
  const { inputs, run, signIns, subscriptionFacts } = facts;
  const known = fillPlaceholders(facts.errorContext);
  const subscription = `/subscriptions/${subscriptionFacts?.subscriptionId ?? inputs.subscriptionId ?? ''}`;
  const ask: RuleContext['ask'] = (id, asked, action = '', scope = subscription) =>
    createQuestion(known, id, asked, { action, scope });
  const before = [
    ...signIns.map((signIn) => checkSignIn(signIn, known.clientId, ask)),
    ...checkSubscription(facts, ask),
  ];
  if (!subscriptionFacts || !plan) {
    const question = ask('deployment', 'everything in the subscription');
    return [...before, question.unknown('Skipped: it needs a token of the tenant and a subscription.')];
  }
  const context: RuleContext = {
    inputs,
    run,
    signIns,
    facts: subscriptionFacts,
    plan,
    known,
    subscription,
    group: `${subscription}/resourceGroups/${inputs.resourceGroup}`,
    image: valueOf(subscriptionFacts.image)?.facts,
    ask,
  };
  const findings = [...before, ...rules.flatMap((rule) => rule(context))];
  const { group } = subscriptionFacts;
  if (!('error' in group) || !isForbidden(group.error)) return findings;
  // Without a role on the resource group, permissions that only extend the check are not worth asking for yet.
  return findings.map((finding) => (finding.level === 'unknown' ? { ...finding, who: '', fix: [] } : finding));
}

const rules = [
  ...subscriptionRules,
  checkImage,
  ...permissionRules,
  ...existingRules,
  ...referencedRules,
  ...restrictionRules,
  checkInbound,
];

function checkInbound({ plan, ask }: RuleContext): Finding[] {
  const fix = ['Name the addresses that need it in `allow-inbound`.'];
  return plan.warnings.map((warning) => ask('inbound', 'what `allow-inbound` opens').warning(warning, fix));
}
