import { type Permission, evaluatePermissions } from '../../azure/permissions.ts';
import { sameId } from '../../azure/resource-id.ts';
import { workflowAuthor } from '../../error-catalog/entry.ts';
import { grantCommand, roleDelay, roleGranter } from '../../error-catalog/role-commands.ts';
import { findAzureError } from '../../errors/azure-error.ts';
import {
  type Finding,
  type Question,
  type RuleContext,
  answered,
  faultFromError,
  okFinding,
  unknownFinding,
} from '../facts.ts';

const readPermissions = 'Microsoft.Authorization/permissions/read';

const levelByWeight = {
  needed: 'fault',
  'for clean-up': 'warning',
  'for reruns': 'warning',
  'for checking': 'unknown',
} as const;

export function checkPermissions({ facts, known }: RuleContext): Finding[] {
  return facts.permissions.flatMap(({ required, held }) => {
    const { id, scope, actions, why, weight } = required;
    const permission = { action: readPermissions, scope };
    const question = { id, asked: `permissions on ${scope} for ${why}`, permission };
    return answered(question, held, known, (permissions) => {
      const decided = (decision: string) =>
        actions.filter((action) => evaluatePermissions(permissions, action) === decision);
      const denied = decided('denied');
      if (denied.length > 0) {
        const commands = new Set(denied.map((action) => grantCommand(action, scope, known)));
        return {
          id,
          level: levelByWeight[weight],
          asked: question.asked,
          answer: `Missing: ${denied.join(', ')}.`,
          who: roleGranter(denied[0] ?? '', scope, known),
          fix: ['Assign the role, or a custom role with these actions:', ...commands, roleDelay],
        };
      }
      const conditional = decided('conditional');
      if (conditional.length > 0) return conditionFinding(question, conditional, permissions);
      return okFinding(question, `The app has ${actions.join(', ')}.`);
    });
  });
}

/** Only Azure evaluates the conditions of role assignments, at each request. */
function conditionFinding(
  question: Question,
  actions: readonly string[],
  permissions: readonly Permission[],
): Finding {
  const conditions = permissions
    .filter((permission) =>
      actions.some((action) => evaluatePermissions([permission], action) === 'conditional'),
    )
    .map(({ condition }) => condition ?? '');
  const answer = `Granted under a condition, which only Azure can evaluate: ${actions.join(', ')}.`;
  return unknownFinding(question, answer, workflowAuthor, [
    `Check whether it allows what the inputs request: ${[...new Set(conditions)].join(' — ')}`,
  ]);
}

const assignRoles = 'Microsoft.Authorization/roleAssignments/write';

export function checkRoleAssignments({ inputs, facts, known }: RuleContext): Finding[] {
  return facts.roles.flatMap(({ request, scope, resolved, held }, index) => {
    const question = {
      id: `role-assignment/${index + 1}`,
      asked: `whether the app may grant ${request}`,
      permission: { action: readPermissions, scope },
    };
    if ('error' in resolved) {
      const azure = findAzureError(resolved.error);
      // A missing identity that was given by ID is reported once, where it is given.
      const reported = azure?.status === 404 && inputs.identity.given.some(({ id }) => sameId(id, azure.url));
      return reported ? [] : [faultFromError(question, resolved.error, known)];
    }
    return answered(question, held, known, (permissions) => {
      const decision = evaluatePermissions(permissions, assignRoles);
      if (decision === 'conditional') return conditionFinding(question, [assignRoles], permissions);
      return okFinding(question, decision === 'allowed' ? 'It may.' : 'The role is already assigned.');
    });
  });
}
