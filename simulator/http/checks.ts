import { ArmError, notModelled } from '../model/arm-error.ts';
import type { Caller } from '../model/contract.ts';
import type { Subscription } from '../model/entities.ts';
import { isWithin, subscriptionOf } from '../model/scope.ts';
import { isAllowed } from '../world/permissions.ts';
import { assignmentId, definitionId, denyingPolicies } from '../world/policies.ts';
import type { World } from '../world/world.ts';
import type { Call, Provider, ProviderType, Route } from './provider.ts';

/** Namespaces that every subscription has without registering them. */
const alwaysRegistered = ['microsoft.resources', 'microsoft.authorization', 'microsoft.features'];

/**
 * The innermost resource type of the provider that the path names. Its api-versions apply to actions too
 * (`…/virtualMachines/:vm/start`).
 */
export function resourceTypeOf(provider: Provider, route: Route): ProviderType {
  const marker = `/providers/${provider.namespace}/`.toLowerCase();
  const at = route.path.toLowerCase().lastIndexOf(marker);
  const literals = (at < 0 ? route.path : route.path.slice(at + marker.length))
    .toLowerCase()
    .split('/')
    .filter((segment) => segment !== '' && !segment.startsWith(':'));
  // Paths of Resource Manager's own types have no namespace: /subscriptions, …/resourceGroups/:resourceGroup.
  const named = ({ name }: ProviderType): boolean =>
    at < 0 ? literals.includes(name.toLowerCase()) : `${literals.join('/')}/`.startsWith(`${name.toLowerCase()}/`);
  const depth = ({ name }: ProviderType): number =>
    at < 0 ? literals.lastIndexOf(name.toLowerCase()) : name.split('/').length;
  const [found] = provider.types.filter(named).toSorted((a, b) => depth(b) - depth(a));
  if (found === undefined) throw new Error(`no type of ${provider.namespace} for ${route.path}`);
  return found;
}

export function checkApiVersion(version: string, provider: Provider, type: ProviderType): void {
  if (type.apiVersions.some((supportedVersion) => supportedVersion.toLowerCase() === version.toLowerCase())) return;
  // Azure's error for an unsupported version was not recorded.
  if (/^\d{4}-\d{2}-\d{2}(-[a-z]+)?$/i.test(version)) {
    throw notModelled(`api-version ${version} of ${provider.namespace}/${type.name}`);
  }
  const supported = [...new Set(provider.types.flatMap((type) => type.apiVersions))].join(',');
  throw new ArmError(
    400,
    'InvalidApiVersionParameter',
    `The api-version '${version}' is invalid. The supported versions are '${supported}'.`,
    { gateway: true },
  );
}

/** An option that no handler reads may matter to Azure or be ignored; that was not recorded. */
export function checkQueryOptions(route: Route, call: Call): void {
  const other = Object.keys(call.query).find((name) => name !== 'api-version' && !route.query?.includes(name));
  if (other !== undefined) throw notModelled(`query option ${other}=${call.query[other]} of ${route.kind}`);
}

export function authorizationFailedError(caller: Caller, action: string, scope: string): ArmError {
  return new ArmError(
    403,
    'AuthorizationFailed',
    `The client '${caller.app}' with object id '${caller.oid}' does not have authorization to perform action '${action}' over scope '${scope}' or the scope is invalid. If access was recently granted, please refresh your credentials.`,
    { gateway: true },
  );
}

function isWrite(route: Route): boolean {
  return route.method !== 'GET' && route.method !== 'HEAD';
}

export function checkSubscriptionState(route: Route, subscription: Subscription): void {
  if (!isWrite(route) || subscription.state === 'Enabled') return;
  throw new ArmError(
    409,
    'ReadOnlyDisabledSubscription',
    `The subscription '${subscription.id}' is disabled and therefore marked as read only. You cannot perform any write actions on this subscription until it is re-enabled.`,
    { gateway: true },
  );
}

export function checkRegistration(route: Route, provider: Provider, subscription: Subscription): void {
  if (route.needsRegistration === false || !isWrite(route)) return;
  const namespace = provider.namespace.toLowerCase();
  if (alwaysRegistered.includes(namespace) || subscription.providers.get(namespace) === 'Registered') return;
  const message = `The subscription is not registered to use namespace '${provider.namespace}'. See https://aka.ms/rps-not-found for how to register subscriptions.`;
  throw new ArmError(409, 'MissingSubscriptionRegistration', message, {
    gateway: true,
    details: [{ code: 'MissingSubscriptionRegistration', target: provider.namespace, message }],
  });
}

export function checkResourceGroup(route: Route, subscription: Subscription, call: Call): void {
  const name = call.params['resourceGroup'];
  if (name === undefined || route.needsGroup === false) return;
  const group = call.world.group(subscription.id, name);
  if (!group) {
    throw new ArmError(404, 'ResourceGroupNotFound', `Resource group '${name}' could not be found.`, {
      gateway: true,
    });
  }
  if (group.provisioningState === 'Deleting' && ['PUT', 'PATCH'].includes(route.method)) {
    throw new ArmError(
      409,
      'ResourceGroupBeingDeleted',
      `The resource group '${name}' is in deprovisioning state and cannot perform this operation.`,
      { gateway: true },
    );
  }
}

/**
 * Checks the permission on each resource that the body refers to: in the caller's tenant by the primary token, in any
 * other by the auxiliary token of that tenant.
 */
export function checkLinkedResources(route: Route, call: Call, action: string): void {
  const { world, resourceId: scope } = call;
  const linkError = (message: string): ArmError =>
    new ArmError(403, 'LinkedAuthorizationFailed', message, { gateway: true });
  for (const link of route.linkedResources?.(call) ?? []) {
    const id = subscriptionOf(link.id);
    if (id === undefined) {
      // Recorded for an identity, with an empty path.
      throw new ArmError(
        400,
        'LinkedInvalidPropertyId',
        `Property id '${link.id}' at path '' is invalid. Expect fully qualified resource Id that start with '/subscriptions/{subscriptionId}' or '/providers/{resourceProviderNamespace}/'.`,
        { gateway: true },
      );
    }
    const subscription = world.subscriptions.get(id);
    const start = `The client has permission to perform action '${link.action}' on scope '${scope}', however the`;
    if (!subscription) throw linkError(`${start} linked subscription '${id}' was not found. `);
    const principal =
      subscription.tenant === call.caller.tenant
        ? call.caller
        : call.auxiliary.find(({ tenant }) => tenant === subscription.tenant);
    if (!principal) {
      throw linkError(
        `${start} current tenant '${call.caller.tenant}' is not authorized to access linked subscription '${subscription.id}'.`,
      );
    }
    if (!isAllowed(world, principal.oid, link.action, link.id)) {
      throw linkError(
        `The client '${principal.app}' with object id '${principal.oid}' has permission to perform action '${action}' on scope '${scope}'; however, it does not have permission to perform action '${link.action}' on the linked scope(s) '${link.id}' or the linked scope(s) are invalid.`,
      );
    }
  }
}

export function checkLocks(world: World, route: Route, scope: string): void {
  if (!isWrite(route)) return;
  const isDelete = route.method === 'DELETE';
  const locked = world.locks.filter((lock) =>
    isDelete
      ? // A lock on a child also blocks the deletion of its parent.
        isWithin(scope, lock.scope) || isWithin(lock.scope, scope)
      : lock.level === 'ReadOnly' && isWithin(scope, lock.scope),
  );
  if (locked.length === 0) return;
  const scopes = locked.map((lock) => `'${lock.scope}'`).join(',');
  throw new ArmError(
    409,
    'ScopeLocked',
    `The scope '${scope}' cannot perform ${isDelete ? 'delete' : 'write'} operation because following scope(s) are locked: ${scopes}. Please remove the lock and try again.`,
    { gateway: true },
  );
}

/** @throws ArmError as documented: error-policy-requestdisallowedbypolicy.md, record RequestDisallowedByPolicy. */
export function checkPolicies({ world, resourceId, name, body, method }: Call): void {
  if (method !== 'PUT') return;
  const type = /\/providers\/([^/]+\/[^/]+)\/[^/]+$/i.exec(resourceId)?.[1];
  const found = denyingPolicies(world, resourceId, { ...body, type, name });
  if (found.length === 0) return;
  const identifiers = found.map((assignment) => ({
    policyAssignment: { name: assignment.displayName, id: assignmentId(assignment) },
    policyDefinition: { name: assignment.displayName, id: definitionId(assignment) },
  }));
  const message = `Resource '${name}' was disallowed by policy. Policy identifiers: '${JSON.stringify(identifiers)}'.`;
  throw new ArmError(403, 'RequestDisallowedByPolicy', message, { target: name, gateway: true });
}
