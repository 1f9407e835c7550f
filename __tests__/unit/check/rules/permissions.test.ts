import { describe, test } from '@jest/globals';
import {
  type Case,
  denial,
  denied,
  everyone,
  expectFindings,
  lock,
  nicId,
  nsgId,
  objectId,
  ok,
  referenced,
  role,
  subnetId,
  subscription,
  vmOf,
} from '../../../support/check-facts.ts';
import { group, versionId } from '../../../support/values.ts';

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

describe('locks and deny assignments', () => {
  test.each<Case>([
    ['a lock', { facts: lock('ReadOnly') }, [['locks', 'fault', /ReadOnly/]]],
    ['a lock on deleting', { facts: lock('CanNotDelete') }, [['locks', 'warning', /cleaned up/]]],
    ['a lock on deleting what stays', { facts: lock('CanNotDelete'), inputs: { cleanup: 'never' } }, []],
    [
      'locks on what is none of ours',
      {
        facts: lock(
          'ReadOnly',
          `${group}/providers/Microsoft.Storage/storageAccounts/backup`,
          `${group}/providers/Microsoft.Compute/virtualMachines/vm11`,
          nicId,
        ),
      },
      [],
    ],
    [
      'a lock above the group',
      { facts: lock('ReadOnly', subscription.toUpperCase()) },
      [['locks', 'fault', /nothing/]],
    ],
    [
      'a lock on a part of ours',
      { facts: lock('CanNotDelete', `${group}/providers/Microsoft.Compute/disks/VM1-osdisk`) },
      [['locks', 'warning', /not everything can be cleaned up/]],
    ],
    [
      'a lock on a disk that Azure named',
      {
        facts: {
          ...lock('CanNotDelete', `${group}/providers/Microsoft.Compute/disks/vm1_disk2`),
          existing: {
            vm: ok({
              ...vmOf('Standard_D2s_v5'),
              storageProfile: {
                imageReference: { id: versionId },
                dataDisks: [
                  {
                    lun: 0,
                    createOption: 'FromImage',
                    managedDisk: { id: `${group}/providers/Microsoft.Compute/disks/vm1_disk2` },
                  },
                ],
              },
            }),
          },
        },
      },
      [['locks', 'warning']],
    ],
    [
      'a lock on the network of a given subnet',
      {
        facts: {
          ...lock('ReadOnly', subnetId.replace(/\/subnets\/.*/, '')),
          ...referenced('subnet', subnetId, ok({ location: 'westeurope' })),
        },
      },
      [['locks', 'fault', /hub is ReadOnly: it can neither be changed nor joined/]],
    ],
    [
      'a lock on deleting what is given',
      {
        facts: {
          ...lock('CanNotDelete', nsgId),
          ...referenced('network security group', nsgId, ok({ location: 'westeurope' })),
        },
      },
      [],
    ],
    ['locks that may not be read', { facts: { locks: denied } }, [['locks', 'unknown', /locks\/read/]]],
    [
      'everyone denied',
      { facts: denial({ principals: [everyone] }) },
      [['deny-assignments', 'fault', /"frozen" blocks/]],
    ],
    [
      'everyone denied but the app',
      { facts: denial({ principals: [everyone], excludePrincipals: [{ id: objectId }] }) },
      [],
    ],
    [
      'everyone denied but a group',
      { facts: denial({ principals: [everyone], excludePrincipals: [{ id: 'g', type: 'Group' }] }) },
      [['deny-assignments', 'unknown']],
    ],
    [
      'everyone denied but somebody, who the app may be',
      {
        facts: {
          ...denial({ principals: [everyone], excludePrincipals: [{ id: 'x' }] }),
          objectId: undefined,
        },
      },
      [['deny-assignments', 'unknown']],
    ],
    [
      'somebody denied, who the app may be',
      { facts: { ...denial({ principals: [{ id: 'x' }] }), objectId: undefined } },
      [['deny-assignments', 'unknown']],
    ],
    [
      'everyone denied, including the app',
      { facts: { ...denial({ principals: [everyone] }), objectId: undefined } },
      [['deny-assignments', 'fault']],
    ],
    [
      'a group denied',
      { facts: denial({ principals: [{ id: 'g', type: 'Group' }] }) },
      [['deny-assignments', 'unknown']],
    ],
    ['someone else denied', { facts: denial({ principals: [{ id: 'x', type: 'User' }] }) }, []],
    [
      'something else denied',
      { facts: denial({ principals: [everyone], permissions: [{ actions: ['Microsoft.Storage/*'] }] }) },
      [],
    ],
  ])('reports findings for %s', (_, change, expected) => {
    expectFindings(change, expected);
  });
});
