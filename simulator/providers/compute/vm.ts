// The state of virtual machines that is not in their bodies.
import type { Call } from '../../http/provider.ts';
import { refuse, resourceNotFound } from '../../model/arm-error.ts';
import type { OperationFailure } from '../../model/contract.ts';
import type { Resource } from '../../model/entities.ts';
import type { World } from '../../world/world.ts';
import type { VmImage } from './image-resolution.ts';
import type { Size } from './skus.ts';

export const vmType = 'Microsoft.Compute/virtualMachines';

export interface VmState {
  /** Incremented by every operation that supersedes an earlier one. */
  generation: number;
  image: VmImage;
  /** False after a failed allocation: no quota is used and nothing boots. */
  allocated: boolean;
  failure: OperationFailure | undefined;
  provisionedAt: number | undefined;
  agentReadyAt: number;
  powerState: 'starting' | 'running' | 'stopped' | 'deallocated' | undefined;
  userData: string | undefined;
  customData: string | undefined;
  /** Number of changes, the ETag since api-version 2024-07-01. */
  revision: number;
  changedAt: number;
  /** True once the guest has booted. */
  guest: boolean;
}

export function vmStateOf(resource: Resource): VmState {
  return resource.internal as unknown as VmState;
}

/**
 * The VM in the path.
 *
 * @throws ArmError 404 as Azure words it.
 */
export function requireVm(call: Call): Resource {
  const id = call.resourceId.replace(/(\/virtualMachines\/[^/]+).*$/i, '$1');
  const found = call.world.resources.get(id);
  if (found !== undefined) return found;
  const gone = deletedVms(call.world).get(id.toLowerCase());
  // Recorded: soon after a deletion Compute answers, later the gateway.
  if (gone !== undefined && call.world.clock.now() - gone < 60) {
    throw refuse(404, 'NotFound', 'The entity was not found in this Azure location.');
  }
  throw resourceNotFound(id);
}

export function deletedVms(world: World): Map<string, number> {
  return world.extension('deleted VMs', () => new Map<string, number>());
}

/** Whether the VM agent reports, so that scripts can run. */
export function isAgentReady(world: World, resource: Resource): boolean {
  const vm = vmStateOf(resource);
  return vm.powerState === 'running' && vm.guest && world.clock.now() >= vm.agentReadyAt;
}

export function concurrentRequestError(): Error {
  return refuse(
    409,
    'Conflict',
    'The request failed due to conflict with a concurrent request. To resolve it, please refer to https://aka.ms/activitylog to get more details on the conflicting requests.',
  );
}

/** A PUT that passed all checks. */
export interface VmRequest {
  readonly location: string;
  readonly zone: string | undefined;
  readonly size: Size;
  readonly image: VmImage;
  /** The operation fails with this error. */
  readonly failure: OperationFailure | undefined;
}
