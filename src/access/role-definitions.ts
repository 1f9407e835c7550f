/**
 * Identities of the machine and the roles that they are given.
 *
 * Plain Resource Manager requests instead of @azure/arm-msi and @azure/arm-authorization: six kinds of request, none of
 * them long-running, against two more clients whose every operation group would be in the bundle and cost start time.
 */

import { createHash } from 'node:crypto';
import { apiVersions } from '../azure/api-versions.ts';
import { listAllPages, sharedHttpClient, type Session } from '../azure/arm-client.ts';
import { createHttpGet } from '../azure/http.ts';
import { isNotFound } from '../azure/lookup.ts';
import { isGuid } from '../azure/resource-id.ts';
import { ActionError } from '../errors/action-error.ts';
import { AzureError } from '../errors/azure-error.ts';
import type { RoleRequest } from '../inputs/inputs.ts';
import { quoteForShell } from '../lib/escape.ts';

/** A role at a scope, with the role found. */
export interface RoleGrant {
  /** As the author named it. */
  readonly role: string;
  readonly roleDefinitionId: string;
  readonly scope: string;
}

// Roles and scopes

export async function resolveRoleGrant(session: Session, { role, scope }: RoleRequest): Promise<RoleGrant> {
  const name = role.kind === 'id' ? role.guid : role.name;
  await assertScopeInTenant(session, name, scope);
  try {
    const roleDefinitionId =
      role.kind === 'id' ? definitionId(scope, role.guid) : await findRole(session, role.name, scope);
    const grant = { role: name, roleDefinitionId, scope };
    await assertRoleEffective(session, grant);
    return grant;
  } catch (error) {
    const tenant = scopeTenantError(error);
    throw tenant === undefined ? error : scopeInOtherTenantError(session, name, scope, tenant, error);
  }
}

function definitionId(scope: string, guid: string): string {
  const subscription = /^\/subscriptions\/[^/]+/i.exec(scope)?.[0] ?? '';
  return `${subscription}/providers/Microsoft.Authorization/roleDefinitions/${guid}`;
}

async function findRole({ arm }: Session, name: string, scope: string): Promise<string> {
  const doing = `looking up role "${name}" on ${scope}`;
  try {
    const listed = await listAllPages<{ id: string; properties?: { roleName?: string } }>(
      arm,
      `${scope}/providers/Microsoft.Authorization/roleDefinitions`,
      apiVersions.roleDefinitions,
      { $filter: `roleName eq '${name.replaceAll("'", "''")}'` },
    );
    // A filter that is not heeded must not make an Owner of whoever was to pull images.
    const found = listed.find(({ properties }) => properties?.roleName?.toLowerCase() === name.toLowerCase());
    if (found) return found.id;
  } catch (error) {
    if (!(error instanceof AzureError)) throw error;
    if (error.fault.status !== 403) throw new ActionError(doing, { cause: error });
    throw new ActionError(doing, {
      cause: error,
      explanation: {
        cause:
          'The app has no right at that scope to look up roles by their names, or the scope does not exist.',
        who: "the workflow's author",
        fix: [
          "Give the role's GUID instead of its name in `role-assignments`; nothing has to be looked up then:",
          `az role definition list --name ${quoteForShell(name)} --query "[].name" --output tsv`,
        ],
      },
    });
  }
  throw new ActionError(doing, {
    message: `There is no role named "${name}" that can be granted on ${scope}.`,
    explanation: {
      cause: 'The name is misspelt, or it is a custom role of another scope.',
      who: "the workflow's author",
      fix: [
        'Correct `role-assignments`, with one of the names that this lists:',
        `az role definition list --scope ${quoteForShell(scope)} --query "[].roleName" --output tsv`,
      ],
    },
  });
}

/** Registries in ABAC mode do not heed these, https://aka.ms/acr/auth/abac; with what grants the same there. */
const rolesIgnoredByAbac = [
  ['AcrPull', '7f951dda-4ed3-4680-a7ca-43fe172d538d', 'Container Registry Repository Reader'],
  ['AcrPush', '8311e382-0749-4cb8-b61a-304f252e45ec', 'Container Registry Repository Writer'],
] as const;

async function assertRoleEffective(
  { arm }: Session,
  { role, roleDefinitionId, scope }: RoleGrant,
): Promise<void> {
  const [registry, name = ''] =
    /^\/subscriptions\/[^/]+\/resourceGroups\/[^/]+\/providers\/Microsoft\.ContainerRegistry\/registries\/([^/]+)/i.exec(
      scope,
    ) ?? [];
  const unheeded = rolesIgnoredByAbac.find(([, guid]) => roleDefinitionId.toLowerCase().endsWith(guid));
  if (!registry || !unheeded) return;
  const [legacy, , instead] = unheeded;
  const mode = await registryMode(arm, registry);
  if (mode !== 'AbacRepositoryPermissions') return;
  throw new ActionError(`granting ${role} on ${scope}`, {
    message: `Registry ${name} takes its permissions per repository (ABAC mode) and ignores ${legacy}: it could be granted, but would open nothing.`,
    explanation: {
      cause: `In the mode "RBAC Registry + ABAC Repository Permissions" a registry heeds roles for repositories only (roleAssignmentMode ${mode}).`,
      who: "the workflow's author",
      fix: [`Write \`${instead} on ${scope}\` in \`role-assignments\`.`, 'https://aka.ms/acr/auth/abac'],
    },
  });
}

/** Undefined where it cannot be read: whoever may grant a role on a registry need not be able to read it. */
async function registryMode(arm: Session['arm'], registry: string): Promise<string | undefined> {
  try {
    const { properties } = await arm<{ properties?: { roleAssignmentMode?: string } }>(
      'GET',
      registry,
      apiVersions.registries,
    );
    return properties?.roleAssignmentMode;
  } catch (error) {
    if (error instanceof AzureError && error.fault.status !== 401 && error.fault.status !== 404)
      return undefined;
    throw isNotFound(error) ? new ActionError(`reading registry ${registry}`, { cause: error }) : error;
  }
}

// Scopes of other tenants

async function assertScopeInTenant(session: Session, role: string, scope: string): Promise<void> {
  const subscriptionId = /^\/subscriptions\/([^/]+)/i.exec(scope)?.[1]?.toLowerCase();
  if (!subscriptionId || subscriptionId === session.subscriptionId.toLowerCase()) return;
  const tenant = await scopeOwnerTenant(session, subscriptionId);
  if (tenant && tenant !== session.tenantId) throw scopeInOtherTenantError(session, role, scope, tenant);
}

/**
 * The tenant that owns a subscription. Whoever asks without a token is told where to get one:
 * `WWW-Authenticate: Bearer authorization_uri="https://login…/<tenant>"`.
 */
async function scopeOwnerTenant({ cloud }: Session, subscriptionId: string): Promise<string | undefined> {
  const get = createHttpGet({ httpClient: sharedHttpClient() });
  const url = `${cloud.resourceManager}/subscriptions/${subscriptionId}?api-version=${apiVersions.subscriptions}`;
  try {
    const answer = await get(url);
    const uri = /authorization_uri="([^"]+)"/i.exec(answer.header('www-authenticate') ?? '')?.[1] ?? '';
    const tenant = new URL(uri).pathname.split('/')[1]?.toLowerCase();
    return tenant && isGuid(tenant) ? tenant : undefined;
  } catch {
    // Only a shortcut to a better message: requests with a token will tell, too.
    return undefined;
  }
}

/** The other tenant's ID where Azure refused a token of ours for being of the wrong tenant; '' if it does not say which. */
function scopeTenantError(error: unknown): string | undefined {
  const fault =
    error instanceof AzureError
      ? error.fault
      : error instanceof ActionError && error.cause instanceof AzureError
        ? error.cause.fault
        : undefined;
  if (fault?.code !== 'InvalidAuthenticationTokenTenant') return undefined;
  return /must match the tenant 'https:\/\/[^/]+\/([0-9a-f-]{36})/i.exec(fault.message)?.[1] ?? '';
}

function scopeInOtherTenantError(
  session: Session,
  role: string,
  scope: string,
  tenant: string,
  cause?: unknown,
): ActionError {
  const registry = /\/registries\/([^/]+)/i.exec(scope)?.[1];
  return new ActionError(`granting ${role} on ${scope}`, {
    message: `The scope belongs to ${tenant ? `tenant ${tenant}` : 'another tenant'}, the machine to tenant ${session.tenantId}.`,
    cause,
    explanation: {
      cause:
        "A managed identity exists in its machine's own tenant alone. No other tenant can grant it anything, whoever asks.",
      who: "the workflow's author",
      fix: [
        ...(registry
          ? [
              `Copy what is needed to a registry in the machine's tenant, and grant the role there:`,
              `az acr import --name <registry> --source ${registry}.azurecr.io/<repository>:<tag> --username <token-name> --password <token>`,
              'Or make a token for these repositories alone, and hand it to the script through `run-script-secrets`:',
              `az acr token create --registry ${registry} --name <token-name> --scope-map _repositories_pull`,
            ]
          : []),
        `Or grant the role to an app that has a service principal in both tenants and trusts the user-assigned identity as its federated credential; the script signs in as that app:`,
        'https://learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity',
      ],
    },
  });
}

// What is granted already, and what may be granted

/**
 * Name of a role assignment: the same for the same scope, role and principal, so that a rerun meets its own, and never
 * the same for another principal, which Azure refuses (RoleAssignmentUpdateNotPermitted). UUID version 5 (RFC 9562, 5.5).
 */
export function assignmentName(
  grant: Pick<RoleGrant, 'scope' | 'roleDefinitionId'>,
  principalId: string,
): string {
  const role = grant.roleDefinitionId.split('/').at(-1) ?? '';
  return uuid5(urlNamespace, [grant.scope, role, principalId].join('\n').toLowerCase());
}

const urlNamespace = '6ba7b811-9dad-11d1-80b4-00c04fd430c8';

/** A UUID made from a name: the SHA-1 hash of namespace and name, with version and variant set. */
export function uuid5(namespace: string, name: string): string {
  const bytes = createHash('sha1')
    .update(Buffer.from(namespace.replaceAll('-', ''), 'hex'))
    .update(name)
    .digest()
    .subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x50;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
