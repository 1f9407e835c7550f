import type { Placement, Plan } from '../deployment/resources.ts';
import { ActionError, AzureError, rootDetail } from '../errors/errors.ts';
import { shellCommand } from '../lib/escape.ts';

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

/** A single refusal is left to the error catalogue. */
export function noPlacementError(
  { vm, location, subscriptionId }: Plan,
  failed: readonly FailedPlacement[],
): ActionError {
  const activity = `creating virtual machine ${vm.name}`;
  const cause = failed.at(-1)?.error;
  if (failed.length === 1) return new ActionError(activity, { cause });
  const lines = failed.map(({ placement, error }) => `- ${describePlacement(placement)}: ${describeCause(error)}`);
  const title = `None of the requested sizes and zones is available in ${location}:`;
  return new ActionError(activity, {
    message: [title, ...lines].join('\n'),
    cause,
    reason: 'Azure refused every requested size and zone because of quota, capacity or availability.',
    fix: [
      'Add other sizes to `vm-size`, other zones, or use another `location`. All sizes of the region:',
      shellCommand`az vm list-skus --subscription ${subscriptionId} --location ${location} --resource-type virtualMachines --query ${'[?length(restrictions)==`0`].name'} -o tsv`,
    ],
  });
}
