import type { Call } from '../../http/provider.ts';
import { refuse, notModelled } from '../../model/arm-error.ts';
import type { Answer, Json } from '../../model/contract.ts';
import type { Principal, RoleAssignment } from '../../model/entities.ts';
import { isWithin } from '../../model/scope.ts';
import { authorizationState, sameText } from '../../world/permissions.ts';
import type { World } from '../../world/world.ts';
import { findSubnet } from '../network/references.ts';
import { roleNotFoundError } from './role-definitions.ts';
import { namespace, parseFilter, scopeOf } from './scope.ts';

function assignmentBody(world: World, assignment: RoleAssignment): Json {
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
  const key = call.resourceId.toLowerCase();
  return call.world.roleAssignments.find((assignment) => assignment.id.toLowerCase() === key);
}

const knownProperties = [
  'roleDefinitionId',
  'principalId',
  'principalType',
  'description',
  'condition',
  'conditionVersion',
  'scope',
  'delegatedManagedIdentityResourceId',
];

/** Rejects bodies that the simulator does not model, and names that are not GUIDs. */
function parseAssignment(call: Call): Json & { roleId: string; principalId: string } {
  const properties: Json = call.body['properties'] ?? {};
  const extra = Object.keys(call.body).find((name) => !['id', 'name', 'type', 'properties'].includes(name));
  if (extra !== undefined) throw notModelled(`property '${extra}' of a role assignment`);
  const extraProperty = Object.keys(properties).find((name) => !knownProperties.includes(name));
  if (extraProperty !== undefined) throw notModelled(`property 'properties.${extraProperty}' of a role assignment`);
  const { roleDefinitionId, principalId, condition, conditionVersion } = properties;
  if (typeof roleDefinitionId !== 'string' || typeof principalId !== 'string') {
    throw notModelled('the refusal of a role assignment without role or principal');
  }
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(call.name)) {
    throw refuse(
      400,
      'InvalidRoleAssignmentId',
      `The role assignment ID '${call.name}' is not valid. The role assignment ID must be a GUID.`,
    );
  }
  const roleId = /^(?:\/subscriptions\/[^/]+)?\/providers\/Microsoft\.Authorization\/roleDefinitions\/([^/]+)$/i.exec(
    roleDefinitionId,
  )?.[1];
  if (roleId === undefined) throw notModelled(`the refusal of roleDefinitionId '${roleDefinitionId}'`);
  if ((condition ?? undefined) !== undefined && conditionVersion !== '2.0') {
    throw notModelled(`a condition of version '${conditionVersion}'`);
  }
  return { ...properties, roleId, principalId };
}

function checkScopeExists(call: Call, scope: string): void {
  if (call.params['scopeNamespace'] === undefined) return;
  if (call.world.resources.has(scope) || findSubnet(call.world, scope)) return;
  throw notModelled(`a role assignment on ${scope}, which does not exist`);
}

function requirePrincipal(call: Call, principalId: string): Principal {
  const { world, tenant } = call;
  const principal = world.principals.get(principalId.toLowerCase());
  // Recorded with and without principalType: the type does not always help against replication delay.
  if (principal?.tenant === tenant.id && principal.visibleAt <= world.clock.now()) return principal;
  throw refuse(
    400,
    'PrincipalNotFound',
    `Principal ${principalId.replaceAll('-', '')} does not exist in the directory ${tenant.id}. Check that you have the correct principal ID. If you are creating this principal and then immediately assigning a role, this error might be related to a replication delay. In this case, set the role assignment principalType property to a value, such as ServicePrincipal, User, or Group.  See https://aka.ms/docs-principaltype`,
  );
}

export function putAssignment(call: Call): Answer {
  const { world } = call;
  const scope = scopeOf(call);
  const properties = parseAssignment(call);
  const { roleId, principalId, principalType, description, condition, conditionVersion } = properties;
  checkScopeExists(call, scope);
  const role = world.roleDefinitions.get(roleId.toLowerCase());
  if (role === undefined) throw roleNotFoundError(roleId, 400);
  const principal = requirePrincipal(call, principalId);
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
    existing.description = description;
    return { status: 200, body: assignmentBody(world, existing) };
  }
  const isDuplicate = world.roleAssignments.some(
    (other) =>
      sameText(other.scope, scope) && sameText(other.principalId, principalId) && sameText(other.role, role.id),
  );
  if (isDuplicate) throw refuse(409, 'RoleAssignmentExists', 'The role assignment already exists.');
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
    condition,
    conditionVersion,
    createdBy: null,
    updatedBy: call.caller.oid,
  });
  return { status: 201, body: assignmentBody(world, assignment) };
}

export function getAssignment(call: Call): Answer {
  const found = findAssignment(call);
  if (found === undefined) {
    throw refuse(404, 'RoleAssignmentNotFound', `The role assignment '${call.name}' is not found.`);
  }
  return { status: 200, body: assignmentBody(call.world, found) };
}

export function deleteAssignment(call: Call): Answer {
  const found = findAssignment(call);
  if (found === undefined) return { status: 204 };
  const body = assignmentBody(call.world, found);
  call.world.roleAssignments = call.world.roleAssignments.filter((assignment) => assignment !== found);
  authorizationState(call.world).extras.delete(found.id.toLowerCase());
  return { status: 200, body };
}

// "principalId eq {id} returns all role assignments at, above or below the scope; atScope() at or above" (REST reference).
export function listAssignments(call: Call): Answer {
  const scope = scopeOf(call);
  const filter = parseFilter(call.query['$filter'], ['principalId', 'assignedTo', 'atScope']);
  const who = filter['principalid'] ?? filter['assignedto'];
  const value = call.world.roleAssignments
    .filter(
      (assignment) =>
        isWithin(scope, assignment.scope) || (filter['atscope'] === undefined && isWithin(assignment.scope, scope)),
    )
    .filter((assignment) => who === undefined || sameText(assignment.principalId, who))
    .map((assignment) => assignmentBody(call.world, assignment));
  return { status: 200, body: { value } };
}

/** Adds a condition to an assignment that `world.grant` created. */
export function addCondition(world: World, assignment: RoleAssignment, condition: string): void {
  authorizationState(world).extras.set(assignment.id.toLowerCase(), { condition, conditionVersion: '2.0' });
}
