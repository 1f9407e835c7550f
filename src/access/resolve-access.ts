import type { VirtualMachine } from '@azure/arm-compute';
import { apiVersions, identityType } from '../azure/api-versions.ts';
import { listAllPages, type Session } from '../azure/arm-client.ts';
import { settle, undefinedIfDenied, undefinedIfNotFound, valueOf } from '../azure/lookup.ts';
import { type Permission, evaluatePermissions, grantAction } from './required-permissions.ts';
import { resourceId, sameId } from '../azure/resource-id.ts';
import { ActionError, AzureError, withActivity } from '../errors/errors.ts';
import type { DeployInputs } from '../inputs/inputs.ts';
import { shellCommand } from '../lib/escape.ts';
import { type RoleGrant, grantKey, resolveRoleGrant } from './role-definitions.ts';

export interface Principal {
  /** For messages: `identity puller`. */
  readonly what: string;
  readonly principalId: string;
}

export interface ManagedIdentity {
  readonly id: string;
  readonly location: string;
  readonly tags?: Record<string, string>;
  readonly properties: { readonly principalId: string };
}

export interface AccessPlan {
  readonly grants: readonly RoleGrant[];
  /** Named identities that exist, by lower-cased name. */
  readonly named: ReadonlyMap<string, ManagedIdentity>;
  /** Identities given by ID; read only if roles are to be assigned. */
  readonly given: readonly Principal[];
  /** Grants that exist, see `grantKey`. */
  readonly held: ReadonlySet<string>;
}

/** Rejects what could not be assigned, before anything is created. @throws ActionError, AzureError */
export async function resolveAccess(
  session: Session,
  inputs: Pick<DeployInputs, 'clientId' | 'resourceGroup' | 'identity' | 'roleAssignments' | 'vmName'>,
  existing: Promise<{ readonly vm?: VirtualMachine }>,
): Promise<AccessPlan> {
  const { identity, roleAssignments, resourceGroup } = inputs;
  const needsRoles = roleAssignments.length > 0;
  const [named, given, grants] = await Promise.all([
    Promise.all(
      identity.named.map(async (name) => {
        const id = resourceId(session.subscriptionId, resourceGroup, identityType, name);
        const found = await withActivity(`looking for identity ${name}`, () =>
          undefinedIfNotFound(findIdentity(session, id)),
        );
        return found ? ([[name.toLowerCase(), found]] as const) : [];
      }),
    ),
    Promise.all(
      (needsRoles ? identity.given : []).map(async ({ id, name }) => {
        const { properties } = await withActivity(`reading identity ${id}`, () => findIdentity(session, id));
        return { what: `identity ${name}`, principalId: properties.principalId };
      }),
    ),
    Promise.all(roleAssignments.map((request) => resolveRoleGrant(session, request))),
  ]);
  const found = new Map(named.flat());
  const system = needsRoles && identity.system ? (await existing).vm?.identity?.principalId : undefined;
  const known: readonly string[] = [
    ...given.map(({ principalId }) => principalId),
    ...[...found.values()].map(({ properties }) => properties.principalId),
    ...(system ? [system] : []),
  ];
  const held = new Set(
    (await Promise.all(known.map((principalId) => findExistingAssignments(session, principalId, grants)))).flat(),
  );
  const hasUnknownPrincipal = (identity.system && !system) || identity.named.length > found.size;
  const missing = grants.filter(
    (grant) => hasUnknownPrincipal || known.some((principalId) => !held.has(grantKey(grant, principalId))),
  );
  await Promise.all(missing.map((grant) => assertCanAssign(session, grant, inputs.clientId)));
  return { grants, named: found, given, held };
}

export function findIdentity({ arm }: Session, id: string): Promise<ManagedIdentity> {
  return arm<ManagedIdentity>('GET', id, apiVersions.identities);
}

/** Keys of the grants that the principal already has. */
async function findExistingAssignments(
  { arm }: Session,
  principalId: string,
  grants: readonly RoleGrant[],
): Promise<string[]> {
  const scopes = new Map(grants.map(({ scope }) => [scope.toLowerCase(), scope]));
  const lists = await Promise.all(
    [...scopes.values()].map(async (scope) => {
      const path = `${scope}/providers/Microsoft.Authorization/roleAssignments`;
      const $filter = `principalId eq '${principalId}'`;
      const list = listAllPages<{ properties: Record<'scope' | 'roleDefinitionId' | 'principalId', string> }>(
        arm,
        path,
        apiVersions.roleAssignments,
        { $filter },
      );
      // Permission to assign does not include permission to read; the PUT will answer RoleAssignmentExists.
      const assignments = (await undefinedIfDenied(list)) ?? [];
      // The list includes inherited assignments and those of scopes below.
      return assignments.filter(
        ({ properties }) => sameId(properties.scope, scope) && sameId(properties.principalId, principalId),
      );
    }),
  );
  return lists.flat().map(({ properties }) => grantKey(properties, principalId));
}

/** What the app may do at a scope. */
export function listPermissions(arm: Session['arm'], scope: string): Promise<Permission[]> {
  return listAllPages(arm, `${scope}/providers/Microsoft.Authorization/permissions`, apiVersions.permissions);
}

/** @throws ActionError if Azure's list of permissions shows that the app cannot assign roles at the scope. */
async function assertCanAssign({ arm }: Session, grant: RoleGrant, clientId: string): Promise<void> {
  const listed = await settle(() => listPermissions(arm, grant.scope));
  if ('error' in listed && !(listed.error instanceof AzureError)) throw listed.error;
  const permissions = valueOf(listed);
  const isDenied = permissions && evaluatePermissions(permissions, grantAction) === 'denied';
  if (isDenied) throw cannotAssignError(grant, clientId);
}

export function cannotAssignError(
  { role, scope, roleDefinitionId }: RoleGrant,
  clientId: string,
  principal?: Principal,
  cause?: unknown,
): ActionError {
  const guid = roleDefinitionId.split('/').at(-1) ?? '';
  const attribute = 'Microsoft.Authorization/roleAssignments:RoleDefinitionId';
  // https://learn.microsoft.com/azure/role-based-access-control/delegate-role-assignments-examples
  const limitTo = (verb: string, source: string) =>
    `((!(ActionMatches{'Microsoft.Authorization/roleAssignments/${verb}'})) OR (@${source}[${attribute}] ForAnyOfAnyValues:GuidEquals {${guid}}))`;
  const condition = `${limitTo('write', 'Request')} AND ${limitTo('delete', 'Resource')}`;
  return new ActionError(`granting ${role} on ${scope}`, {
    message: `App ${clientId} has no permission to assign roles on ${scope}.`,
    cause,
    reason: `\`role-assignments\` requests ${role} there, which requires ${grantAction}; Contributor does not include it.`,
    who: `an Owner or User Access Administrator of ${scope}, in the VM's tenant`,
    fix: [
      'Allow the app to assign this one role at that scope, and no other:',
      shellCommand`az role assignment create --assignee ${clientId} --role ${'Role Based Access Control Administrator'} --scope ${scope} --condition ${condition} --condition-version 2.0`,
      'Or assign it once to a user-assigned identity and pass that in `identity`; existing role assignments are kept:',
      shellCommand`az role assignment create --assignee-object-id ${principal?.principalId ?? '<principal-id>'} --assignee-principal-type ServicePrincipal --role ${role} --scope ${scope}`,
    ],
  });
}
