import type { VirtualMachine } from '@azure/arm-compute';
import { undefinedIfNotFound } from '../azure/lookup.ts';
import { hasSucceeded, isTerminalState } from '../azure/provisioning-state.ts';
import { pollUntil } from '../azure/polling.ts';
import type { Session } from '../azure/arm-client.ts';
import type { Plan } from '../deployment/plan.ts';
import { AzureError } from '../errors/azure-error.ts';

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
export async function failureReason(session: Session, plan: Plan, known: AzureError): Promise<AzureError> {
  try {
    return (await readProvisioningFailure(session, plan)).fault;
  } catch (error) {
    if (error instanceof AzureError) return known;
    throw error;
  }
}

export function readVm(
  { compute }: Session,
  { resourceGroup, vm }: { readonly resourceGroup: string; readonly vm: { readonly name: string } },
): Promise<VirtualMachine> {
  return compute.virtualMachines.get(resourceGroup, vm.name);
}

/** What became of a machine that is not whole. */
export interface ProvisioningFailure {
  /** Why, in Azure's words. */
  readonly fault: AzureError;
  /** Whether its guest has ever run: then its disk may hold data. */
  readonly hasRun: boolean;
}

/** Whether a machine or a part of the network has come to rest without becoming whole. */
export function isFailedState(resource: { readonly provisioningState?: string }): boolean {
  return isTerminalState(resource) && !hasSucceeded(resource);
}
