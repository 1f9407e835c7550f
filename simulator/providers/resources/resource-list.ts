import type { Call } from '../../http/provider.ts';
import { notModelled } from '../../model/arm-error.ts';
import type { Json } from '../../model/contract.ts';
import type { Resource } from '../../model/entities.ts';
import { isAllowed } from '../../world/permissions.ts';

/** How long a new resource is missing from lists filtered by tag; such lists lag, by how much is not published. */
const listLagSeconds = 10;

/**
 * The list of resources. Filtered by tag name and value it comes without tags and later than the truth; nothing is
 * listed that the caller may not read.
 */
export function listResources(call: Call, scope: string): { status: number; body: Json } {
  const filter = call.query['$filter'];
  const now = call.world.clock.now();
  const tag =
    filter === undefined
      ? undefined
      : /^tagName eq '((?:[^']|'')*)'(?: and tagValue eq '((?:[^']|'')*)')?$/i.exec(filter);
  const type = filter === undefined ? undefined : /^resourceType eq '([^']+)'$/i.exec(filter);
  if (filter !== undefined && !tag && !type) throw notModelled(`$filter ${filter} on the list of resources`);
  const quoted = (text: string | undefined): string | undefined => text?.replaceAll("''", "'");
  const wantedName = quoted(tag?.[1])?.toLowerCase();
  const wantedValue = quoted(tag?.[2]);
  const value: Json[] = [];
  for (const resource of call.world.resources.under(scope)) {
    if (isNested(resource)) continue;
    if (!isAllowed(call.world, call.caller.oid, `${resource.type}/read`, resource.id)) continue;
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
