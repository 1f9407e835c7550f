import type { Plan } from '../deployment/plan.ts';
import { fillPlaceholders, workflowAuthor } from '../error-catalog/entry.ts';
import { type CheckFacts, type Finding, unknownFinding, warnFinding } from './facts.ts';
import { checkNames, checkNetwork, checkReferenced, checkVm } from './rules/existing.ts';
import { checkImage } from './rules/image.ts';
import { checkLocks } from './rules/locks.ts';
import { checkDenyAssignments, checkPermissions, checkRoleAssignments } from './rules/permissions.ts';
import { checkPublicIpQuota } from './rules/quota.ts';
import { checkProviders, checkResourceGroup, checkSignIn, checkSubscription } from './rules/sign-in.ts';

/**
 * Judges the facts against the plan.
 * @param plan of the image that was read, or of one that stands in for it; undefined where there is no subscription.
 */
export function evaluateChecks(facts: CheckFacts, plan: Plan | undefined): Finding[] {
  const known = fillPlaceholders(facts.situation);
  const { subscriptionFacts } = facts;
  const before = [...facts.signIns.map((signIn) => checkSignIn(signIn, known)), ...checkSubscription(facts)];
  if (!subscriptionFacts || !plan) {
    const asked = 'everything in the subscription';
    return [
      ...before,
      unknownFinding('deployment', asked, 'Not asked: it takes a token of the tenant and a subscription.'),
    ];
  }
  const context = { facts, subscriptionFacts, plan, known };
  return [
    ...before,
    ...checkResourceGroup(context),
    ...checkProviders(context),
    ...checkImage(context),
    ...checkPermissions(context),
    ...checkRoleAssignments(context),
    ...checkNames(context),
    ...checkReferenced(context),
    ...checkNetwork(context),
    ...checkVm(context),
    ...checkPublicIpQuota(context),
    ...checkLocks(context),
    ...checkDenyAssignments(context),
    ...plan.warnings.map((warning) =>
      warnFinding('inbound', 'what `allow-inbound` opens', warning, workflowAuthor, [
        'Name the addresses that need it in `allow-inbound`.',
      ]),
    ),
  ];
}
