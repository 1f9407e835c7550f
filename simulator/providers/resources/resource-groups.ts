import { checkBody, gatewaySchemaError, type ObjectSchema } from '../../http/body-schema.ts';
import type { Call } from '../../http/provider.ts';
import { ArmError, notModelled } from '../../model/arm-error.ts';
import type { Json } from '../../model/contract.ts';
import type { ResourceGroup } from '../../model/entities.ts';
import { findRegion, regionName } from '../regions.ts';
import { checkTags } from './tags.ts';

export const groupPath = '/subscriptions/:subscriptionId/resourceGroups/:resourceGroup';

export const groupSchema: ObjectSchema = {
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

export function groupBody(found: ResourceGroup): Json {
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

export function putGroup(call: Call): { status: number; body: Json } {
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
