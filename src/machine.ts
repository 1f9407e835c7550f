import type { VirtualMachine } from '@azure/arm-compute';
import { isBusy, orUndefined, secondsUntilAgain, type Session, tellAgain } from './azure.ts';
import { AzureError, Failure, innermost } from './failure.ts';
import { type Ledger, namesDeployment, namesRun, type Run, refuseForeign, tagValue } from './ledger.ts';
import type { Attempt, Plan } from './plan.ts';
import { resourceId, sameId } from './resource-id.ts';
import { pause, untilDone, waitFor } from './waiting.ts';

interface Site {
  readonly session: Session;
  readonly ledger: Ledger;
  readonly run: Run;
  readonly log: { info(line: string): void; notice(line: string): void };
}

export interface Placing {
  /** `accepted`: come back as soon as Resource Manager has taken the request. */
  readonly until: 'accepted' | 'provisioned';
  /** Makes the network whole again after a failed machine was deleted and took its interface along. */
  readonly restoreNetwork: () => Promise<void>;
  /** Removes a failed machine with what goes along with it. */
  readonly removeMachine: () => Promise<void>;
  /** Told as soon as Azure has named the machine's own identity, long before the machine is there. */
  readonly onPrincipal: (principalId: string) => void;
}

/**
 * Codes that speak of one size in one zone: another one may well be had. Quota is refused as OperationNotAllowed, which
 * also stands for other things, so its text is looked at.
 */
const placement = new Set([
  'SkuNotAvailable',
  'AllocationFailed',
  'ZonalAllocationFailed',
  'OverconstrainedAllocationRequest',
  'OverconstrainedZonalAllocationRequest',
  'QuotaExceeded',
]);

export function isPlacementRefusal(error: unknown): error is AzureError {
  if (!(error instanceof AzureError)) return false;
  const codes = [error.fault.code, innermost(error.fault).code];
  if (codes.some((code) => placement.has(code))) return true;
  return (
    codes.includes('OperationNotAllowed') && /exceeding (approved|quota)|quota/i.test(error.fault.message)
  );
}

/**
 * Creates the machine. Sizes and zones are tried in the author's order; each one that is refused for want of quota or capacity gives a line.
 * @throws Failure listing every attempt when all are refused; AzureError for any other refusal.
 */
export async function createMachine(site: Site, plan: Plan, placing: Placing): Promise<VirtualMachine> {
  const refusals: { attempt: Attempt; error: AzureError }[] = [];
  let standing: { zone?: string | undefined } | undefined;
  for (const [index, attempt] of plan.machine.attempts.entries()) {
    const where = describeAttempt(attempt);
    if (standing && standing.zone !== attempt.zone) {
      await placing.removeMachine();
      await placing.restoreNetwork();
      standing = undefined;
    }
    try {
      return await putMachine(site, plan, attempt, placing, standing !== undefined);
    } catch (error) {
      if (!isPlacementRefusal(error)) throw error;
      refusals.push({ attempt, error });
      // A refused PUT leaves nothing. An operation that failed (a poll's 200) leaves the machine behind.
      if (error.fault.status === 200) standing = { zone: attempt.zone };
      const next = plan.machine.attempts[index + 1];
      const { code, message } = innermost(error.fault);
      site.log.notice(
        `${where} cannot be had: ${code}: ${message.split('\n')[0]}${next ? ` Trying ${describeAttempt(next)}.` : ''}`,
      );
    }
  }
  throw allRefused(plan, refusals);
}

function describeAttempt({ size, zone }: Attempt): string {
  return zone ? `${size} in zone ${zone}` : size;
}

async function putMachine(
  site: Site,
  plan: Plan,
  attempt: Attempt,
  placing: Placing,
  overOurFailedOne: boolean,
): Promise<VirtualMachine> {
  const { session, ledger, log } = site;
  const { waiting } = session;
  const { id, name, osType } = plan.machine;
  const what = `virtual machine ${name}`;
  const parts = [osDiskId(plan), id];
  log.info(`Creating ${what}: ${describeAttempt(attempt)}.`);
  let over = overOurFailedOne;
  for (let tries = 0; ; tries++) {
    // Azure makes the disk with the machine, and leaves it if it comes no further than that.
    for (const part of parts) ledger.record(part);
    const answered = (): void => {
      for (const part of parts) ledger.answered(part);
    };
    const poller = session.linkedCompute.virtualMachines.createOrUpdate(
      plan.resourceGroup,
      name,
      plan.machine.body(attempt),
      {
        abortSignal: waiting.signal,
        // The only guard against overwriting that Azure itself enforces. Without it over our own failed machine.
        ...(over ? {} : { ifNoneMatch: '*' }),
        onResponse: ({ parsedBody }) => {
          const { identity } = { ...(parsedBody as VirtualMachine | undefined) };
          if (identity?.principalId) placing.onPrincipal(identity.principalId);
        },
      },
    );
    try {
      if (placing.until === 'accepted') {
        await poller.submitted();
        answered();
        return await readMachine(session, plan);
      }
      const rhythm = osType === 'Windows' ? 'vm-create-windows' : 'vm-create-linux';
      const machine = await untilDone(what, rhythm, waiting, poller, answered);
      if (machine.provisioningState === 'Failed') throw (await lookInto(session, plan)).fault;
      recordDisks(ledger, plan, machine);
      return machine;
    } catch (error) {
      if (waiting.signal.aborted) throw waiting.signal.reason;
      if (!(error instanceof AzureError)) throw error;
      if (isTaken(error)) {
        const machine = await afterLostAnswer(site, plan, error, placing.until);
        answered();
        recordDisks(ledger, plan, machine);
        return machine;
      }
      // Refusals that pass were waited out below; here they are the end of an operation, and its machine stands.
      const { fault } = error;
      const seconds = fault.status === 200 && isBusy(fault) ? secondsUntilAgain(fault, tries) : undefined;
      if (seconds === undefined) {
        if (fault.status >= 400) await forgetWhatIsNotThere(site, plan, error);
        throw error;
      }
      log.info(`${what}: ${tellAgain(fault, seconds)}`);
      await pause(seconds, waiting.signal);
      over = true;
    }
  }
}

function osDiskId({ subscriptionId, resourceGroup, machine }: Plan): string {
  return resourceId(subscriptionId, resourceGroup, 'Microsoft.Compute/disks', machine.osDiskName);
}

/** The disks as Azure names them once they are there: an ephemeral one is no resource, and data disks get their names there. */
function recordDisks(ledger: Ledger, plan: Plan, { storageProfile }: VirtualMachine): void {
  const planned = osDiskId(plan);
  const osDisk = storageProfile?.osDisk?.managedDisk?.id;
  if (!osDisk || !sameId(osDisk, planned)) ledger.forget(planned);
  const made = (storageProfile?.dataDisks ?? []).filter(({ createOption }) => createOption !== 'Attach');
  for (const id of [osDisk, ...made.map(({ managedDisk }) => managedDisk?.id)]) {
    if (!id || sameId(id, planned)) continue;
    ledger.record(id);
    ledger.answered(id);
  }
}

/** A refused PUT leaves nothing, unless an earlier try of it was carried out and its answer lost. */
async function forgetWhatIsNotThere(
  { session, ledger }: Site,
  plan: Plan,
  refusal: AzureError,
): Promise<void> {
  const isThere = async (look: () => Promise<{ tags?: Record<string, string> }>): Promise<boolean> => {
    try {
      return namesDeployment((await orUndefined(look()))?.tags, plan.deployment);
    } catch {
      // Who may neither write nor read has made nothing.
      return refusal.fault.status !== 403;
    }
  };
  const { compute } = session;
  if (await isThere(() => readMachine(session, plan))) return;
  ledger.forget(plan.machine.id);
  const { osDiskName } = plan.machine;
  if (!(await isThere(() => compute.disks.get(plan.resourceGroup, osDiskName))))
    ledger.forget(osDiskId(plan));
}

/** 412: If-None-Match was not met. 409 Conflict: the machine is being written to at this moment. */
function isTaken({ fault }: AzureError): boolean {
  return fault.status === 412 || (fault.status === 409 && fault.code === 'Conflict');
}

/**
 * A machine of that name came into being since it was looked for. If its tags name this very attempt of the job, the
 * answer to our first PUT was lost on the way and the request was sent again: the machine is ours, and its create goes on.
 */
async function afterLostAnswer(
  { session, run }: Pick<Site, 'session' | 'run'>,
  plan: Plan,
  error: AzureError,
  until: Placing['until'],
): Promise<VirtualMachine> {
  const machine = await readMachine(session, plan);
  refuseForeign(`virtual machine ${plan.machine.name}`, plan.machine.id, machine.tags, plan.deployment, run);
  if (!namesRun(machine.tags, run) || tagValue(machine.tags, 'github-run-attempt') !== run.runAttempt) {
    throw error;
  }
  if (until === 'accepted') return machine;
  const settled = await settleMachine(session, plan);
  if (settled?.provisioningState === 'Succeeded') return settled;
  throw settled ? (await lookInto(session, plan)).fault : error;
}

/**
 * Waits for a create whose operation URL was never seen or is lost, and for deletions by others. Reads count against 12 a
 * minute, so it looks seldom.
 * @returns the machine at rest; undefined when it is gone.
 */
export async function settleMachine(
  session: Session,
  plan: { readonly resourceGroup: string; readonly machine: { readonly name: string } },
): Promise<VirtualMachine | undefined> {
  const what = `virtual machine ${plan.machine.name}`;
  const settled = await waitFor(what, 'guest', session.waiting, async () => {
    const machine = await orUndefined(readMachine(session, plan));
    return machine && /^(Creating|Updating|Deleting)$/.test(machine.provisioningState ?? '')
      ? undefined
      : { machine };
  });
  return settled.machine;
}

/** Why a machine that is there is not whole, in Azure's words; and whether its guest has ever run. */
export async function lookInto(
  session: Session,
  { resourceGroup, machine }: { readonly resourceGroup: string; readonly machine: { readonly name: string } },
): Promise<{ readonly fault: AzureError; readonly hasRun: boolean }> {
  const { id = '', instanceView } = await session.compute.virtualMachines.get(resourceGroup, machine.name, {
    expand: 'instanceView',
  });
  const statuses = instanceView?.statuses ?? [];
  // ProvisioningState/failed/AllocationFailed
  const failed = statuses.find(({ code }) => /^ProvisioningState\/failed/i.test(code ?? ''));
  const fault = new AzureError({
    status: 200,
    code: failed?.code?.split('/')[2] ?? 'ProvisioningFailed',
    message: failed?.message ?? `The virtual machine ended as ${failed?.displayStatus ?? 'failed'}.`,
    details: [],
    method: 'GET',
    url: id,
    correlationId: session.correlationId,
    body: '',
  });
  return { fault, hasRun: statuses.some(({ code }) => /^PowerState\//i.test(code ?? '')) };
}

function readMachine(
  { compute }: Session,
  { resourceGroup, machine }: { readonly resourceGroup: string; readonly machine: { readonly name: string } },
): Promise<VirtualMachine> {
  return compute.virtualMachines.get(resourceGroup, machine.name);
}

function allRefused(plan: Plan, refusals: readonly { attempt: Attempt; error: AzureError }[]): unknown {
  const [only] = refusals;
  if (refusals.length === 1 && only) return only.error;
  const lines = refusals.map(({ attempt, error }) => {
    const { code, message } = innermost(error.fault);
    return `${describeAttempt(attempt)}: ${code}: ${message.split('\n')[0]}`;
  });
  return new Failure(`creating virtual machine ${plan.machine.name}`, {
    message: `None of the sizes and zones can be had in ${plan.location}:\n${lines.map((line) => `- ${line}`).join('\n')}`,
    cause: refusals.at(-1)?.error,
    explanation: {
      cause: 'Each one was refused for want of quota, capacity or availability.',
      who: "the workflow's author",
      fix: [
        'Give more or other sizes in `vm-size`, other zones, or another `location`.',
        `az vm list-skus --location ${plan.location} --resource-type virtualMachines --query "[?length(restrictions)==\`0\`].name" -o tsv`,
      ],
    },
  });
}
