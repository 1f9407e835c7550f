import type { VirtualMachine } from '@azure/arm-compute';
import { apiVersions, identityType } from '../azure/api-versions.ts';
import { listAllPages, type Session } from '../azure/arm-client.ts';
import { undefinedIfNotFound } from '../azure/lookup.ts';
import { type Permission, evaluatePermissions } from '../azure/permissions.ts';
import { resourceId, sameId } from '../azure/resource-id.ts';
import { ActionError, withActivity } from '../errors/action-error.ts';
import { AzureError } from '../errors/azure-error.ts';
import type { DeployInputs } from '../inputs/inputs.ts';
import { quoteForShell } from '../lib/escape.ts';
import { type RoleGrant, assignmentName, resolveRoleGrant } from './role-definitions.ts';

/** Who is given roles: one identity of the machine. */
export interface Principal {
  /** For people: `identity puller`. */
  readonly what: string;
  readonly principalId: string;
}

export interface ManagedIdentity {
  readonly id: string;
  readonly location: string;
  readonly tags?: Record<string, string>;
  readonly properties: { readonly principalId: string };
}

/** What is known of identities and roles before the first write. */
export interface AccessPlan {
  readonly grants: readonly RoleGrant[];
  /** Identities of plain names that exist, by lower-cased name. */
  readonly named: ReadonlyMap<string, ManagedIdentity>;
  /** Identities that were given by ID; read only where roles are to be granted. */
  readonly given: readonly Principal[];
  /** `assignmentName`s of what is granted already. */
  readonly held: ReadonlySet<string>;
}

/**
 * Looks up identities and roles and refuses, before anything is created, what could not be granted: a scope in another
 * tenant, a role that does not exist or means nothing at its scope, a scope where the app may not grant.
 * @throws Failure that says what can be done instead; AzureError.
 */
export async function resolveAccess(
  session: Session,
  inputs: Pick<DeployInputs, 'clientId' | 'resourceGroup' | 'identity' | 'roleAssignments' | 'vmName'>,
  existing: Promise<{ readonly vm?: VirtualMachine }>,
): Promise<AccessPlan> {
  const { identity, roleAssignments, resourceGroup } = inputs;
  const wantsRoles = roleAssignments.length > 0;
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
      (wantsRoles ? identity.given : []).map(async ({ id, name }) => {
        const { properties } = await withActivity(`reading identity ${id}`, () => findIdentity(session, id));
        return { what: `identity ${name}`, principalId: properties.principalId };
      }),
    ),
    Promise.all(roleAssignments.map((request) => resolveRoleGrant(session, request))),
  ]);
  const survey = { grants, named: new Map(named.flat()), given };
  const system = wantsRoles && identity.system ? (await existing).vm?.identity?.principalId : undefined;
  const known: readonly string[] = [
    ...survey.given.map(({ principalId }) => principalId),
    ...[...survey.named.values()].map(({ properties }) => properties.principalId),
    ...(system ? [system] : []),
  ];
  const held = new Set(
    (
      await Promise.all(known.map((principalId) => findExistingAssignments(session, principalId, grants)))
    ).flat(),
  );
  const stillToCome = (identity.system && !system) || identity.named.length > survey.named.size;
  const missing = grants.filter(
    (grant) => stillToCome || known.some((principalId) => !held.has(assignmentName(grant, principalId))),
  );
  await Promise.all(missing.map((grant) => assertCanAssign(session, grant, inputs.clientId)));
  return { ...survey, held };
}

function findIdentity({ arm }: Session, id: string): Promise<ManagedIdentity> {
  return arm<ManagedIdentity>('GET', id, apiVersions.identities);
}

interface ExistingAssignment {
  readonly properties: {
    readonly scope: string;
    readonly roleDefinitionId: string;
    readonly principalId: string;
  };
}

/** Those of the grants that the principal has already, whoever gave them and under whatever name, by `assignmentName`. */
async function findExistingAssignments(
  { arm }: Session,
  principalId: string,
  grants: readonly RoleGrant[],
): Promise<string[]> {
  const scopes = new Map(grants.map(({ scope }) => [scope.toLowerCase(), scope]));
  const lists = await Promise.all(
    [...scopes.values()].map(async (scope) => {
      try {
        const path = `${scope}/providers/Microsoft.Authorization/roleAssignments`;
        const $filter = `principalId eq '${principalId}'`;
        // The answer also has what is inherited and what lies below.
        return (
          await listAllPages<ExistingAssignment>(arm, path, apiVersions.roleAssignments, { $filter })
        ).filter(
          ({ properties }) => sameId(properties.scope, scope) && sameId(properties.principalId, principalId),
        );
      } catch (error) {
        // Who may grant need not be able to read; the PUT will tell (RoleAssignmentExists).
        if (error instanceof AzureError && error.fault.status === 403) return [];
        throw error;
      }
    }),
  );
  return lists.flat().map(({ properties }) => assignmentName(properties, principalId));
}

const grantAction = 'Microsoft.Authorization/roleAssignments/write';

/** @throws Failure if Azure says that the app has no right to grant there. Where it does not say, the PUT will. */
async function assertCanAssign({ arm }: Session, grant: RoleGrant, clientId: string): Promise<void> {
  let permissions: readonly Permission[];
  try {
    const path = `${grant.scope}/providers/Microsoft.Authorization/permissions`;
    permissions = await listAllPages<Permission>(arm, path, apiVersions.permissions);
  } catch (error) {
    if (error instanceof AzureError) return;
    throw error;
  }
  if (evaluatePermissions(permissions, grantAction) === 'denied') throw cannotAssignError(grant, clientId);
}

export function cannotAssignError(
  grant: RoleGrant,
  clientId: string,
  principal?: Principal,
  cause?: unknown,
): ActionError {
  const { role, scope, roleDefinitionId } = grant;
  const guid = roleDefinitionId.split('/').at(-1) ?? '';
  const attribute = 'Microsoft.Authorization/roleAssignments:RoleDefinitionId';
  // As https://learn.microsoft.com/azure/role-based-access-control/delegate-role-assignments-examples has it.
  const condition = [
    ['write', 'Request'],
    ['delete', 'Resource'],
  ]
    .map(
      ([verb, source]) =>
        `((!(ActionMatches{'Microsoft.Authorization/roleAssignments/${verb}'})) OR (@${source}[${attribute}] ForAnyOfAnyValues:GuidEquals {${guid}}))`,
    )
    .join(' AND ');
  const at = quoteForShell(scope);
  return new ActionError(`granting ${role} on ${scope}`, {
    message: `App ${clientId} may not grant roles on ${scope}.`,
    cause,
    explanation: {
      cause: `\`role-assignments\` asks for ${role} there, which takes ${grantAction}; Contributor does not have it.`,
      who: `an Owner or User Access Administrator of ${scope}`,
      fix: [
        'Let the app grant this one role there, and no other:',
        `az role assignment create --assignee ${clientId} --role "Role Based Access Control Administrator" --scope ${at} --condition "${condition}" --condition-version 2.0`,
        'Or grant it once and for all to a user-assigned identity, and name that one in `identity`; what is granted already is left as it is:',
        `az role assignment create --assignee-object-id ${principal?.principalId ?? '<principal-id>'} --assignee-principal-type ServicePrincipal --role ${quoteForShell(role)} --scope ${at}`,
      ],
    },
  });
}
