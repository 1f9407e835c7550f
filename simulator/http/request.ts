import type { FastifyRequest } from 'fastify';
import { ArmError } from '../model/arm-error.ts';
import type { Caller, Json } from '../model/contract.ts';
import type { Subscription, Tenant } from '../model/entities.ts';
import type { World } from '../world/world.ts';
import type { Route } from './provider.ts';
import { unauthenticatedError } from './tokens.ts';

/** The caller and the target. Tenant-level requests have no subscription. */
export interface RequestScope {
  readonly caller: Caller;
  readonly subscription: Subscription | undefined;
  readonly tenant: Tenant;
}

/**
 * Finds the subscription and its tenant.
 *
 * @throws ArmError for a missing token, an unknown subscription or a token of another tenant.
 */
export function resolveScope(
  world: World,
  request: FastifyRequest,
  caller: Caller | undefined,
  login: string,
): RequestScope {
  const subscriptionId = params(request)['subscriptionId'];
  const subscription = subscriptionId === undefined ? undefined : world.subscriptions.get(subscriptionId.toLowerCase());
  if (!caller) {
    // Azure names the owning tenant in the header even to unauthenticated clients.
    const authority = `${login}/${subscription?.tenant ?? 'common'}`;
    const refused = unauthenticatedError(
      'AuthenticationFailed',
      "Authentication failed. The 'Authorization' header is missing.",
      authority,
    );
    if (subscriptionId !== undefined && !subscription) throw subscriptionNotFoundError(subscriptionId);
    throw refused;
  }
  if (subscriptionId === undefined) {
    const tenant = world.tenants.get(caller.tenant);
    if (!tenant) throw unauthenticatedError('InvalidAuthenticationToken', 'The access token is invalid.');
    return { caller, subscription: undefined, tenant };
  }
  if (!subscription || subscription.state === 'Deleted') throw subscriptionNotFoundError(subscriptionId);
  const tenant = world.tenants.get(subscription.tenant);
  if (!tenant) throw new Error(`subscription ${subscriptionId} is in no tenant of this world`);
  if (caller.tenant !== subscription.tenant && !subscription.managedByTenants.includes(caller.tenant)) {
    const error = `The access token is from the wrong issuer 'https://sts.windows.net/${caller.tenant}/'. It must match the tenant 'https://sts.windows.net/${subscription.tenant}/' associated with this subscription. Please use the authority (URL) 'https://login.windows.net/${subscription.tenant}' to get the token. Note, if the subscription is transferred to another tenant there is no impact to the services, but information about new tenant could take time to propagate (up to an hour). If you just transferred your subscription and see this error message, please try back later.`;
    throw unauthenticatedError('InvalidAuthenticationTokenTenant', error, `${login}/${subscription.tenant}`);
  }
  return { caller, subscription, tenant };
}

function subscriptionNotFoundError(subscriptionId: string): ArmError {
  return new ArmError(404, 'SubscriptionNotFound', `The subscription '${subscriptionId}' could not be found.`, {
    gateway: true,
  });
}

export function requireApiVersion(request: FastifyRequest): string {
  const version = request.state.exchange.apiVersion;
  if (version === undefined || version === '') throw missingApiVersionError();
  return version;
}

export function missingApiVersionError(): ArmError {
  return new ArmError(
    400,
    'MissingApiVersionParameter',
    'The api-version query parameter (?api-version=) is required for all requests.',
    { gateway: true },
  );
}

export function parseBody(request: FastifyRequest): Json {
  if (typeof request.body !== 'string' || request.body === '') return {};
  let body: unknown;
  try {
    body = JSON.parse(request.body);
  } catch (error) {
    throw new ArmError(
      400,
      'InvalidRequestContent',
      `The request content was invalid and could not be deserialized: '${error instanceof Error ? error.message : 'not JSON'}'.`,
      { gateway: true },
    );
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new ArmError(400, 'InvalidRequestContent', 'The request content was invalid: an object is expected.', {
      gateway: true,
    });
  }
  return body;
}

export function resourceIdFrom(route: Route, values: Readonly<Record<string, string>>): string {
  return route.path
    .split('/')
    .map((segment) => (segment.startsWith(':') ? (values[segment.slice(1)] ?? '') : segment))
    .join('/');
}

export function params(request: FastifyRequest): Readonly<Record<string, string>> {
  return request.params as Record<string, string>;
}
