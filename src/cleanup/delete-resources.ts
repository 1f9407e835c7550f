import { isNotFound, undefinedIfNotFound } from '../azure/lookup.ts';
import { createRetries, isConcurrentOperation } from '../azure/policies/retry.ts';
import { pollUntilDone } from '../azure/polling.ts';
import { type ResourceId, sameId } from '../azure/resource-id.ts';
import type { CleanupState } from '../deployment/cleanup-state.ts';
import { AzureError, rootDetail } from '../errors/azure-error.ts';
import { delay } from '../lib/abort.ts';
import { clockSeconds } from '../lib/clock.ts';
import { detachUnowned, includeVmDisks } from './detach-unowned.ts';
import {
  type DeletionContext,
  type DeletionResult,
  type ResourceType,
  isRunCommand,
  parseDeletableId,
  resourceTypes,
  vmOfRunCommand,
  vmType,
} from './resource-types.ts';

interface Target {
  readonly id: ResourceId;
  readonly type: ResourceType;
}

/**
 * Deletes resources in dependency order, independent ones in parallel. Reads the tags of each right before its deletion,
 * and never deletes a type that is not in `resourceTypes`. Failures are part of the result, not thrown.
 */
export async function deleteResources(
  context: DeletionContext,
  ids: readonly string[],
): Promise<DeletionResult> {
  const result = {
    deleted: [] as string[],
    notFound: [] as string[],
    notOwned: [] as string[],
    failed: [] as { id: string; error: unknown }[],
  };
  const order = Object.keys(resourceTypes);
  const targets = ids
    .flatMap((id): Target[] => {
      const parsed = parseDeletableId(id);
      const type = parsed && resourceTypes[parsed.type];
      // Azure deletes run commands with their VM.
      const goesWithVm = isRunCommand(id) && ids.some((other) => sameId(other, vmOfRunCommand(id)));
      return type && !goesWithVm ? [{ id: parsed, type }] : [];
    })
    .toSorted((a, b) => order.indexOf(a.id.type) - order.indexOf(b.id.type));
  const deletions = new Map<string, Promise<boolean>[]>();
  for (const target of targets) {
    const { id, type } = target;
    const dependents = Promise.all(type.after.flatMap((other) => deletions.get(other) ?? []));
    const deletion = (async () => {
      try {
        // Waiting for a resource is pointless while one that uses it is kept.
        const maxWait = (await dependents).includes(false) ? 0 : maxInUseSeconds;
        const outcome = await deleteResource(context, target, targets, maxWait);
        result[outcome].push(id.id);
        return outcome !== 'notOwned';
      } catch (error) {
        result.failed.push({ id: id.id, error });
        return false;
      }
    })();
    deletions.set(id.type, [...(deletions.get(id.type) ?? []), deletion]);
  }
  await Promise.all([...deletions.values()].flat());
  return result;
}

/** When to read again a resource whose PUT may still succeed. */
const recheckDelays = [2, 3, 5, 10];

async function deleteResource(
  context: DeletionContext,
  target: Target,
  targets: readonly Target[],
  maxWait: number,
): Promise<'deleted' | 'notFound' | 'notOwned'> {
  const { session, log, isOwned, pending = [] } = context;
  const { id, type } = target;
  const what = `${type.label} ${id.name}`;
  const rechecks = pending.some((other) => sameId(other, id.id)) ? [...recheckDelays] : [];
  const retry = createRetry(context, target, targets, maxWait);
  let sent = false;
  for (;;) {
    const found = await undefinedIfNotFound(type.readTags(session, id).then((tags) => ({ tags })));
    if (!found) {
      if (sent) return 'deleted';
      const seconds = rechecks.shift();
      if (seconds === undefined) return 'notFound';
      log.info(`${what} not found, but its creation was in progress; checking again in ${seconds} s.`);
      await delay(seconds, session.waiting.signal);
      continue;
    }
    if (!(await isOwned(found.tags, id.id))) return 'notOwned';
    try {
      if (id.type === vmType) await detachUnowned(context, id);
      log.info(`Deleting ${what}.`);
      sent = true;
      const operation = type.delete(session, id);
      await ('submitted' in operation
        ? pollUntilDone(what, 'delete', session.waiting, operation)
        : operation);
      return 'deleted';
    } catch (error) {
      if (session.waiting.signal.aborted || !(error instanceof AzureError)) throw error;
      if (isNotFound(error)) return 'deleted';
      await retry(error);
    }
  }
}

/** Covers the 180 s for which Azure reserves a NIC for a VM that failed (NicReservedForAnotherVm). */
const maxInUseSeconds = 300;

/** In use by a resource that is kept: this only covers Azure's delay in releasing it. */
const maxForeignUseSeconds = 20;

/** Waits until the DELETE can be sent again, after the tags are read again; rethrows errors that do not pass. */
function createRetry(
  { session: { waiting }, log }: DeletionContext,
  { id, type }: Target,
  targets: readonly Target[],
  maxWait: number,
): (error: AzureError) => Promise<void> {
  const start = clockSeconds();
  const what = `${type.label} ${id.name}`;
  const waitBeforeRetry = createRetries(what, { signal: waiting.signal, log: log.info });
  let conflicts = 0;
  return async (error) => {
    if (await waitBeforeRetry(error.fault)) return;
    const limit = isUsedByOthers(error, id, targets) ? Math.min(maxWait, maxForeignUseSeconds) : maxWait;
    if (!isInUse(error) || clockSeconds() - start >= limit) throw error;
    const seconds = Math.min(15, 1.5 ** conflicts++);
    log.info(
      `${what} is still in use (${rootDetail(error.fault).code}); trying again in ${Math.round(seconds)} s.`,
    );
    await delay(seconds, waiting.signal);
  };
}

const inUseCodes =
  /InUse|CannotBeDeleted|Reserved|Attached|is attached to|Conflict|AnotherOperation|Preempted/i;

function isInUse({ fault }: AzureError): boolean {
  const { code, message } = rootDetail(fault);
  return (
    isConcurrentOperation(fault) ||
    inUseCodes.test(`${fault.code} ${code} ${/is attached to/.exec(message)?.[0] ?? ''}`)
  );
}

/** Whether the error names resources that use this one, and none of them is being deleted. */
function isUsedByOthers({ fault }: AzureError, { id }: ResourceId, targets: readonly Target[]): boolean {
  const users = (fault.body.match(/\/subscriptions\/[^\s"',\\]+/gi) ?? [])
    .map((user) => user.toLowerCase().replace(/[.;]$/, ''))
    .filter(
      (user) => !isSameOrChild(user, id) && user.includes('/providers/') && !user.includes('/locations/'),
    );
  return (
    users.length > 0 && !users.some((user) => targets.some((target) => isSameOrChild(user, target.id.id)))
  );
}

function isSameOrChild(lowerCasedId: string, id: string): boolean {
  const parent = id.toLowerCase();
  return lowerCasedId === parent || lowerCasedId.startsWith(`${parent}/`);
}

/** Deletes resources that this run created and removes them from the state. */
export async function rollback(
  context: DeletionContext,
  cleanupState: CleanupState,
  ids: readonly string[],
): Promise<DeletionResult> {
  const result = await deleteResources(context, (await includeVmDisks(context.session, ids)).toReversed());
  // A pending resource may still appear after the run was cancelled: the post step checks again.
  const notFound = result.notFound.filter(
    (id) => context.pending || !cleanupState.entries.pending.some((other) => sameId(other, id)),
  );
  const gone = [...result.deleted, ...notFound];
  // Azure deletes run commands with their VM; one left in the state would make the post step sign in for nothing.
  const commands = ids.filter((id) => isRunCommand(id) && gone.some((vm) => sameId(vm, vmOfRunCommand(id))));
  for (const id of [...gone, ...commands]) cleanupState.markDeleted(id);
  return result;
}
