import type { VirtualMachine } from '@azure/arm-compute';
import { orUndefined, type Session } from './azure.ts';
import { AzureError, Failure, innermost } from './failure.ts';
import { type Ledger, type Run, refuseForeign, tagValue } from './ledger.ts';
import type { Attempt, Plan } from './plan.ts';
import { untilDone, waitFor } from './waiting.ts';

interface Site {
  readonly session: Session;
  readonly ledger: Ledger;
  readonly run: Run;
  readonly log: { info(line: string): void; notice(line: string): void };
}

export interface Placing {
  /** Found under the machine's name before; ours, or refused. */
  readonly existing?: VirtualMachine;
  /** `accepted`: come back as soon as Resource Manager has taken the request. */
  readonly until: 'accepted' | 'provisioned';
  /** Makes the network whole again after a failed machine was deleted and took its interface along. */
  readonly restoreNetwork: () => Promise<void>;
  /** Removes a failed machine with what goes along with it. */
  readonly removeMachine: () => Promise<void>;
  /** Called with the principal ID of the machine's own identity as soon as Azure has told it, long before the end. */
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
 * Creates the machine, or goes on with the one that an earlier run of this deployment began. Sizes and zones are tried
 * in the author's order; each one that is refused for want of quota or capacity gives a line.
 * @throws Failure listing every attempt when all are refused; AzureError for any other refusal.
 */
export async function createMachine(site: Site, plan: Plan, placing: Placing): Promise<VirtualMachine> {
  const refusals: { attempt: Attempt; error: AzureError }[] = [];
  let standing = placing.existing ? { zone: placing.existing.zones?.[0] } : undefined;
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
  { session, ledger, run, log }: Site,
  plan: Plan,
  attempt: Attempt,
  placing: Placing,
  over: boolean,
): Promise<VirtualMachine> {
  const { waiting } = session;
  const { id, name, osType } = plan.machine;
  const what = `virtual machine ${name}`;
  ledger.record(id);
  log.info(`Creating ${what}: ${describeAttempt(attempt)}.`);
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
      return await readMachine(session, plan);
    }
    return await untilDone(
      what,
      osType === 'Windows' ? 'vm-create-windows' : 'vm-create-linux',
      waiting,
      poller,
    );
  } catch (error) {
    if (waiting.signal.aborted) throw waiting.signal.reason;
    if (!(error instanceof AzureError) || error.fault.status !== 412) throw error;
    return await afterPreconditionFailed({ session, run }, plan, error, placing.until);
  }
}

/**
 * 412: a machine of that name came into being since it was looked for. If its tags name this very run, the answer to our
 * first PUT was lost on the way and the request was sent again: the machine is ours, and its create goes on.
 */
async function afterPreconditionFailed(
  { session, run }: Pick<Site, 'session' | 'run'>,
  plan: Plan,
  error: AzureError,
  until: Placing['until'],
): Promise<VirtualMachine> {
  const what = `virtual machine ${plan.machine.name}`;
  const machine = await readMachine(session, plan);
  refuseForeign(what, plan.machine.id, machine.tags, plan.deployment, run);
  const samePut =
    tagValue(machine.tags, 'github-run-id') === run.runId &&
    tagValue(machine.tags, 'github-run-attempt') === run.runAttempt;
  if (!samePut) throw error;
  return until === 'accepted' ? machine : settleMachine(session, plan);
}

/** Waits for a create whose operation URL was never seen or is lost. Reads count against 12 a minute, so it looks seldom. */
export async function settleMachine(
  session: Session,
  plan: Pick<Plan, 'resourceGroup' | 'machine'>,
): Promise<VirtualMachine> {
  const what = `virtual machine ${plan.machine.name}`;
  const settled = await waitFor(what, 'guest', session.waiting, async () => {
    const machine = await orUndefined(readMachine(session, plan));
    return !machine || !/^(Creating|Updating)$/.test(machine.provisioningState ?? '')
      ? { machine }
      : undefined;
  });
  if (settled.machine?.provisioningState === 'Succeeded') return settled.machine;
  throw new Failure(`creating ${what}`, {
    message: `${what} ended as ${settled.machine?.provisioningState ?? 'deleted'}.`,
    explanation: {
      cause: 'The create went on after the connection to Azure was lost, and did not end well.',
      who: "the workflow's author",
      fix: [
        'Run the step again: it deletes or repairs what is there and tells the reason if it fails again.',
      ],
    },
  });
}

function readMachine(
  { compute }: Session,
  plan: Pick<Plan, 'resourceGroup' | 'machine'>,
): Promise<VirtualMachine> {
  return compute.virtualMachines.get(plan.resourceGroup, plan.machine.name);
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
