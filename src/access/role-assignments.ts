import { apiVersions } from '../azure/api-versions.ts';
import { type Session, listAllPages } from '../azure/arm-client.ts';
import { undefinedIfForbidden, undefinedIfNotFound } from '../azure/lookup.ts';
import { pollUntil } from '../azure/polling.ts';
import { groupId, sameId } from '../azure/resource-id.ts';
import { listSubscriptions } from '../azure/subscriptions.ts';
import type { RunContext } from '../deployment/cleanup-state.ts';
import { createIfMissing } from '../deployment/create-if-missing.ts';
import {
  type Tags,
  classifyOwnership,
  groupTag,
  tagValue,
  tagsFromDescription,
  tagsToDescription,
} from '../deployment/ownership.ts';
import type { Plan } from '../deployment/resources.ts';
import { ActionError, AzureError, isClientError, withActivity } from '../errors/errors.ts';
import { allSettledOrThrow, mapLimited } from '../lib/abort.ts';
import { clockSeconds } from '../lib/clock.ts';
import {
  type AccessPlan,
  type ManagedIdentity,
  type Principal,
  cannotAssignError,
  findIdentity,
} from './resolve-access.ts';
import { type RoleGrant, assignmentName, grantKey } from './role-definitions.ts';

type AccessContext = RunContext & { readonly clientId: string };

interface GrantTask {
  readonly principalId: string;
  /** IDs of the assignments whose PUT was sent. */
  readonly recorded: string[];
  readonly done: Promise<unknown>;
  readonly abort: AbortController;
}

/** Prepares the identities and role assignments of a deployment; sends nothing yet. */
export function createAccessTasks(context: AccessContext, plan: Plan, accessPlan: AccessPlan) {
  const { session, run } = context;
  const stopAll = new AbortController();
  const tasks = new Map<string, GrantTask>();
  let vmTask: GrantTask | undefined;

  const start = (principal: Principal): GrantTask => {
    const { principalId } = principal;
    const known = tasks.get(principalId);
    if (known) return known;
    const abort = new AbortController();
    const signal = AbortSignal.any([session.waiting.signal, stopAll.signal, abort.signal]);
    const recorded: string[] = [];
    const details = { plan, held: accessPlan.held, recorded };
    const taskContext = { ...context, session: session.withSignal(signal) };
    const done = allSettledOrThrow(
      accessPlan.grants.map((grant) => assignRole(taskContext, grant, principal, details)),
    );
    // Awaited by `waitUntilGranted`, perhaps much later.
    done.catch(() => undefined);
    const task = { principalId, recorded, done, abort };
    tasks.set(principalId, task);
    return task;
  };

  return {
    adopted: [...accessPlan.named.values()].filter(
      ({ tags }) => classifyOwnership(tags, plan.deployment, run) === 'ours',
    ),
    /** Starts to assign roles to each identity as soon as it exists. */
    async createIdentities() {
      for (const principal of accessPlan.given) start(principal);
      await allSettledOrThrow(
        plan.identities.map(async (planned) => {
          const existing = accessPlan.named.get(planned.name.toLowerCase());
          const { properties } = await createIdentity(context, plan, planned, existing);
          start({ what: `identity ${planned.name}`, principalId: properties.principalId });
        }),
      );
    },
    grantToVm(principalId: string | undefined) {
      if (principalId && vmTask?.principalId !== principalId)
        vmTask = start({ what: "the VM's own identity", principalId });
    },
    /** @returns IDs of role assignments to delete with the VM. */
    async cancelVmGrants(): Promise<readonly string[]> {
      if (!vmTask) return [];
      const { principalId, recorded, done, abort } = vmTask;
      vmTask = undefined;
      tasks.delete(principalId);
      abort.abort(new Error('its VM was deleted'));
      await done.catch(() => undefined);
      return recorded;
    },
    async waitUntilGranted() {
      await Promise.all([...tasks.values()].map(({ done }) => done));
    },
    /** Lets requests in flight finish: no role is assigned afterwards. */
    async stop() {
      stopAll.abort(new Error('the run ends'));
      await Promise.allSettled([...tasks.values()].map(({ done }) => done));
    },
  };
}

async function createIdentity(
  context: AccessContext,
  plan: Plan,
  { id, name }: Plan['identities'][number],
  existing: ManagedIdentity | undefined,
): Promise<ManagedIdentity> {
  const { session, run, log } = context;
  const body = { location: plan.location, tags: plan.tags };
  return withActivity(`creating identity ${name}`, () =>
    createIfMissing<ManagedIdentity>(context, {
      what: `identity ${name}`,
      id,
      existing,
      lookAgain: true,
      accept: ({ tags }) => {
        if (classifyOwnership(tags, plan.deployment, run) === 'ours') return;
        log.info(`Identity ${name} exists and is not this deployment's: it is used and never deleted.`);
      },
      put: (onStatus) => {
        log.info(`Creating identity ${name}.`);
        return session.arm('PUT', id, apiVersions.identities, { body, onStatus });
      },
      reread: () => undefinedIfNotFound(findIdentity(session, id)),
    }),
  );
}

async function assignRole(
  context: AccessContext,
  grant: RoleGrant,
  principal: Principal,
  { plan, held, recorded }: { plan: Plan; held: ReadonlySet<string>; recorded: string[] },
): Promise<void> {
  const { session, cleanupState, run, log, clientId } = context;
  const { role, roleDefinitionId, scope } = grant;
  const { what, principalId } = principal;
  if (held.has(grantKey(grant, principalId))) {
    log.info(`Role ${role} on ${scope} is already assigned to ${what}.`);
    return;
  }
  const owner = [plan.vm.id, run.serverUrl, run.repository];
  const id = `${scope}/providers/Microsoft.Authorization/roleAssignments/${assignmentName(grant, principalId, owner)}`;
  // With principalType, Azure does not look up the principal in Entra ID, where a new identity is still missing.
  const description = tagsToDescription({ ...plan.tags, [groupTag]: groupId(plan.subscriptionId, plan.resourceGroup) });
  const properties = { roleDefinitionId, principalId, principalType: 'ServicePrincipal', description };
  let rejected = false;
  let existed = false;
  const put = async (): Promise<void> => {
    rejected = false;
    try {
      await session.arm('PUT', id, apiVersions.roleAssignments, {
        body: { properties },
        onStatus: (status, isRepeated) => (existed = status === 200 && !isRepeated),
      });
    } catch (error) {
      rejected = isClientError(error);
      throw error;
    }
  };
  log.info(`Assigning role ${role} on ${scope} to ${what} (${principalId}).`);
  cleanupState.addPending(id);
  recorded.push(id);
  try {
    await retryUntilReplicated(context, what, put);
    if (existed) cleanupState.markExisting(id);
    else cleanupState.markAccepted(id);
    log.info(`Role ${role} on ${scope} is assigned to ${what}.`);
  } catch (error) {
    // Also after the wait for Entra ID was aborted: the last PUT was rejected, so there is nothing to clean up.
    if (rejected) cleanupState.discard(id);
    if (!(error instanceof AzureError)) throw error;
    if (error.fault.code === 'RoleAssignmentExists') {
      // Under another name, which the app could not list.
      log.info(`Role ${role} on ${scope} is already assigned to ${what}.`);
      return;
    }
    if (error.fault.code === 'AuthorizationFailed') throw cannotAssignError(grant, clientId, principal, error);
    throw new ActionError(`granting ${role} on ${scope} to ${what}`, { cause: error });
  }
}

const maxReplicationSeconds = 300;

/** Retries until the new principal has replicated in Entra ID (6 to 269 s in recorded runs, even with `principalType`). */
async function retryUntilReplicated({ session, log }: AccessContext, what: string, put: () => Promise<void>) {
  const start = clockSeconds();
  const tryPut = async (): Promise<true | undefined> => {
    try {
      await put();
      return true;
    } catch (error) {
      const isUnknown = error instanceof AzureError && error.fault.code === 'PrincipalNotFound';
      if (!isUnknown || clockSeconds() - start > maxReplicationSeconds) throw error;
      return undefined;
    }
  };
  if (await tryPut()) return;
  log.info(`Entra ID does not know ${what} yet (PrincipalNotFound); retrying until it does.`);
  await pollUntil(`Entra ID to know ${what}`, 'directory', session.waiting, tryPut);
}

export interface RoleAssignment {
  readonly id: string;
  readonly properties: { readonly principalId?: string; readonly description?: string | null };
}

/**
 * Those of deployments in this resource group, by their description: they have no tags and are in no list of resources.
 * Searches every subscription of the tenant that the app can see, because a registry is often in another one.
 */
export async function findRoleAssignments(
  session: Session,
  resourceGroup: string,
  isWanted: (tags: Tags, principalId: string | undefined) => boolean,
) {
  const own = session.subscriptionId.toLowerCase();
  const group = groupId(own, resourceGroup);
  const listed = (await undefinedIfForbidden(listSubscriptions(session.arm, session.tenantId))) ?? [];
  const others = listed.map(({ subscriptionId }) => subscriptionId.toLowerCase()).filter((id) => id !== own);
  // Two subscriptions with four scopes each: a sweep deletes two deployments at a time, with at most 16 requests.
  const found = await mapLimited([own, ...others], 2, (id) =>
    listInSubscription(session, id, id === own ? [group] : []),
  );
  const described = found
    .flatMap(({ assignments }) => assignments)
    .map(({ id, properties }) => ({ id, ...properties, tags: tagsFromDescription(properties.description) }))
    // Without the group, the deployment's name decides alone.
    .filter(({ tags, principalId }) => sameId(tagValue(tags, groupTag) ?? group, group) && isWanted(tags, principalId));
  // An assignment on a management group is in the list of each subscription below it.
  const assignments = [...new Map(described.map((each) => [each.id.toLowerCase(), each])).values()];
  // Subscriptions of which the app may not list all role assignments: some of the deployment may be missing.
  const incomplete = [own, ...others].filter((_, index) => !found[index]?.isComplete);
  return { assignments, ids: assignments.map(({ id }) => id), incomplete };
}

/** Scopes that are listed one by one if the subscription cannot be listed: each costs one of 250 reads. */
const maxScopes = 50;

/** Without permission for the subscription's list, visible groups and resources are listed one by one. */
async function listInSubscription(session: Session, subscriptionId: string, knownScopes: readonly string[]) {
  const subscription = `/subscriptions/${subscriptionId}`;
  const complete = await listAtScope(session, subscription);
  if (complete) return { assignments: complete, isComplete: true };
  const [groups = [], resources = []] = await Promise.all(
    ['resourceGroups', 'resources'].map(async (list) => {
      const items = listAllPages<{ id: string }>(session.arm, `${subscription}/${list}`, apiVersions.resources);
      return (await undefinedIfForbidden(items))?.map(({ id }) => id);
    }),
  );
  const groupLists = await listAtScopes(session, [...knownScopes, ...groups], maxScopes);
  const isListed = (id: string) =>
    groupLists.some(({ scope, assignments }) => assignments && id.toLowerCase().startsWith(`${scope}/`));
  const outside = resources.filter((id) => !isListed(id));
  const resourceLists = await listAtScopes(session, outside, maxScopes - groupLists.length);
  const assignments = [...groupLists, ...resourceLists].flatMap((list) => list.assignments ?? []);
  return { assignments, isComplete: false };
}

async function listAtScopes(session: Session, scopes: readonly string[], limit: number) {
  const distinct = [...new Set(scopes.map((scope) => scope.toLowerCase()))].slice(0, limit);
  return mapLimited(distinct, 4, async (scope) => ({ scope, assignments: await listAtScope(session, scope) }));
}

async function listAtScope(session: Session, scope: string): Promise<RoleAssignment[] | undefined> {
  const path = `${scope}/providers/Microsoft.Authorization/roleAssignments`;
  return undefinedIfForbidden(listAllPages<RoleAssignment>(session.arm, path, apiVersions.roleAssignments));
}
