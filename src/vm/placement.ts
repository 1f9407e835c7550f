import type { Session } from '../azure/arm-client.ts';
import type { CleanupState } from '../deployment/cleanup-state.ts';
import type { Placement, Plan } from '../deployment/plan.ts';
import { ActionError } from '../errors/action-error.ts';
import { AzureError, rootDetail } from '../errors/azure-error.ts';
import type { WorkflowRun } from '../runner/github-context.ts';
import { type RefusedSize, suggestSizes } from './alternative-sizes.ts';
import type { Sku } from './sizes.ts';

export interface VmContext {
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

export interface FailedPlacement {
  readonly attempt: Placement;
  readonly error: AzureError;
}

export function firstMessageLine({ fault }: AzureError): string {
  const { code, message } = rootDetail(fault);
  return `${code}: ${message.split('\n')[0]}`;
}

export function describeAttempt({ size, zone }: Placement): string {
  return zone ? `${size} in zone ${zone}` : size;
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
export async function noPlacementError(
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
