import { AzureError, type AzureErrorInfo } from '../errors/azure-error.ts';

/** 404s that say nothing of the thing itself: the way to it is not known. */
const notAboutTheResource = new Set([
  'InvalidResourceType',
  'InvalidResourceNamespace',
  'NoRegisteredProviderFound',
  'SubscriptionNotFound',
  'InvalidSubscriptionId',
]);

/**
 * Does Azure say that there is no such thing? A page of a proxy does not, and neither does a Resource Manager that knows
 * no such type or subscription: what was taken for gone on its word would run on.
 */
export function isNotFound(error: unknown): boolean {
  if (!(error instanceof AzureError) || error.fault.status !== 404) return false;
  const { code, body } = error.fault;
  return code === '' ? body.trim() === '' : !notAboutTheResource.has(code);
}

/** What a lookup found, or undefined where Azure says that there is no such thing. */
export async function undefinedIfNotFound<T>(lookup: Promise<T>): Promise<T | undefined> {
  try {
    return await lookup;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** A question and what came of it, where a refusal is an answer too. */
export type Result<T> = { readonly value: T } | { readonly error: unknown };

/** Turns a refusal into a value, so that what is asked beside it goes on. */
export async function settle<T>(question: () => Promise<T>): Promise<Result<T>> {
  try {
    return { value: await question() };
  } catch (refusal) {
    return { error: refusal };
  }
}

/**
 * The result, or undefined when the app has no access or there is nothing to list. Any other failure is rethrown: taking
 * a throttled or expired request for "none" would leave role assignments behind for good.
 */
export async function undefinedIfForbidden<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof AzureError && (isNotFound(error) || deniesAccess(error.fault))) return undefined;
    throw error;
  }
}

/** A page without an error code comes from a proxy and says nothing about access. */
function deniesAccess({ status, code }: AzureErrorInfo): boolean {
  if (status === 401) return code === 'InvalidAuthenticationTokenTenant';
  return (status === 403 || status === 404) && code !== '';
}

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
