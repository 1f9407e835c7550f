import type { VirtualMachine } from '@azure/arm-compute';
import {
  isConcurrentOperation,
  undefinedIfNotFound,
  retryDelaySeconds,
  type Session,
  retryMessage,
} from './azure.ts';
import { clockSeconds } from './clock.ts';
import { AzureError, ActionError, rootDetail } from './failure.ts';
import {
  type CleanupState,
  hasDeploymentTag,
  hasRunTags,
  type WorkflowRun,
  assertOwned,
  tagValue,
} from './ledger.ts';
import { type RefusedSize, suggestSizes } from './offers.ts';
import type { Placement, Plan } from './plan.ts';
import { resourceId, sameId } from './resource-id.ts';
import type { Sku } from './size.ts';
import {
  hasSucceeded,
  isTerminalState,
  delayWithProgress,
  unexplainedFailure,
  pollUntilDone,
  pollUntil,
} from './waiting.ts';

interface VmContext {
  readonly session: Session;
  readonly cleanupState: CleanupState;
  readonly run: WorkflowRun;
  readonly log: { info(line: string): void; notice(line: string): void };
}

export interface CreateVmOptions {
  /** `accepted`: come back as soon as Resource Manager has taken the request. */
  readonly until: 'accepted' | 'provisioned';
  /** Makes the network whole again after a failed machine was deleted and took its interface along. */
  readonly restoreNetwork: () => Promise<void>;
  /** Removes a failed machine with what goes along with it. */
  readonly deleteVm: () => Promise<void>;
  /** Told before each attempt. */
  readonly onAttempt: (attempt: Placement) => void;
  /** Told what Azure says of the machine when it has taken the request, long before the machine is there. */
  readonly onTaken: (attempt: Placement, known: AcceptedVm) => void;
  /** Whether the image, as the inputs want it, boots on a size. */
  readonly fits: (sku: Sku) => boolean;
}

export interface AcceptedVm {
  /** The GUID that the machine keeps for its life. */
  readonly instanceId?: string;
  /** Of its own identity. */
  readonly principalId?: string;
}

/**
 * Codes that speak of one size in one zone: another one may well be had. Quota is refused as OperationNotAllowed, and a
 * size that the region does not know as InvalidParameter; both also stand for other things, so more is looked at.
 */
const describePlacement = new Set([
  'SkuNotAvailable',
  'AllocationFailed',
  'ZonalAllocationFailed',
  'OverconstrainedAllocationRequest',
  'OverconstrainedZonalAllocationRequest',
  'QuotaExceeded',
  'InvalidAvailabilityZone',
]);

export function isPlacementError(error: unknown): error is AzureError {
  if (!(error instanceof AzureError)) return false;
  const codes = [error.fault.code, rootDetail(error.fault).code];
  if (codes.some((code) => describePlacement.has(code))) return true;
  if (codes.includes('InvalidParameter') && error.fault.target?.toLowerCase() === 'vmsize') return true;
  return (
    codes.includes('OperationNotAllowed') && /exceeding (approved|quota)|quota/i.test(error.fault.message)
  );
}

/**
 * Creates the machine. Sizes and zones are tried in the author's order; each one that is refused for want of quota or
 * capacity gives a line.
 * @throws Failure listing every attempt when all are refused; AzureError for any other refusal.
 */
export async function createVm(
  context: VmContext,
  plan: Plan,
  placing: CreateVmOptions,
): Promise<VirtualMachine> {
  const refusals: FailedPlacement[] = [];
  let existingVm: { zone?: string | undefined } | undefined;
  for (const [index, attempt] of plan.vm.attempts.entries()) {
    const where = describeAttempt(attempt);
    if (existingVm && existingVm.zone !== attempt.zone) {
      await placing.deleteVm();
      await placing.restoreNetwork();
      existingVm = undefined;
    }
    try {
      return await createVmAt(context, plan, attempt, placing, existingVm !== undefined);
    } catch (error) {
      if (!isPlacementError(error)) throw error;
      refusals.push({ attempt, error });
      // A refused PUT leaves nothing. An operation that failed (a poll's 200) leaves the machine behind.
      if (error.fault.status === 200) existingVm = { zone: attempt.zone };
      const next = plan.vm.attempts[index + 1];
      context.log.notice(
        `${where} cannot be had: ${firstMessageLine(error)}${next ? ` Trying ${describeAttempt(next)}.` : ''}`,
      );
    }
  }
  throw await noPlacementError(context, plan, placing, refusals);
}

interface FailedPlacement {
  readonly attempt: Placement;
  readonly error: AzureError;
}

function firstMessageLine({ fault }: AzureError): string {
  const { code, message } = rootDetail(fault);
  return `${code}: ${message.split('\n')[0]}`;
}

/** One attempt; made again as a plain machine where it is refused for a Trusted Launch that nobody insists on. */
async function createVmAt(
  context: VmContext,
  plan: Plan,
  attempt: Placement,
  placing: CreateVmOptions,
  over: boolean,
): Promise<VirtualMachine> {
  try {
    return await putVm(context, plan, attempt, placing, over);
  } catch (error) {
    const lacksIt = error instanceof AzureError && /'TrustedLaunch' security type/i.test(error.fault.message);
    if (!lacksIt || error.fault.status !== 400 || !plan.vm.plainWillDo) throw error;
    context.log.notice(
      `${attempt.size} has no Trusted Launch, which the image allows but does not ask for: making a plain machine.`,
    );
    return await putVm(context, plan, { ...attempt, withoutTrustedLaunch: true }, placing, over);
  }
}

function describeAttempt({ size, zone }: Placement): string {
  return zone ? `${size} in zone ${zone}` : size;
}

async function putVm(
  context: VmContext,
  plan: Plan,
  attempt: Placement,
  placing: CreateVmOptions,
  overOurFailedOne: boolean,
): Promise<VirtualMachine> {
  const { session, cleanupState, log } = context;
  const { waiting } = session;
  const { id, name, osType } = plan.vm;
  const what = `virtual machine ${name}`;
  const parts = [osDiskId(plan), id];
  placing.onAttempt(attempt);
  log.info(`Creating ${what}: ${describeAttempt(attempt)}.`);
  const start = clockSeconds();
  let over = overOurFailedOne;
  for (let tries = 0; ; tries++) {
    // Azure makes the disk with the machine, and leaves it if it comes no further than that.
    for (const part of parts) cleanupState.addPending(part);
    const answered = (): void => {
      for (const part of parts) cleanupState.markAccepted(part);
    };
    const poller = session.crossTenantCompute.virtualMachines.createOrUpdate(
      plan.resourceGroup,
      name,
      plan.vm.body(attempt),
      {
        abortSignal: waiting.signal,
        // The only guard against overwriting that Azure itself enforces. Without it over our own failed machine.
        ...(over ? {} : { ifNoneMatch: '*' }),
        onResponse: ({ status, parsedBody }) => {
          if (status === 200 || status === 201) placing.onTaken(attempt, parseAcceptedVm(parsedBody));
        },
      },
    );
    try {
      if (placing.until === 'accepted') {
        await poller.submitted();
        answered();
        return await readVm(session, plan);
      }
      const rhythm = osType === 'Windows' ? 'vm-create-windows' : 'vm-create-linux';
      const vm = await pollUntilDone(what, rhythm, waiting, poller, answered);
      trackDisks(cleanupState, plan, vm);
      return vm;
    } catch (error) {
      if (waiting.signal.aborted) throw waiting.signal.reason;
      if (!(error instanceof AzureError)) throw error;
      let failure =
        error.fault.code === unexplainedFailure ? await failureReason(session, plan, error) : error;
      if (isNameConflict(error) && !over) {
        await assertCreatedByThisAttempt(context, plan, error, parts);
        answered();
        const outcome = await resumeLostCreate(session, plan, error, placing.until);
        if ('vm' in outcome) {
          trackDisks(cleanupState, plan, outcome.vm);
          return outcome.vm;
        }
        failure = outcome.failure;
      }
      // Refusals that pass were waited out below; here they are the end of an operation, and its machine stands.
      const { fault } = failure;
      const ended = fault.status === 200;
      const seconds = isNicReserved(failure)
        ? nicReservationDelay(clockSeconds() - start)
        : ended && isConcurrentOperation(fault)
          ? retryDelaySeconds(fault, tries)
          : over && isNameConflict(failure) && tries < maxConflicts
            ? conflictSeconds
            : undefined;
      if (seconds === undefined) {
        if (fault.status >= 400) await discardMissing(context, plan, failure);
        throw failure;
      }
      log.info(`${what}: ${retryMessage(fault, seconds)}`);
      await delayWithProgress(seconds, waiting.signal, log.info);
      over ||= ended;
    }
  }
}

/** The serializers have not seen this body yet. */
function parseAcceptedVm(body: unknown): AcceptedVm {
  const { identity, properties } = {
    ...(body as { identity?: { principalId?: string }; properties?: { vmId?: string } } | undefined),
  };
  return {
    ...(properties?.vmId ? { instanceId: properties.vmId } : {}),
    ...(identity?.principalId ? { principalId: identity.principalId } : {}),
  };
}

function osDiskId({ subscriptionId, resourceGroup, vm }: Plan): string {
  return resourceId(subscriptionId, resourceGroup, 'Microsoft.Compute/disks', vm.osDiskName);
}

/** The disks as Azure names them once they are there: an ephemeral one is no resource, and data disks get their names there. */
function trackDisks(cleanupState: CleanupState, plan: Plan, { storageProfile }: VirtualMachine): void {
  const planned = osDiskId(plan);
  const osDisk = storageProfile?.osDisk?.managedDisk?.id;
  if (!osDisk || !sameId(osDisk, planned)) cleanupState.discard(planned);
  const made = (storageProfile?.dataDisks ?? []).filter(({ createOption }) => createOption !== 'Attach');
  for (const id of [osDisk, ...made.map(({ managedDisk }) => managedDisk?.id)]) {
    if (!id || sameId(id, planned)) continue;
    cleanupState.addPending(id);
    cleanupState.markAccepted(id);
  }
}

/** A refused PUT leaves nothing, unless an earlier try of it was carried out and its answer lost. */
async function discardMissing(
  { session, cleanupState }: VmContext,
  plan: Plan,
  refusal: AzureError,
): Promise<void> {
  const isThere = async (look: () => Promise<{ tags?: Record<string, string> }>): Promise<boolean> => {
    try {
      return hasDeploymentTag((await undefinedIfNotFound(look()))?.tags, plan.deployment);
    } catch {
      // Who may neither write nor read has made nothing.
      return refusal.fault.status !== 403;
    }
  };
  const { compute } = session;
  if (await isThere(() => readVm(session, plan))) return;
  cleanupState.discard(plan.vm.id);
  const { osDiskName } = plan.vm;
  if (!(await isThere(() => compute.disks.get(plan.resourceGroup, osDiskName))))
    cleanupState.discard(osDiskId(plan));
}

/** The interface is kept for a machine that failed, ours or another, for 180 seconds from its failure on. */
function isNicReserved({ fault }: AzureError): boolean {
  return rootDetail(fault).code === 'NicReservedForAnotherVm';
}

/** Ever more seldom, as each try counts as a write: Compute takes 12, and 4 more a minute. */
function nicReservationDelay(elapsed: number): number | undefined {
  return elapsed > 240 ? undefined : Math.min(15, Math.max(1, elapsed / 2));
}

/** Over our own failed machine: Azure may still be at it. */
const conflictSeconds = 5;
const maxConflicts = 6;

/** 412: If-None-Match was not met. 409 Conflict: the machine is being written to at this moment. */
function isNameConflict({ fault }: AzureError): boolean {
  return fault.status === 412 || (fault.status === 409 && fault.code === 'Conflict');
}

/**
 * A machine of that name came into being since it was looked for. It is ours if its tags name this very attempt of the
 * job and an earlier try of our PUT was lost: that one was carried out. Otherwise somebody else was faster, and clean-up
 * must not take what this run did not make.
 */
async function assertCreatedByThisAttempt(
  { session, cleanupState, run }: VmContext,
  plan: Plan,
  error: AzureError,
  parts: readonly string[],
): Promise<void> {
  const vm = await undefinedIfNotFound(readVm(session, plan));
  const tags = vm?.tags;
  const namesUs =
    hasDeploymentTag(tags, plan.deployment) &&
    hasRunTags(tags, run) &&
    tagValue(tags, 'github-run-attempt') === run.runAttempt;
  if (namesUs && error.fault.previousAttemptLost) return;
  if (namesUs) {
    // The network as well: it cannot be told which of the two has made it.
    cleanupState.disown();
    throw duplicateNameError(plan, error);
  }
  for (const part of parts) cleanupState.discard(part);
  if (vm) {
    assertOwned(`virtual machine ${plan.vm.name}`, plan.vm.id, tags, plan.deployment, run);
  }
  throw error;
}

/** GitHub gives all jobs of a workflow that is called twice the same job ID: https://github.com/actions/runner/issues/2577. */
function duplicateNameError({ vm, deployment }: Plan, cause: AzureError): ActionError {
  return new ActionError(`creating virtual machine ${vm.name}`, {
    message: `Another job of this run has made virtual machine ${vm.name} in the same moment.`,
    cause,
    explanation: {
      cause: `Both jobs named their deployment "${deployment}". The default of \`vm-name\` cannot tell them apart where a reusable workflow is called twice, or from a matrix: GitHub gives them one job ID. Nothing of the other job's was changed.`,
      who: "the workflow's author",
      fix: ['Give each call a `vm-name` of its own, for example from an input of the reusable workflow.'],
    },
  });
}

/** Goes on with a create whose answer was lost, to its end. */
async function resumeLostCreate(
  session: Session,
  plan: Plan,
  error: AzureError,
  until: CreateVmOptions['until'],
): Promise<{ readonly vm: VirtualMachine } | { readonly failure: AzureError }> {
  if (until === 'accepted') return { vm: await readVm(session, plan) };
  const vm = await waitForTerminalState(session, plan);
  if (vm && hasSucceeded(vm)) return { vm };
  return { failure: vm ? await failureReason(session, plan, error) : error };
}

/**
 * Waits for a create whose operation URL was never seen or is lost, and for deletions by others. Reads count against 12 a
 * minute, so it looks seldom.
 * @returns the machine at rest; undefined when it is gone.
 */
export async function waitForTerminalState(
  session: Session,
  plan: { readonly resourceGroup: string; readonly vm: { readonly name: string } },
): Promise<VirtualMachine | undefined> {
  const what = `virtual machine ${plan.vm.name}`;
  const settled = await pollUntil(what, 'guest', session.waiting, async () => {
    const vm = await undefinedIfNotFound(readVm(session, plan));
    return vm && !isTerminalState(vm) ? undefined : { vm };
  });
  return settled.vm;
}

/** Why a machine that is there is not whole, in Azure's words; and whether its guest has ever run. */
export async function readProvisioningFailure(
  session: Session,
  { resourceGroup, vm }: { readonly resourceGroup: string; readonly vm: { readonly name: string } },
): Promise<{ readonly fault: AzureError; readonly hasRun: boolean }> {
  const {
    id = '',
    instanceView,
    provisioningState = 'Failed',
  } = await session.compute.virtualMachines.get(resourceGroup, vm.name, {
    expand: 'instanceView',
  });
  const statuses = instanceView?.statuses ?? [];
  // ProvisioningState/failed/AllocationFailed
  const failed = statuses.find(({ code }) => /^ProvisioningState\/failed/i.test(code ?? ''));
  const code = failed?.code?.split('/')[2] ?? 'ProvisioningFailed';
  const message =
    failed?.message ??
    `The virtual machine ended as ${(failed?.displayStatus ?? provisioningState).toLowerCase()}.`;
  const fault = new AzureError({
    status: 200,
    code,
    message,
    details: [],
    method: 'GET',
    url: id,
    correlationId: session.correlationId,
    body: JSON.stringify({ error: { code, message } }),
  });
  return { fault, hasRun: statuses.some(({ code }) => /^PowerState\//i.test(code ?? '')) };
}

/** The machine's own word on why it failed; where it may not be read, what is known already. */
async function failureReason(session: Session, plan: Plan, known: AzureError): Promise<AzureError> {
  try {
    return (await readProvisioningFailure(session, plan)).fault;
  } catch (error) {
    if (error instanceof AzureError) return known;
    throw error;
  }
}

function readVm(
  { compute }: Session,
  { resourceGroup, vm }: { readonly resourceGroup: string; readonly vm: { readonly name: string } },
): Promise<VirtualMachine> {
  return compute.virtualMachines.get(resourceGroup, vm.name);
}

/** Read only now: the list has megabytes, and a right of its own that the deployment needs for nothing else. */
async function readSkus({ compute }: Session, location: string): Promise<readonly Sku[]> {
  const skus: Sku[] = [];
  for await (const sku of compute.resourceSkus.list({ filter: `location eq '${location}'` })) skus.push(sku);
  return skus;
}

async function describeAlternatives(
  { session }: VmContext,
  { location, subscriptionId }: Plan,
  { fits }: CreateVmOptions,
  refused: readonly RefusedSize[],
): Promise<string> {
  try {
    const offers = suggestSizes(await readSkus(session, location), fits, refused);
    return offers.length > 0
      ? `Offered in ${location} instead (whether there is capacity, no list says): ${offers.join('; ')}.`
      : `Azure's list has no other size in ${location} that the image boots on and that is open to the subscription.`;
  } catch (error) {
    if (!(error instanceof AzureError)) throw error;
    return error.fault.status === 403
      ? `What is offered in ${location} instead may not be read: the app lacks Microsoft.Compute/skus/read on subscription ${subscriptionId}.`
      : `What is offered in ${location} instead could not be read: ${firstMessageLine(error)}`;
  }
}

/** All attempts with what Azure said to each, and what to take instead. A lone refusal is explained by its code. */
async function noPlacementError(
  context: VmContext,
  plan: Plan,
  placing: CreateVmOptions,
  refusals: readonly FailedPlacement[],
): Promise<ActionError> {
  const doing = `creating virtual machine ${plan.vm.name}`;
  const cause = refusals.at(-1)?.error;
  const refused = refusals.map(({ attempt: { size, zone }, error }) => ({
    size,
    ...(zone ? { zone } : {}),
    ...rootDetail(error.fault),
  }));
  const offers = await describeAlternatives(context, plan, placing, refused);
  if (refusals.length === 1) return new ActionError(doing, { message: offers, cause });
  const lines = refusals.map(
    ({ attempt, error }) => `- ${describeAttempt(attempt)}: ${firstMessageLine(error)}`,
  );
  return new ActionError(doing, {
    message: [`None of the sizes and zones can be had in ${plan.location}:`, ...lines, offers].join('\n'),
    cause,
    explanation: {
      cause: 'Each one was refused for want of quota, capacity or availability.',
      who: "the workflow's author",
      fix: [
        'Give more or other sizes in `vm-size`, other zones, or another `location`. All that the region offers:',
        `az vm list-skus --subscription ${plan.subscriptionId} --location ${plan.location} --resource-type virtualMachines --query "[?length(restrictions)==\`0\`].name" -o tsv`,
      ],
    },
  });
}
