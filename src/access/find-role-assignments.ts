import { apiVersions } from '../azure/api-versions.ts';
import { type ArmRequest, listAllPages } from '../azure/arm-client.ts';
import { undefinedIfForbidden } from '../azure/lookup.ts';
import type { Session } from '../azure/arm-client.ts';
import { hasDeploymentTag, tagsFromDescription } from '../deployment/ownership.ts';

export interface RoleAssignment {
  readonly id: string;
  readonly properties: { readonly principalId?: string; readonly description?: string | null };
}

interface AssignmentQuery {
  readonly session: Session;
  readonly log: { warning(line: string): void };
}

/**
 * Finds a deployment's role assignments by their description: they have no tags and are in no list of resources. Also
 * finds those of existing identities, and those whose VM was never created. Searches every subscription of the tenant
 * that the app can see, because a registry is often in another one.
 */
export async function findRoleAssignments(
  query: AssignmentQuery,
  resourceGroup: string,
  deployment: string,
  principalId?: string,
): Promise<readonly string[]> {
  const { session } = query;
  const listed = await undefinedIfForbidden(
    listAllPages<{ subscriptionId: string; tenantId?: string }>(
      session.arm,
      '/subscriptions',
      apiVersions.subscriptions,
    ),
  );
  const own = session.subscriptionId.toLowerCase();
  const others = (listed ?? [])
    .filter(({ tenantId }) => !tenantId || tenantId.toLowerCase() === session.tenantId)
    .map(({ subscriptionId }) => subscriptionId.toLowerCase())
    .filter((id) => id !== own);
  const found = await Promise.all([
    listInSubscription(query, own, [`/subscriptions/${own}/resourceGroups/${resourceGroup}`]),
    ...others.map((id) => listInSubscription(query, id, [])),
  ]);
  const described = found
    .flat()
    .filter(({ properties }) => hasDeploymentTag(tagsFromDescription(properties.description), deployment))
    .filter(({ properties }) => principalId === undefined || properties.principalId === principalId);
  // An assignment on a management group is in the list of each subscription below it.
  return [...new Map(described.map(({ id }) => [id.toLowerCase(), id])).values()];
}

/** Scopes that are listed one by one if the subscription cannot be listed: each costs one of 250 reads. */
const maxScopes = 50;

/**
 * The list of a subscription covers all scopes below and above it. The documented roles do not allow it: then each
 * visible resource group is listed, and each visible resource outside of those.
 */
async function listInSubscription(
  query: AssignmentQuery,
  subscriptionId: string,
  knownScopes: readonly string[],
): Promise<readonly RoleAssignment[]> {
  const { session, log } = query;
  const subscription = `/subscriptions/${subscriptionId}`;
  const complete = await listAtScope(query, subscription);
  if (complete) return complete;
  const [groups = [], resources = []] = await Promise.all(
    ['resourceGroups', 'resources'].map((list) => listIds(session.arm, `${subscription}/${list}`)),
  );
  const groupLists = await listAtScopes(query, [...knownScopes, ...groups], maxScopes);
  const outside = resources.filter(
    (id) => !groupLists.listed.some((scope) => id.toLowerCase().startsWith(`${scope}/`)),
  );
  const resourceLists = await listAtScopes(query, outside, maxScopes - groupLists.requests);
  if (groupLists.skipped || resourceLists.skipped) {
    log.warning(
      `The app cannot list all role assignments of ${subscription}, and it contains more than ${maxScopes} visible scopes: a role assignment of this deployment may remain.`,
    );
  }
  return [...groupLists.assignments, ...resourceLists.assignments];
}

async function listIds(arm: ArmRequest, path: string): Promise<readonly string[] | undefined> {
  const listed = await undefinedIfForbidden(listAllPages<{ id: string }>(arm, path, apiVersions.resources));
  return listed?.map(({ id }) => id);
}

async function listAtScopes(query: AssignmentQuery, scopes: readonly string[], limit: number) {
  const distinct = [...new Set(scopes.map((scope) => scope.toLowerCase()))];
  const queried = distinct.slice(0, limit);
  const lists = await Promise.all(
    queried.map(async (scope) => ({ scope, assignments: await listAtScope(query, scope) })),
  );
  return {
    assignments: lists.flatMap(({ assignments = [] }) => assignments),
    listed: lists.flatMap(({ scope, assignments }) => (assignments ? [scope] : [])),
    requests: queried.length,
    skipped: queried.length < distinct.length,
  };
}

/** Undefined where the app cannot list them. */
async function listAtScope({ session }: AssignmentQuery, scope: string): Promise<RoleAssignment[] | undefined> {
  const path = `${scope}/providers/Microsoft.Authorization/roleAssignments`;
  return undefinedIfForbidden(listAllPages<RoleAssignment>(session.arm, path, apiVersions.roleAssignments));
}
