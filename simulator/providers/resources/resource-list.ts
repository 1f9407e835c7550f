import type { Call, Route } from '../../http/provider.ts';
import { notModelled } from '../../model/arm-error.ts';
import type { Json } from '../../model/contract.ts';
import type { Resource } from '../../model/entities.ts';
import { isAllowed } from '../../world/permissions.ts';
import { groupPath } from './resource-groups.ts';

/** Delay until a new resource appears in lists filtered by tag. Azure documents the delay but not its length. */
const listLagSeconds = 10;

interface ListFilter {
  readonly tag: { readonly name: string; readonly value: string | undefined } | undefined;
  readonly type: string | undefined;
}

/** Lists what the caller may read. Filtered by tag, the list omits `tags` and lags behind, as Azure's does. */
function listResources(call: Call, scope: string): { status: number; body: Json } {
  const { world, caller } = call;
  const filter = parseListFilter(call.query['$filter']);
  const value = [...world.resources.under(scope)]
    .filter((resource) => !isNested(resource))
    .filter((resource) => isAllowed(world, caller.oid, `${resource.type}/read`, resource.id))
    .filter((resource) => matchesFilter(resource, filter, world.clock.now()))
    .map((resource) => listEntry(resource, filter.tag === undefined));
  return { status: 200, body: { value } };
}

function parseListFilter(filter: string | undefined): ListFilter {
  if (filter === undefined) return { tag: undefined, type: undefined };
  const unquote = (text: string): string => text.replaceAll("''", "'");
  const [, tagName, tagValue] =
    /^tagName eq '((?:[^']|'')*)'(?: and tagValue eq '((?:[^']|'')*)')?$/i.exec(filter) ?? [];
  if (tagName !== undefined) {
    const value = tagValue === undefined ? undefined : unquote(tagValue);
    return { tag: { name: unquote(tagName).toLowerCase(), value }, type: undefined };
  }
  const type = /^resourceType eq '([^']+)'$/i.exec(filter)?.[1]?.toLowerCase();
  if (type === undefined) throw notModelled(`$filter ${filter} on the list of resources`);
  return { tag: undefined, type };
}

function matchesFilter(resource: Resource, { tag, type }: ListFilter, now: number): boolean {
  if (type !== undefined && resource.type.toLowerCase() !== type) return false;
  if (tag === undefined) return true;
  if (now - resource.createdAt < listLagSeconds) return false;
  const tags: Record<string, string> = resource.body['tags'] ?? {};
  return Object.entries(tags).some(
    ([name, value]) => name.toLowerCase() === tag.name && (tag.value === undefined || value === tag.value),
  );
}

function listEntry(resource: Resource, withTags: boolean): Json {
  const { id, name, type, location, sku, kind, identity, tags, plan, zones, managedBy } = resource.body;
  const entry = { id, name, type, kind, sku, managedBy, plan, zones, location, identity };
  // Drops undefined members.
  return JSON.parse(JSON.stringify({ ...entry, tags: withTags ? tags : undefined }));
}

/** Child resources (subnets, rules, run commands) are not listed, except those with a location (image versions). */
function isNested(resource: Resource): boolean {
  return resource.type.split('/').length > 2 && resource.body['location'] === undefined;
}

export const listRoutes: readonly Route[] = [
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
    path: `${groupPath}/resources`,
    kind: 'resources.list',
    query: ['$filter'],
    action: 'Microsoft.Resources/subscriptions/resourceGroups/resources/read',
    scope: (call) => call.resourceId.replace(/\/resources$/i, ''),
    handle: (call) => listResources(call, call.resourceId.replace(/\/resources$/i, '')),
  },
];
