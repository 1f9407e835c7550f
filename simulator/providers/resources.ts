/** Microsoft.Resources: subscriptions, tenants, resource groups, the list of resources, tags, provider registration. */
import { mayDo } from '../world/permissions.ts';
import { findRegion, regionName } from './regions.ts';
import { ArmError, refuse, resourceNotFound, unknown } from '../model/arm-error.ts';
import type { Call, Provider, Route } from '../http/provider.ts';
import type { Json } from '../model/contract.ts';
import { checkShape, gatewayShapeRefusal, type ObjectShape } from '../http/body-schema.ts';
import type { Resource, ResourceGroup, Subscription } from '../model/entities.ts';

const group = '/subscriptions/:subscriptionId/resourceGroups/:resourceGroup';

/** Of the references, the recordings and the Azure CLI. */
const groupVersions = ['2025-04-01', '2024-11-01', '2024-03-01', '2022-09-01', '2021-04-01', '2020-06-01'];

/** How long a new resource is missing from lists filtered by tag; such lists lag, by how much is not published. */
const listLagSeconds = 10;

const groupShape: ObjectShape = {
  type: 'ResourceGroupDefinition',
  members: {
    id: 'readonly',
    name: 'readonly',
    type: 'readonly',
    location: 'string',
    tags: 'any',
    managedBy: 'unmodelled',
    properties: { type: 'ResourceGroupProperties', members: { provisioningState: 'readonly' } },
  },
};

/** The provider; `all` gives every provider of the simulator, for the answers about registration. */
export function resourcesProvider(all: () => readonly Provider[]): Provider {
  const routes: Route[] = [
    {
      method: 'GET',
      path: '/subscriptions',
      kind: 'subscriptions.list',
      action: null,
      handle: (call) => {
        const seen = [...call.world.subscriptions.values()].filter((one) => mayBeSeen(call, one));
        return {
          status: 200,
          body: {
            value: seen.map(subscriptionBody),
            count: { type: 'Total', value: seen.length },
          },
        };
      },
    },
    {
      method: 'GET',
      path: '/tenants',
      kind: 'tenants.list',
      action: null,
      handle: (call) => ({
        status: 200,
        body: {
          value: [
            {
              id: `/tenants/${call.tenant.id}`,
              tenantId: call.tenant.id,
              tenantCategory: 'Home',
              displayName: call.tenant.displayName,
              defaultDomain: call.tenant.domain,
              domains: [call.tenant.domain],
            },
          ],
        },
      }),
    },
    {
      method: 'GET',
      path: '/subscriptions/:subscriptionId',
      kind: 'subscription.get',
      action: null,
      handle: (call) => {
        // Whoever has a right anywhere inside may look at the subscription, as in the list.
        if (!mayBeSeen(call, call.subscription))
          throw forbidden(call, 'Microsoft.Resources/subscriptions/read');
        return { status: 200, body: subscriptionBody(call.subscription) };
      },
    },
    {
      method: 'GET',
      path: '/subscriptions/:subscriptionId/resourceGroups',
      kind: 'groups.list',
      action: null,
      handle: (call) => {
        const groups = [...call.world.groups.values()].filter(
          (one) =>
            one.subscription === call.subscription.id &&
            mayDo(
              call.world,
              call.caller.oid,
              'Microsoft.Resources/subscriptions/resourceGroups/read',
              one.id,
            ),
        );
        return { status: 200, body: { value: groups.map(groupBody) } };
      },
    },
    {
      method: 'GET',
      path: group,
      kind: 'group.get',
      action: 'Microsoft.Resources/subscriptions/resourceGroups/read',
      handle: (call) => ({ status: 200, body: groupBody(existing(call)) }),
    },
    {
      method: 'HEAD',
      path: group,
      kind: 'group.head',
      action: 'Microsoft.Resources/subscriptions/resourceGroups/read',
      needsGroup: false,
      handle: (call) => ({
        status: call.world.group(call.subscription.id, call.name) ? 204 : 404,
      }),
    },
    {
      method: 'PUT',
      path: group,
      kind: 'group.put',
      action: 'Microsoft.Resources/subscriptions/resourceGroups/write',
      needsGroup: false,
      handle: putGroup,
    },
    {
      method: 'PATCH',
      path: group,
      kind: 'group.patch',
      action: 'Microsoft.Resources/subscriptions/resourceGroups/write',
      handle: (call) => {
        checkShape(call.body, groupShape, gatewayShapeRefusal);
        checkTags(call.body['tags']);
        const found = existing(call);
        if (call.body['tags'] !== undefined) found.tags = call.body['tags'];
        return { status: 200, body: groupBody(found) };
      },
    },
    {
      method: 'DELETE',
      path: group,
      kind: 'group.delete',
      action: 'Microsoft.Resources/subscriptions/resourceGroups/delete',
      handle: (call) => {
        const found = existing(call);
        found.provisioningState = 'Deleting';
        return call.accept({
          family: 'group',
          latency: 'groupDelete',
          status: 202,
          style: 'location',
          location: found.location,
          resourceId: found.id,
          complete: () => {
            call.world.removeGroup(call.subscription.id, found.name);
          },
        });
      },
    },
    {
      method: 'GET',
      path: '/subscriptions/:subscriptionId/resources',
      kind: 'resources.list',
      query: ['$filter'],
      action: null,
      handle: (call) => listResources(call, `/subscriptions/${call.subscription.id}`),
    },
    {
      method: 'GET',
      path: `${group}/resources`,
      kind: 'resources.list',
      query: ['$filter'],
      action: 'Microsoft.Resources/subscriptions/resourceGroups/read',
      scope: (call) => call.resourceId.replace(/\/resources$/i, ''),
      handle: (call) => listResources(call, call.resourceId.replace(/\/resources$/i, '')),
    },
    {
      method: 'GET',
      path: '/subscriptions/:subscriptionId/providers',
      kind: 'providers.list',
      action: 'Microsoft.Resources/subscriptions/providers/read',
      scope: subscriptionScope,
      handle: (call) => ({
        status: 200,
        body: { value: namespaces(all()).map((name) => providerBody(call, all(), name)) },
      }),
    },
    {
      method: 'GET',
      path: '/subscriptions/:subscriptionId/providers/:namespace',
      kind: 'provider.get',
      action: 'Microsoft.Resources/subscriptions/providers/read',
      scope: subscriptionScope,
      handle: (call) => ({ status: 200, body: providerBody(call, all(), call.name) }),
    },
    {
      method: 'POST',
      path: '/subscriptions/:subscriptionId/providers/:namespace/register',
      kind: 'provider.register',
      action: (call) => `${call.params['namespace']}/register/action`,
      scope: subscriptionScope,
      needsRegistration: false,
      handle: (call) => {
        const namespace = call.params['namespace'] ?? '';
        const key = namespace.toLowerCase();
        const { providers } = call.subscription;
        if (providers.get(key) !== 'Registered') {
          providers.set(key, 'Registering');
          // Recorded: still Registering ten seconds later, Registered soon after.
          call.world.clock.after(20, () => providers.set(key, 'Registered'));
        }
        return { status: 200, body: providerBody(call, all(), namespace) };
      },
    },
    ...tagRoutes(),
  ];
  return {
    namespace: 'Microsoft.Resources',
    types: [
      { name: 'tenants', apiVersions: ['2022-12-01', '2020-01-01', '2016-06-01'] },
      { name: 'subscriptions', apiVersions: ['2022-12-01', '2020-01-01', '2016-06-01'] },
      { name: 'resourceGroups', apiVersions: [...groupVersions, '2016-02-01'] },
      { name: 'resources', apiVersions: groupVersions },
      { name: 'providers', apiVersions: [...groupVersions, '2016-02-01'] },
      { name: 'tags', apiVersions: [...groupVersions, '2019-10-01'] },
    ],
    routes,
  };
}

function subscriptionScope(call: Call): string {
  return `/subscriptions/${call.params['subscriptionId']}`;
}

function forbidden(call: Call, action: string): ArmError {
  return new ArmError(
    403,
    'AuthorizationFailed',
    `The client '${call.caller.app}' with object id '${call.caller.oid}' does not have authorization to perform action '${action}' over scope '${call.resourceId}' or the scope is invalid. If access was recently granted, please refresh your credentials.`,
    { gateway: true },
  );
}

/** A subscription is seen by whoever has a role on it or on anything in it. */
function mayBeSeen(call: Call, subscription: Subscription): boolean {
  if (subscription.state === 'Deleted') return false;
  if (
    subscription.tenant !== call.caller.tenant &&
    !subscription.managedByTenants.includes(call.caller.tenant)
  ) {
    return false;
  }
  const root = `/subscriptions/${subscription.id}`;
  return call.world.roleAssignments.some(
    (one) =>
      one.principalId.toLowerCase() === call.caller.oid.toLowerCase() &&
      (one.scope === '/' ||
        one.scope.toLowerCase() === root ||
        one.scope.toLowerCase().startsWith(`${root}/`)),
  );
}

function subscriptionBody(subscription: Subscription): Json {
  return {
    id: `/subscriptions/${subscription.id}`,
    authorizationSource: 'RoleBased',
    managedByTenants: subscription.managedByTenants.map((tenantId) => ({ tenantId })),
    subscriptionId: subscription.id,
    tenantId: subscription.tenant,
    displayName: subscription.displayName,
    state: subscription.state,
    subscriptionPolicies: {
      locationPlacementId: 'Public_2014-09-01',
      quotaId: 'PayAsYouGo_2014-09-01',
      spendingLimit: 'Off',
    },
  };
}

function groupBody(found: ResourceGroup): Json {
  return {
    id: found.id,
    name: found.name,
    type: 'Microsoft.Resources/resourceGroups',
    location: found.location,
    ...(found.tags ? { tags: found.tags } : {}),
    properties: { provisioningState: found.provisioningState },
  };
}

function existing(call: Call): ResourceGroup {
  const found = call.world.group(call.subscription.id, call.params['resourceGroup'] ?? '');
  if (!found) throw new Error('the gateway lets no call for a missing group through');
  return found;
}

function putGroup(call: Call): { status: number; body: Json } {
  checkShape(call.body, groupShape, gatewayShapeRefusal);
  const { name } = call;
  const location = call.body['location'];
  if (typeof location !== 'string' || location === '') {
    throw new ArmError(400, 'LocationRequired', 'The location property is required for this definition.', {
      gateway: true,
    });
  }
  if (!/^[-\w().]{1,90}$/u.test(name) || name.endsWith('.')) {
    throw new ArmError(
      400,
      'InvalidResourceGroup',
      "The provided resource group name has these invalid characters or ends in a period. The name can only be a letter, digit, '-', '.', '(', ')' or '_'.",
      { gateway: true },
    );
  }
  checkTags(call.body['tags']);
  const region = regionName(location);
  if (findRegion(region) === undefined) throw unknown(`the refusal of a resource group in '${location}'`);
  const found = call.world.group(call.subscription.id, name);
  if (!found) {
    const made = call.world.addGroup(call.subscription.id, name, region, call.body['tags']);
    return { status: 201, body: groupBody(made) };
  }
  if (found.provisioningState === 'Deleting') {
    throw new ArmError(
      409,
      'ResourceGroupBeingDeleted',
      `The resource group '${name}' is in deprovisioning state and cannot perform this operation.`,
      { gateway: true },
    );
  }
  if (found.location !== region) {
    throw new ArmError(
      409,
      'InvalidResourceGroupLocation',
      `Invalid resource group location '${region}'. The Resource group already exists in location '${found.location}'.`,
      { gateway: true },
    );
  }
  found.tags = call.body['tags'];
  return { status: 200, body: groupBody(found) };
}

/**
 * The list of resources. Filtered by tag name and value it comes without tags and later than the truth; nothing is
 * listed that the caller may not read.
 */
function listResources(call: Call, scope: string): { status: number; body: Json } {
  const filter = call.query['$filter'];
  const now = call.world.clock.now();
  const tag =
    filter === undefined
      ? undefined
      : /^tagName eq '((?:[^']|'')*)'(?: and tagValue eq '((?:[^']|'')*)')?$/i.exec(filter);
  const type = filter === undefined ? undefined : /^resourceType eq '([^']+)'$/i.exec(filter);
  if (filter !== undefined && !tag && !type) throw unknown(`$filter ${filter} on the list of resources`);
  const quoted = (text: string | undefined): string | undefined => text?.replaceAll("''", "'");
  const wantedName = quoted(tag?.[1])?.toLowerCase();
  const wantedValue = quoted(tag?.[2]);
  const value: Json[] = [];
  for (const resource of call.world.resources.under(scope)) {
    if (isNested(resource)) continue;
    if (!mayDo(call.world, call.caller.oid, `${resource.type}/read`, resource.id)) continue;
    if (type && resource.type.toLowerCase() !== type[1]?.toLowerCase()) continue;
    if (tag) {
      if (now - resource.createdAt < listLagSeconds) continue;
      const tags: Record<string, string> = resource.body['tags'] ?? {};
      const found = Object.entries(tags).some(
        ([name, content]) =>
          name.toLowerCase() === wantedName && (wantedValue === undefined || content === wantedValue),
      );
      if (!found) continue;
    }
    const {
      id,
      name,
      type: itsType,
      location,
      sku,
      kind,
      identity,
      tags,
      plan,
      zones,
      managedBy,
    } = resource.body;
    const withTags = tag ? undefined : tags;
    value.push(
      JSON.parse(
        JSON.stringify({
          id,
          name,
          type: itsType,
          kind,
          sku,
          managedBy,
          plan,
          zones,
          location,
          identity,
          tags: withTags,
        }),
      ),
    );
  }
  return { status: 200, body: { value } };
}

/** Subnets, rules, extensions, run commands: parts of another resource, which top-level lists leave out — except versions and the like, which have a location. */
function isNested(resource: Resource): boolean {
  return resource.type.split('/').length > 2 && resource.body['location'] === undefined;
}

function namespaces(providers: readonly Provider[]): string[] {
  return [...new Set(providers.map((one) => one.namespace))];
}

function providerBody(call: Call, providers: readonly Provider[], asked: string): Json {
  const key = asked.toLowerCase();
  const known = providers.filter((one) => one.namespace.toLowerCase() === key);
  const first = known[0];
  if (!first) {
    throw new ArmError(404, 'InvalidResourceNamespace', `The resource namespace '${asked}' is invalid.`, {
      gateway: true,
    });
  }
  const always = ['microsoft.resources', 'microsoft.authorization'].includes(key);
  return {
    id: `/subscriptions/${call.subscription.id}/providers/${first.namespace}`,
    namespace: first.namespace,
    resourceTypes: known.flatMap((one) =>
      one.types.map((type) => ({
        resourceType: type.name,
        locations: [],
        apiVersions: type.apiVersions,
        capabilities: type.capabilities ?? 'None',
      })),
    ),
    registrationState: always ? 'Registered' : (call.subscription.providers.get(key) ?? 'NotRegistered'),
    registrationPolicy: always ? 'RegistrationFree' : 'RegistrationRequired',
  };
}

// --- Tags at a scope ---------------------------------------------------------------------------------------------

const tagsShape: ObjectShape = {
  type: 'TagsPatchResource',
  members: {
    operation: 'string',
    id: 'readonly',
    name: 'readonly',
    type: 'readonly',
    properties: { type: 'Tags', members: { tags: 'any' } },
  },
};

/** `…/providers/Microsoft.Resources/tags/default` at a group, a resource and a nested one. */
function tagRoutes(): Route[] {
  const tail = '/providers/Microsoft.Resources/tags/default';
  const scopes = [
    group,
    `${group}/providers/:namespace/:type/:resource`,
    `${group}/providers/:namespace/:type/:resource/:nestedType/:nested`,
  ];
  return scopes.flatMap((scope): Route[] => [
    {
      method: 'GET',
      path: `${scope}${tail}`,
      kind: 'tags.get',
      action: 'Microsoft.Resources/tags/read',
      scope: scopeOfTags,
      handle: (call) => ({ status: 200, body: tagsBody(call, tagHolder(call).get()) }),
    },
    {
      method: 'PATCH',
      path: `${scope}${tail}`,
      kind: 'tags.patch',
      action: 'Microsoft.Resources/tags/write',
      scope: scopeOfTags,
      handle: patchTags,
    },
  ]);
}

function scopeOfTags(call: Call): string {
  return call.resourceId.replace(/\/providers\/Microsoft\.Resources\/tags\/default$/i, '');
}

function tagHolder(call: Call): { get(): Record<string, string>; set(tags: Record<string, string>): void } {
  const scope = scopeOfTags(call);
  if (call.params['resource'] === undefined) {
    const found = existing(call);
    return {
      get: () => found.tags ?? {},
      set: (tags) => {
        found.tags = tags;
      },
    };
  }
  const resource = call.world.resources.get(scope);
  if (!resource) throw resourceNotFound(scope);
  return {
    get: () => resource.body['tags'] ?? {},
    set: (tags) => {
      resource.body['tags'] = tags;
    },
  };
}

function tagsBody(call: Call, tags: Record<string, string>): Json {
  return { id: call.resourceId, name: 'default', type: 'Microsoft.Resources/tags', properties: { tags } };
}

function patchTags(call: Call): { status: number; body: Json } {
  checkShape(call.body, tagsShape, gatewayShapeRefusal);
  const holder = tagHolder(call);
  const given: unknown = call.body['properties']?.tags ?? {};
  checkTags(given);
  const before = holder.get();
  const operation = String(call.body['operation'] ?? '').toLowerCase();
  let after: Record<string, string>;
  if (operation === 'replace') {
    after = { ...given };
  } else if (operation === 'merge') {
    after = { ...before };
    for (const [name, value] of Object.entries(given)) {
      // Tag names are compared without case; the spelling that is there stays.
      const known = Object.keys(after).find((one) => one.toLowerCase() === name.toLowerCase());
      after[known ?? name] = value;
    }
  } else if (operation === 'delete') {
    after = Object.fromEntries(
      Object.entries(before).filter(
        ([name, value]) =>
          !Object.entries(given).some(
            ([wanted, content]) =>
              wanted.toLowerCase() === name.toLowerCase() && (content === '' || content === value),
          ),
      ),
    );
  } else {
    throw refuse(
      400,
      'InvalidTagsOperation',
      `The tags operation '${call.body['operation'] ?? ''}' is not one of Replace, Merge, Delete.`,
    );
  }
  checkTags(after);
  holder.set(after);
  return { status: 200, body: tagsBody(call, after) };
}

/** Azure's limits of tags: 50, names up to 512 characters without `<>%&\?/`, values up to 256. */
export function checkTags(tags: unknown): asserts tags is Record<string, string> {
  if (tags === undefined || tags === null) return;
  if (typeof tags !== 'object' || Array.isArray(tags)) {
    throw new ArmError(400, 'InvalidTags', 'The tags must be an object of strings.', { gateway: true });
  }
  const entries = Object.entries(tags);
  if (entries.length > 50) {
    throw new ArmError(
      400,
      'InvalidTagsCount',
      `The number of tags '${entries.length}' on resource exceeds the maximum allowed '50'.`,
      { gateway: true },
    );
  }
  for (const [name, value] of entries) {
    if (name === '' || name.length > 512 || /[<>%&\\?/]/.test(name)) {
      throw new ArmError(
        400,
        'InvalidTagNameCharacters',
        `The tag names '${name}' have reserved characters '<,>,%,&,\\,?,/' or control characters.`,
        { gateway: true },
      );
    }
    if (typeof value !== 'string' || value.length > 256) {
      throw new ArmError(
        400,
        'InvalidTagValueLength',
        `Tag value too large. Following tag value '${String(value)}' exceeded the maximum length. Maximum allowed length for tag value - '256' characters.`,
        { gateway: true },
      );
    }
  }
}
