import { type AzureErrorInfo, AzureError, rootDetail } from '../errors/errors.ts';
import { isConcurrentOperation } from './policies/retry.ts';
import { isWithin } from './resource-id.ts';

/** 404s that say nothing of the resource itself. */
const notAboutTheResource = new Set([
  'InvalidResourceType',
  'InvalidResourceNamespace',
  'NoRegisteredProviderFound',
  'SubscriptionNotFound',
  'InvalidSubscriptionId',
]);

/** False for the page of a proxy, and for a Resource Manager that does not know the type or subscription. */
export function isNotFound(error: unknown): boolean {
  if (!(error instanceof AzureError) || error.fault.status !== 404) return false;
  const { code, body } = error.fault;
  return code === '' ? body.trim() === '' : !notAboutTheResource.has(code);
}

/** Of a DELETE. The answer to a poll says nothing of the resource: only a read tells whether it is gone. */
export const isGone = (error: AzureError): boolean => isNotFound(error) && error.fault.method !== 'GET';

const undefinedIf =
  (isExpected: (error: unknown) => boolean) =>
  <T>(lookup: Promise<T>): Promise<T | undefined> =>
    lookup.catch((error: unknown) => {
      if (isExpected(error)) return undefined;
      throw error;
    });

export const undefinedIfNotFound = undefinedIf(isNotFound);

export const undefinedIfDenied = undefinedIf((error) => error instanceof AzureError && error.fault.status === 403);

/** Other failures are rethrown: taking a throttled request for "none" would leave role assignments behind for good. */
export const undefinedIfForbidden = undefinedIf(
  (error) => isNotFound(error) || (error instanceof AzureError && deniesAccess(error.fault)),
);

export type Result<T> = { readonly value: T } | { readonly error: unknown };

export async function settle<T>(question: () => Promise<T>): Promise<Result<T>> {
  try {
    return { value: await question() };
  } catch (error) {
    return { error };
  }
}

/** Undefined: not asked, failed, or answered so. */
export function valueOf<T>(result: Result<T> | undefined): T | undefined {
  return result && 'value' in result ? result.value : undefined;
}

/** A page without an error code comes from a proxy and says nothing about access. */
function deniesAccess({ status, code }: AzureErrorInfo): boolean {
  if (status === 401) return code === 'InvalidAuthenticationTokenTenant';
  return (status === 403 || status === 404) && code !== '';
}

interface Stateful {
  readonly provisioningState?: string;
}

/**
 * A resource that names no state has succeeded:
 * https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations
 */
export function provisioningStateOf({ provisioningState }: Stateful): string {
  return provisioningState || 'Succeeded';
}

export function isTerminalState(resource: Stateful): boolean {
  return /^(Succeeded|Failed|Canceled)$/i.test(provisioningStateOf(resource));
}

export function hasSucceeded(resource: Stateful): boolean {
  return /^Succeeded$/i.test(provisioningStateOf(resource));
}

const inUseCodes = /InUse|CannotBeDeleted|Reserved|Attached|is attached to|Conflict|AnotherOperation|Preempted/i;

/** Whether a resource cannot be deleted because others use it. */
export function isInUse({ fault }: AzureError): boolean {
  const { code, message } = rootDetail(fault);
  return (
    isConcurrentOperation(fault) ||
    inUseCodes.test(`${fault.code} ${code} ${/is attached to/.exec(message)?.[0] ?? ''}`)
  );
}

/** Whether the error names resources that use this one, and none of them is a target of the deletion. */
export function isUsedByOthers({ fault }: AzureError, id: string, targets: readonly string[]): boolean {
  const users = (fault.body.match(/\/subscriptions\/[^\s"',\\]+/gi) ?? [])
    .map((user) => user.toLowerCase().replace(/[.;]$/, ''))
    .filter((user) => !isWithin(user, id) && user.includes('/providers/') && !user.includes('/locations/'));
  return users.length > 0 && !users.some((user) => targets.some((target) => isWithin(user, target)));
}

/** Pauses between the reads of a resource that Azure may be late to show: 30 s in all. */
export const recheckDelays = [1, 2, 3, 4, 5, 7, 8];

export function listedButMissing(id: string): string {
  return `Listed or attached, but not found for 30 s. Unless it was deleted a moment ago, it may be left behind: ${id}`;
}
