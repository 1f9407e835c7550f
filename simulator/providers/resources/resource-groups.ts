import { checkBody, gatewaySchemaError, type ObjectSchema } from '../../http/body-schema.ts';
import type { Call, Route } from '../../http/provider.ts';
import { ArmError, notModelled } from '../../model/arm-error.ts';
import type { Json } from '../../model/contract.ts';
import type { ResourceGroup } from '../../model/entities.ts';
import { isAllowed } from '../../world/permissions.ts';
import { findRegion, regionName } from '../regions.ts';
import { checkTags } from './tags.ts';

export const groupPath = '/subscriptions/:subscriptionId/resourceGroups/:resourceGroup';

const groupSchema: ObjectSchema = {
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

export function requireGroup(call: Call): ResourceGroup {
  const found = call.world.group(call.subscription.id, call.params['resourceGroup'] ?? '');
  if (!found) throw new Error('the gateway lets no call for a missing group through');
  return found;
}

function putGroup(call: Call): { status: number; body: Json } {
  checkBody(call.body, groupSchema, gatewaySchemaError);
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
  if (findRegion(region) === undefined) throw notModelled(`the refusal of a resource group in '${location}'`);
  const found = call.world.group(call.subscription.id, name);
  if (!found) {
    const created = call.world.addGroup(call.subscription.id, name, region, call.body['tags']);
    return { status: 201, body: groupBody(created) };
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

export const groupRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/subscriptions/:subscriptionId/resourceGroups',
    kind: 'groups.list',
    action: null,
    handle: (call) => {
      const groups = [...call.world.groups.values()].filter(
        (group) =>
          group.subscription === call.subscription.id &&
          isAllowed(call.world, call.caller.oid, 'Microsoft.Resources/subscriptions/resourceGroups/read', group.id),
      );
      return { status: 200, body: { value: groups.map(groupBody) } };
    },
  },
  {
    method: 'GET',
    path: groupPath,
    kind: 'group.get',
    action: 'Microsoft.Resources/subscriptions/resourceGroups/read',
    handle: (call) => ({ status: 200, body: groupBody(requireGroup(call)) }),
  },
  {
    method: 'HEAD',
    path: groupPath,
    kind: 'group.head',
    action: 'Microsoft.Resources/subscriptions/resourceGroups/read',
    needsGroup: false,
    handle: (call) => ({
      status: call.world.group(call.subscription.id, call.name) ? 204 : 404,
    }),
  },
  {
    method: 'PUT',
    path: groupPath,
    kind: 'group.put',
    action: 'Microsoft.Resources/subscriptions/resourceGroups/write',
    needsGroup: false,
    handle: putGroup,
  },
  {
    method: 'PATCH',
    path: groupPath,
    kind: 'group.patch',
    action: 'Microsoft.Resources/subscriptions/resourceGroups/write',
    handle: (call) => {
      checkBody(call.body, groupSchema, gatewaySchemaError);
      checkTags(call.body['tags']);
      const found = requireGroup(call);
      if (call.body['tags'] !== undefined) found.tags = call.body['tags'];
      return { status: 200, body: groupBody(found) };
    },
  },
  {
    method: 'DELETE',
    path: groupPath,
    kind: 'group.delete',
    action: 'Microsoft.Resources/subscriptions/resourceGroups/delete',
    handle: (call) => {
      const found = requireGroup(call);
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
];
