// What a virtual machine is to the simulator: its budgets, what is known of it besides its body, and how it is shown.
import type { Call } from '../../http/provider.ts';
import { refuse, resourceNotFound } from '../../model/arm-error.ts';
import type { OperationFailure } from '../../model/contract.ts';
import type { Resource } from '../../model/entities.ts';
import type { World } from '../../world/world.ts';
import type { VmImage } from './image-resolution.ts';
import type { Size } from './skus.ts';

export const vmType = 'Microsoft.Compute/virtualMachines';

// --- What the simulator knows of a VM besides its body ---------------------------------------------------------------

export interface VmState {
  /** Raised with every operation that supersedes the one before. */
  generation: number;
  image: VmImage;
  /** False after a failed allocation: no quota is used, no guest runs. */
  allocated: boolean;
  failure: OperationFailure | undefined;
  provisionedAt: number | undefined;
  agentReadyAt: number;
  powerState: 'starting' | 'running' | 'stopped' | 'deallocated' | undefined;
  userData: string | undefined;
  customData: string | undefined;
  /** Number of changes: the etag of api-versions from 2024-07-01. */
  revision: number;
  changedAt: number;
  /** Boots and reports in the end although the creation failed for the time that it took. */
  guest: boolean;
}

export function vmStateOf(resource: Resource): VmState {
  return resource.internal as unknown as VmState;
}

/** The VM that a path is about, or the 404 that Azure gives. */
export function requireVm(call: Call): Resource {
  const id = call.resourceId.replace(/(\/virtualMachines\/[^/]+).*$/i, '$1');
  const found = call.world.resources.get(id);
  if (found !== undefined) return found;
  const gone = deletedVms(call.world).get(id.toLowerCase());
  // Recorded: for a while after the deletion Compute itself answers, later the gateway does.
  if (gone !== undefined && call.world.clock.now() - gone < 60) {
    throw refuse(404, 'NotFound', 'The entity was not found in this Azure location.');
  }
  throw resourceNotFound(id);
}

export function deletedVms(world: World): Map<string, number> {
  return world.extension('deleted machines', () => new Map<string, number>());
}

/** Whether the VM agent reports, and so whether scripts can run. */
export function isAgentReady(world: World, resource: Resource): boolean {
  const machine = vmStateOf(resource);
  return machine.powerState === 'running' && machine.guest && world.clock.now() >= machine.agentReadyAt;
}

export function concurrentRequestError(): Error {
  return refuse(
    409,
    'Conflict',
    'The request failed due to conflict with a concurrent request. To resolve it, please refer to https://aka.ms/activitylog to get more details on the conflicting requests.',
  );
}

/** A PUT that nothing speaks against. */
export interface VmRequest {
  readonly location: string;
  readonly zone: string | undefined;
  readonly size: Size;
  readonly image: VmImage;
  /** The operation is to end with this. */
  readonly failure: OperationFailure | undefined;
}
