interface Provisioned {
  readonly provisioningState?: string;
}

/**
 * State of a resource. One that names no state has succeeded:
 * https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations
 */
export function provisioningStateOf({ provisioningState }: Provisioned): string {
  return provisioningState || 'Succeeded';
}

/** Whether no operation is changing the resource. */
export function isTerminalState(resource: Provisioned): boolean {
  return /^(Succeeded|Failed|Canceled)$/i.test(provisioningStateOf(resource));
}

export function hasSucceeded(resource: Provisioned): boolean {
  return /^Succeeded$/i.test(provisioningStateOf(resource));
}
