import { apiVersions } from '../azure/api-versions.ts';
import { type ArmRequest, listAllPages } from '../azure/arm-client.ts';
import { undefinedIfForbidden } from '../azure/lookup.ts';
import { sameId } from '../azure/resource-id.ts';
import type { Session } from '../azure/arm-client.ts';
import { hasDeploymentTag, tagsFromDescription } from '../deployment/ownership.ts';

export interface RoleAssignment {
  readonly id: string;
  readonly properties: { readonly principalId?: string; readonly description?: string | null };
}

interface AssignmentQuery {
  readonly session: Session;
  readonly log: { warning(line: string): void };
  readonly resourceGroup: string;
  readonly principals: readonly string[];
}

/**
 * Finds a deployment's role assignments by principal and description: they have no tags and are in no list of resources.
 * Searches every subscription of the tenant that the app can see, because a registry is often in another one.
 */
export async function findRoleAssignments(
  query: AssignmentQuery,
  deployment: string,
): Promise<readonly string[]> {
  const { session, principals } = query;
  if (principals.length === 0) return [];
  const listed = await undefinedIfForbidden(
    listAllPages<{ subscriptionId: string; tenantId?: string }>(
      session.arm,
      '/subscriptions',
      apiVersions.subscriptions,
    ),
  );
  const subscriptions = new Set([
    session.subscriptionId.toLowerCase(),
    ...(listed ?? [])
      .filter(({ tenantId }) => !tenantId || tenantId.toLowerCase() === session.tenantId)
      .map(({ subscriptionId }) => subscriptionId.toLowerCase()),
  ]);
  const found = await Promise.all([...subscriptions].map((id) => listInSubscription(query, id)));
  const described = found
    .flat()
    .filter(({ properties }) => hasDeploymentTag(tagsFromDescription(properties.description), deployment));
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
): Promise<readonly RoleAssignment[]> {
  const { session, log, resourceGroup } = query;
  const subscription = `/subscriptions/${subscriptionId}`;
  const complete = await listAtScope(query, subscription);
  if (complete) return complete;
  const [groups = [], resources = []] = await Promise.all(
    ['resourceGroups', 'resources'].map((list) => listIds(session.arm, `${subscription}/${list}`)),
  );
  const isOwnSubscription = subscriptionId === session.subscriptionId.toLowerCase();
  const ownGroup = isOwnSubscription ? [`${subscription}/resourceGroups/${resourceGroup}`] : [];
  const groupLists = await listAtScopes(query, [...ownGroup, ...groups], maxScopes);
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
async function listAtScope(
  { session, principals }: AssignmentQuery,
  scope: string,
): Promise<RoleAssignment[] | undefined> {
  const path = `${scope}/providers/Microsoft.Authorization/roleAssignments`;
  const listOf = async (principalId: string): Promise<RoleAssignment[] | undefined> => {
    const $filter = `principalId eq '${principalId}'`;
    const listed = await undefinedIfForbidden(
      listAllPages<RoleAssignment>(session.arm, path, apiVersions.roleAssignments, { $filter }),
    );
    return listed?.filter(({ properties }) => sameId(properties.principalId ?? principalId, principalId));
  };
  const [first = '', ...others] = principals;
  const lists = [await listOf(first)];
  // A refusal applies to all principals.
  if (lists[0]) lists.push(...(await Promise.all(others.map(listOf))));
  return lists.every((list) => list !== undefined) ? lists.flat() : undefined;
}
