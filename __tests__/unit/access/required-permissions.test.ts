import { describe, expect, test } from '@jest/globals';
import { customRole, features } from '../../../scripts/docs/custom-role.ts';
import { requiredPermissions, type Permission, evaluatePermissions } from '../../../src/access/required-permissions.ts';
import { type ResourceId, parseResourceId } from '../../../src/azure/resource-id.ts';
import type { DeployInputs } from '../../../src/inputs/inputs.ts';
import {
  addressId,
  identityId,
  inputs,
  nicId,
  nsgId,
  registryId,
  subnetId,
  subscription,
} from '../../support/check-facts.ts';
import { group, type NewNic, newNetwork, subscriptionId } from '../../support/values.ts';

const idOf = (text: string): ResourceId => parseResourceId(text) as ResourceId;

describe('requiredPermissions', () => {
  const ground = { subscriptionId, groupExists: true };
  const needed = (change: Partial<DeployInputs>, where = ground) =>
    Object.fromEntries(
      requiredPermissions({ ...inputs, ...change }, where).map(({ id, scope, actions }) => [
        id,
        { scope, actions: actions.toSorted() },
      ]),
    );
  const machine = [
    'Microsoft.Compute/disks/write',
    'Microsoft.Compute/virtualMachines/read',
    'Microsoft.Compute/virtualMachines/write',
    'Microsoft.Resources/subscriptions/resourceGroups/read',
    'Microsoft.Resources/subscriptions/resourceGroups/resources/read',
  ];
  const actionsOn = (type: string, ...verbs: string[]) => verbs.map((verb) => `Microsoft.Network/${type}/${verb}`);
  const nic = actionsOn('networkInterfaces', 'join/action', 'read', 'write');

  test('of the least: everything new in the group', () => {
    expect(needed({})).toEqual({
      'rights/resource-group': {
        scope: group,
        actions: [
          ...machine,
          ...nic,
          ...actionsOn('networkSecurityGroups', 'join/action', 'read', 'write'),
          ...actionsOn('publicIPAddresses', 'join/action', 'read', 'write'),
          ...actionsOn('virtualNetworks', 'read', 'subnets/join/action', 'write'),
        ].toSorted(),
      },
      'rights/clean-up': {
        scope: group,
        actions: [
          'Microsoft.Compute/disks/delete',
          'Microsoft.Compute/disks/read',
          'Microsoft.Compute/virtualMachines/delete',
          'Microsoft.Network/networkInterfaces/delete',
          'Microsoft.Network/networkSecurityGroups/delete',
          'Microsoft.Network/publicIPAddresses/delete',
          'Microsoft.Network/virtualNetworks/delete',
        ],
      },
      'rights/rerun': { scope: group, actions: ['Microsoft.Resources/tags/write'] },
    });
  });

  test('of what is given: a join, where it is', () => {
    const network: NewNic = {
      ...newNetwork,
      subnet: { kind: 'given', id: idOf(subnetId) },
      nsg: { kind: 'given', id: idOf(nsgId) },
      publicIp: { kind: 'given', id: idOf(addressId) },
    };
    expect(needed({ network, cleanup: 'never' })).toMatchObject({
      'rights/resource-group': { scope: group, actions: [...machine, ...nic].toSorted() },
      'rights/subnet': { scope: subnetId, actions: actionsOn('virtualNetworks', 'subnets/join/action') },
      'rights/network-security-group': {
        scope: nsgId,
        actions: actionsOn('networkSecurityGroups', 'join/action'),
      },
      'rights/public-ip': {
        scope: addressId,
        actions: actionsOn('publicIPAddresses', 'join/action', 'read'),
      },
    });
  });

  test('of a given interface: no network at all', () => {
    expect(needed({ network: { kind: 'given-nic', nicId: idOf(nicId) }, cleanup: 'never' })).toMatchObject({
      'rights/resource-group': { scope: group, actions: machine },
      'rights/network-interface': {
        scope: nicId,
        actions: actionsOn('networkInterfaces', 'join/action', 'read'),
      },
    });
  });

  test('of identities, roles, agent and script', () => {
    const rights = needed({
      identity: { system: true, given: [idOf(identityId)], named: ['own'] },
      roleAssignments: [{ role: 'AcrPull', scope: registryId }],
      script: { text: 'true', timeoutMinutes: 30, parameters: {}, secrets: {} },
    });
    const identities = 'Microsoft.ManagedIdentity/userAssignedIdentities';
    expect(rights['rights/identity/puller']).toEqual({
      scope: identityId,
      actions: [`${identities}/assign/action`, `${identities}/read`],
    });
    expect(rights['rights/resource-group']?.actions).toEqual(
      expect.arrayContaining([
        `${identities}/write`,
        `${identities}/assign/action`,
        'Microsoft.Compute/virtualMachines/instanceView/read',
        'Microsoft.Compute/virtualMachines/runCommands/write',
      ]),
    );
    expect(rights['rights/clean-up']?.actions).toContain(`${identities}/delete`);
  });

  test('of a group that does not exist: all of it from the subscription', () => {
    const rights = needed({}, { subscriptionId, groupExists: false });
    expect(rights['rights/new-resource-group']).toEqual({
      scope: subscription,
      actions: [
        'Microsoft.Resources/subscriptions/resourceGroups/read',
        'Microsoft.Resources/subscriptions/resourceGroups/write',
      ],
    });
    expect(rights['rights/resource-group']?.scope).toBe(subscription);
  });

  test('custom roles hold each action once, and with it what deletes again', () => {
    const role = customRole(['machine', 'new interface', 'machine'], {
      name: 'Deployer',
      description: 'Makes machines.',
      scopes: [group],
    });
    expect(role.AssignableScopes).toEqual([group]);
    expect(role.Actions).toEqual([...new Set(role.Actions)].toSorted());
    expect(role.Actions).toContain('Microsoft.Network/networkInterfaces/delete');
    const all = customRole(features, { name: 'All', description: '', scopes: [] });
    for (const action of all.Actions) expect(action).toMatch(/^Microsoft\.\w+(\/\w+)+$/);
  });
});

describe('evaluatePermissions', () => {
  const contributor: Permission = { actions: ['*'], notActions: ['Microsoft.Authorization/*/Write'] };
  const granter: Permission = { actions: ['Microsoft.Authorization/roleAssignments/write'] };
  const write = 'Microsoft.Compute/virtualMachines/write';
  const grantRole = 'Microsoft.Authorization/roleAssignments/write';
  const assign = 'Microsoft.ManagedIdentity/userAssignedIdentities/assign/action';

  test.each<[string, readonly Permission[], string, string]>([
    ['nothing', [], write, 'denied'],
    ['a permission without actions', [{}], write, 'denied'],
    ['the action itself', [{ actions: [write] }], write, 'allowed'],
    ['another case', [{ actions: [write.toUpperCase()] }], write, 'allowed'],
    ['everything', [{ actions: ['*'] }], write, 'allowed'],
    ['a wildcard at the end', [{ actions: ['Microsoft.Compute/virtualMachines/*'] }], write, 'allowed'],
    ['a wildcard in front', [{ actions: ['*/write'] }], write, 'allowed'],
    ['a wildcard of another type', [{ actions: ['Microsoft.Compute/disks/*'] }], write, 'denied'],
    ['a longer name is another one', [{ actions: ['Microsoft.Compute/virtualMachines/writ'] }], write, 'denied'],
    ['a dot is a dot', [{ actions: ['MicrosoftXCompute/virtualMachines/write'] }], write, 'denied'],
    [
      'a wildcard between slashes may be empty',
      [{ actions: ['Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action'] }],
      assign,
      'allowed',
    ],
    ['taken out again', [contributor], grantRole, 'denied'],
    ['taken out of one role, given by another', [contributor, granter], grantRole, 'allowed'],
    ['taken out of the role that gives it', [{ actions: ['*'], notActions: ['*/write'] }], write, 'denied'],
    ['under a condition', [contributor, { ...granter, condition: '(…)' }], grantRole, 'conditional'],
    ['under a condition and without', [granter, { ...granter, condition: '(…)' }], grantRole, 'allowed'],
    ['a condition that is null is none', [{ ...granter, condition: null }], grantRole, 'allowed'],
  ])('%s', (_, permissions, action, verdict) => {
    expect(evaluatePermissions(permissions, action)).toBe(verdict);
  });
});
