import { isNotFound, undefinedIfNotFound } from '../azure/lookup.ts';
import { isConcurrentOperation, retryDelaySeconds, retryMessage } from '../azure/policies/retry.ts';
import { pollUntilDone } from '../azure/polling.ts';
import { type ResourceId, sameId } from '../azure/resource-id.ts';
import type { CleanupState } from '../deployment/cleanup-state.ts';
import { AzureError, rootDetail } from '../errors/azure-error.ts';
import { delay, delayWithProgress } from '../lib/abort.ts';
import { clockSeconds } from '../lib/clock.ts';
import { detachUnowned, includeVmDisks } from './detach-unowned.ts';
import {
  type DeletionContext,
  type DeletionResult,
  type ResourceType,
  commandType,
  deletionTarget,
  isRunCommand,
  machineOf,
  resourceTypes,
  vmType,
} from './resource-types.ts';

/**
 * Deletes resources in dependency order, all that can go at once side by side. Each one's own tag is read right before;
 * nothing without it goes, nor anything of a type that is not listed above. Never throws: what could not be deleted is told.
 */
export async function deleteResources(
  context: DeletionContext,
  ids: readonly string[],
): Promise<DeletionResult> {
  const removal = {
    deleted: [] as string[],
    notFound: [] as string[],
    notOwned: [] as string[],
    failed: [] as { id: string; error: unknown }[],
  };
  const targets = ids.flatMap((id) => {
    const target = deletionTarget(id);
    const kind = target && resourceTypes[target.type];
    // A run command goes with its machine.
    const goesAlong = target?.type === commandType && ids.some((other) => sameId(other, machineOf(id)));
    return kind && !goesAlong ? [{ id: target, kind }] : [];
  });
  const endings = new Map<string, Promise<boolean>[]>();
  // Types that nothing waits for come first, so that every promise to wait for is there already.
  const order = Object.keys(resourceTypes);
  const sorted = targets.toSorted((a, b) => order.indexOf(a.id.type) - order.indexOf(b.id.type));
  const all: Promise<boolean>[] = [];
  const goingIds = targets.map(({ id }) => id.id);
  for (const { id, kind } of sorted) {
    const before = Promise.all(kind.after.flatMap((type) => endings.get(type) ?? []));
    const ending = (async () => {
      // What is held by something that stays is not worth waiting for.
      const patience = (await before).every((gone) => gone) ? maxConflictWaitSeconds : 0;
      try {
        const outcome = await deleteResource(context, id, kind, goingIds, patience);
        removal[outcome].push(id.id);
        return outcome !== 'notOwned';
      } catch (error) {
        removal.failed.push({ id: id.id, error });
        return false;
      }
    })();
    endings.set(id.type, [...(endings.get(id.type) ?? []), ending]);
    all.push(ending);
  }
  await Promise.all(all);
  return removal;
}

/**
 * Refusals that pass by themselves: what holds the resource is still going, or Azure keeps an interface for its failed
 * machine for 180 seconds (NicReservedForAnotherVm).
 */
const heldResources =
  /InUse|CannotBeDeleted|Reserved|Attached|is attached to|Conflict|AnotherOperation|Preempted/i;

const maxConflictWaitSeconds = 300;

/** What belongs to somebody else holds it: that does not pass, unless Azure is only slow to see that it let go. */
const otherUserWaitSeconds = 20;

/** When to look again for what may still come into being. */
const recheckDelays = [2, 3, 5, 10];

async function deleteResource(
  context: DeletionContext,
  id: ResourceId,
  kind: ResourceType,
  going: readonly string[],
  patience: number,
): Promise<'deleted' | 'notFound' | 'notOwned'> {
  const { session, log, belongs, unanswered = [] } = context;
  const { waiting } = session;
  const what = `${kind.label} ${id.name}`;
  const start = clockSeconds();
  const laterStill = unanswered.some((other) => sameId(other, id.id)) ? [...recheckDelays] : [];
  let sent = false;
  for (let passing = 0, holding = 0; ; ) {
    const found = await undefinedIfNotFound(kind.tags(session, id).then((tags) => ({ tags })));
    if (!found) {
      if (sent) return 'deleted';
      const later = laterStill.shift();
      if (later === undefined) return 'notFound';
      log.info(`${what} is not there, but its creation was under way: looking again in ${later} s.`);
      await delay(later, waiting.signal);
      continue;
    }
    if (!(await belongs(found.tags, id.id))) return 'notOwned';
    try {
      if (id.type === vmType) await detachUnowned(context, id);
      log.info(`Deleting ${what}.`);
      sent = true;
      const removing = kind.remove(session, id);
      await ('submitted' in removing ? pollUntilDone(what, 'delete', waiting, removing) : removing);
      return 'deleted';
    } catch (error) {
      if (waiting.signal.aborted || !(error instanceof AzureError)) throw error;
      if (isNotFound(error)) return 'deleted';
      // The pipeline sends no DELETE twice: what it hits may by now be somebody else's, so its tag is read again first.
      const passes = retryDelaySeconds(error.fault, passing);
      if (passes !== undefined) {
        passing++;
        log.info(`${what}: ${retryMessage(error.fault, passes)}`);
        await delayWithProgress(passes, waiting.signal, log.info);
        continue;
      }
      const elapsed = clockSeconds() - start;
      const limit = isUsedByOthers(error, id, going) ? Math.min(patience, otherUserWaitSeconds) : patience;
      if (!isInUse(error) || elapsed >= limit) throw error;
      const seconds = Math.min(15, 1.5 ** holding++);
      log.info(
        `${what} is still held: ${rootDetail(error.fault).code}; trying again in ${Math.round(seconds)} s.`,
      );
      await delay(seconds, waiting.signal);
    }
  }
}

function isInUse({ fault }: AzureError): boolean {
  const { code, message } = rootDetail(fault);
  return (
    isConcurrentOperation(fault) ||
    heldResources.test(`${fault.code} ${code} ${/is attached to/.exec(message)?.[0] ?? ''}`)
  );
}

/** Does the refusal name holders, and none of them is going too? */
function isUsedByOthers({ fault }: AzureError, { id }: ResourceId, going: readonly string[]): boolean {
  const named = (fault.body.match(/\/subscriptions\/[^\s"',\\]+/gi) ?? [])
    .map((one) => one.toLowerCase().replace(/[.;]$/, ''))
    .filter((one) => !withTimeout(one, id) && one.includes('/providers/') && !one.includes('/locations/'));
  return named.length > 0 && !named.some((one) => going.some((target) => withTimeout(one, target)));
}

function withTimeout(lowerCased: string, id: string): boolean {
  const outer = id.toLowerCase();
  return lowerCased === outer || lowerCased.startsWith(`${outer}/`);
}

/** Deletes resources that this run created, the youngest first, and strikes them from the ledger. */
export async function rollback(
  context: DeletionContext,
  cleanupState: CleanupState,
  ids: readonly string[],
): Promise<DeletionResult> {
  const removal = await deleteResources(context, (await includeVmDisks(context, ids)).toReversed());
  // What was absent may still come if its PUT was on its way when the run was cancelled: the post step looks again.
  const notFound = removal.notFound.filter(
    (id) => context.unanswered || !cleanupState.entries.pending.some((other) => sameId(other, id)),
  );
  const gone = [...removal.deleted, ...notFound];
  // Azure deletes run commands with their VM; one left in the state would make the post step sign in for nothing.
  const commands = ids.filter((id) => isRunCommand(id) && gone.some((vm) => sameId(vm, machineOf(id))));
  for (const id of [...gone, ...commands]) cleanupState.markDeleted(id);
  return removal;
}
