import {
  isGone,
  isInUse,
  isNotFound,
  isUsedByOthers,
  listedButMissing,
  recheckDelays,
  undefinedIfNotFound,
} from '../azure/lookup.ts';
import { createRetries } from '../azure/policies/retry.ts';
import { hasOperationUrl, pollUntilDone } from '../azure/polling.ts';
import { type ResourceId, sameId } from '../azure/resource-id.ts';
import { mayDeleteAssignment } from '../deployment/ownership.ts';
import { ActionError, AzureError, isClientError, rootDetail } from '../errors/errors.ts';
import { delay } from '../lib/abort.ts';
import { clockSeconds } from '../lib/clock.ts';
import { shellCommand } from '../lib/escape.ts';
import {
  type VmParts,
  detachUnowned,
  type DeletionContext,
  type Holders,
  type DeletionResult,
  type ResourceType,
  assignmentType,
  createUndetachedWait,
  diskType,
  isDeletable,
  isRunCommand,
  isUnlisted,
  parseDeletableId,
  holderOf,
  readHolders,
  readTags,
  resourceTypes,
  vmOfRunCommand,
} from './resource-types.ts';

interface Target {
  readonly id: ResourceId;
  readonly type: ResourceType;
  /** For messages: `disk vm1-osdisk`. */
  readonly what: string;
}

/** What the deletions of one call have to know of each other. IDs are in lower case. */
interface Progress {
  readonly targets: readonly Target[];
  /** What Azure deletes with a VM or a network interface, as Azure spells it. */
  readonly deletedWithOthers: Map<string, string>;
  /** What a list or the VM has just shown: Azure is late if it is missing. */
  readonly shown: Set<string>;
  /** A VM that was found has shown the disks that exist. */
  areDisksShown: boolean;
  readonly principals: Map<string, string>;
  /** Role assignments that could not be deleted, by principal. Either is '' if unknown: both if the list failed. */
  readonly remainingAssignments: Map<string, string>;
  readonly readHolders: () => Promise<Holders>;
  /** What this run has created turned out to be gone: from then on, only the list of the group tells that a read is late. */
  isOutdated: boolean;
}

/** In dependency order. Each is read right before: no DELETE of these types takes If-Match (arm-compute 25, arm-network 39). */
export async function deleteResources(context: DeletionContext, ids: readonly string[]): Promise<DeletionResult> {
  const result = {
    deleted: [] as string[],
    notFound: [] as string[],
    notOwned: [] as string[],
    failed: [] as { id: string; error: unknown }[],
  };
  const targets = findTargets(ids);
  const progress: Progress = {
    targets,
    readHolders: createHolderReader(context, targets),
    deletedWithOthers: new Map(),
    shown: new Set(context.shown?.map((id) => id.toLowerCase())),
    areDisksShown: false,
    principals: new Map(),
    remainingAssignments: new Map(context.assignmentsUnknown ? [['', '']] : []),
    isOutdated: false,
  };
  const deletions = new Map<string, Promise<keyof DeletionResult>[]>();
  for (const target of progress.targets) {
    const { id, type } = target;
    const dependents = Promise.all(type.after.flatMap((other) => deletions.get(other) ?? []));
    const deletion = (async () => {
      try {
        const outcomes = await dependents;
        // Waiting for a resource is pointless while one that uses it is kept.
        const isUsed = outcomes.includes('notOwned') || outcomes.includes('failed');
        // The disk of another VM than the one that was to be deleted.
        const isOther = outcomes.includes('notOwned') && context.vmId !== undefined;
        const maxWait = isUsed ? 0 : maxInUseSeconds;
        const outcome = isOther ? 'notOwned' : await deleteResource(context, target, progress, maxWait);
        result[outcome].push(id.id);
        return outcome;
      } catch (error) {
        result.failed.push({ id: id.id, error });
        if (id.type !== assignmentType) return 'failed';
        progress.remainingAssignments.set(progress.principals.get(id.id.toLowerCase()) ?? '', id.id);
        return 'deleted';
      }
    })();
    deletions.set(id.type, [...(deletions.get(id.type) ?? []), deletion]);
  }
  await Promise.all([...deletions.values()].flat());
  result.deleted.push(...(await findOthersDeleted(context, progress)));
  return result;
}

/** What the caller did not name: the data disks of a VM that Azure was late to show. */
async function findOthersDeleted({ session }: DeletionContext, { targets, deletedWithOthers }: Progress) {
  targets.forEach(({ id }) => deletedWithOthers.delete(id.id.toLowerCase()));
  const others = [...deletedWithOthers.values()];
  const areGone = await Promise.all(others.map((id) => readTags(session, id).then(() => false, isNotFound)));
  return others.filter((_, index) => areGone[index]);
}

function findTargets(ids: readonly string[]): Target[] {
  const order = Object.keys(resourceTypes);
  const unique = new Map(ids.map((id) => [id.toLowerCase(), id]));
  return [...unique.values()]
    .flatMap((id): Target[] => {
      const parsed = parseDeletableId(id);
      const type = parsed && resourceTypes[parsed.type];
      // Azure deletes run commands with their VM.
      const goesWithVm = isRunCommand(id) && ids.some((other) => sameId(other, vmOfRunCommand(id)));
      return type && !goesWithVm ? [{ id: parsed, type, what: `${type.label} ${parsed.name}` }] : [];
    })
    .toSorted((a, b) => order.indexOf(a.id.type) - order.indexOf(b.id.type));
}

async function deleteResource(
  context: DeletionContext,
  target: Target,
  progress: Progress,
  maxWait: number,
): Promise<'deleted' | 'notFound' | 'notOwned'> {
  const { id } = target;
  const recheck = createRecheck(context, target, progress);
  const retry = createRetry(context, target, progress.targets, maxWait);
  const waitUnconfirmed = createUnconfirmedWait(context, target);
  const waitUndetached = createUndetachedWait(context, target.what);
  const isTarget = (part: string): boolean => progress.targets.some((other) => sameId(other.id.id, part));
  let vmParts: VmParts | undefined;
  let parts: readonly string[] = [];
  let sent = false;
  // Also after a DELETE whose answer was lost: what goes with the resource is then missing, not late.
  const markDeleted = () => {
    parts.forEach((part) => progress.deletedWithOthers.set(part.toLowerCase(), part));
    return 'deleted' as const;
  };
  for (;;) {
    const seen = await look(context, target, progress, vmParts);
    if (!seen) {
      if (sent || wasDeletedWithOther(progress, id.id.toLowerCase())) return markDeleted();
      if (await recheck()) continue;
      return 'notFound';
    }
    if (!seen.isOurs) return 'notOwned';
    assertNoAssignmentRemains(target, seen.principalId, progress);
    try {
      if (seen.vmToCheck) {
        await waitUndetached(vmParts);
        vmParts = await detachUnowned(context, seen.vmToCheck, isTarget);
        vmParts.missing.forEach((part) => progress.shown.add(part.toLowerCase()));
        progress.areDisksShown ||= vmParts.hasDisks;
        continue;
      }
      ({ parts = [] } = seen);
      if (await sendDelete(context, target, parts)) return markDeleted();
      sent = true;
      await waitUnconfirmed();
    } catch (error) {
      assertAnswered(context, error);
      if (isGone(error)) return markDeleted();
      // After a refused DELETE, a resource that is missing is late.
      sent ||= !seen.vmToCheck && (isNotFound(error) || !isClientError(error));
      await retry(error);
    }
  }
}

function assertAnswered({ session }: DeletionContext, error: unknown): asserts error is AzureError {
  if (session.waiting.signal.aborted || !(error instanceof AzureError)) throw error;
}

function wasDeletedWithOther({ deletedWithOthers, shown }: Progress, key: string): boolean {
  return deletedWithOthers.has(key) && !shown.has(key);
}

/** Reads all that the DELETE rests on at the same time. Undefined: not found. */
async function look(context: DeletionContext, { id, type }: Target, progress: Progress, vmParts?: VmParts) {
  const [found, holders, arePartsOurs] = await Promise.all([
    undefinedIfNotFound(type.read(context.session, id)),
    id.type === assignmentType ? progress.readHolders() : undefined,
    vmParts?.areStillOurs(),
  ]);
  if (!found) return undefined;
  const { tags, principalId, vm, addresses } = found;
  if (vm && context.vmId !== undefined && vm.vmId !== context.vmId) return { isOurs: false };
  const isHolderOurs = holders && holderOf(found, holders);
  const isOurs =
    isHolderOurs === undefined
      ? await isDeletable(context, id.id, tags)
      : mayDeleteAssignment(context.claim, id.id, tags, isHolderOurs);
  const isChecked = vm && arePartsOurs && vmParts?.covers(vm);
  const parts = vmParts?.deletedWithVm ?? addresses;
  return { isOurs, principalId, parts, vmToCheck: isChecked ? undefined : vm };
}

/** Read together with each role assignment, right before its DELETE. Assignments that are read at the same time share it. */
function createHolderReader(context: DeletionContext, targets: readonly Target[]): () => Promise<Holders> {
  let reading: Promise<Holders> | undefined;
  return () => (reading ??= readHolders(context, targets).finally(() => (reading = undefined)));
}

/** False if the response named no operation, as that of a proxy does: then only a read tells whether it is gone. */
async function sendDelete(context: DeletionContext, target: Target, parts: readonly string[]): Promise<boolean> {
  const { session, log, onDelete } = context;
  const { id, type, what } = target;
  onDelete?.([id.id, ...parts]);
  log.info(`Deleting ${what}.`);
  const operation = type.delete(session, id);
  await ('submitted' in operation ? pollUntilDone(what, 'delete', session.waiting, operation) : operation);
  return 'submitted' in operation && hasOperationUrl(operation);
}

/** The first read follows at once. */
function createUnconfirmedWait({ session, log }: DeletionContext, { what }: Target): () => Promise<void> {
  const start = clockSeconds();
  let waits = 0;
  return async () => {
    if (clockSeconds() - start >= maxInUseSeconds) {
      const message = 'It still exists although Azure, or a proxy, answered each DELETE as done.';
      throw new ActionError(`deleting ${what}`, { message, fix: ['Run `operation: delete` later.'] });
    }
    const seconds = waits === 0 ? 0 : Math.min(15, 1.5 ** waits);
    if (seconds > 0) log.info(`${what} still exists after its DELETE; checking again in ${Math.round(seconds)} s.`);
    waits++;
    await delay(seconds, session.waiting.signal);
  };
}

/** A role assignment outlives its principal, and then nothing leads to it: while one remains, its identity is kept. */
function assertNoAssignmentRemains(
  { id, what }: Target,
  principalId: string | undefined,
  { principals, remainingAssignments }: Progress,
): void {
  if (principalId === undefined) return;
  if (id.type === assignmentType) {
    principals.set(id.id.toLowerCase(), principalId.toLowerCase());
    return;
  }
  const assignment = remainingAssignments.get(principalId.toLowerCase()) ?? remainingAssignments.get('');
  if (assignment === undefined) return;
  const activity = `deleting ${what}`;
  const reason =
    'A role assignment outlives the identity that holds it, and could not be found by the identity afterwards.';
  if (assignment === '') {
    const message = 'It is kept because the role assignments of its identity could not be looked for.';
    throw new ActionError(activity, { message, reason, fix: ['Run `operation: delete` later.'] });
  }
  throw new ActionError(activity, {
    message: `It is kept because role assignment ${assignment} of its identity could not be deleted.`,
    reason,
    who: 'an Owner or User Access Administrator of the scope of the role assignment',
    fix: [
      'Delete the role assignment, then the deployment with `operation: delete`:',
      shellCommand`az role assignment delete --ids ${assignment}`,
    ],
  });
}

/** False: missing. @throws ActionError from the returned function if Azure had accepted the creation. */
function createRecheck(
  { session, log, created = [], pending = [], deleting = [], listed }: DeletionContext,
  { id, what }: Target,
  progress: Progress,
): () => Promise<boolean> {
  const delays = [...recheckDelays];
  const isSame = (other: string): boolean => sameId(other, id.id);
  const isExpected = created.some(isSame) && !deleting.some(isSame);
  const key = id.id.toLowerCase();
  const isShown = async () => progress.shown.has(key) || (await listed?.())?.some(isSame);
  return async () => {
    if (id.type === diskType && progress.areDisksShown && !progress.shown.has(key)) return false;
    const isCreated = isExpected && !progress.isOutdated;
    if (!isCreated && !(await isShown())) return false;
    const seconds = delays.shift();
    if (seconds !== undefined) {
      const reason = isCreated ? 'its creation was requested' : 'a list or its VM shows it';
      log.info(`${what} not found, but ${reason}; checking again in ${seconds} s.`);
      await delay(seconds, session.waiting.signal);
      return true;
    }
    if (!isCreated) log.warning(listedButMissing(id.id));
    if (!isCreated || pending.some(isSame)) return false;
    progress.isOutdated ||= await isUnlisted(listed, id, created);
    if (progress.isOutdated) return false;
    throw new ActionError(`deleting ${what}`, {
      message: `It was not found for 30 s although Azure had accepted its creation, and may be left behind.`,
    });
  };
}

/** Covers the 180 s for which Azure reserves a NIC for a VM that failed (NicReservedForAnotherVm). */
const maxInUseSeconds = 300;

/** In use by a resource that is kept: this only covers Azure's delay in releasing it. */
const maxForeignUseSeconds = 20;

/** Waits until the DELETE can be sent again, after the tags are read again; rethrows errors that do not pass. */
function createRetry(
  { session: { waiting }, log }: DeletionContext,
  { id, what }: Target,
  targets: readonly Target[],
  maxWait: number,
): (error: AzureError) => Promise<void> {
  const start = clockSeconds();
  const waitBeforeRetry = createRetries(what, { signal: waiting.signal, log: log.info });
  const targetIds = targets.map((target) => target.id.id);
  let conflicts = 0;
  return async (error) => {
    if (await waitBeforeRetry(error.fault)) return;
    const limit = isUsedByOthers(error, id.id, targetIds) ? Math.min(maxWait, maxForeignUseSeconds) : maxWait;
    if (!(isNotFound(error) || isInUse(error)) || clockSeconds() - start >= limit) throw error;
    const seconds = Math.min(15, 1.5 ** conflicts++);
    log.info(`${what} is not deleted yet (${rootDetail(error.fault).code}); retrying in ${Math.round(seconds)} s.`);
    await delay(seconds, waiting.signal);
  };
}
