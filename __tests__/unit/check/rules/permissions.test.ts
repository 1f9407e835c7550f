import { describe, test } from '@jest/globals';
import { denied, ok, role, expectFindings, type Case } from '../../../support/check-facts.ts';

describe('permissions and role assignments', () => {
  test.each<Case>([
    [
      'no right to write addresses',
      { permissions: [{ actions: ['*'], notActions: ['Microsoft.Network/publicIPAddresses/write'] }] },
      [['rights/resource-group', 'fault', /^Missing: Microsoft.Network\/publicIPAddresses\/write\.$/]],
    ],
    [
      'no right to delete, none to tag',
      { permissions: [{ actions: ['*'], notActions: ['*/delete', 'Microsoft.Resources/tags/*'] }] },
      [
        ['rights/clean-up', 'warning', /virtualMachines\/delete/],
        ['rights/rerun', 'warning', /tags\/write/],
      ],
    ],
    [
      'rights under a condition',
      {
        inputs: { cleanup: 'never' },
        permissions: [
          { actions: ['*'], notActions: ['*/disks/write'] },
          { actions: ['*'], condition: 'C1' },
        ],
      },
      [['rights/resource-group', 'unknown', /under a condition.*disks\/write/]],
    ],
    [
      'roles: not grantable, under a condition, granted already',
      {
        facts: {
          roles: [
            ...role(denied, []).roles,
            ...role(ok({}), [{ actions: ['*'], condition: 'C2' }]).roles,
            ...role(ok({}), []).roles,
          ],
        },
      },
      [
        ['role-assignment/1', 'fault'],
        ['role-assignment/2', 'unknown', /under a condition/],
      ],
    ],
  ])('reports findings for %s', (_, change, expected) => {
    expectFindings(change, expected);
  });
});
