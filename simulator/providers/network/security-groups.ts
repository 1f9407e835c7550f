/** Network security groups. */
import { refuseNetwork } from '../../model/arm-error.ts';
import type { Json } from '../../model/contract.ts';
import { securityGroupModel } from './body-schemas.ts';
import type { Kind } from './lifecycle.ts';
import { interfaces, same, subnets } from './references.ts';
import { checkRules, defaultRules, ruleBody } from './security-rules.ts';

export const securityGroups: Kind = {
  type: 'networkSecurityGroups',
  noun: 'NetworkSecurityGroup',
  journal: 'nsg',
  model: securityGroupModel,
  put: 'nsgPut',
  delete: 'nsgDelete',
  shortestName: 1,
  longestName: 80,
  linked: () => [],
  make: (call) => {
    const rules: Json[] = call.body['properties']?.securityRules ?? [];
    checkRules(call.resourceId, rules);
    return { properties: { securityRules: rules } };
  },
  checkDelete: (call, resource) => {
    const users = [
      ...interfaces(call.world)
        .filter((nic) => same(nic.body['properties'].networkSecurityGroup?.id, resource.id))
        .map((nic) => nic.id),
      ...subnets(call.world)
        .filter(({ body }) => same(body['properties'].networkSecurityGroup?.id, resource.id))
        .map(({ body }) => String(body['id'])),
    ];
    if (users.length === 0) return;
    throw refuseNetwork(
      'InUseNetworkSecurityGroupCannotBeDeleted',
      `Network security group ${resource.id} cannot be deleted because it is in use by the following resources: ${users.join(', ')}. In order to delete the Network security group, remove the association with the resource(s). To learn how to do this, see aka.ms/deletensg.`,
    );
  },
  view: (world, resource) => {
    const { properties, etag } = resource.body;
    const state: string = properties.provisioningState;
    const nics = interfaces(world).filter((nic) =>
      same(nic.body['properties'].networkSecurityGroup?.id, resource.id),
    );
    return {
      ...resource.body,
      properties: {
        ...properties,
        securityRules: (properties.securityRules as Json[]).map((rule) =>
          ruleBody(resource.id, rule, etag, state),
        ),
        defaultSecurityRules: defaultRules(resource.id, etag, state),
        ...(nics.length > 0 ? { networkInterfaces: nics.map(({ id }) => ({ id })) } : {}),
      },
    };
  },
};
