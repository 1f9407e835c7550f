import { type Permission, coversAction, evaluatePermissions, grantAction } from '../../access/required-permissions.ts';
import { valueOf } from '../../azure/lookup.ts';
import { isWithin, sameId } from '../../azure/resource-id.ts';
import { policyCommands } from '../../error-catalog/capacity.ts';
import {
  assignedScope,
  authorOrPolicyOwner,
  grantCommand,
  roleDelay,
  roleGranter,
  workflowAuthor,
} from '../../error-catalog/entry.ts';
import { findAzureError } from '../../errors/errors.ts';
import { shellCommand } from '../../lib/escape.ts';
import type { DenyAssignment, Lock } from '../collect.ts';
import type { Finding, Question, RuleContext } from '../facts.ts';

const readPermissions = 'Microsoft.Authorization/permissions/read';

function checkPermissions({ facts, known, ask }: RuleContext): Finding[] {
  return facts.permissions.flatMap(({ required, held }) => {
    const { id, scope, actions, why, ifMissing } = required;
    const question = ask(id, `permissions on ${scope} for ${why}`, readPermissions, scope);
    return question.answered(held, (permissions) => {
      const decided = (decision: string) =>
        actions.filter((action) => evaluatePermissions(permissions, action) === decision);
      const denied = decided('denied');
      if (denied.length > 0) {
        const commands = new Set(denied.map((action) => grantCommand(action, scope, known)));
        const fix = ['Assign the role, or a custom role with these actions:', ...commands, roleDelay];
        const granter = roleGranter(denied[0] ?? '', scope, known);
        return question[ifMissing](`Missing: ${denied.join(', ')}.`, fix, granter);
      }
      const conditional = decided('conditional');
      if (conditional.length > 0) return conditionFinding(question, conditional, permissions);
      return question.ok(`The app has ${actions.join(', ')}.`);
    });
  });
}

/** Only Azure evaluates the conditions of role assignments, at each request. */
function conditionFinding(question: Question, actions: readonly string[], permissions: readonly Permission[]): Finding {
  const conditions = permissions
    .filter((permission) => actions.some((action) => evaluatePermissions([permission], action) === 'conditional'))
    .map(({ condition }) => condition ?? '');
  const answer = `Granted under a condition, which only Azure can evaluate: ${actions.join(', ')}.`;
  const fix = [`Check whether it allows what the inputs request: ${[...new Set(conditions)].join(' — ')}`];
  return question.unknown(answer, fix, workflowAuthor);
}

function checkRoleAssignments({ inputs, facts, ask }: RuleContext): Finding[] {
  return facts.roles.flatMap(({ request, scope, resolved, held }, index) => {
    const question = ask(`role-assignment/${index + 1}`, `permission to assign ${request}`, readPermissions, scope);
    if ('error' in resolved) {
      const azure = findAzureError(resolved.error);
      // A missing identity that was given by ID is reported once, where it is given.
      const reported = azure?.status === 404 && inputs.identity.given.some(({ id }) => sameId(id, azure.url));
      return reported ? [] : [question.refused(resolved.error)];
    }
    return question.answered(held, (permissions) => {
      const decision = evaluatePermissions(permissions, grantAction);
      if (decision === 'conditional') return conditionFinding(question, [grantAction], permissions);
      return question.ok(decision === 'allowed' ? 'It may.' : 'The role is already assigned.');
    });
  });
}

/** A resource group that will be created has no locks and no deny assignments. */
function isNewGroup({ facts: { group } }: RuleContext): boolean {
  return valueOf(group)?.exists === false;
}

function checkLocks(context: RuleContext): Finding[] {
  const { inputs, facts, group, ask } = context;
  if (isNewGroup(context)) return [];
  const asked = `locks on resource group ${inputs.resourceGroup}`;
  const question = ask('locks', asked, 'Microsoft.Authorization/locks/read', group);
  return question.answered(facts.locks, (locks) => {
    if (locks.length === 0) return question.ok('None.');
    const own = ownIds(context);
    const used = [...own, ...facts.referenced.map(({ id }) => id)];
    const findings = locks.flatMap((lock) => {
      const scope = assignedScope(lock.id);
      // Referenced resources are never deleted, so only a ReadOnly lock on them matters.
      const affected = lock.properties.level === 'ReadOnly' ? used : own;
      const applies = affected.some((id) => isWithin(id, scope) || isWithin(scope, id));
      return applies ? [checkLock(context, question, lock)] : [];
    });
    return findings.length > 0 ? findings : question.ok('None that affects the deployment.');
  });
}

function checkLock({ inputs, facts, group, known }: RuleContext, question: Question, lock: Lock): Finding {
  const scope = assignedScope(lock.id);
  const coversGroup = isWithin(group, scope);
  const title = `Lock "${lock.name}"${coversGroup ? '' : ` on ${scope}`}`;
  const who = `an Owner or User Access Administrator of that scope, in the VM's tenant (${known.tenantId})`;
  const fix = ['Delete the lock:', shellCommand`az lock delete --ids ${lock.id}`];
  // If everything exists, `create` would only update tags.
  const isDeployed = Object.values(facts.existing).every((found) => 'value' in found && found.value);
  if (lock.properties.level === 'ReadOnly' && isDeployed) {
    return question.warning(`${title} is ReadOnly: the tags of the deployment cannot be updated.`, fix, who);
  }
  if (lock.properties.level === 'ReadOnly') {
    const effect = coversGroup ? 'nothing can be created' : 'it can neither be changed nor joined';
    return question.fault(`${title} is ReadOnly: ${effect}.`, fix, who);
  }
  if (inputs.cleanup === 'never') return question.ok(`${title} only prevents deletion; \`cleanup\` is \`never\`.`);
  const affected = coversGroup ? 'nothing' : 'not everything';
  return question.warning(`${title} prevents deletion, so ${affected} can be cleaned up.`, fix, who);
}

/** IDs of the resources of the deployment, existing or planned. */
function ownIds({ plan, facts }: RuleContext): readonly string[] {
  const { nic, nsg, publicIp, vnet, vm, identities } = plan;
  const created = [nic, nsg, publicIp].flatMap((part) => (part?.origin === 'made' ? [part.id] : []));
  const { osDisk, dataDisks = [] } = valueOf(facts.existing.vm)?.storageProfile ?? {};
  const disks = [osDisk, ...dataDisks].flatMap((disk) => disk?.managedDisk?.id ?? []);
  return [vm.id, vm.osDisk.id, ...disks, ...created, ...(vnet ? [vnet.id] : []), ...identities.map(({ id }) => id)];
}

function checkDenyAssignments(context: RuleContext): Finding[] {
  const { inputs, facts, group, ask } = context;
  if (isNewGroup(context)) return [];
  const asked = `deny assignments on resource group ${inputs.resourceGroup}`;
  const question = ask('deny-assignments', asked, 'Microsoft.Authorization/denyAssignments/read', group);
  const needed = facts.permissions
    .filter(({ required }) => required.ifMissing === 'fault' && sameId(required.scope, group))
    .flatMap(({ required }) => required.actions);
  return question.answered(facts.denyAssignments, (assignments) => {
    const findings = assignments.flatMap((assignment): Finding[] => {
      const { denyAssignmentName = 'without a name', permissions = [] } = assignment.properties;
      const blocked = needed.filter((action) => permissions.some((denied) => coversAction(denied, action)));
      const effect = blocked.length > 0 ? effectOnApp(assignment, facts.objectId?.toLowerCase()) : 'none';
      if (effect === 'none') return [];
      const answer = `Deny assignment "${denyAssignmentName}" blocks ${blocked.join(', ')}${effect === 'blocked' ? '' : effect}.`;
      const who = 'its creator: a managed application, a deployment stack or Azure itself';
      const fix = [
        'Deploy to another resource group, or have the app excluded from it:',
        'https://learn.microsoft.com/azure/role-based-access-control/deny-assignments',
      ];
      return [(effect === 'blocked' ? question.fault : question.unknown)(answer, fix, who)];
    });
    return findings.length > 0 ? findings : question.ok('None that affects the app.');
  });
}

function checkPolicies({ facts, group, subscription, known, ask }: RuleContext): Finding[] {
  // A ReadOnly lock refuses every POST; `checkLocks` reports it.
  const { policyDenials } = facts;
  const error = policyDenials && 'error' in policyDenials ? findAzureError(policyDenials.error) : undefined;
  if (error?.code === 'ScopeLocked') return [];
  const asked = 'Azure Policy for the resources that would be created';
  const scope = valueOf(facts.group)?.exists ? group : subscription;
  const question = ask('policy', asked, 'Microsoft.PolicyInsights/checkPolicyRestrictions/read', scope);
  return question.answered(policyDenials, (denials) => {
    if (denials.length === 0) return question.ok('Azure Policy reports no denial.');
    return denials.map(({ resource, policyAssignmentId, reason }) => {
      const answer = `Policy assignment ${policyAssignmentId} denies ${resource}.${reason ? ` ${reason}` : ''}`;
      const commands = policyCommands(policyAssignmentId, group);
      const fix = ['Change the input that violates the policy. To show what it requires:', ...commands];
      return ask(`policy/${resource}`, asked).fault(answer, fix, authorOrPolicyOwner(known));
    });
  });
}

/** `blocked`, `none`, or why it cannot be known. Group memberships are not readable, nor is an opaque token. */
function effectOnApp({ properties }: DenyAssignment, objectId: string | undefined): string {
  const { principals = [], excludePrincipals = [] } = properties;
  const isApp = ({ id }: { readonly id: string }) => id.toLowerCase() === objectId;
  if (excludePrincipals.some(isApp)) return 'none';
  // "All principals" has the empty GUID as its ID.
  const named = principals.some((principal) => isApp(principal) || /^[0-]+$/.test(principal.id));
  const others = named ? excludePrincipals : principals;
  if (objectId === undefined && others.length > 0)
    return ', for or except principals that may include the app; its token does not name it';
  if (others.some(({ type }) => type === 'Group'))
    return ', for or except members of a group; whether the app is a member is not known';
  return named ? 'blocked' : 'none';
}

export const permissionRules = [checkPermissions, checkRoleAssignments];

export const restrictionRules = [checkLocks, checkDenyAssignments, checkPolicies];
