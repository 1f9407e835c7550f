/** Plain requests instead of @azure/arm-msi and @azure/arm-authorization: two more clients would cost start time. */

import { hash } from 'node:crypto';
import { apiVersions } from '../azure/api-versions.ts';
import { listAllPages, type Session } from '../azure/arm-client.ts';
import { isNotFound } from '../azure/lookup.ts';
import { isGuid } from '../azure/resource-id.ts';
import { subscriptionOwnerOf } from '../azure/subscriptions.ts';
import { ActionError, AzureError, findAzureError } from '../errors/errors.ts';
import type { RoleRequest } from '../inputs/inputs.ts';
import { shellCommand } from '../lib/escape.ts';

export interface RoleGrant {
  readonly role: string;
  readonly roleDefinitionId: string;
  readonly scope: string;
}

export async function resolveRoleGrant(session: Session, { role, scope }: RoleRequest): Promise<RoleGrant> {
  await assertScopeInTenant(session, role, scope);
  const [subscription = ''] = /^\/subscriptions\/[^/]+/i.exec(scope) ?? [];
  try {
    const roleDefinitionId = isGuid(role)
      ? `${subscription}/providers/Microsoft.Authorization/roleDefinitions/${role}`
      : await findRole(session, role, scope);
    const grant = { role, roleDefinitionId, scope };
    await assertRoleEffective(session, grant);
    return grant;
  } catch (error) {
    // If the owner could not be looked up without a token, the refusal of ours names it.
    const fault = findAzureError(error);
    if (fault?.code !== 'InvalidAuthenticationTokenTenant') throw error;
    const [, tenant] = /must match the tenant 'https:\/\/[^/]+\/([0-9a-f-]{36})/i.exec(fault.message) ?? [];
    throw scopeInOtherTenantError(session, { role, scope }, tenant, error);
  }
}

async function findRole({ arm }: Session, name: string, scope: string): Promise<string> {
  const activity = `looking up role "${name}" on ${scope}`;
  try {
    const listed = await listAllPages<{ id: string; properties?: { roleName?: string } }>(
      arm,
      `${scope}/providers/Microsoft.Authorization/roleDefinitions`,
      apiVersions.roleDefinitions,
      { $filter: `roleName eq '${name.replaceAll("'", "''")}'` },
    );
    // If the server ignored `$filter`, the first role in the list could be Owner: compare the name here.
    const found = listed.find(({ properties }) => properties?.roleName?.toLowerCase() === name.toLowerCase());
    if (found) return found.id;
  } catch (error) {
    if (!(error instanceof AzureError)) throw error;
    if (error.fault.status !== 403) throw new ActionError(activity, { cause: error });
    throw new ActionError(activity, {
      cause: error,
      reason: 'The app has no permission to look up roles by name at that scope, or the scope does not exist.',
      fix: [
        "Use the role's GUID instead of its name in `role-assignments`, which needs no lookup:",
        shellCommand`az role definition list --scope ${scope} --name ${name} --query "[].name" --output tsv`,
      ],
    });
  }
  throw new ActionError(activity, {
    message: `There is no role named "${name}" that can be assigned on ${scope}.`,
    reason: 'The name is misspelled, or it is a custom role of another scope.',
    fix: [
      'Correct `role-assignments` with one of the names that this command lists:',
      shellCommand`az role definition list --scope ${scope} --query "[].roleName" --output tsv`,
    ],
  });
}

/** Roles that registries in ABAC mode ignore, and their replacements: https://aka.ms/acr/auth/abac */
const rolesIgnoredByAbac = [
  ['AcrPull', '7f951dda-4ed3-4680-a7ca-43fe172d538d', 'Container Registry Repository Reader'],
  ['AcrPush', '8311e382-0749-4cb8-b61a-304f252e45ec', 'Container Registry Repository Writer'],
] as const;

const registryPattern =
  /^\/subscriptions\/[^/]+\/resourceGroups\/[^/]+\/providers\/Microsoft\.ContainerRegistry\/registries\/([^/]+)/i;

async function assertRoleEffective({ arm }: Session, { role, roleDefinitionId, scope }: RoleGrant): Promise<void> {
  const [registry, name = ''] = registryPattern.exec(scope) ?? [];
  const ignored = rolesIgnoredByAbac.find(([, guid]) => roleDefinitionId.toLowerCase().endsWith(guid));
  if (!registry || !ignored) return;
  const [legacy, , replacement] = ignored;
  if ((await registryMode(arm, registry)) !== 'AbacRepositoryPermissions') return;
  throw new ActionError(`granting ${role} on ${scope}`, {
    message: `Registry ${name} uses per-repository permissions (ABAC mode) and ignores ${legacy}: it could be assigned, but would have no effect.`,
    reason:
      'In the mode "RBAC Registry + ABAC Repository Permissions" (roleAssignmentMode AbacRepositoryPermissions), a registry honors only the repository roles.',
    fix: [`Use \`${replacement} on ${scope}\` in \`role-assignments\`.`, 'https://aka.ms/acr/auth/abac'],
  });
}

/** Undefined if the app cannot read the registry: assigning roles on it does not require that. */
async function registryMode(arm: Session['arm'], registry: string): Promise<string | undefined> {
  type Registry = { properties?: { roleAssignmentMode?: string } };
  try {
    return (await arm<Registry>('GET', registry, apiVersions.registries)).properties?.roleAssignmentMode;
  } catch (error) {
    if (error instanceof AzureError && error.fault.status !== 401 && error.fault.status !== 404) return undefined;
    throw isNotFound(error) ? new ActionError(`reading registry ${registry}`, { cause: error }) : error;
  }
}

async function assertScopeInTenant(session: Session, role: string, scope: string): Promise<void> {
  const subscriptionId = /^\/subscriptions\/([^/]+)/i.exec(scope)?.[1]?.toLowerCase();
  if (!subscriptionId || subscriptionId === session.subscriptionId.toLowerCase()) return;
  // Only needed for an earlier and better message: requests with a token fail as well.
  const tenant = await subscriptionOwnerOf(session.cloud.resourceManager, subscriptionId).catch(() => undefined);
  if (tenant && tenant !== session.tenantId) throw scopeInOtherTenantError(session, { role, scope }, tenant);
}

function scopeInOtherTenantError(
  session: Session,
  { role, scope }: Pick<RoleGrant, 'role' | 'scope'>,
  tenant: string | undefined,
  cause?: unknown,
): ActionError {
  const registry = /\/registries\/([^/]+)/i.exec(scope)?.[1];
  return new ActionError(`granting ${role} on ${scope}`, {
    message: `The scope belongs to ${tenant ? `tenant ${tenant}` : 'another tenant'}, the VM to tenant ${session.tenantId}.`,
    cause,
    reason: "A managed identity exists only in its VM's tenant. No other tenant can assign roles to it.",
    fix: [
      ...(registry
        ? [
            `Copy the images to a registry in the VM's tenant, and assign the role there:`,
            shellCommand`az acr import --name ${'<registry>'} --source ${`${registry}.azurecr.io/<repository>:<tag>`} --username ${'<token-name>'} --password ${'<token>'}`,
            'Or create a token for these repositories only, and pass it to the script in `run-script-secrets`:',
            shellCommand`az acr token create --registry ${registry} --name ${'<token-name>'} --scope-map _repositories_pull`,
          ]
        : []),
      `Or assign the role to an app that has a service principal in both tenants and trusts the user-assigned identity as its federated credential; the script signs in as that app:`,
      'https://learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity',
    ],
  });
}

/** The same for every assignment of a role at a scope to a principal. */
export function grantKey({ scope, roleDefinitionId }: Omit<RoleGrant, 'role'>, principalId: string): string {
  return [scope, roleDefinitionId.split('/').at(-1), principalId].join('\n').toLowerCase();
}

/**
 * A UUID of version 5 (RFC 9562), the same for each run of a deployment. The owner keeps deployments that share an identity
 * apart: a PUT by name would change the other one's description, a PUT by another name is answered RoleAssignmentExists.
 */
export function assignmentName(grant: RoleGrant, principalId: string, owner: readonly string[]): string {
  return uuid5(urlNamespace, [grantKey(grant, principalId), ...owner].join('\n').toLowerCase());
}

const urlNamespace = '6ba7b811-9dad-11d1-80b4-00c04fd430c8';

export function uuid5(namespace: string, name: string): string {
  const input = Buffer.concat([Buffer.from(namespace.replaceAll('-', ''), 'hex'), Buffer.from(name)]);
  const bytes = hash('sha1', input, 'buffer').subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x50;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
