import { describe, test } from '@jest/globals';
import { type ResourceId, parseResourceId } from '../../../../src/azure/resource-id.ts';
import {
  addressId,
  denied,
  identityId,
  labelled,
  nicId,
  nsgId,
  ok,
  ownNic,
  referenced,
  subnetId,
  expectFindings,
  type Case,
  usage,
} from '../../../support/check-facts.ts';
import { type NewNic, group, newNetwork } from '../../../support/values.ts';

const inSubnet = (privateIpAddress?: string): NewNic => ({
  ...newNetwork,
  subnet: { kind: 'given', id: parseResourceId(subnetId) as ResourceId },
  ...(privateIpAddress ? { privateIpAddress } : {}),
});

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
    [
      'a private address outside the subnet',
      {
        inputs: { network: inSubnet('10.2.0.5') },
        facts: referenced('subnet', subnetId, ok({ location: 'westeurope', prefixes: ['10.1.0.0/24'] })),
      },
      [['given/subnet', 'fault', /10\.2\.0\.5 is not an address that a VM can have in 10\.1\.0\.0\/24/]],
    ],
    [
      'a private address that Azure reserves',
      {
        inputs: { network: inSubnet('10.1.0.3') },
        facts: referenced('subnet', subnetId, ok({ location: 'westeurope', prefixes: ['10.1.0.0/24'] })),
      },
      [['given/subnet', 'fault', /reserves the first four/]],
    ],
    [
      'a private address that is in use',
      {
        inputs: { network: inSubnet('10.1.0.5') },
        facts: {
          ...referenced('subnet', subnetId, ok({ location: 'westeurope', prefixes: ['10.1.0.0/24'] })),
          privateAddressFree: ok(false),
        },
      },
      [['private-ip-address', 'fault', /in use/]],
    ],
    [
      'a private address whose use cannot be read',
      { inputs: { network: inSubnet('10.1.0.5') }, facts: { privateAddressFree: denied } },
      [['private-ip-address', 'unknown', /checkIpAddressAvailability\/read/]],
    ],
    [
      "a private address of the deployment's own network interface",
      {
        inputs: { network: inSubnet('10.1.0.5') },
        facts: {
          existing: { nic: ok(ownNic({ subnet: 'virtualNetworks/hub/subnets/machines' })) },
          privateAddressFree: ok(false),
        },
      },
      [['rerun/network', 'fault']],
    ],
    [
      'a subnet without a free address',
      {
        inputs: { network: inSubnet() },
        facts: referenced(
          'subnet',
          subnetId,
          ok({ location: 'westeurope', prefixes: ['10.1.0.0/29'], usedAddresses: 3 }),
        ),
      },
      [['given/subnet', 'fault', /All 3 addresses/]],
    ],
    [
      'a public IP in another zone than the VM',
      {
        inputs: { zones: ['2'] },
        facts: referenced('public IP', addressId, ok({ location: 'westeurope', zones: ['1'] })),
      },
      [['given/public-ip', 'fault', /in zone 1, and the VM will be in zone 2/]],
    ],
    [
      'a zone-redundant public IP',
      {
        inputs: { zones: ['2'] },
        facts: referenced('public IP', addressId, ok({ location: 'westeurope', zones: ['1', '2', '3'] })),
      },
      [],
    ],
    [
      'a zonal public IP for one of several zones',
      {
        inputs: { zones: ['1', '2'] },
        facts: referenced('public IP', addressId, ok({ location: 'westeurope', zones: ['2'] })),
      },
      [],
    ],
  ])('reports findings for %s', (_, change, expected) => {
    expectFindings(change, expected);
  });
});
