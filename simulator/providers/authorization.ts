// Microsoft.Authorization: role definitions, role assignments, permissions, and reads of locks and deny assignments, at
// any scope. Recorded: role-assignment-acrpull-put.json, role-assignment-exists.json,
// role-assignment-principalnotfound-then-created.json.
import { findSubnet } from './network/references.ts';
import type { Answer, Json } from '../model/contract.ts';
import type { Call, Provider, Route } from '../http/provider.ts';
import { refuse, unknown } from '../model/arm-error.ts';
import { isWithin } from '../model/scope.ts';
import type { World } from '../world/world.ts';
import type { RoleAssignment, RoleDefinition } from '../model/entities.ts';
import { authorizationState, sameText } from '../world/permissions.ts';

const namespace = 'Microsoft.Authorization';

const descriptions: Readonly<Record<string, string>> = {
  'acdd72a7-3385-48ef-bd42-f606fba81ae7': 'View all resources, but does not allow you to make any changes.',
  'b24988ac-6180-42a0-ab88-20f7382dd24c':
    'Grants full access to manage all resources, but does not allow you to assign roles in Azure RBAC.',
  '7f951dda-4ed3-4680-a7ca-43fe172d538d': 'acr pull',
  '8311e382-0749-4cb8-b61a-304f252e45ec': 'acr push',
  'cf7c76d2-98a3-4358-a134-615aa78bf44d': 'This is the role for reading gallery images.',
};

/** The path in front of `/providers/Microsoft.Authorization`; empty at the root. */
function scopeOf(call: Call): string {
  return call.resourceId.slice(
    0,
    call.resourceId.toLowerCase().lastIndexOf(`/providers/${namespace.toLowerCase()}/`),
  );
}

/** Scopes that routes exist for: subscription, group, and resources nested up to three deep (gallery versions). */
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

function everywhere(make: (scope: string) => readonly Route[]): Route[] {
  return scopes.flatMap(make);
}

// --- Filters ----------------------------------------------------------------------------------------------------

/** `a eq 'b' and atScope()` taken apart; an expression that nobody has tried is a 501. */
function readFilter(text: string | undefined, names: readonly string[]): Record<string, string> {
  const read: Record<string, string> = {};
  for (const part of (text ?? '').split(/\s+and\s+/i)) {
    if (part.trim() === '') continue;
    const equals = /^\s*\(?\s*(\w+)\s+eq\s+'([^']*)'\s*\)?\s*$/i.exec(part);
    const call = /^\s*(\w+)\(\s*(?:'([^']*)')?\s*\)\s*$/.exec(part);
    const name = (equals ?? call)?.[1];
    if (name === undefined || !names.some((one) => one.toLowerCase() === name.toLowerCase())) {
      throw unknown(`$filter part ${part}`);
    }
    read[name.toLowerCase()] = (equals ?? call)?.[2] ?? '';
  }
  return read;
}

// --- Role definitions -------------------------------------------------------------------------------------------

function describeRole(call: Call, role: RoleDefinition): Json {
  const prefix =
    call.params['subscriptionId'] === undefined ? '' : `/subscriptions/${call.params['subscriptionId']}`;
  return {
    properties: {
      roleName: role.name,
      type: role.custom === true ? 'CustomRole' : 'BuiltInRole',
      description: role.description ?? descriptions[role.id] ?? role.name,
      assignableScopes: ['/'],
      permissions: [
        {
          actions: [...role.actions],
          notActions: [...role.notActions],
          dataActions: [...(role.dataActions ?? [])],
          notDataActions: [],
        },
      ],
      createdOn: '2018-10-22T19:01:56.8227182Z',
      updatedOn: '2021-11-11T20:13:08.8779328Z',
      createdBy: null,
      updatedBy: null,
    },
    id: `${prefix}/providers/${namespace}/roleDefinitions/${role.id}`,
    type: `${namespace}/roleDefinitions`,
    name: role.id,
  };
}

function listRoles(call: Call): Answer {
  const filter = readFilter(call.query['$filter'], ['roleName', 'type', 'atScopeAndBelow', 'atScope']);
  const value = [...call.world.roleDefinitions.values()]
    .filter(
      (role) =>
        filter['rolename'] === undefined || role.name.toLowerCase() === filter['rolename'].toLowerCase(),
    )
    .filter(
      (role) => filter['type'] === undefined || (filter['type'] === 'CustomRole') === (role.custom === true),
    )
    .map((role) => describeRole(call, role));
  return { status: 200, body: { value } };
}

function getRole(call: Call): Answer {
  const role = call.world.roleDefinitions.get(call.name.toLowerCase());
  if (role === undefined) throw noSuchRole(call.name, 404);
  return { status: 200, body: describeRole(call, role) };
}

function noSuchRole(id: string, status: number): Error {
  return refuse(
    status,
    'RoleDefinitionDoesNotExist',
    `The specified role definition with ID '${id.replaceAll('-', '')}' does not exist.`,
  );
}

// --- Role assignments -------------------------------------------------------------------------------------------

function describeAssignment(world: World, assignment: RoleAssignment): Json {
  const extra = authorizationState(world).extras.get(assignment.id.toLowerCase()) ?? {};
  const subscription = /^\/subscriptions\/[^/]+/i.exec(assignment.scope)?.[0] ?? '';
  return {
    properties: {
      roleDefinitionId: `${subscription}/providers/${namespace}/roleDefinitions/${assignment.role}`,
      principalId: assignment.principalId,
      principalType: assignment.principalType,
      scope: assignment.scope,
      condition: extra['condition'] ?? null,
      conditionVersion: extra['conditionVersion'] ?? null,
      createdOn: world.clock.timestamp(assignment.createdAt),
      updatedOn: world.clock.timestamp(assignment.createdAt),
      createdBy: extra['createdBy'] ?? null,
      updatedBy: extra['updatedBy'] ?? null,
      delegatedManagedIdentityResourceId: null,
      description: assignment.description ?? null,
    },
    id: assignment.id,
    type: `${namespace}/roleAssignments`,
    name: assignment.id.split('/').at(-1),
  };
}

function findAssignment(call: Call): RoleAssignment | undefined {
  const wanted = call.resourceId.toLowerCase();
  return call.world.roleAssignments.find((one) => one.id.toLowerCase() === wanted);
}

function putAssignment(call: Call): Answer {
  const { world } = call;
  const scope = scopeOf(call);
  const asked: Json = call.body['properties'] ?? {};
  const stray = Object.keys(call.body).find((name) => !['id', 'name', 'type', 'properties'].includes(name));
  if (stray !== undefined) throw unknown(`property '${stray}' of a role assignment`);
  const known = [
    'roleDefinitionId',
    'principalId',
    'principalType',
    'description',
    'condition',
    'conditionVersion',
    'scope',
    'delegatedManagedIdentityResourceId',
  ];
  const other = Object.keys(asked).find((name) => !known.includes(name));
  if (other !== undefined) throw unknown(`property 'properties.${other}' of a role assignment`);
  const { roleDefinitionId, principalId, principalType, description } = asked;
  if (typeof roleDefinitionId !== 'string' || typeof principalId !== 'string') {
    throw unknown('the refusal of a role assignment without role or principal');
  }
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(call.name)) {
    throw refuse(
      400,
      'InvalidRoleAssignmentId',
      `The role assignment ID '${call.name}' is not valid. The role assignment ID must be a GUID.`,
    );
  }
  if (
    !/^(?:\/subscriptions\/[^/]+)?\/providers\/Microsoft\.Authorization\/roleDefinitions\/[^/]+$/i.test(
      roleDefinitionId,
    )
  ) {
    throw unknown(`the refusal of roleDefinitionId '${roleDefinitionId}'`);
  }
  const { condition, conditionVersion } = asked;
  if ((condition ?? undefined) !== undefined && conditionVersion !== '2.0') {
    throw unknown(`a condition of version '${conditionVersion}'`);
  }
  if (
    call.params['scopeNamespace'] !== undefined &&
    !world.resources.has(scope) &&
    !findSubnet(world, scope)
  ) {
    throw unknown(`a role assignment on ${scope}, which is not there`);
  }
  const role = world.roleDefinitions.get((roleDefinitionId.split('/').at(-1) ?? '').toLowerCase());
  if (role === undefined) throw noSuchRole(roleDefinitionId.split('/').at(-1) ?? '', 400);
  const principal = world.principals.get(principalId.toLowerCase());
  // Recorded also with a principalType: it does not always help against the delay.
  if (
    principal === undefined ||
    principal.tenant !== call.tenant.id ||
    principal.visibleAt > world.clock.now()
  ) {
    throw refuse(
      400,
      'PrincipalNotFound',
      `Principal ${principalId.replaceAll('-', '')} does not exist in the directory ${call.tenant.id}. Check that you have the correct principal ID. If you are creating this principal and then immediately assigning a role, this error might be related to a replication delay. In this case, set the role assignment principalType property to a value, such as ServicePrincipal, User, or Group.  See https://aka.ms/docs-principaltype`,
    );
  }
  const actualType = principal.type === 'ManagedIdentity' ? 'ServicePrincipal' : principal.type;
  if (principalType !== undefined && principalType !== actualType) {
    throw refuse(
      400,
      'UnmatchedPrincipalType',
      `The PrincipalId '${principalId.replaceAll('-', '')}' has type '${actualType}' , which is different from specified PrinciaplType '${principalType}'.`,
    );
  }
  const existing = findAssignment(call);
  if (existing !== undefined) {
    if (!sameText(existing.principalId, principalId) || !sameText(existing.role, role.id)) {
      throw refuse(
        403,
        'RoleAssignmentUpdateNotPermitted',
        'Tenant ID, application ID, principal ID, and scope are not allowed to be updated.',
      );
    }
    return { status: 200, body: describeAssignment(world, existing) };
  }
  const equal = world.roleAssignments.some(
    (one) =>
      sameText(one.scope, scope) && sameText(one.principalId, principalId) && sameText(one.role, role.id),
  );
  if (equal) throw refuse(409, 'RoleAssignmentExists', 'The role assignment already exists.');
  const assignment: RoleAssignment = {
    id: call.resourceId,
    scope,
    role: role.id,
    principalId,
    principalType: actualType,
    description,
    createdAt: world.clock.now(),
  };
  world.roleAssignments.push(assignment);
  authorizationState(world).extras.set(assignment.id.toLowerCase(), {
    condition: asked['condition'],
    conditionVersion: asked['conditionVersion'],
    createdBy: null,
    updatedBy: call.caller.oid,
  });
  return { status: 201, body: describeAssignment(world, assignment) };
}

function getAssignment(call: Call): Answer {
  const found = findAssignment(call);
  if (found === undefined) {
    throw refuse(404, 'RoleAssignmentNotFound', `The role assignment '${call.name}' is not found.`);
  }
  return { status: 200, body: describeAssignment(call.world, found) };
}

function deleteAssignment(call: Call): Answer {
  const found = findAssignment(call);
  if (found === undefined) return { status: 204 };
  const body = describeAssignment(call.world, found);
  call.world.roleAssignments = call.world.roleAssignments.filter((one) => one !== found);
  authorizationState(call.world).extras.delete(found.id.toLowerCase());
  return { status: 200, body };
}

// "principalId eq {id} returns all role assignments at, above or below the scope; atScope() at or above" (REST reference).
function listAssignments(call: Call): Answer {
  const scope = scopeOf(call);
  const filter = readFilter(call.query['$filter'], ['principalId', 'assignedTo', 'atScope']);
  const who = filter['principalid'] ?? filter['assignedto'];
  const value = call.world.roleAssignments
    .filter(
      (one) => isWithin(scope, one.scope) || (filter['atscope'] === undefined && isWithin(one.scope, scope)),
    )
    .filter((one) => who === undefined || sameText(one.principalId, who))
    .map((one) => describeAssignment(call.world, one));
  return { status: 200, body: { value } };
}

// --- Permissions, locks, deny assignments -----------------------------------------------------------------------

function permissions(call: Call): Answer {
  const { world } = call;
  const scope = scopeOf(call);
  const extras = authorizationState(world).extras;
  const value = world.roleAssignments
    .filter((one) => sameText(one.principalId, call.caller.oid) && isWithin(scope, one.scope))
    .flatMap((one) => {
      const role = world.roleDefinitions.get(one.role.toLowerCase());
      if (role === undefined) return [];
      const extra = extras.get(one.id.toLowerCase());
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

/** Puts a condition on an assignment that a scenario made with `world.grant`. */
export function addCondition(world: World, assignment: RoleAssignment, condition: string): void {
  authorizationState(world).extras.set(assignment.id.toLowerCase(), { condition, conditionVersion: '2.0' });
}

function listLocks(call: Call): Answer {
  const scope = scopeOf(call);
  const filter = readFilter(call.query['$filter'], ['atScope']);
  const value = call.world.locks
    .filter(
      (lock) =>
        isWithin(scope, lock.scope) || (filter['atscope'] === undefined && isWithin(lock.scope, scope)),
    )
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
  readFilter(call.query['$filter'], ['atScope']);
  const value = authorizationState(call.world).denyAssignments.filter((one) =>
    isWithin(scope, String(one['properties']?.scope)),
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
    { name: 'denyAssignments', apiVersions: ['2022-04-01', '2018-07-01-preview'] },
  ],
  routes: [
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
    ...everywhere((scope) => {
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
          holds: 'roleAssignmentPut',
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
        read('permissions.list', 'permissions', 'permissions', permissions),
        read('locks.list', 'locks', 'locks', listLocks),
        read('denyAssignments.list', 'denyAssignments', 'denyAssignments', listDenyAssignments),
      ];
    }),
  ],
};
