// Microsoft.ManagedIdentity: user-assigned identities. Created synchronously, replicated in Entra later
// (`world.latencies.principalVisible`). Recorded: identity-put-get-delete.json, vm-with-user-assigned-identity.json.
import type { Call, Provider } from '../http/provider.ts';
import { refuse, resourceNotFound, notModelled } from '../model/arm-error.ts';
import type { Json } from '../model/contract.ts';
import type { Resource } from '../model/entities.ts';
import { findRegion } from './regions.ts';
import { checkTags } from './resources/tags.ts';

const type = 'Microsoft.ManagedIdentity/userAssignedIdentities';
const listPath =
  '/subscriptions/:subscriptionId/resourceGroups/:resourceGroup/providers/Microsoft.ManagedIdentity/userAssignedIdentities';
const onePath = `${listPath}/:identity`;

function requireIdentity(call: Call): Resource {
  const found = call.world.resources.get(call.resourceId);
  if (found === undefined) throw resourceNotFound(call.resourceId);
  return found;
}

function groupOf(call: Call): string {
  return `/subscriptions/${call.subscription.id}/resourceGroups/${call.params['resourceGroup']}`;
}

export const identityProvider: Provider = {
  namespace: 'Microsoft.ManagedIdentity',
  types: [
    {
      name: 'userAssignedIdentities',
      apiVersions: [
        '2024-11-30',
        '2023-07-31-preview',
        '2023-01-31',
        '2022-01-31-preview',
        '2018-11-30',
        '2015-08-31-preview',
      ],
      capabilities: 'SupportsTags, SupportsLocation',
    },
  ],
  routes: [
    {
      method: 'PUT',
      path: onePath,
      kind: 'identity.put',
      action: 'Microsoft.ManagedIdentity/userAssignedIdentities/write',
      delayedBy: 'userAssignedIdentityPut',
      handle: (call) => {
        const { world, body } = call;
        const other = Object.keys(body).find(
          (name) => !['location', 'tags', 'id', 'name', 'type', 'properties'].includes(name),
        );
        if (other !== undefined) throw notModelled(`property '${other}' of a user-assigned identity`);
        const inner = Object.keys(body['properties'] ?? {}).find(
          (name) => !['tenantId', 'principalId', 'clientId'].includes(name),
        );
        if (inner !== undefined) throw notModelled(`property 'properties.${inner}' of a user-assigned identity`);
        if (typeof body['location'] !== 'string') {
          throw refuse(400, 'LocationRequired', 'The location property is required for this definition.');
        }
        if (findRegion(body['location']) === undefined) {
          throw notModelled(`a user-assigned identity in '${body['location']}'`);
        }
        if (!/^[A-Za-z0-9][A-Za-z0-9_-]{2,127}$/.test(call.name)) {
          throw notModelled(`the refusal of the identity name '${call.name}'`);
        }
        checkTags(body['tags']);
        const existing = world.resources.get(call.resourceId);
        if (existing !== undefined) {
          if (body['tags'] !== undefined) existing.body['tags'] = body['tags'];
          return { status: 200, body: existing.body };
        }
        // Recorded: this provider returns "resourcegroups" in lower case.
        const id = call.resourceId.replace('/resourceGroups/', '/resourcegroups/');
        const principal = world.addPrincipal({
          oid: world.uuid(),
          tenant: call.tenant.id,
          app: world.uuid(),
          type: 'ManagedIdentity',
          displayName: call.name,
          visibleAt: world.clock.now() + world.latency('principalVisible'),
        });
        const created = world.resources.put({
          id,
          type,
          body: {
            id,
            name: call.name,
            type,
            location: body['location'].toLowerCase().replaceAll(' ', ''),
            tags: body['tags'] ?? {},
            properties: { tenantId: call.tenant.id, principalId: principal.oid, clientId: principal.app },
          },
        });
        return { status: 201, headers: { Location: id }, body: created.body };
      },
    },
    {
      method: 'PATCH',
      path: onePath,
      kind: 'identity.patch',
      action: 'Microsoft.ManagedIdentity/userAssignedIdentities/write',
      handle: (call) => {
        const found = requireIdentity(call);
        const other = Object.keys(call.body).find((name) => name !== 'tags');
        if (other !== undefined) throw notModelled(`PATCH of '${other}' of a user-assigned identity`);
        checkTags(call.body['tags']);
        found.body['tags'] = call.body['tags'] ?? found.body['tags'];
        return { status: 200, body: found.body };
      },
    },
    {
      method: 'GET',
      path: onePath,
      kind: 'identity.get',
      action: 'Microsoft.ManagedIdentity/userAssignedIdentities/read',
      handle: (call) => ({ status: 200, body: requireIdentity(call).body }),
    },
    {
      method: 'GET',
      path: listPath,
      kind: 'identity.list',
      action: 'Microsoft.ManagedIdentity/userAssignedIdentities/read',
      scope: groupOf,
      handle: (call) => ({
        status: 200,
        body: {
          value: [...call.world.resources.under(groupOf(call), type)].map((identity) => identity.body),
        },
      }),
    },
    {
      method: 'DELETE',
      path: onePath,
      kind: 'identity.delete',
      action: 'Microsoft.ManagedIdentity/userAssignedIdentities/delete',
      handle: (call) => {
        const existing = call.world.resources.get(call.resourceId);
        if (existing === undefined) return { status: 204 };
        call.world.resources.remove(existing.id);
        // Role assignments remain and refer to an unknown principal.
        call.world.removePrincipal((existing.body['properties'] as Json)['principalId']);
        return { status: 200 };
      },
    },
  ],
};
