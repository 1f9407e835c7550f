// Microsoft.Authorization: roles, role assignments, permissions, and GETs of locks and deny assignments, at any
// scope.
// Recorded: role-assignment-acrpull-put.json, role-assignment-exists.json,
// role-assignment-principalnotfound-then-created.json.
import { acquirePolicyToken } from '../../http/policy-tokens.ts';
import type { Call, Provider, Route } from '../../http/provider.ts';
import type { Answer } from '../../model/contract.ts';
import { isWithin } from '../../model/scope.ts';
import { authorizationState, sameText } from '../../world/permissions.ts';
import { deleteAssignment, getAssignment, listAssignments, putAssignment } from './role-assignments.ts';
import { getRole, listRoles } from './role-definitions.ts';
import { namespace, parseFilter, scopeOf } from './scope.ts';

/** Scopes with routes: subscription, group, and resources up to three levels deep (gallery versions). */
const scopes: readonly string[] = [
  '/subscriptions/:subscriptionId',
  '/subscriptions/:subscriptionId/resourceGroups/:resourceGroup',
  ...[1, 2, 3].map(
    (depth) =>
      `/subscriptions/:subscriptionId/resourceGroups/:resourceGroup/providers/:scopeNamespace/${Array.from(
        { length: depth },
        (_, i) => `:scopeType${i}/:scopeName${i}`,
      ).join('/')}`,
  ),
];

function atEveryScope(make: (scope: string) => readonly Route[]): Route[] {
  return scopes.flatMap(make);
}

export function listPermissions(call: Call): Answer {
  const { world } = call;
  const scope = scopeOf(call);
  const extras = authorizationState(world).extras;
  const value = world.roleAssignments
    .filter((assignment) => sameText(assignment.principalId, call.caller.oid) && isWithin(scope, assignment.scope))
    .flatMap((assignment) => {
      const role = world.roleDefinitions.get(assignment.role.toLowerCase());
      if (role === undefined) return [];
      const extra = extras.get(assignment.id.toLowerCase());
      return [
        {
          actions: [...role.actions],
          notActions: [...role.notActions],
          dataActions: [...(role.dataActions ?? [])],
          notDataActions: [],
          ...(extra?.['condition'] === undefined
            ? {}
            : { condition: extra['condition'], conditionVersion: extra['conditionVersion'] ?? '2.0' }),
        },
      ];
    });
  return { status: 200, body: { value } };
}

function listLocks(call: Call): Answer {
  const scope = scopeOf(call);
  const filter = parseFilter(call.query['$filter'], ['atScope']);
  const value = call.world.locks
    .filter((lock) => isWithin(scope, lock.scope) || (filter['atscope'] === undefined && isWithin(lock.scope, scope)))
    .map((lock) => ({
      id: `${lock.scope}/providers/${namespace}/locks/${lock.name}`,
      name: lock.name,
      type: `${namespace}/locks`,
      properties: { level: lock.level },
    }));
  return { status: 200, body: { value } };
}

function listDenyAssignments(call: Call): Answer {
  const scope = scopeOf(call);
  parseFilter(call.query['$filter'], ['atScope']);
  const value = authorizationState(call.world).denyAssignments.filter((denyAssignment) =>
    isWithin(scope, String(denyAssignment['properties']?.scope)),
  );
  return { status: 200, body: { value } };
}

export const authorizationProvider: Provider = {
  namespace,
  types: [
    {
      name: 'roleAssignments',
      apiVersions: ['2022-04-01', '2020-04-01-preview', '2018-01-01-preview', '2015-07-01'],
    },
    {
      name: 'roleDefinitions',
      apiVersions: ['2022-05-01-preview', '2022-04-01', '2018-01-01-preview', '2015-07-01'],
    },
    { name: 'permissions', apiVersions: ['2022-05-01-preview', '2022-04-01', '2018-07-01', '2015-07-01'] },
    { name: 'locks', apiVersions: ['2020-05-01', '2016-09-01', '2015-01-01'] },
    { name: 'acquirePolicyToken', apiVersions: ['2025-11-01', '2025-03-01'] },
    { name: 'denyAssignments', apiVersions: ['2022-04-01', '2018-07-01-preview'] },
  ],
  routes: [
    {
      method: 'POST',
      path: `/subscriptions/:subscriptionId/providers/${namespace}/acquirePolicyToken`,
      kind: 'policyToken.acquire',
      // Which permission this needs is not documented.
      action: null,
      handle: acquirePolicyToken,
    },
    {
      method: 'GET',
      path: `/providers/${namespace}/roleDefinitions/:role`,
      kind: 'role.get',
      action: null,
      handle: getRole,
    },
    {
      method: 'GET',
      path: `/providers/${namespace}/roleDefinitions`,
      kind: 'role.list',
      query: ['$filter'],
      action: null,
      handle: listRoles,
    },
    ...atEveryScope((scope) => {
      const base = `${scope}/providers/${namespace}`;
      const read = (kind: string, what: string, path: string, handle: (call: Call) => Answer): Route => ({
        method: 'GET',
        path: `${base}/${path}`,
        kind,
        ...(kind.endsWith('.list') && what !== 'permissions' ? { query: ['$filter'] } : {}),
        action: `${namespace}/${what}/read`,
        scope: scopeOf,
        handle,
      });
      return [
        read('role.list', 'roleDefinitions', 'roleDefinitions', listRoles),
        read('role.get', 'roleDefinitions', 'roleDefinitions/:role', getRole),
        read('assignment.list', 'roleAssignments', 'roleAssignments', listAssignments),
        read('assignment.get', 'roleAssignments', 'roleAssignments/:assignment', getAssignment),
        {
          method: 'PUT',
          path: `${base}/roleAssignments/:assignment`,
          kind: 'assignment.put',
          action: `${namespace}/roleAssignments/write`,
          scope: scopeOf,
          delayedBy: 'roleAssignmentPut',
          handle: putAssignment,
        },
        {
          method: 'DELETE',
          path: `${base}/roleAssignments/:assignment`,
          kind: 'assignment.delete',
          action: `${namespace}/roleAssignments/delete`,
          scope: scopeOf,
          handle: deleteAssignment,
        },
        read('permissions.list', 'permissions', 'permissions', listPermissions),
        read('locks.list', 'locks', 'locks', listLocks),
        read('denyAssignments.list', 'denyAssignments', 'denyAssignments', listDenyAssignments),
      ];
    }),
  ],
};
