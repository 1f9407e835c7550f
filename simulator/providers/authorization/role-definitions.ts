import type { Call } from '../../http/provider.ts';
import { refuse } from '../../model/arm-error.ts';
import type { Answer, Json } from '../../model/contract.ts';
import type { RoleDefinition } from '../../model/entities.ts';
import { namespace, parseFilter } from './scope.ts';

const descriptions: Readonly<Record<string, string>> = {
  'acdd72a7-3385-48ef-bd42-f606fba81ae7': 'View all resources, but does not allow you to make any changes.',
  'b24988ac-6180-42a0-ab88-20f7382dd24c':
    'Grants full access to manage all resources, but does not allow you to assign roles in Azure RBAC.',
  '7f951dda-4ed3-4680-a7ca-43fe172d538d': 'acr pull',
  '8311e382-0749-4cb8-b61a-304f252e45ec': 'acr push',
  'cf7c76d2-98a3-4358-a134-615aa78bf44d': 'This is the role for reading gallery images.',
};

function roleBody(call: Call, role: RoleDefinition): Json {
  const prefix = call.params['subscriptionId'] === undefined ? '' : `/subscriptions/${call.params['subscriptionId']}`;
  return {
    properties: {
      roleName: role.name,
      type: role.custom === true ? 'CustomRole' : 'BuiltInRole',
      description: role.description ?? descriptions[role.id] ?? role.name,
      assignableScopes: ['/'],
      permissions: [
        {
          actions: [...role.actions],
          notActions: [...role.notActions],
          dataActions: [...(role.dataActions ?? [])],
          notDataActions: [],
        },
      ],
      createdOn: '2018-10-22T19:01:56.8227182Z',
      updatedOn: '2021-11-11T20:13:08.8779328Z',
      createdBy: null,
      updatedBy: null,
    },
    id: `${prefix}/providers/${namespace}/roleDefinitions/${role.id}`,
    type: `${namespace}/roleDefinitions`,
    name: role.id,
  };
}

export function listRoles(call: Call): Answer {
  const filter = parseFilter(call.query['$filter'], ['roleName', 'type', 'atScopeAndBelow', 'atScope']);
  const value = [...call.world.roleDefinitions.values()]
    .filter((role) => filter['rolename'] === undefined || role.name.toLowerCase() === filter['rolename'].toLowerCase())
    .filter((role) => filter['type'] === undefined || (filter['type'] === 'CustomRole') === (role.custom === true))
    .map((role) => roleBody(call, role));
  return { status: 200, body: { value } };
}

export function getRole(call: Call): Answer {
  const role = call.world.roleDefinitions.get(call.name.toLowerCase());
  if (role === undefined) throw roleNotFoundError(call.name, 404);
  return { status: 200, body: roleBody(call, role) };
}

export function roleNotFoundError(id: string, status: number): Error {
  return refuse(
    status,
    'RoleDefinitionDoesNotExist',
    `The specified role definition with ID '${id.replaceAll('-', '')}' does not exist.`,
  );
}
