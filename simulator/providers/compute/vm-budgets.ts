import type { Call } from '../../http/provider.ts';
import type { Budget } from '../../model/contract.ts';

// https://learn.microsoft.com/azure/virtual-machines/compute-throttling-limits

function subscriptionBudget(call: Call, name: string, size: number): Budget {
  return { name: `Microsoft.Compute/${name}`, key: call.subscription.id, size, perMinute: size / 3 };
}

/** ID of the VM in the path. Run commands and instance views are charged to their VM. */
export function parentVmId(call: Call): string {
  return call.resourceId.replace(/(\/virtualMachines\/[^/]+).*$/i, '$1').toLowerCase();
}

/** PUT, update and delete of a VM: 12 each, refilled by 4 a minute. */
export function writeBudgets(kind: 'PutVM' | 'UpdateVM' | 'DeleteVM'): (call: Call) => readonly Budget[] {
  return (call) => [
    subscriptionBudget(call, `${kind}SubscriptionMaximum`, 1500),
    { name: `Microsoft.Compute/${kind}Resource`, key: parentVmId(call), size: 12, perMinute: 4 },
  ];
}

/** GETs of a VM, its instance view and run commands together: 36, refilled by 12 a minute. */
export function readBudgets(call: Call): readonly Budget[] {
  return [
    subscriptionBudget(call, 'LowCostGetSubscriptionMaximum', 24_000),
    { name: 'Microsoft.Compute/LowCostGetResource', key: parentVmId(call), size: 36, perMinute: 12 },
  ];
}

/**
 * Polls of a VM's operations: 45, refilled by 15 a minute. Recorded: this bucket is listed before the subscription's.
 */
export function pollBudgets(call: Call): readonly Budget[] {
  return [
    { name: 'Microsoft.Compute/GetOperationResource', key: parentVmId(call), size: 45, perMinute: 15 },
    subscriptionBudget(call, 'GetOperationSubscriptionMaximum', 15_000),
  ];
}
