/**
 * What a deployment was granted, found again by its principals: role assignments carry no tags and are in no list of
 * resources.
 */

import { apiVersions } from '../azure/api-versions.ts';
import { type ArmRequest, listAllPages, type Session } from '../azure/arm-client.ts';
import { undefinedIfForbidden } from '../azure/lookup.ts';
import { sameId } from '../azure/resource-id.ts';
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
 * IDs of the role assignments of these principals that carry the deployment's mark, in every subscription of the tenant
 * that the app sees: a registry is often in another one.
 */
export async function findRoleAssignments(
  search: AssignmentQuery,
  deployment: string,
): Promise<readonly string[]> {
  const { session, principals } = search;
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
  const found = await Promise.all([...subscriptions].map((id) => listAssignments(search, id)));
  const marked = found
    .flat()
    .filter(({ properties }) => hasDeploymentTag(tagsFromDescription(properties.description), deployment));
  // One on a management group is in the list of each subscription below it.
  return [...new Map(marked.map(({ id }) => [id.toLowerCase(), id])).values()];
}

/** Most scopes that are asked one by one where a whole subscription may not be: each costs one of 250 reads. */
const maxScopes = 50;

/**
 * A list at the subscription covers all that lies below and above. The documented set-up has no right to that: then
 * each group, and each resource outside of them, that the app does see is asked.
 */
async function listAssignments(
  { session, log, resourceGroup, principals }: AssignmentQuery,
  subscriptionId: string,
): Promise<readonly RoleAssignment[]> {
  const { arm } = session;
  const subscription = `/subscriptions/${subscriptionId}`;
  const whole = await listAssignmentsAt(arm, subscription, principals);
  if (whole) return whole;
  const [groups, resources] = await Promise.all(
    ['resourceGroups', 'resources'].map((list) =>
      undefinedIfForbidden(
        listAllPages<{ id: string }>(arm, `${subscription}/${list}`, apiVersions.resources),
      ),
    ),
  );
  const found: RoleAssignment[] = [];
  const answered: string[] = [];
  let left = maxScopes;
  const askEach = async (scopes: readonly string[]): Promise<void> => {
    const distinct = [...new Set(scopes.map((scope) => scope.toLowerCase()))];
    const asked = distinct.slice(0, left);
    left -= asked.length;
    if (asked.length < distinct.length) {
      log.warning(
        `The app may not list the role assignments of ${subscription} as a whole, and sees more of its resources than are asked one by one: an assignment of this deployment may stay there.`,
      );
    }
    await Promise.all(
      asked.map(async (scope) => {
        const here = await listAssignmentsAt(arm, scope, principals);
        if (!here) return;
        found.push(...here);
        answered.push(`${scope}/`);
      }),
    );
  };
  const own =
    subscriptionId === session.subscriptionId.toLowerCase()
      ? [`${subscription}/resourceGroups/${resourceGroup}`]
      : [];
  await askEach([...own, ...(groups ?? []).map(({ id }) => id)]);
  const outside = (resources ?? []).filter(
    ({ id }) => !answered.some((scope) => id.toLowerCase().startsWith(scope)),
  );
  await askEach(outside.map(({ id }) => id));
  return found;
}

/** Undefined where the app may not list them. */
async function listAssignmentsAt(
  arm: ArmRequest,
  scope: string,
  principals: readonly string[],
): Promise<RoleAssignment[] | undefined> {
  const path = `${scope}/providers/Microsoft.Authorization/roleAssignments`;
  const ask = async (principalId: string): Promise<RoleAssignment[] | undefined> => {
    const $filter = `principalId eq '${principalId}'`;
    const listed = await undefinedIfForbidden(
      listAllPages<RoleAssignment>(arm, path, apiVersions.roleAssignments, { $filter }),
    );
    return listed?.filter(({ properties }) => sameId(properties.principalId ?? principalId, principalId));
  };
  const [first = '', ...others] = principals;
  const lists = [await ask(first)];
  // One refusal says it for all.
  if (lists[0]) lists.push(...(await Promise.all(others.map(ask))));
  return lists.every((list) => list !== undefined) ? lists.flat() : undefined;
}
