/**
 * Identities of the machine and the roles that they are given.
 *
 * Plain Resource Manager requests instead of @azure/arm-msi and @azure/arm-authorization: six kinds of request, none of
 * them long-running, against two more clients whose every operation group would be in the bundle and cost start time.
 */
import { createHash } from 'node:crypto';
import type { VirtualMachine } from '@azure/arm-compute';
import { sharedHttpClient, listAllPages, undefinedIfNotFound, isNotFound, type Session } from './azure.ts';
import { clockSeconds } from './clock.ts';
import { quoteForShell } from './explain/ids-and-roles.ts';
import { AzureError, withActivity, ActionError, isClientError } from './failure.ts';
import { authorizationApi } from './granted.ts';
import type { DeployInputs, RoleRequest } from './inputs.ts';
import { type CleanupState, tagsToDescription, classifyOwnership, type WorkflowRun } from './ledger.ts';
import type { Plan } from './plan.ts';
import { isGuid, resourceId, sameId } from './resource-id.ts';
import { evaluatePermissions, type Permission } from './rights.ts';
import { createHttpGet } from './signin.ts';
import { allSettledOrThrow, pollUntil } from './waiting.ts';

const identityApi = '2024-11-30';
/** The first stable one that tells `roleAssignmentMode`. */
const registryApi = '2025-11-01';

/** A role at a scope, with the role found. */
export interface RoleGrant {
  /** As the author named it. */
  readonly role: string;
  readonly roleDefinitionId: string;
  readonly scope: string;
}

/** Who is given roles: one identity of the machine. */
interface Principal {
  /** For people: `identity puller`. */
  readonly what: string;
  readonly principalId: string;
}

interface ManagedIdentity {
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

const identityType = 'Microsoft.ManagedIdentity/userAssignedIdentities';

function findIdentity({ arm }: Session, id: string): Promise<ManagedIdentity> {
  return arm<ManagedIdentity>('GET', id, identityApi);
}

// Roles and scopes

async function resolveRoleGrant(session: Session, { role, scope }: RoleRequest): Promise<RoleGrant> {
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
      authorizationApi,
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
      registryApi,
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
  const url = `${cloud.resourceManager}/subscriptions/${subscriptionId}?api-version=2022-12-01`;
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
        return (await listAllPages<ExistingAssignment>(arm, path, authorizationApi, { $filter })).filter(
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
    permissions = await listAllPages<Permission>(arm, path, authorizationApi);
  } catch (error) {
    if (error instanceof AzureError) return;
    throw error;
  }
  if (evaluatePermissions(permissions, grantAction) === 'denied') throw cannotAssignError(grant, clientId);
}

function cannotAssignError(
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

// Carrying it out

export interface AccessContext {
  readonly session: Session;
  readonly cleanupState: CleanupState;
  readonly run: WorkflowRun;
  readonly clientId: string;
  readonly log: { info(line: string): void; notice(line: string): void };
}

/** Identities and roles of one deployment, granted beside everything else. */
export interface AccessTasks {
  /** Resource IDs of identities of plain names that belong to this deployment since an earlier run. */
  readonly adopted: readonly string[];
  /** Makes the identities that are missing; as soon as each is there, its roles begin to be granted. */
  createIdentities(): Promise<void>;
  /** Begins to grant the roles to the machine's own identity; again for the same one does nothing. */
  grantToVm(principalId: string | undefined): void;
  /** Stops that again because the machine goes. @returns IDs of role assignments that go with it. */
  cancelVmGrants(): Promise<readonly string[]>;
  /** Resolves when all roles are granted. */
  waitUntilGranted(): Promise<void>;
  /** Ends all waiting and lets requests that are under way end: nothing more is granted afterwards. */
  stop(): Promise<void>;
}

/** Opens the access part of a deployment; nothing is sent yet. */
export function createAccessTasks(context: AccessContext, plan: Plan, survey: AccessPlan): AccessTasks {
  const { session, cleanupState, run, log } = context;
  const all = new AbortController();
  interface Work {
    readonly principalId: string;
    readonly recorded: string[];
    readonly done: Promise<unknown>;
    readonly stop: AbortController;
  }
  const works = new Map<string, Work>();
  let vm: Work | undefined;

  const begin = (principal: Principal): Work => {
    const known = works.get(principal.principalId);
    if (known) return known;
    const stop = new AbortController();
    const { signal } = session.waiting;
    const under = session.withSignal(AbortSignal.any([signal, all.signal, stop.signal]));
    const recorded: string[] = [];
    const done = allSettledOrThrow(
      survey.grants.map((grant) =>
        assignRole({ ...context, session: under }, plan, survey, grant, principal, recorded),
      ),
    );
    // Awaited by `granted`, perhaps much later.
    done.catch(() => undefined);
    const work = { principalId: principal.principalId, recorded, done, stop };
    works.set(principal.principalId, work);
    return work;
  };

  const bringOne = async ({ id, name }: { id: string; name: string }): Promise<void> => {
    const what = `identity ${name}`;
    let identity = survey.named.get(name.toLowerCase());
    if (identity && classifyOwnership(identity.tags, plan.deployment, run) !== 'ours') {
      log.info(`${what} exists already and is not this deployment's: used as it is, and never deleted.`);
    }
    if (!identity) {
      log.info(`Creating ${what}.`);
      cleanupState.addPending(id);
      try {
        identity = await withActivity(`creating ${what}`, () =>
          session.arm<ManagedIdentity>('PUT', id, identityApi, {
            body: { location: plan.location, tags: plan.tags },
          }),
        );
      } catch (error) {
        if (error instanceof ActionError && isClientError(error.cause)) cleanupState.discard(id);
        throw error;
      }
      cleanupState.markAccepted(id);
    }
    begin({ what, principalId: identity.properties.principalId });
  };

  return {
    adopted: [...survey.named.values()].flatMap(({ id, tags }) =>
      classifyOwnership(tags, plan.deployment, run) === 'ours' ? [id] : [],
    ),
    async createIdentities() {
      for (const principal of survey.given) begin(principal);
      await allSettledOrThrow(plan.identities.map(bringOne));
    },
    grantToVm(principalId) {
      if (principalId && vm?.principalId !== principalId)
        vm = begin({ what: "the machine's own identity", principalId });
    },
    async cancelVmGrants() {
      if (!vm) return [];
      const { principalId, recorded, done, stop } = vm;
      vm = undefined;
      works.delete(principalId);
      stop.abort(new Error('its machine is gone'));
      await done.catch(() => undefined);
      return recorded;
    },
    async waitUntilGranted() {
      await Promise.all([...works.values()].map(({ done }) => done));
    },
    async stop() {
      all.abort(new Error('the run ends'));
      await Promise.allSettled([...works.values()].map(({ done }) => done));
    },
  };
}

const maxReplicationSeconds = 300;

async function assignRole(
  context: AccessContext,
  plan: Plan,
  survey: AccessPlan,
  grant: RoleGrant,
  { what, principalId }: Principal,
  recorded: string[],
): Promise<void> {
  const { session, cleanupState, log, clientId } = context;
  const { role, roleDefinitionId, scope } = grant;
  const name = assignmentName(grant, principalId);
  if (survey.held.has(name)) {
    log.info(`${what} has ${role} on ${scope} already.`);
    return;
  }
  const id = `${scope}/providers/Microsoft.Authorization/roleAssignments/${name}`;
  let refused = false;
  const put = async (): Promise<void> => {
    refused = false;
    try {
      await session.arm('PUT', id, authorizationApi, {
        body: {
          properties: {
            roleDefinitionId,
            principalId,
            // Without it Azure asks Entra for the kind of principal, and an identity that was just made is not there yet.
            principalType: 'ServicePrincipal',
            description: tagsToDescription(plan.tags),
          },
        },
      });
    } catch (error) {
      refused = isClientError(error);
      throw error;
    }
  };
  log.info(`Granting ${role} on ${scope} to ${what} (${principalId}).`);
  cleanupState.addPending(id);
  recorded.push(id);
  try {
    await retryUntilReplicated(context, what, put);
    cleanupState.markAccepted(id);
    log.info(`${what} has ${role} on ${scope} now.`);
  } catch (error) {
    // Also where the wait for Entra was cut short: clean-up need not look out for it.
    if (refused) cleanupState.discard(id);
    if (!(error instanceof AzureError)) throw error;
    if (error.fault.code === 'RoleAssignmentExists') {
      // Under another name, which the app was not allowed to list.
      log.info(`${what} has ${role} on ${scope} already.`);
      return;
    }
    if (error.fault.code === 'AuthorizationFailed')
      throw cannotAssignError(grant, clientId, { what, principalId }, error);
    throw new ActionError(`granting ${role} on ${scope} to ${what}`, { cause: error });
  }
}

/**
 * Grants as soon as Entra lets it: what Azure has just made is not known to all of the directory for 6 to 269 s, also
 * with the principal's type told.
 */
async function retryUntilReplicated(
  { session, log }: AccessContext,
  what: string,
  put: () => Promise<void>,
): Promise<void> {
  const isUnknown = (error: unknown): boolean =>
    error instanceof AzureError && error.fault.code === 'PrincipalNotFound';
  try {
    await put();
    return;
  } catch (error) {
    if (!isUnknown(error)) throw error;
  }
  log.info(`Entra ID does not know ${what} yet (PrincipalNotFound): asking again until it does.`);
  const start = clockSeconds();
  await pollUntil(`Entra ID to know ${what}`, 'directory', session.waiting, async () => {
    try {
      await put();
      return true;
    } catch (error) {
      if (!isUnknown(error) || clockSeconds() - start > maxReplicationSeconds) throw error;
      return undefined;
    }
  });
}
