import { notModelled } from '../model/arm-error.ts';
import type { Json } from '../model/contract.ts';
import { actionMatches, isWithin } from '../model/scope.ts';
import type { World } from './world.ts';

interface AuthorizationState {
  /** Condition and authors of role assignments, by lower-case ID. */
  readonly extras: Map<string, Json>;
  /** Deny assignments in the format of their answers; `properties.scope` is where they apply. */
  denyAssignments: Json[];
}

/** Deny assignments, and details of role assignments that the world does not store. */
export function authorizationState(world: World): AuthorizationState {
  return world.extension('authorization', () => ({ extras: new Map<string, Json>(), denyAssignments: [] }));
}

/** https://learn.microsoft.com/azure/role-based-access-control/deny-assignments */
const allPrincipals = '00000000-0000-0000-0000-000000000000';

/** Whether a deny assignment may apply. Group membership is not modelled. */
function mayDeny(deny: Json, oid: string, action: string, scope: string): boolean {
  const { principals, excludePrincipals, permissions, doNotApplyToChildScopes } = deny['properties'] ?? {};
  const around = String(deny['properties']?.scope);
  const about = (item: Json): boolean => sameText(String(item['id']), oid);
  return (
    (doNotApplyToChildScopes === true ? sameText(scope, around) : isWithin(scope, around)) &&
    ((principals ?? []) as Json[]).some(
      (item) => about(item) || item['id'] === allPrincipals || item['type'] === 'Group',
    ) &&
    !((excludePrincipals ?? []) as Json[]).some(about) &&
    ((permissions ?? []) as Json[]).some((item) => grants(item, action))
  );
}

function grants(
  { actions = [], notActions = [] }: { actions?: readonly string[]; notActions?: readonly string[] },
  action: string,
): boolean {
  return (
    actions.some((pattern) => actionMatches(pattern, action)) &&
    !notActions.some((pattern) => actionMatches(pattern, action))
  );
}

/**
 * Whether a principal is permitted to do the action at the scope.
 *
 * @throws ArmError 501 when a deny assignment, or a condition on the only matching assignments, would decide.
 */
export function isAllowed(world: World, oid: string, action: string, scope: string): boolean {
  if (!world.allowed(oid, action, scope)) return false;
  const { extras, denyAssignments } = authorizationState(world);
  if (denyAssignments.some((deny) => mayDeny(deny, oid, action, scope))) {
    throw notModelled(`${action} on ${scope} under a deny assignment`);
  }
  const free = world.roleAssignments.some((assignment) => {
    if (!sameText(assignment.principalId, oid) || !isWithin(scope, assignment.scope)) return false;
    if ((extras.get(assignment.id.toLowerCase())?.['condition'] ?? undefined) !== undefined) return false;
    const role = world.roleDefinitions.get(assignment.role.toLowerCase());
    return role !== undefined && grants(role, action);
  });
  if (!free) throw notModelled(`${action} on ${scope}, which only an assignment with a condition grants`);
  return true;
}

export function sameText(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}
