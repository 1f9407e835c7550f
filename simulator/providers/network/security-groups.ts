import { refuseNetwork } from '../../model/arm-error.ts';
import type { Json } from '../../model/contract.ts';
import { securityGroupSchema } from './body-schemas.ts';
import type { NetworkResourceType } from './lifecycle.ts';
import { allInterfaces, isSameId, allSubnets } from './references.ts';
import { checkRules, defaultRules, ruleBody } from './security-rules.ts';

export const securityGroups: NetworkResourceType = {
  type: 'networkSecurityGroups',
  operationNoun: 'NetworkSecurityGroup',
  kind: 'nsg',
  schema: securityGroupSchema,
  putLatency: 'nsgPut',
  deleteLatency: 'nsgDelete',
  minNameLength: 1,
  maxNameLength: 80,
  linkedResources: () => [],
  buildBody: (call) => {
    const rules: Json[] = call.body['properties']?.securityRules ?? [];
    checkRules(call.resourceId, rules);
    return { properties: { securityRules: rules } };
  },
  checkDelete: (call, resource) => {
    const users = [
      ...allInterfaces(call.world)
        .filter((nic) => isSameId(nic.body['properties'].networkSecurityGroup?.id, resource.id))
        .map((nic) => nic.id),
      ...allSubnets(call.world)
        .filter(({ body }) => isSameId(body['properties'].networkSecurityGroup?.id, resource.id))
        .map(({ body }) => String(body['id'])),
    ];
    if (users.length === 0) return;
    throw refuseNetwork(
      'InUseNetworkSecurityGroupCannotBeDeleted',
      `Network security group ${resource.id} cannot be deleted because it is in use by the following resources: ${users.join(', ')}. In order to delete the Network security group, remove the association with the resource(s). To learn how to do this, see aka.ms/deletensg.`,
    );
  },
  toResponse: (world, resource) => {
    const { properties, etag } = resource.body;
    const state: string = properties.provisioningState;
    const nics = allInterfaces(world).filter((nic) =>
      isSameId(nic.body['properties'].networkSecurityGroup?.id, resource.id),
    );
    return {
      ...resource.body,
      properties: {
        ...properties,
        securityRules: (properties.securityRules as Json[]).map((rule) => ruleBody(resource.id, rule, etag, state)),
        defaultSecurityRules: defaultRules(resource.id, etag, state),
        ...(nics.length > 0 ? { networkInterfaces: nics.map(({ id }) => ({ id })) } : {}),
      },
    };
  },
};
