import { describe, test } from '@jest/globals';
import {
  addressId,
  denied,
  identityId,
  labelled,
  nicId,
  nsgId,
  ok,
  referenced,
  subnetId,
  expectFindings,
  type Case,
  usage,
} from '../../../support/check-facts.ts';
import { group, newNetwork } from '../../../support/values.ts';

describe('referenced resources and the public IP', () => {
  test.each<Case>([
    [
      'a given subnet in another region',
      { facts: referenced('subnet', subnetId, ok({ location: 'North Europe' })) },
      [['given/subnet', 'fault', /northeurope/]],
    ],
    [
      'a given group that is not there',
      { facts: referenced('network security group', nsgId, ok(undefined)) },
      [['given/network-security-group', 'fault']],
    ],
    [
      'a given address in use',
      {
        facts: referenced(
          'public IP',
          addressId,
          ok({ location: 'westeurope', usedBy: `${nicId}/ipConfigurations/a` }),
        ),
      },
      [['given/public-ip', 'fault', /in use by/]],
    ],
    [
      'a given interface in use by this very machine',
      {
        facts: referenced(
          'network interface',
          nicId,
          ok({ location: 'westeurope', usedBy: `${group}/providers/Microsoft.Compute/virtualMachines/VM1` }),
        ),
      },
      [],
    ],
    [
      'a given interface that may not be read',
      { facts: referenced('network interface', nicId, denied) },
      [['given/network-interface', 'fault']],
    ],
    [
      'a given subnet that may not be read',
      { facts: referenced('subnet', subnetId, denied) },
      [['given/subnet', 'unknown', /virtualNetworks\/read/]],
    ],
    [
      'an identity elsewhere is an identity all the same',
      { facts: referenced('identity', identityId, ok({ location: 'eastus' })) },
      [],
    ],
    [
      'a DNS label that is taken',
      { inputs: { network: labelled }, facts: { dnsLabelFree: ok(false) } },
      [['name/dns-label', 'fault']],
    ],
    [
      'addresses that are used up',
      {
        facts: {
          networkUsages: ok([usage('StandardSkuPublicIpAddresses', 5, 5), usage('PublicIPAddresses')]),
        },
      },
      [['quota/public-ip', 'fault', /All 5/]],
    ],
    [
      'addresses that are used up, and none is made',
      {
        inputs: { network: { ...newNetwork, publicIp: { kind: 'none' } } },
        facts: { networkUsages: ok([usage('PublicIPAddresses', 0)]) },
      },
      [],
    ],
  ])('reports findings for %s', (_, change, expected) => {
    expectFindings(change, expected);
  });
});
