import type { VirtualMachine } from '@azure/arm-compute';
import type { OperationState, PollerLike } from '@azure/core-lro';
import {
  isConcurrentOperation,
  listAllPages,
  undefinedIfNotFound,
  isNotFound,
  retryDelaySeconds,
  type Session,
  retryMessage,
} from './azure.ts';
import { clockSeconds } from './clock.ts';
import { AzureError, formatError, ActionError, rootDetail } from './failure.ts';
import {
  type RoleAssignment,
  authorizationApi,
  findRoleAssignments,
  undefinedIfForbidden,
} from './granted.ts';
import type { DeleteInputs } from './inputs.ts';
import {
  type CleanupState,
  type CleanupStateData,
  hasDeploymentTag,
  hasRunTags,
  tagsFromDescription,
  type WorkflowRun,
} from './ledger.ts';
import { resourceIds, resourceNames } from './plan.ts';
import type { Reporter } from './report.ts';
import { parseResourceId, type ResourceId, sameId } from './resource-id.ts';
import { delayWithProgress, delay, pollUntilDone } from './waiting.ts';

/** What became of the resources that were to be deleted. */
export interface DeletionResult {
  readonly deleted: readonly string[];
  /** Looked for and not there. */
  readonly notFound: readonly string[];
  /** Left alone because its own tag does not say that it is the deployment's. */
  readonly notOwned: readonly string[];
  readonly failed: readonly { readonly id: string; readonly error: unknown }[];
}

type ReadTags = Readonly<Record<string, string>> | undefined;

interface ResourceType {
  readonly label: string;
  /** Types whose deletion must have ended before this one can begin. */
  readonly after: readonly string[];
  readonly tags: (session: Session, id: ResourceId) => Promise<ReadTags>;
  readonly remove: (
    session: Session,
    id: ResourceId,
  ) => PollerLike<OperationState<void>, void> | Promise<void>;
}

const assignmentType = 'microsoft.authorization/roleassignments';
const commandType = 'microsoft.compute/virtualmachines/runcommands';
const vmType = 'microsoft.compute/virtualmachines';
const nicType = 'microsoft.network/networkinterfaces';
const identityType = 'microsoft.managedidentity/userassignedidentities';
const identityApi = '2024-11-30';

/**
 * The only types that are ever deleted, each with what has to go before it. A machine holds its interface and disks, an
 * interface its address, security group and subnet; Azure refuses the other way round. Role assignments go before the
 * identity that holds them: afterwards they would stay for ever, as those of an unknown principal.
 */
const resourceTypes: Readonly<Record<string, ResourceType>> = {
  [assignmentType]: {
    label: 'role assignment',
    after: [],
    tags: async ({ arm }, { id }) =>
      tagsFromDescription((await arm<RoleAssignment>('GET', id, authorizationApi)).properties.description),
    remove: ({ arm }, { id }) => arm('DELETE', id, authorizationApi),
  },
  [commandType]: {
    label: 'run command',
    after: [],
    tags: async ({ compute }, { resourceGroup, names: [vm = ''], name }) =>
      (await compute.virtualMachineRunCommands.getByVirtualMachine(resourceGroup, vm, name)).tags,
    remove: ({ compute, waiting }, { resourceGroup, names: [vm = ''], name }) =>
      compute.virtualMachineRunCommands.delete(resourceGroup, vm, name, { abortSignal: waiting.signal }),
  },
  [vmType]: {
    label: 'virtual machine',
    after: [assignmentType],
    tags: async ({ compute }, { resourceGroup, name }) =>
      (await compute.virtualMachines.get(resourceGroup, name)).tags,
    // Forced: the disks go too, so there is nothing to shut down in good order for.
    remove: ({ compute, waiting }, { resourceGroup, name }) =>
      compute.virtualMachines.delete(resourceGroup, name, {
        forceDeletion: true,
        abortSignal: waiting.signal,
      }),
  },
  'microsoft.compute/disks': {
    label: 'disk',
    after: [vmType],
    tags: async ({ compute }, { resourceGroup, name }) => (await compute.disks.get(resourceGroup, name)).tags,
    remove: ({ compute, waiting }, { resourceGroup, name }) =>
      compute.disks.delete(resourceGroup, name, { abortSignal: waiting.signal }),
  },
  [nicType]: {
    label: 'network interface',
    after: [vmType],
    tags: async ({ network }, { resourceGroup, name }) =>
      (await network.networkInterfaces.get(resourceGroup, name)).tags,
    remove: ({ network, waiting }, { resourceGroup, name }) =>
      network.networkInterfaces.delete(resourceGroup, name, { abortSignal: waiting.signal }),
  },
  'microsoft.network/publicipaddresses': {
    label: 'public IP',
    after: [vmType, nicType],
    tags: async ({ network }, { resourceGroup, name }) =>
      (await network.publicIPAddresses.get(resourceGroup, name)).tags,
    remove: ({ network, waiting }, { resourceGroup, name }) =>
      network.publicIPAddresses.delete(resourceGroup, name, { abortSignal: waiting.signal }),
  },
  'microsoft.network/networksecuritygroups': {
    label: 'network security group',
    after: [vmType, nicType],
    tags: async ({ network }, { resourceGroup, name }) =>
      (await network.networkSecurityGroups.get(resourceGroup, name)).tags,
    remove: ({ network, waiting }, { resourceGroup, name }) =>
      network.networkSecurityGroups.delete(resourceGroup, name, { abortSignal: waiting.signal }),
  },
  'microsoft.network/virtualnetworks': {
    label: 'virtual network',
    after: [vmType, nicType],
    tags: async ({ network }, { resourceGroup, name }) =>
      (await network.virtualNetworks.get(resourceGroup, name)).tags,
    remove: ({ network, waiting }, { resourceGroup, name }) =>
      network.virtualNetworks.delete(resourceGroup, name, { abortSignal: waiting.signal }),
  },
  [identityType]: {
    label: 'user-assigned identity',
    after: [assignmentType, vmType],
    tags: async ({ arm }, { id }) =>
      (await arm<{ tags?: Record<string, string> }>('GET', id, identityApi)).tags,
    remove: ({ arm }, { id }) => arm('DELETE', id, identityApi),
  },
};

/** Parses the ID of what may be deleted. Role assignments hang on any other resource and have no group of their own. */
function deletionTarget(id: string): ResourceId | undefined {
  const name = /\/providers\/Microsoft\.Authorization\/roleAssignments\/([^/]+)$/i.exec(id)?.[1];
  return name
    ? { id, subscriptionId: '', resourceGroup: '', type: assignmentType, names: [name], name }
    : parseResourceId(id);
}

/** What a deployment needs only while its run goes on: it goes whatever `cleanup` says. */
export function isRunCommand(id: string): boolean {
  return deletionTarget(id)?.type === commandType;
}

/** ID of the VM that a run command belongs to. */
function machineOf(commandId: string): string {
  return commandId.replace(/\/[^/]+\/[^/]+$/, '');
}

/**
 * A resource's own tags, read from the resource itself; of a role assignment the mark in its description.
 * @throws AzureError with status 404 where it is gone; also for types that this action does not make.
 */
export async function readTags(session: Session, id: string): Promise<ReadTags> {
  const target = deletionTarget(id);
  return target && resourceTypes[target.type]?.tags(session, target);
}

export interface DeletionContext {
  readonly session: Session;
  readonly log: { info(line: string): void; warning(line: string): void };
  /** Read on each resource right before its deletion: does it belong to what is being removed? */
  readonly belongs: (tags: ReadTags, id: string) => boolean | Promise<boolean>;
  /** IDs whose PUT was never answered: not there yet does not mean that they will not come. */
  readonly unanswered?: readonly string[];
}

/** Does the resource carry the deployment's own tag? */
export const isOwnedBy =
  (deployment: string) =>
  (tags: ReadTags): boolean =>
    hasDeploymentTag(tags, deployment);

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

/**
 * A machine takes along whatever its delete options say, without anybody reading the tags of those parts. So they are
 * read here, and what is not ours is told to stay.
 */
async function detachUnowned(
  { session, log, belongs }: DeletionContext,
  { resourceGroup, name }: ResourceId,
): Promise<void> {
  const { compute, network, waiting } = session;
  const stays = async (id: string): Promise<boolean> => {
    try {
      const found = await undefinedIfNotFound(readTags(session, id).then((tags) => ({ tags })));
      return found !== undefined && !(await belongs(found.tags, id));
    } catch (error) {
      // A role that may delete machines but not read disks: Azure's own delete option, which our PUT set, has to do.
      if (error instanceof AzureError && error.fault.status === 403) return false;
      throw error;
    }
  };
  const nicStays = async (id: string): Promise<boolean> => {
    if (await stays(id)) return true;
    const nic = parseResourceId(id);
    const found =
      nic && (await undefinedIfNotFound(network.networkInterfaces.get(nic.resourceGroup, nic.name)));
    const addresses = (found?.ipConfigurations ?? []).flatMap(({ publicIPAddress }) =>
      publicIPAddress?.id && publicIPAddress.deleteOption === 'Delete' ? [publicIPAddress.id] : [],
    );
    return (await Promise.all(addresses.map(stays))).includes(true);
  };
  const vm = await undefinedIfNotFound(compute.virtualMachines.get(resourceGroup, name));
  const disks = attachedDisks(vm).filter(({ deleteOption }) => deleteOption === 'Delete');
  const nics = (vm?.networkProfile?.networkInterfaces ?? []).filter(
    ({ deleteOption }) => deleteOption === 'Delete',
  );
  const [staying, stayingNics] = await Promise.all([
    filterAsync(
      stays,
      disks.map(({ id }) => id),
    ),
    filterAsync(
      nicStays,
      nics.flatMap(({ id }) => id ?? []),
    ),
  ]);
  if (!vm || (staying.size === 0 && stayingNics.size === 0)) return;
  log.info(
    `Detaching from ${name} what is not this deployment's: ${[...staying, ...stayingNics].join(', ')}`,
  );
  const { osDisk, dataDisks } = vm.storageProfile ?? {};
  await pollUntilDone(
    `virtual machine ${name}`,
    'vm-update',
    waiting,
    compute.virtualMachines.update(resourceGroup, name, {
      networkProfile: {
        networkInterfaces: (vm.networkProfile?.networkInterfaces ?? []).map((nic) =>
          stayingNics.has(nic.id ?? '') ? { ...nic, deleteOption: 'Detach' } : nic,
        ),
      },
      storageProfile: {
        ...(osDisk && staying.has(osDisk.managedDisk?.id ?? '')
          ? { osDisk: { ...osDisk, deleteOption: 'Detach' } }
          : {}),
        ...(dataDisks
          ? {
              dataDisks: dataDisks.map((disk) =>
                staying.has(disk.managedDisk?.id ?? '') ? { ...disk, deleteOption: 'Detach' } : disk,
              ),
            }
          : {}),
      },
    }),
  );
}

async function filterAsync(
  holds: (id: string) => Promise<boolean>,
  ids: readonly string[],
): Promise<ReadonlySet<string>> {
  const held = await Promise.all(ids.map(holds));
  return new Set(ids.filter((_, index) => held[index]));
}

interface AttachedDisk {
  readonly id: string;
  /** False for a disk that was there before and was attached. */
  readonly made: boolean;
  readonly deleteOption?: string;
}

function attachedDisks(vm: VirtualMachine | undefined): AttachedDisk[] {
  const { osDisk, dataDisks = [] } = vm?.storageProfile ?? {};
  return [...(osDisk ? [osDisk] : []), ...dataDisks].flatMap(({ managedDisk, createOption, deleteOption }) =>
    managedDisk?.id
      ? [{ id: managedDisk.id, made: createOption !== 'Attach', ...(deleteOption ? { deleteOption } : {}) }]
      : [],
  );
}

/** What was recorded, and the disks that Azure has made for a recorded machine under names of its own. */
export async function includeVmDisks(
  { session }: Pick<DeletionContext, 'session'>,
  ids: readonly string[],
): Promise<readonly string[]> {
  const vms = ids.flatMap((id) => {
    const target = deletionTarget(id);
    return target?.type === vmType ? [target] : [];
  });
  const disks = await Promise.all(
    vms.map(async ({ resourceGroup, name }) => {
      try {
        return attachedDisks(
          await undefinedIfNotFound(session.compute.virtualMachines.get(resourceGroup, name)),
        );
      } catch {
        // Deleting the machine will meet the same obstacle, and tell of it.
        return [];
      }
    }),
  );
  const made = disks.flat().flatMap((disk) => (disk.made ? [disk.id] : []));
  return [...ids, ...made.filter((id) => !ids.some((known) => sameId(known, id)))];
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

/** Puts out what went and warns of what stayed. */
export function reportDeletion({ deleted, notOwned, failed }: DeletionResult, report: Reporter): void {
  report.addDeleted(deleted);
  report.addLeftovers([
    ...notOwned.map((id) => ({ id, why: 'its own tags do not name this deployment' })),
    ...failed.map(({ id, error }) => ({ id, why: formatError(error).slice(0, 2).join(' ') })),
  ]);
  if (deleted.length > 0) report.log.info(`Deleted:\n${deleted.join('\n')}`);
  if (notOwned.length > 0) {
    report.log.warning(
      `Left alone, because their own tags do not name this deployment:\n${notOwned.join('\n')}`,
    );
  }
  if (failed.length > 0) {
    const lines = failed.map(({ id, error }) => `${id}\n  ${formatError(error).join(' ')}`);
    report.log.warning(
      `Could not be deleted; delete by hand or with \`operation: delete\`:\n${lines.join('\n')}`,
    );
  }
}

/**
 * Deletes a whole deployment: what bears one of its derived names, the disks of its machine, its identities and what they
 * were granted, as far as their own tags or marks agree. Copied tags under other names are left alone.
 */
export async function deleteDeployment(
  context: DeletionContext,
  resourceGroup: string,
  deployment: string,
  besides: readonly string[] = [],
): Promise<DeletionResult> {
  const { session } = context;
  const ids = resourceIds(session.subscriptionId, resourceGroup, resourceNames(deployment));
  const [found, identities] = await Promise.all([
    undefinedIfNotFound(session.compute.virtualMachines.get(resourceGroup, deployment)),
    findIdentities(context, resourceGroup, deployment),
  ]);
  const vm = found && (await context.belongs(found.tags, ids.vm)) ? found : undefined;
  const disks = attachedDisks(vm).flatMap(({ id, made }) => (made ? [id] : []));
  const principals = [
    vm?.identity?.principalId,
    ...Object.values(vm?.identity?.userAssignedIdentities ?? {}).map(({ principalId }) => principalId),
    ...identities.map(({ properties }) => properties.principalId),
  ].filter((principalId) => principalId !== undefined);
  // Asked while machine and identities are still there: nothing leads to their assignments afterwards.
  const assignments = await findRoleAssignments(
    { session, log: context.log, resourceGroup, principals: [...new Set(principals)] },
    deployment,
  );
  // Of these, whose they are has been settled with their principal; a mark may still name the run that was adopted.
  const belongs: DeletionContext['belongs'] = (tags, id) =>
    assignments.includes(id) ? isOwnedBy(deployment)(tags) : context.belongs(tags, id);
  const all = [
    ...assignments,
    ids.vm,
    ids.osDisk,
    ...disks,
    ids.nic,
    ids.publicIp,
    ids.nsg,
    ids.vnet,
    ...identities.map(({ id }) => id),
    ...besides,
  ];
  const once = new Map(all.map((id) => [id.toLowerCase(), id]));
  return deleteResources({ ...context, belongs }, [...once.values()]);
}

interface OwnedIdentity {
  readonly id: string;
  readonly tags?: Record<string, string>;
  readonly properties: { readonly principalId?: string };
}

/** Identities of the group that this deployment made: their names are the author's, so their tags tell. */
async function findIdentities(
  { session, belongs }: DeletionContext,
  resourceGroup: string,
  deployment: string,
): Promise<readonly OwnedIdentity[]> {
  const path = `/subscriptions/${session.subscriptionId}/resourceGroups/${resourceGroup}/providers/Microsoft.ManagedIdentity/userAssignedIdentities`;
  const all = await undefinedIfForbidden(listAllPages<OwnedIdentity>(session.arm, path, identityApi));
  const own = await Promise.all(
    (all ?? []).map(async ({ tags, id }) => hasDeploymentTag(tags, deployment) && (await belongs(tags, id))),
  );
  return (all ?? []).filter((_, index) => own[index]);
}

/** `operation: delete`. Finding nothing ends well: a clean-up job must not fail because there is nothing left to do. */
export async function runDelete(session: Session, inputs: DeleteInputs, report: Reporter): Promise<void> {
  const context = { session, log: report.log, belongs: isOwnedBy(inputs.vmName) };
  const removal = await deleteDeployment(context, inputs.resourceGroup, inputs.vmName);
  reportDeletion(removal, report);
  if (removal.deleted.length === 0 && removal.failed.length === 0) {
    report.log.warning(
      `Nothing of deployment "${inputs.vmName}" was found in resource group ${inputs.resourceGroup} (subscription ${session.subscriptionId}). Looked for:\n${removal.notFound.join('\n')}`,
    );
  }
  const [first] = removal.failed;
  if (first) throw new ActionError(`deleting deployment ${inputs.vmName}`, { cause: first.error });
}

/**
 * What of the main step's record the post step has to delete: of a run that did not end well all of it, unless it is to
 * stay; of any run what was only needed while it went on.
 */
export function resourcesToDelete({ completed, cleanup, created }: CleanupStateData): readonly string[] {
  const stays = cleanup === 'never' || (completed && cleanup !== 'always');
  return stays ? created.filter(isRunCommand) : created;
}

/** Whether the post step has anything to do; with `cleanup: always` it looks for the deployment in any case. */
export function needsCleanup(entries: CleanupStateData): boolean {
  return entries.cleanup === 'always' || resourcesToDelete(entries).length > 0;
}

/**
 * The post step's clean-up; with `cleanup: always` of the deployment, as far as its tags name this run (a later run may
 * have adopted it), else only of what this run created.
 */
export async function runPostJobCleanup(
  session: Session,
  entries: CleanupStateData,
  run: WorkflowRun,
  report: Reporter,
): Promise<void> {
  const { deployment, cleanup, resourceGroup, pending } = entries;
  const created = resourcesToDelete(entries);
  const context: DeletionContext = {
    session,
    log: report.log,
    belongs: (tags, id) =>
      hasDeploymentTag(tags, deployment) &&
      (created.some((known) => sameId(known, id)) || hasRunTags(tags, run)),
    unanswered: pending,
  };
  reportDeletion(
    cleanup === 'always'
      ? await deleteDeployment(context, resourceGroup, deployment, created)
      : await deleteResources(context, (await includeVmDisks(context, created)).toReversed()),
    report,
  );
}
