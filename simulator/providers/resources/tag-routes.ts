import { checkBody, gatewaySchemaError, type ObjectSchema } from '../../http/body-schema.ts';
import type { Call, Route } from '../../http/provider.ts';
import { refuse, resourceNotFound } from '../../model/arm-error.ts';
import type { Json } from '../../model/contract.ts';
import { requireGroup, groupPath } from './resource-groups.ts';
import { checkTags } from './tags.ts';

const tagsSchema: ObjectSchema = {
  type: 'TagsPatchResource',
  members: {
    operation: 'string',
    id: 'readonly',
    name: 'readonly',
    type: 'readonly',
    properties: { type: 'Tags', members: { tags: 'any' } },
  },
};

/** `…/providers/Microsoft.Resources/tags/default` of a group, a resource or a child resource. */
export function tagRoutes(): Route[] {
  const tail = '/providers/Microsoft.Resources/tags/default';
  const scopes = [
    groupPath,
    `${groupPath}/providers/:namespace/:type/:resource`,
    `${groupPath}/providers/:namespace/:type/:resource/:nestedType/:nested`,
  ];
  return scopes.flatMap((scope): Route[] => [
    {
      method: 'GET',
      path: `${scope}${tail}`,
      kind: 'tags.get',
      action: 'Microsoft.Resources/tags/read',
      scope: scopeOfTags,
      handle: (call) => ({ status: 200, body: tagsBody(call, tagAccess(call).get()) }),
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

function tagAccess(call: Call): { get(): Record<string, string>; set(tags: Record<string, string>): void } {
  const scope = scopeOfTags(call);
  if (call.params['resource'] === undefined) {
    const found = requireGroup(call);
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
  checkBody(call.body, tagsSchema, gatewaySchemaError);
  const holder = tagAccess(call);
  const sent: unknown = call.body['properties']?.tags ?? {};
  checkTags(sent);
  const before = holder.get();
  const operation = String(call.body['operation'] ?? '').toLowerCase();
  let after: Record<string, string>;
  if (operation === 'replace') {
    after = { ...sent };
  } else if (operation === 'merge') {
    after = { ...before };
    for (const [name, value] of Object.entries(sent)) {
      // Tag names are case-insensitive; the existing case is kept.
      const known = Object.keys(after).find((candidate) => candidate.toLowerCase() === name.toLowerCase());
      after[known ?? name] = value;
    }
  } else if (operation === 'delete') {
    after = Object.fromEntries(
      Object.entries(before).filter(
        ([name, value]) =>
          !Object.entries(sent).some(
            ([sentName, sentValue]) =>
              sentName.toLowerCase() === name.toLowerCase() && (sentValue === '' || sentValue === value),
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
