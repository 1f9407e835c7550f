import type { RunContext } from '../deployment/cleanup-state.ts';
import type { Placement, Plan } from '../deployment/resources.ts';
import { ActionError, AzureError, rootDetail } from '../errors/errors.ts';
import { omitUndefined } from '../lib/json.ts';
import { shellCommand } from '../lib/escape.ts';
import { type RefusedSize, type Sku, suggestSizes } from './sizes.ts';

export interface VmCreation extends RunContext {
  readonly plan: Plan;
  /** `accepted`: return as soon as Resource Manager has accepted the request. */
  readonly until: 'accepted' | 'provisioned';
  readonly restoreNetwork: () => Promise<unknown>;
  readonly deleteVm: () => Promise<void>;
  readonly onAttempt: (placement: Placement) => void;
  /** Called when Azure has accepted the request, long before the VM is provisioned. */
  readonly onAccepted: (placement: Placement, vm: AcceptedVm) => void;
  /** Whether the image boots on a size with these inputs. */
  readonly fits: (sku: Sku) => boolean;
}

export interface AcceptedVm {
  /** Azure's GUID of the VM. */
  readonly instanceId?: string;
  /** Of the system-assigned identity. */
  readonly principalId?: string;
}

/** Quota, prices and unknown sizes have ambiguous codes; see isPlacementError. */
const placementCodes = new Set([
  'SkuNotAvailable',
  'AllocationFailed',
  'ZonalAllocationFailed',
  'OverconstrainedAllocationRequest',
  'OverconstrainedZonalAllocationRequest',
  'QuotaExceeded',
  'InvalidAvailabilityZone',
  'VMSizeIsNotPermittedToEnableAcceleratedNetworking',
  'ComputeResourceZoneConstraintDoesNotMatchPublicIPAddressZoneConstraint',
]);

export function isPlacementError(error: unknown): error is AzureError {
  if (!(error instanceof AzureError)) return false;
  const { code, target = '', message } = error.fault;
  const codes = [code, rootDetail(error.fault).code];
  if (codes.some((known) => placementCodes.has(known))) return true;
  if (codes.includes('InvalidParameter')) {
    return target.toLowerCase() === 'vmsize' || /disk controller types supported by the OS image/i.test(message);
  }
  return codes.includes('OperationNotAllowed') && /quota|lower than the current spot price/i.test(message);
}

export interface FailedPlacement {
  readonly placement: Placement;
  readonly error: AzureError;
}

export function describeCause({ fault }: AzureError): string {
  const { code, message } = rootDetail(fault);
  return `${code}: ${message.split('\n')[0]}`;
}

export function describePlacement({ size, zone, spot }: Placement): string {
  return `${size}${spot ? ' (Spot)' : ''}${zone ? ` in zone ${zone}` : ''}`;
}

/** Read only after a refusal: the list has megabytes and needs a permission that the deployment does not. */
async function describeAlternatives(
  { session, plan: { location, subscriptionId }, fits }: VmCreation,
  refused: readonly RefusedSize[],
): Promise<string> {
  try {
    const skus = await Array.fromAsync(session.compute.resourceSkus.list({ filter: `location eq '${location}'` }));
    const suggestions = suggestSizes(skus, fits, refused);
    return suggestions.length > 0
      ? `Sizes offered in ${location} (capacity is not guaranteed): ${suggestions.join('; ')}.`
      : `Azure offers no other size in ${location} that the image boots on and that the subscription can use.`;
  } catch (error) {
    if (!(error instanceof AzureError)) throw error;
    return error.fault.status === 403
      ? `Sizes offered in ${location} are unknown: the app lacks Microsoft.Compute/skus/read on subscription ${subscriptionId}.`
      : `Sizes offered in ${location} could not be read: ${describeCause(error)}`;
  }
}

/** A single refusal is left to the error catalogue. */
export async function noPlacementError(creation: VmCreation, failed: readonly FailedPlacement[]): Promise<ActionError> {
  const { plan } = creation;
  const activity = `creating virtual machine ${plan.vm.name}`;
  const cause = failed.at(-1)?.error;
  const refused = failed.map(({ placement: { size, zone }, error }) => ({
    ...omitUndefined({ size, zone }),
    ...rootDetail(error.fault),
  }));
  const alternatives = await describeAlternatives(creation, refused);
  if (failed.length === 1) return new ActionError(activity, { message: alternatives, cause });
  const lines = failed.map(({ placement, error }) => `- ${describePlacement(placement)}: ${describeCause(error)}`);
  const title = `None of the requested sizes and zones is available in ${plan.location}:`;
  return new ActionError(activity, {
    message: [title, ...lines, alternatives].join('\n'),
    cause,
    reason: 'Azure refused every requested size and zone because of quota, capacity or availability.',
    fix: [
      'Add other sizes to `vm-size`, other zones, or use another `location`. All sizes of the region:',
      shellCommand`az vm list-skus --subscription ${plan.subscriptionId} --location ${plan.location} --resource-type virtualMachines --query ${'[?length(restrictions)==`0`].name'} -o tsv`,
    ],
  });
}
