import { apiVersions } from '../azure/api-versions.ts';
import { pollUntil } from '../azure/polling.ts';
import type { Session } from '../azure/arm-client.ts';
import type { CleanupState } from '../deployment/cleanup-state.ts';
import { classifyOwnership, tagsToDescription } from '../deployment/ownership.ts';
import type { Plan } from '../deployment/plan.ts';
import { ActionError, withActivity } from '../errors/action-error.ts';
import { AzureError, isClientError } from '../errors/azure-error.ts';
import { allSettledOrThrow } from '../lib/abort.ts';
import { clockSeconds } from '../lib/clock.ts';
import type { WorkflowRun } from '../runner/github-context.ts';
import {
  type AccessPlan,
  type ManagedIdentity,
  type Principal,
  cannotAssignError,
} from './resolve-access.ts';
import { type RoleGrant, assignmentName } from './role-definitions.ts';

// Carrying it out

interface AccessContext {
  readonly session: Session;
  readonly cleanupState: CleanupState;
  readonly run: WorkflowRun;
  readonly clientId: string;
  readonly log: { info(line: string): void; notice(line: string): void };
}

/** Identities and roles of one deployment, granted beside everything else. */
interface AccessTasks {
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
          session.arm<ManagedIdentity>('PUT', id, apiVersions.identities, {
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
      await session.arm('PUT', id, apiVersions.roleAssignments, {
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
