import type { VirtualMachine } from '@azure/arm-compute';
import { settle, undefinedIfNotFound, hasSucceeded, isTerminalState } from '../azure/lookup.ts';
import { createRetries, isTransientError } from '../azure/policies/retry.ts';
import { pollUntilDone, unexplainedFailure } from '../azure/polling.ts';
import { sameId } from '../azure/resource-id.ts';
import type { CleanupState, RunContext } from '../deployment/cleanup-state.ts';
import { assertOwned, hasDeploymentTag, mayDelete } from '../deployment/ownership.ts';
import type { Placement, Plan } from '../deployment/resources.ts';
import { ActionError, AzureError, isClientError, rootDetail } from '../errors/errors.ts';
import { clockSeconds } from '../lib/clock.ts';
import { asObject, asString } from '../lib/json.ts';
import {
  type FailedPlacement,
  describeCause,
  describePlacement,
  isPlacementError,
  noPlacementError,
} from './placement.ts';
import { failureReason, isFailedState, readProvisioningFailure, readVm, waitForTerminalState } from './vm-status.ts';

interface VmCreation extends RunContext {
  readonly plan: Plan;
  /** `accepted`: return as soon as Resource Manager has accepted the request. */
  readonly until: 'accepted' | 'provisioned';
  readonly restoreNetwork: () => Promise<unknown>;
  readonly deleteVm: () => Promise<void>;
  readonly onAttempt: (placement: Placement) => void;
  /** Called when Azure has accepted the request, long before the VM is provisioned. */
  readonly onAccepted: (placement: Placement, vm: ReturnType<typeof parseAcceptedVm>) => void;
}

/** @throws ActionError listing every placement if all are refused; AzureError for any other refusal. */
export async function createVm(creation: VmCreation): Promise<VirtualMachine> {
  const { plan, log } = creation;
  const failed: FailedPlacement[] = [];
  let failedVm: Placement | undefined;
  for (const [index, placement] of plan.vm.attempts.entries()) {
    // A VM cannot change its zone or priority.
    if (failedVm && (failedVm.zone !== placement.zone || failedVm.spot !== placement.spot)) {
      await creation.deleteVm();
      await creation.restoreNetwork();
      failedVm = undefined;
    }
    try {
      return await createVmAt(creation, placement, failedVm !== undefined);
    } catch (error) {
      if (!isPlacementError(error)) throw error;
      failed.push({ placement, error });
      // A refused PUT creates nothing. A failed operation leaves a VM.
      if (hasFailedAfterAcceptance(error)) failedVm = placement;
      const next = plan.vm.attempts[index + 1];
      // The error has the message of the last one.
      if (next)
        log.notice(
          `Trying ${describePlacement(next)}, because ${describePlacement(placement)} is not available: ${describeCause(error)}`,
        );
    }
  }
  throw noPlacementError(plan, failed);
}

/** Retries without Trusted Launch if the size lacks it and neither the image nor the inputs require it. */
async function createVmAt(creation: VmCreation, placement: Placement, replacesFailed: boolean) {
  try {
    return await putVm(creation, placement, replacesFailed);
  } catch (error) {
    const isUnsupported =
      error instanceof AzureError &&
      error.fault.status === 400 &&
      /'TrustedLaunch' security type/i.test(error.fault.message);
    if (!isUnsupported || !creation.plan.vm.plainWillDo) throw error;
    creation.log.notice(
      `${placement.size} has no Trusted Launch, which the image supports but does not require: creating a standard VM.`,
    );
    return await putVm(creation, { ...placement, withoutTrustedLaunch: true }, replacesFailed);
  }
}

async function putVm(creation: VmCreation, placement: Placement, replacesFailed: boolean): Promise<VirtualMachine> {
  const { plan, session, log } = creation;
  const what = `virtual machine ${plan.vm.name}`;
  creation.onAttempt(placement);
  log.info(`Creating ${what}: ${describePlacement(placement)}.`);
  const waitBeforeRetry = createRetries(what, { signal: session.waiting.signal, log: log.info });
  const attempt = { startSeconds: clockSeconds(), conflicts: 0, replacesFailed };
  for (;;) {
    const result = await attemptPut(creation, placement, attempt.replacesFailed);
    if (!(result instanceof AzureError)) return result;
    const next = retryDelay(result, attempt);
    if (!next || !(await waitBeforeRetry(result.fault, next.seconds))) {
      if (!hasFailedAfterAcceptance(result)) await discardMissing(creation, result);
      throw result;
    }
    attempt.conflicts++;
    attempt.replacesFailed ||= hasFailedAfterAcceptance(result);
  }
}

/** @returns the error that decides whether and how to try again. */
async function attemptPut(creation: VmCreation, placement: Placement, replacesFailed: boolean) {
  const { session, plan } = creation;
  const { signal } = session.waiting;
  try {
    const vm = await sendVm(creation, placement, replacesFailed);
    return isFailedState(vm) ? (await readProvisioningFailure(session, plan)).fault : vm;
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (!(error instanceof AzureError)) throw error;
    if (isNameConflict(error) && !replacesFailed && !hasFailedAfterAcceptance(error)) {
      await assertCreatedByThisAttempt(creation, error);
      return resumeLostCreate(creation, error);
    }
    if (isTransientError(error.fault) && !isClientError(error)) return resumeTransientFailure(creation, error);
    return error.fault.code === unexplainedFailure ? failureReason(session, plan, error) : error;
  }
}

/** Errors of operations whose PUT Azure had accepted. */
const operationErrors = new WeakSet<AzureError>();

/** Marks the error of an accepted PUT: polls report a failed operation as 200, or with the status of the error. */
async function sendVm(creation: VmCreation, placement: Placement, replacesFailed: boolean): Promise<VirtualMachine> {
  const { plan, session, cleanupState, until, onAccepted } = creation;
  const { waiting, crossTenantCompute } = session;
  const { name, osType } = plan.vm;
  let isAccepted = false;
  // Azure creates the disk with the VM, and may leave it if the VM fails.
  for (const id of vmResourceIds(plan)) cleanupState.addPending(id);
  const poller = crossTenantCompute.virtualMachines.createOrUpdate(plan.resourceGroup, name, plan.vm.body(placement), {
    abortSignal: waiting.signal,
    // Azure enforces this guard against overwriting. Our own failed VM has to be overwritten.
    ...(replacesFailed ? {} : { ifNoneMatch: '*' }),
    onResponse: ({ status, parsedBody }) => {
      if (status !== 200 && status !== 201) return;
      isAccepted = true;
      onAccepted(placement, parseAcceptedVm(parsedBody));
    },
  });
  try {
    if (until === 'accepted') {
      await poller.submitted();
      markVmAccepted(cleanupState, plan);
      return await readVm(session, plan);
    }
    const kind = osType === 'Windows' ? 'vm-create-windows' : 'vm-create-linux';
    const options = { ...waiting, onAccepted: () => markVmAccepted(cleanupState, plan) };
    const answered = await pollUntilDone(`virtual machine ${name}`, kind, options, poller);
    // A front end may lag behind the operation.
    const vm = isTerminalState(answered) ? answered : ((await waitForTerminalState(session, plan)) ?? answered);
    trackDisks(cleanupState, plan, vm);
    return vm;
  } catch (error) {
    if (isAccepted && error instanceof AzureError) operationErrors.add(error);
    throw error;
  }
}

async function resumeLostCreate({ session, plan, cleanupState, until }: VmCreation, error: AzureError) {
  markVmAccepted(cleanupState, plan);
  const vm = until === 'accepted' ? await readVm(session, plan) : await waitForTerminalState(session, plan);
  if (vm && (until === 'accepted' || hasSucceeded(vm))) {
    trackDisks(cleanupState, plan, vm);
    return vm;
  }
  return vm ? failureReason(session, plan, error) : error;
}

/** A transient error says nothing of the VM: Azure may have created it all the same, and then it stays. */
async function resumeTransientFailure(creation: VmCreation, error: AzureError) {
  const found = await settle(() => readVm(creation.session, creation.plan));
  if ('error' in found) return error;
  if (!hasFailedAfterAcceptance(error)) await assertCreatedByThisAttempt(creation, error);
  const result = await resumeLostCreate(creation, error);
  return result instanceof AzureError && hasFailedAfterAcceptance(error) ? error : result;
}

/** Undefined: give up. Without `seconds`, the delay follows from the error. Refused requests were already retried. */
function retryDelay(
  error: AzureError,
  attempt: { readonly startSeconds: number; readonly conflicts: number; readonly replacesFailed: boolean },
): { readonly seconds?: number } | undefined {
  // Azure reserves a network interface for a failed VM, ours or another, for 180 seconds.
  if (rootDetail(error.fault).code === 'NicReservedForAnotherVm') {
    const elapsed = clockSeconds() - attempt.startSeconds;
    // Increasing, because Compute allows 12 writes per VM and 4 more per minute.
    return elapsed > 240 ? undefined : { seconds: Math.min(15, Math.max(1, elapsed / 2)) };
  }
  // Azure may still be working on the failed VM that is overwritten.
  if (isNameConflict(error) && attempt.replacesFailed && attempt.conflicts < 6) return { seconds: 5 };
  return hasFailedAfterAcceptance(error) ? {} : undefined;
}

/** Whether the VM exists: decided by the answer to its PUT, or by a VM that was read as failed (status 200). */
function hasFailedAfterAcceptance(error: AzureError): boolean {
  return operationErrors.has(error) || error.fault.status === 200;
}

/** 412: the VM exists (If-None-Match). 409 Conflict: another request is writing it. */
function isNameConflict({ fault }: AzureError): boolean {
  return fault.status === 412 || (fault.status === 409 && fault.code === 'Conflict');
}

/** Azure's GUID of the VM and its system-assigned identity. The SDK has not deserialized the response at this point. */
function parseAcceptedVm(body: unknown) {
  const { identity, properties } = asObject(body);
  return { instanceId: asString(asObject(properties).vmId), principalId: asString(asObject(identity).principalId) };
}

function vmResourceIds(plan: Plan): readonly string[] {
  return [plan.vm.osDisk.id, plan.vm.id];
}

function markVmAccepted(cleanupState: CleanupState, plan: Plan): void {
  for (const id of vmResourceIds(plan)) cleanupState.markAccepted(id);
}

/** Corrects the planned disks: an ephemeral OS disk is no resource, and Azure names the data disks. */
function trackDisks(cleanupState: CleanupState, plan: Plan, { storageProfile }: VirtualMachine): void {
  const planned = plan.vm.osDisk.id;
  const osDisk = storageProfile?.osDisk?.managedDisk?.id;
  if (!osDisk || !sameId(osDisk, planned)) cleanupState.discard(planned);
  const dataDisks = (storageProfile?.dataDisks ?? []).filter(({ createOption }) => createOption !== 'Attach');
  for (const id of [osDisk, ...dataDisks.map(({ managedDisk }) => managedDisk?.id)]) {
    if (!id || sameId(id, planned)) continue;
    cleanupState.addPending(id);
    cleanupState.markAccepted(id);
  }
}

/** A refused PUT creates nothing, unless an earlier attempt was carried out and its response lost. */
async function discardMissing({ session, cleanupState, plan }: VmCreation, { fault }: AzureError): Promise<void> {
  const exists = (read: Promise<{ tags?: Record<string, string> }>): Promise<boolean> =>
    undefinedIfNotFound(read).then(
      (found) => hasDeploymentTag(found?.tags, plan.deployment),
      // Without write permission, this run has created nothing.
      () => fault.status !== 403,
    );
  if (await exists(readVm(session, plan))) return;
  cleanupState.discard(plan.vm.id);
  const disk = session.compute.disks.get(plan.resourceGroup, plan.vm.osDisk.name);
  if (!(await exists(disk))) cleanupState.discard(plan.vm.osDisk.id);
}

/** A VM that appeared after the lookup is ours if its tags name this attempt and an earlier response was lost. */
async function assertCreatedByThisAttempt(
  { session, cleanupState, run, plan }: VmCreation,
  error: AzureError,
): Promise<void> {
  const vm = await undefinedIfNotFound(readVm(session, plan));
  const tags = vm?.tags;
  const hasOurTags = mayDelete(cleanupState.claim, plan.vm.id, tags);
  if (hasOurTags && error.fault.previousAttemptLost) return;
  if (hasOurTags) {
    // Includes the network: either job may have created it.
    cleanupState.disown();
    throw duplicateNameError(plan, error);
  }
  for (const id of vmResourceIds(plan)) cleanupState.discard(id);
  if (vm) assertOwned(`virtual machine ${plan.vm.name}`, { id: plan.vm.id, tags }, plan.deployment, run);
  throw error;
}

/** Calls of a reusable workflow share one job ID: https://github.com/actions/runner/issues/2577. */
function duplicateNameError({ vm, deployment }: Plan, cause: AzureError): ActionError {
  return new ActionError(`creating virtual machine ${vm.name}`, {
    message: `Another job of this run created virtual machine ${vm.name} at the same moment.`,
    cause,
    reason: `Both jobs named their deployment "${deployment}". The default of \`vm-name\` is the same for all calls of a reusable workflow, and for its calls from a matrix, because GitHub gives them one job ID. Nothing of the other job was changed.`,
    fix: ['Give each call its own `vm-name`, for example from an input of the reusable workflow.'],
  });
}
