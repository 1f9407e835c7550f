import { actionMatches } from '../../azure/permissions.ts';
import { resourceId, sameId } from '../../azure/resource-id.ts';
import { assignedScope } from '../../error-catalog/role-commands.ts';
import { quoteForShell } from '../../lib/escape.ts';
import {
  type DenyAssignment,
  type Finding,
  type Lock,
  type RuleContext,
  answered,
  faultFinding,
  okFinding,
  unknownFinding,
  warnFinding,
} from '../facts.ts';

/** A resource group that will be created has no locks and no deny assignments. */
function isNewGroup({ facts: { group } }: RuleContext): boolean {
  return 'value' in group && !group.value.exists;
}

export function checkLocks(context: RuleContext): Finding[] {
  const { inputs, facts, group, known } = context;
  if (isNewGroup(context)) return [];
  const question = {
    id: 'locks',
    asked: `locks on resource group ${inputs.resourceGroup}`,
    permission: { action: 'Microsoft.Authorization/locks/read', scope: group },
  };
  return answered(question, facts.locks, known, (locks) => {
    if (locks.length === 0) return okFinding(question, 'None.');
    const own = ownIds(context);
    const used = [...own, ...facts.referenced.map(({ id }) => id)];
    const findings = locks.flatMap((lock) => {
      const scope = assignedScope(lock.id);
      // Referenced resources are never deleted, so only a ReadOnly lock on them matters.
      const affected = lock.properties.level === 'ReadOnly' ? used : own;
      const applies = affected.some((id) => isWithinScope(id, scope) || isWithinScope(scope, id));
      return applies ? [checkLock(context, question, lock)] : [];
    });
    return findings.length > 0 ? findings : okFinding(question, 'None that affects the deployment.');
  });
}

function checkLock(
  { inputs, group }: RuleContext,
  question: { readonly id: string; readonly asked: string },
  lock: Lock,
): Finding {
  const scope = assignedScope(lock.id);
  const coversGroup = isWithinScope(group, scope);
  const title = `Lock "${lock.name}"${coversGroup ? '' : ` on ${scope}`}`;
  const who = 'an Owner or User Access Administrator there';
  const fix = ['Delete the lock:', `az lock delete --ids ${quoteForShell(lock.id)}`];
  if (lock.properties.level === 'ReadOnly') {
    const effect = coversGroup ? 'nothing can be created' : 'it can neither be changed nor joined';
    return faultFinding(question, `${title} is ReadOnly: ${effect}.`, who, fix);
  }
  if (inputs.cleanup === 'never')
    return okFinding(question, `${title} only prevents deletion; \`cleanup\` is \`never\`.`);
  const affected = coversGroup ? 'nothing' : 'not everything';
  return warnFinding(question, `${title} prevents deletion, so ${affected} can be cleaned up.`, who, fix);
}

/** IDs of the resources of the deployment, existing or planned. */
function ownIds({ plan, facts }: RuleContext): readonly string[] {
  const { nic, nsg, publicIp, vnet, vm, identities } = plan;
  const created = [nic, nsg, publicIp].flatMap((part) => (part?.origin === 'made' ? [part.id] : []));
  const { vm: existing } = facts.existing;
  const { osDisk, dataDisks = [] } =
    (existing && 'value' in existing ? existing.value?.storageProfile : undefined) ?? {};
  const disks = [osDisk, ...dataDisks].flatMap((disk) => disk?.managedDisk?.id ?? []);
  const plannedDisk = resourceId(
    plan.subscriptionId,
    plan.resourceGroup,
    'Microsoft.Compute/disks',
    vm.osDiskName,
  );
  return [
    vm.id,
    plannedDisk,
    ...disks,
    ...created,
    ...(vnet ? [vnet.id] : []),
    ...identities.map(({ id }) => id),
  ];
}

/** A lock applies to its scope and to everything below it. */
function isWithinScope(id: string, scope: string): boolean {
  return sameId(id, scope) || id.toLowerCase().startsWith(`${scope.toLowerCase()}/`);
}

export function checkDenyAssignments(context: RuleContext): Finding[] {
  const { inputs, facts, group, known } = context;
  if (isNewGroup(context)) return [];
  const question = {
    id: 'deny-assignments',
    asked: `deny assignments on resource group ${inputs.resourceGroup}`,
    permission: { action: 'Microsoft.Authorization/denyAssignments/read', scope: group },
  };
  const needed = facts.permissions
    .filter(({ required }) => required.weight === 'needed' && sameId(required.scope, group))
    .flatMap(({ required }) => required.actions);
  return answered(question, facts.denyAssignments, known, (assignments) => {
    const findings = assignments.flatMap((assignment): Finding[] => {
      const blocked = blockedActions(assignment, needed);
      const effect = blocked.length > 0 ? effectOnApp(assignment, facts.objectId?.toLowerCase()) : 'none';
      if (effect === 'none') return [];
      const name = assignment.properties.denyAssignmentName ?? 'without a name';
      const answer = `Deny assignment "${name}" blocks ${blocked.join(', ')}${effect === 'blocked' ? '' : effect}.`;
      const who = 'its creator: a managed application, a deployment stack or Azure itself';
      const fix = [
        'Deploy to another resource group, or have the app excluded from it:',
        'https://learn.microsoft.com/azure/role-based-access-control/deny-assignments',
      ];
      return [(effect === 'blocked' ? faultFinding : unknownFinding)(question, answer, who, fix)];
    });
    return findings.length > 0 ? findings : okFinding(question, 'None that affects the app.');
  });
}

function blockedActions({ properties }: DenyAssignment, needed: readonly string[]): readonly string[] {
  return needed.filter((action) =>
    properties.permissions?.some(
      ({ actions = [], notActions = [] }) =>
        actions.some((pattern) => actionMatches(pattern, action)) &&
        !notActions.some((pattern) => actionMatches(pattern, action)),
    ),
  );
}

/** `blocked`, `none`, or why it cannot be known. Group memberships are not readable, nor is an opaque token. */
function effectOnApp({ properties }: DenyAssignment, objectId: string | undefined): string {
  const { principals = [], excludePrincipals = [] } = properties;
  const isApp = ({ id }: { readonly id: string }) => id.toLowerCase() === objectId;
  if (excludePrincipals.some(isApp)) return 'none';
  const named = principals.some((principal) => isApp(principal) || isEveryone(principal));
  const others = named ? excludePrincipals : principals;
  if (objectId === undefined && others.length > 0)
    return ', for or except principals that may include the app; its token does not name it';
  if (others.some(({ type }) => type === 'Group'))
    return ', for or except members of a group; whether the app is a member is not known';
  return named ? 'blocked' : 'none';
}

/** "All principals" has the empty GUID as its ID. */
function isEveryone({ id }: { readonly id: string }): boolean {
  return /^[0-]+$/.test(id);
}
