import { describe, test } from '@jest/globals';
import {
  denied,
  failed,
  ok,
  openToAll,
  own,
  ownNic,
  refusal,
  expectFindings,
  type Case,
  usage,
  vmOf,
} from '../../../support/check-facts.ts';

describe('names and existing resources', () => {
  test.each<Case>([
    [
      'names that are taken',
      {
        facts: {
          existing: {
            nsg: ok({ name: 'vm1-nsg', tags: { 'cross-tenant-vm': 'vm2' } }),
            vnet: ok({ name: 'vm1-vnet' }),
            publicIp: ok({ tags: { ...own, 'github-run-id': '1', 'github-job': 'other' } }),
            nic: ok({
              ...ownNic(),
              tags: Object.fromEntries(Object.entries(own).map(([name, value]) => [name.toUpperCase(), value])),
            }),
          },
          osDisk: denied,
        },
      },
      [
        ['name/network-security-group', 'fault', /vm1-nsg/],
        ['name/virtual-network', 'fault', /vm1-vnet/],
        ['name/public-ip', 'fault', /vm1-ip/],
        ['name/disk', 'unknown'],
      ],
    ],
    [
      'a machine of this deployment takes no quota again',
      {
        facts: {
          existing: { vm: ok(vmOf('Standard_D2s_v5')) },
          computeUsages: ok([usage('cores', 0)]),
        },
      },
      [],
    ],
    [
      'a machine of this deployment in another size',
      { facts: { existing: { vm: ok(vmOf('Standard_D4s_v5')) } } },
      [['rerun', 'fault', /size: Standard_D4s_v5, the inputs request Standard_D2s_v5/]],
    ],
    [
      'a machine of this deployment that failed after it had run',
      { facts: failed(true) },
      [['rerun', 'fault', /has run, so its disk may hold data.*OSProvisioningTimedOut/]],
    ],
    [
      'a VM of another size that `if-exists: replace` replaces',
      { inputs: { ifExists: 'replace' }, facts: { existing: { vm: ok(vmOf('Standard_D4s_v5')) } } },
      [],
    ],
    [
      'a VM that failed after it had run, with `if-exists: replace`',
      { inputs: { ifExists: 'replace' }, facts: failed(true) },
      [],
    ],
    [
      'a VM that `if-exists: fail` does not accept',
      { inputs: { ifExists: 'fail' }, facts: { existing: { vm: ok(vmOf('Standard_D2s_v5')) } } },
      [['name/virtual-machine', 'fault', /if-exists: fail/]],
    ],
    ['a machine of this deployment that was never placed', { facts: failed(false) }, []],
    [
      'a machine that was never placed, and no quota for another try',
      { facts: { ...failed(false), computeUsages: ok([usage('cores', 0)]) } },
      [['quota/cores', 'fault']],
    ],
    [
      'a machine that failed, and may not be looked into',
      { facts: { ...failed(true), provisioningFailure: denied } },
      [['rerun', 'fault', /virtualMachines\/read/]],
    ],
    ['a machine on its way', { facts: { existing: { vm: ok(vmOf('Standard_D2s_v5', 'Creating')) } } }, []],
    [
      'a machine on its way, and another one than asked for',
      { facts: { existing: { vm: ok(vmOf('Standard_D4s_v5', 'Creating')) } } },
      [['rerun', 'fault', /size/]],
    ],
    ['a machine on its way out', { facts: { existing: { vm: ok(vmOf('Standard_D4s_v5', 'Deleting')) } } }, []],
    [
      "somebody else's machine is no rerun",
      { facts: { existing: { vm: ok(vmOf('Standard_D4s_v5', 'Failed', {})) } } },
      [['name/virtual-machine', 'fault']],
    ],
    [
      "this deployment's disk without its machine",
      { facts: { osDisk: ok({ name: 'vm1-osdisk', location: 'westeurope', tags: own }) } },
      [['name/disk', 'fault', /still exists, without its VM/]],
    ],
    [
      'a disk whose machine may not be read',
      { facts: { existing: { vm: denied }, osDisk: ok({ location: 'westeurope', tags: own }) } },
      [['name/virtual-machine', 'fault', /lacks Microsoft\.Compute\/virtualMachines\/read/]],
    ],
    [
      'network resources that may not be read',
      { facts: { existing: { vm: ok(undefined), nsg: denied, publicIp: denied } } },
      [
        ['name/network-security-group', 'fault', /networkSecurityGroups\/read/],
        ['name/public-ip', 'fault', /publicIPAddresses\/read/],
      ],
    ],
    [
      'a group and what is in it that may not be read',
      { facts: { group: denied, existing: { vm: denied, nsg: denied }, osDisk: denied } },
      [
        ['resource-group', 'fault'],
        ['name/virtual-machine', 'unknown', /may not read resource group rg/],
        ['name/network-security-group', 'unknown', /may not read resource group rg/],
        ['name/disk', 'unknown'],
      ],
    ],
    [
      'an outage of a name',
      { facts: { existing: { vm: refusal(503, 'ServiceUnavailable', 'later') } } },
      [['name/virtual-machine', 'unknown', /ServiceUnavailable: later/]],
    ],
    [
      'the disk of a machine that is there',
      {
        facts: {
          existing: { vm: ok(vmOf('Standard_D2s_v5')) },
          osDisk: ok({ location: 'westeurope' }),
        },
      },
      [],
    ],
    ['an interface of this deployment', { facts: { existing: { nic: ok(ownNic()) } } }, []],
    [
      'an interface of this deployment that joins something else',
      {
        facts: {
          existing: {
            nic: ok(
              ownNic({
                subnet: 'virtualNetworks/hub/subnets/a',
                publicIp: 'publicIPAddresses/front',
                nsg: 'networkSecurityGroups/shared',
              }),
            ),
          },
        },
      },
      [['rerun/network', 'fault', /subnet: .*hub.*public IP: .*front.*group: .*shared/]],
    ],
    [
      'a security group of this deployment with other rules',
      {
        inputs: { network: openToAll },
        facts: {
          existing: {
            nsg: ok({ location: 'westeurope', tags: own, provisioningState: 'Succeeded' as const }),
          },
        },
      },
      [
        ['rerun/network', 'fault', /inbound rules: none, the inputs request 22\/tcp from \*/],
        ['inbound', 'warning'],
      ],
    ],
  ])('reports findings for %s', (_, change, expected) => {
    expectFindings(change, expected);
  });
});
