import type { VirtualMachine } from '@azure/arm-compute';
import { undefinedIfNotFound } from '../azure/lookup.ts';
import { createRetries } from '../azure/policies/retry.ts';
import { hasSucceeded } from '../azure/provisioning-state.ts';
import { pollUntilDone, unexplainedFailure } from '../azure/polling.ts';
import { resourceId, sameId } from '../azure/resource-id.ts';
import type { Session } from '../azure/arm-client.ts';
import type { CleanupState } from '../deployment/cleanup-state.ts';
import { assertOwned, hasDeploymentTag, hasRunTags, tagValue } from '../deployment/ownership.ts';
import type { Placement, Plan } from '../deployment/plan.ts';
import { ActionError } from '../errors/action-error.ts';
import { AzureError, rootDetail } from '../errors/azure-error.ts';
import { clockSeconds } from '../lib/clock.ts';
import {
  type AcceptedVm,
  type CreateVmOptions,
  type FailedPlacement,
  type VmContext,
  describeAttempt,
  firstMessageLine,
  isPlacementError,
  noPlacementError,
} from './placement.ts';
import { failureReason, readVm, waitForTerminalState } from './vm-status.ts';

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
  const waitBeforeRetry = createRetries(what, { signal: waiting.signal, log: log.info });
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
      const vm = await pollUntilDone(what, rhythm, { ...waiting, onAccepted: answered }, poller);
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
      const ownDelay = isNicReserved(failure)
        ? nicReservationDelay(clockSeconds() - start)
        : over && isNameConflict(failure) && tries < maxConflicts
          ? conflictSeconds
          : undefined;
      if ((!ended && ownDelay === undefined) || !(await waitBeforeRetry(fault, ownDelay))) {
        if (fault.status >= 400) await discardMissing(context, plan, failure);
        throw failure;
      }
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
    assertOwned(`virtual machine ${plan.vm.name}`, { id: plan.vm.id, tags }, plan.deployment, run);
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
