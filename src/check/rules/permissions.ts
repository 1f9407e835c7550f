import { type Permission, actionMatches, evaluatePermissions } from '../../azure/permissions.ts';
import { sameId } from '../../azure/resource-id.ts';
import { workflowAuthor } from '../../error-catalog/entry.ts';
import { grantCommand, roleDelay, roleGranter } from '../../error-catalog/role-commands.ts';
import {
  type Finding,
  type RuleContext,
  azureErrorIn,
  faultFinding,
  faultFromError,
  okFinding,
  unknownFinding,
  unknownFromError,
} from '../facts.ts';
import { isNamespaceMissing } from './locks.ts';

// Rights

const permissionsReadAction = 'Microsoft.Authorization/permissions/read';

export function checkPermissions({ subscriptionFacts, known }: RuleContext): Finding[] {
  return subscriptionFacts.rights.map(({ right, permissions }) => {
    const { id, scope, actions, why, weight } = right;
    const asked = `rights on ${scope} for ${why}`;
    if ('error' in permissions) {
      const toAsk = { action: permissionsReadAction, scope };
      return unknownFromError(id, asked, permissions.error, toAsk, known);
    }
    const denied = actions.filter((action) => evaluatePermissions(permissions.value, action) === 'denied');
    const conditional = actions.filter(
      (action) => evaluatePermissions(permissions.value, action) === 'conditional',
    );
    if (denied.length > 0) {
      const grants = [...new Set(denied.map((action) => grantCommand(action, scope, known)))];
      const without = { needed: 'fault', 'for clean-up': 'warning', 'for reruns': 'warning' } as const;
      return {
        id,
        level: weight === 'for checking' ? 'unknown' : without[weight],
        asked,
        answer: `Missing: ${denied.join(', ')}.`,
        who: roleGranter(denied[0] ?? '', scope, known),
        fix: ['Grant the role, or a custom role with just these actions:', ...grants, roleDelay],
      };
    }
    if (conditional.length > 0) return conditionCaveat(id, asked, conditional, permissions.value);
    return okFinding(id, asked, `All are there: ${actions.join(', ')}.`);
  });
}

/** Conditions are a language of their own, which Azure alone evaluates at each request. */
function conditionCaveat(
  id: string,
  asked: string,
  actions: readonly string[],
  permissions: readonly Permission[],
): Finding {
  const conditions = permissions
    .filter((permission) =>
      actions.some((action) => evaluatePermissions([permission], action) === 'conditional'),
    )
    .map(({ condition }) => condition ?? '');
  return unknownFinding(
    id,
    asked,
    `Granted under a condition, which only Azure can evaluate: ${actions.join(', ')}.`,
    workflowAuthor,
    [`Read whether it allows what the inputs ask for: ${[...new Set(conditions)].join(' — ')}`],
  );
}

const roleWrite = 'Microsoft.Authorization/roleAssignments/write';

export function checkRoleAssignments({ subscriptionFacts, facts, known }: RuleContext): Finding[] {
  return subscriptionFacts.roles.flatMap(({ request, scope, survey, permissions }, index) => {
    const id = `role-assignment/${index + 1}`;
    const asked = `whether the app may grant ${request}`;
    if ('error' in survey) {
      const about = azureErrorIn(survey.error);
      // A given identity that is not there is told once, where it is given.
      const told =
        about?.status === 404 && facts.inputs.identity.given.some((one) => sameId(one.id, about.url));
      return told ? [] : [faultFromError(id, asked, survey.error, known)];
    }
    if ('error' in permissions) {
      const toAsk = { action: permissionsReadAction, scope };
      return [unknownFromError(id, asked, permissions.error, toAsk, known)];
    }
    const verdict = evaluatePermissions(permissions.value, roleWrite);
    if (verdict === 'conditional') return [conditionCaveat(id, asked, [roleWrite], permissions.value)];
    return [okFinding(id, asked, verdict === 'allowed' ? 'It may.' : 'It is granted already.')];
  });
}

export function checkDenyAssignments({
  facts: { inputs },
  subscriptionFacts,
  known,
}: RuleContext): Finding[] {
  if (isNamespaceMissing(subscriptionFacts.group)) return [];
  const id = 'deny-assignments';
  const scope = `/subscriptions/${subscriptionFacts.subscriptionId}/resourceGroups/${inputs.resourceGroup}`;
  const asked = `deny assignments on resource group ${inputs.resourceGroup}`;
  if ('error' in subscriptionFacts.denyAssignments) {
    const right = { action: 'Microsoft.Authorization/denyAssignments/read', scope };
    return [unknownFromError(id, asked, subscriptionFacts.denyAssignments.error, right, known)];
  }
  const needed = subscriptionFacts.rights
    .filter(({ right }) => right.weight === 'needed' && right.scope.toLowerCase() === scope.toLowerCase())
    .flatMap(({ right }) => right.actions);
  const findings = subscriptionFacts.denyAssignments.value.flatMap(({ properties }): Finding[] => {
    const { permissions = [], principals = [], excludePrincipals = [] } = properties;
    const blocked = needed.filter((action) =>
      permissions.some(
        ({ actions = [], notActions = [] }) =>
          actions.some((pattern) => actionMatches(pattern, action)) &&
          !notActions.some((pattern) => actionMatches(pattern, action)),
      ),
    );
    const ownId = subscriptionFacts.objectId?.toLowerCase();
    const isUs = (one: { readonly id: string }) => one.id.toLowerCase() === ownId;
    if (blocked.length === 0 || excludePrincipals.some(isUs)) return [];
    const named = properties.denyAssignmentName ?? 'without a name';
    const answer = `Deny assignment "${named}" blocks ${blocked.join(', ')}`;
    const who = 'whoever made it: a managed application, a deployment stack or Azure itself';
    const fix = [
      'Deploy to another resource group, or have the app excluded from it:',
      'https://learn.microsoft.com/azure/role-based-access-control/deny-assignments',
    ];
    const hitsUs = principals.some((one) => isUs(one) || isEverybody(one));
    const others = hitsUs ? excludePrincipals : principals;
    const viaGroups = others.some(({ type }) => type === 'Group');
    // Any of them may be the app where its token does not say which one it is.
    if (ownId === undefined && others.length > 0) {
      const unnamed = `${answer}, for or except principals of which the app may be one; its token names none.`;
      return [unknownFinding(id, asked, unnamed, who, fix)];
    }
    if (hitsUs && !viaGroups) return [faultFinding(id, asked, `${answer}.`, who, fix)];
    return hitsUs || viaGroups
      ? [
          unknownFinding(
            id,
            asked,
            `${answer}, for or except members of a group; whose members is not known.`,
            who,
            fix,
          ),
        ]
      : [];
  });
  return findings.length > 0 ? findings : [okFinding(id, asked, 'None that concerns the app.')];
}

/** "All principals" is written as the empty GUID. */
function isEverybody({ id }: { readonly id: string }): boolean {
  return /^[0-]+$/.test(id);
}
