import { notModelled } from '../model/arm-error.ts';
import type { Json } from '../model/contract.ts';
import { actionMatches, isWithin } from '../model/scope.ts';
import type { World } from './world.ts';

interface AuthorizationState {
  /** What an assignment has besides the world's record, by lower-cased ID. */
  readonly extras: Map<string, Json>;
  /** Deny assignments as they are answered; `properties.scope` says where they hold. */
  denyAssignments: Json[];
}

/** Deny assignments of a world, and what assignments carry besides principal and role. */
export function authorizationState(world: World): AuthorizationState {
  return world.extension('authorization', () => ({ extras: new Map<string, Json>(), denyAssignments: [] }));
}

/** Stands for all principals (https://learn.microsoft.com/azure/role-based-access-control/deny-assignments). */
const allPrincipals = '00000000-0000-0000-0000-000000000000';

/** Whether a deny assignment may stand against that action there; who is in a group is not modelled. */
function mayDeny(deny: Json, oid: string, action: string, scope: string): boolean {
  const { principals, excludePrincipals, permissions, doNotApplyToChildScopes } = deny['properties'] ?? {};
  const around = String(deny['properties']?.scope);
  const about = (one: Json): boolean => sameText(String(one['id']), oid);
  return (
    (doNotApplyToChildScopes === true ? sameText(scope, around) : isWithin(scope, around)) &&
    ((principals ?? []) as Json[]).some(
      (one) => about(one) || one['id'] === allPrincipals || one['type'] === 'Group',
    ) &&
    !((excludePrincipals ?? []) as Json[]).some(about) &&
    ((permissions ?? []) as Json[]).some((one) => grants(one, action))
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
 * Whether a principal may do that there. What a deny assignment or the condition of the only assignments that grant it makes
 * of it is not modelled: a 501.
 */
export function isAllowed(world: World, oid: string, action: string, scope: string): boolean {
  if (!world.allowed(oid, action, scope)) return false;
  const { extras, denyAssignments } = authorizationState(world);
  if (denyAssignments.some((deny) => mayDeny(deny, oid, action, scope))) {
    throw notModelled(`${action} on ${scope} under a deny assignment`);
  }
  const free = world.roleAssignments.some((one) => {
    if (!sameText(one.principalId, oid) || !isWithin(scope, one.scope)) return false;
    if ((extras.get(one.id.toLowerCase())?.['condition'] ?? undefined) !== undefined) return false;
    const role = world.roleDefinitions.get(one.role.toLowerCase());
    return role !== undefined && grants(role, action);
  });
  if (!free) throw notModelled(`${action} on ${scope}, which only an assignment with a condition grants`);
  return true;
}

export function sameText(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}
