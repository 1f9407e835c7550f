import { describe, expect, test } from '@jest/globals';
import { type Permission, evaluatePermissions } from '../../../src/azure/permissions.ts';

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
