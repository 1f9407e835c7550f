import type { OperationState, PollerLike } from '@azure/core-lro';
import { orUndefined, type Session } from './azure.ts';
import { AzureError, describe, Failure, innermost } from './failure.ts';
import type { DeleteInputs } from './inputs.ts';
import { deploymentTag, type Ledger, type LedgerEntries, type Run, tagValue } from './ledger.ts';
import { idsOf, namesOf } from './plan.ts';
import type { Report } from './report.ts';
import { parseResourceId, type ResourceId, sameId } from './resource-id.ts';
import { pause, untilDone } from './waiting.ts';

/** What became of the resources that were to be deleted. */
export interface Removal {
  readonly deleted: readonly string[];
  /** Looked for and not there. */
  readonly absent: readonly string[];
  /** Left alone because its own tag does not say that it is the deployment's. */
  readonly foreign: readonly string[];
  readonly failed: readonly { readonly id: string; readonly error: unknown }[];
}

type Tags = Readonly<Record<string, string>> | undefined;

interface Kind {
  readonly label: string;
  /** Types whose deletion must have ended before this one can begin. */
  readonly after: readonly string[];
  readonly tags: (session: Session, id: ResourceId) => Promise<Tags>;
  readonly remove: (
    session: Session,
    id: ResourceId,
  ) => PollerLike<OperationState<void>, void> | Promise<void>;
}

const vmType = 'microsoft.compute/virtualmachines';
const nicType = 'microsoft.network/networkinterfaces';
const identityType = 'microsoft.managedidentity/userassignedidentities';
const identityApi = '2024-11-30';

/**
 * The only types that are ever deleted, each with what has to go before it. A machine holds its interface and disks, an
 * interface its address, security group and subnet; Azure refuses the other way round.
 */
const kinds: Readonly<Record<string, Kind>> = {
  [vmType]: {
    label: 'virtual machine',
    after: [],
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
    after: [vmType],
    tags: async ({ arm }, { id }) =>
      (await arm<{ tags?: Record<string, string> }>('GET', id, identityApi)).tags,
    remove: ({ arm }, { id }) => arm('DELETE', id, identityApi),
  },
};

/**
 * A resource's own tags, read from the resource itself.
 * @throws AzureError with status 404 where it is gone; also for types that this action does not make.
 */
export async function tagsOf(session: Session, id: string): Promise<Tags> {
  const parsed = parseResourceId(id);
  return parsed && kinds[parsed.type]?.tags(session, parsed);
}

export interface RemovalDesk {
  readonly session: Session;
  readonly log: { info(line: string): void; warning(line: string): void };
  /** Read on each resource right before its deletion: does it belong to what is being removed? */
  readonly belongs: (tags: Tags, id: string) => boolean | Promise<boolean>;
}

/** Does the resource carry the deployment's own tag? */
export const belongsTo =
  (deployment: string) =>
  (tags: Tags): boolean =>
    tagValue(tags, deploymentTag) === deployment;

/**
 * Deletes resources in dependency order, all that can go at once side by side. Each one's own tag is read right before;
 * nothing without it goes, nor anything of a type that is not listed above. Never throws: what could not be deleted is told.
 */
export async function removeResources(desk: RemovalDesk, ids: readonly string[]): Promise<Removal> {
  const removal = {
    deleted: [] as string[],
    absent: [] as string[],
    foreign: [] as string[],
    failed: [] as { id: string; error: unknown }[],
  };
  const targets = ids.flatMap((id) => {
    const parsed = parseResourceId(id);
    const kind = parsed && kinds[parsed.type];
    return kind ? [{ id: parsed, kind }] : [];
  });
  const endings = new Map<string, Promise<void>[]>();
  // Types that nothing waits for come first, so that every promise to wait for is there already.
  const order = Object.keys(kinds);
  const sorted = targets.toSorted((a, b) => order.indexOf(a.id.type) - order.indexOf(b.id.type));
  const all: Promise<void>[] = [];
  for (const { id, kind } of sorted) {
    const before = Promise.all(kind.after.flatMap((type) => endings.get(type) ?? []));
    const ending = before.then(async () => {
      try {
        const outcome = await removeOne(desk, id, kind);
        removal[outcome].push(id.id);
      } catch (error) {
        removal.failed.push({ id: id.id, error });
      }
    });
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
const passing =
  /InUse|CannotBeDeleted|NicReservedForAnotherVm|NetworkInterfaceInUse|AttachedTo|is attached to|OperationNotAllowed|Conflict|AnotherOperation/i;
const longestConflictSeconds = 300;

async function removeOne(
  { session, log, belongs }: RemovalDesk,
  id: ResourceId,
  kind: Kind,
): Promise<'deleted' | 'absent' | 'foreign'> {
  const { waiting } = session;
  const what = `${kind.label} ${id.name}`;
  const start = performance.now();
  for (let tries = 0; ; tries++) {
    const found = await orUndefined(kind.tags(session, id).then((tags) => ({ tags })));
    if (!found) return tries > 0 ? 'deleted' : 'absent';
    if (!(await belongs(found.tags, id.id))) return 'foreign';
    try {
      log.info(`Deleting ${what}.`);
      const removing = kind.remove(session, id);
      await ('submitted' in removing ? untilDone(what, 'delete', waiting, removing) : removing);
      return 'deleted';
    } catch (error) {
      if (error instanceof AzureError && error.fault.status === 404) return 'deleted';
      const elapsed = (performance.now() - start) / 1000;
      if (!isPassing(error) || elapsed > longestConflictSeconds) throw error;
      const seconds = Math.min(15, 1.5 ** tries);
      log.info(
        `${what} is still held: ${innermost(error.fault).code}; trying again in ${Math.round(seconds)} s.`,
      );
      await pause(seconds, waiting.signal);
    }
  }
}

function isPassing(error: unknown): error is AzureError {
  if (!(error instanceof AzureError)) return false;
  const { code, message } = innermost(error.fault);
  return passing.test(`${error.fault.code} ${code} ${message}`);
}

/** Deletes resources that this run created, the youngest first, and strikes them from the ledger. */
export async function rollBack(desk: RemovalDesk, ledger: Ledger, ids: readonly string[]): Promise<Removal> {
  const removal = await removeResources(desk, ids.toReversed());
  // What was absent may still come: its PUT was perhaps under way when the run was cancelled. The post step looks again.
  for (const id of removal.deleted) ledger.strike(id);
  return removal;
}

/** Puts out what went and warns of what stayed. */
export function tellRemoval({ deleted, foreign, failed }: Removal, report: Report): void {
  report.outputList('deleted', deleted);
  if (deleted.length > 0) report.log.info(`Deleted:\n${deleted.join('\n')}`);
  if (foreign.length > 0) {
    report.log.warning(
      `Left alone, because their own tags do not name this deployment:\n${foreign.join('\n')}`,
    );
  }
  if (failed.length > 0) {
    const lines = failed.map(({ id, error }) => `${id}\n  ${describe(error).join(' ')}`);
    report.log.warning(
      `Could not be deleted; delete by hand or with \`operation: delete\`:\n${lines.join('\n')}`,
    );
  }
}

/**
 * Deletes a whole deployment: what bears one of its derived names and the disks of its machine, as far as their own tags
 * agree. Copied tags under other names are left alone.
 */
export async function removeDeployment(
  desk: RemovalDesk,
  resourceGroup: string,
  deployment: string,
): Promise<Removal> {
  const { session } = desk;
  const ids = idsOf(session.subscriptionId, resourceGroup, namesOf(deployment));
  const machine = await orUndefined(session.compute.virtualMachines.get(resourceGroup, deployment));
  const disks = (await desk.belongs(machine?.tags, ids.machine))
    ? (machine?.storageProfile?.dataDisks ?? []).flatMap(({ managedDisk }) => managedDisk?.id ?? [])
    : [];
  return removeResources(desk, [ids.machine, ids.osDisk, ...disks, ids.nic, ids.publicIp, ids.nsg, ids.vnet]);
}

/** `operation: delete`. Finding nothing ends well: a clean-up job must not fail because there is nothing left to do. */
export async function deleteDeployment(
  session: Session,
  inputs: DeleteInputs,
  report: Report,
): Promise<void> {
  const desk = { session, log: report.log, belongs: belongsTo(inputs.vmName) };
  const removal = await removeDeployment(desk, inputs.resourceGroup, inputs.vmName);
  tellRemoval(removal, report);
  if (removal.deleted.length === 0 && removal.failed.length === 0) {
    report.log.warning(
      `Nothing of deployment "${inputs.vmName}" was found in resource group ${inputs.resourceGroup} (subscription ${session.subscriptionId}). Looked for:\n${removal.absent.join('\n')}`,
    );
  }
  const [first] = removal.failed;
  if (first) throw new Failure(`deleting deployment ${inputs.vmName}`, { cause: first.error });
}

/** What the post step has to do, from what the main step recorded. */
export function isLeftOver({ completed, cleanup, created }: LedgerEntries): boolean {
  return completed ? cleanup === 'always' : cleanup !== 'never' && created.length > 0;
}

/**
 * The post step's clean-up: of a run that did not end well, what it created and is not known to be gone; with
 * `cleanup: always` the deployment, as far as its tags name this run (a later run may have adopted it), else only what
 * this run created.
 */
export async function cleanUpAfterJob(
  session: Session,
  entries: LedgerEntries,
  run: Run,
  report: Report,
): Promise<void> {
  const { deployment, created, completed, resourceGroup } = entries;
  const desk: RemovalDesk = {
    session,
    log: report.log,
    belongs: (tags, id) =>
      belongsTo(deployment)(tags) &&
      (created.some((known) => sameId(known, id)) ||
        (tagValue(tags, 'github-run-id') === run.runId && tagValue(tags, 'github-job') === run.job)),
  };
  tellRemoval(
    completed
      ? await removeDeployment(desk, resourceGroup, deployment)
      : await removeResources(desk, created.toReversed()),
    report,
  );
}
