import { test } from '@jest/globals';
import { type Case, armError, errorOf, expectExplained, groupId, named, nicUrl } from '../../support/azure-errors.ts';

const nic = `${groupId}/providers/Microsoft.Network/networkInterfaces/n`;
const vm = `${groupId}/providers/Microsoft.Compute/virtualMachines/v`;
const subnet = `${groupId}/providers/Microsoft.Network/virtualNetworks/v/subnets/s`;
const address = `${groupId}/providers/Microsoft.Network/publicIPAddresses/a`;
const refused = (code: string, message: string) => armError(code, message, 400, nicUrl);

const cases: readonly Case[] = [
  [
    refused('DnsRecordInUse', 'DNS record ship.westeurope.cloudapp.azure.com is already used by another public IP.'),
    'The DNS label is taken',
    'DNS name ship.westeurope.cloudapp.azure.com is taken',
  ],
  [
    refused(
      'InvalidDomainNameLabel',
      'The domain name label Ship_1 is invalid. It must conform to the following regular expression: ^[a-z][a-z0-9-]{1,61}[a-z0-9]$.',
    ),
    'The DNS label is invalid',
    '"Ship_1" is not a valid DNS label',
  ],
  [
    refused(
      'PrivateIPAddressInUse',
      `IP configuration ${nic}/ipConfigurations/c is using the private IP address 10.0.0.4 which is already allocated to resource ${nic}-other/ipConfigurations/c.`,
    ),
    'The private IP address is taken',
    '`private-ip-address` 10.0.0.4 is taken by n-other.',
    `az resource show --ids ${nic}-other --query`,
  ],
  [
    refused(
      'PrivateIPAddressNotInSubnet',
      'Private static IP address 10.1.0.4 does not belong to the range of subnet prefix 10.0.0.0/24.',
    ),
    'The private IP address cannot be used in the subnet',
    '`private-ip-address` 10.1.0.4 is outside the subnet 10.0.0.0/24.',
  ],
  [
    refused(
      'PrivateIPAddressInReservedRange',
      'Private static IP address 10.0.0.1 falls within reserved IP range of subnet prefix 10.0.0.0/24.',
    ),
    'The private IP address cannot be used in the subnet',
    '`private-ip-address` 10.0.0.1 is reserved.',
  ],
  [
    refused(
      'PublicIPAddressInUse',
      `Resource ${nic} is referencing public IP address ${address} that is already allocated to resource ${nic}-other/ipConfigurations/c.`,
    ),
    'The public IP address is in use',
    'Public IP address a is in use by n-other.',
  ],
  [
    refused(
      'NetcfgSubnetRangeOutsideVnet',
      "Subnet 'default' is not valid because its IP address range is outside the IP address range of virtual network 'v'.",
    ),
    'The address prefixes do not fit',
    'outside the IP address range of virtual network',
  ],
  [
    refused(
      'InvalidResourceReference',
      `Resource ${subnet} referenced by resource ${nic} was not found. Please make sure that the referenced resource exists, and that both resources are in the same region.`,
    ),
    'A referenced resource does not exist',
    `az resource show --ids ${subnet}`,
    `${nic} refers to ${subnet}.`,
  ],
  [
    refused(
      'NicInUse',
      `Network Interface ${nic} is used by existing resource ${vm}. In order to delete the network interface, it must be dissociated from the resource.`,
    ),
    'Another resource still uses it',
    `while ${vm} uses it`,
    `the owner of ${vm}`,
  ],
  [
    armError(
      'OperationNotAllowed',
      `Disk d is attached to VM ${vm}.`,
      409,
      `${groupId}/providers/Microsoft.Compute/disks/d`,
    ),
    'The disk is attached to a VM',
    `the owner of ${vm}`,
  ],
  [
    { ...errorOf(null, 0), code: 'ENOTFOUND', message: 'login.example could not be reached' },
    'Azure cannot be reached',
    'login.example could not be reached',
    'https://management.azure.com',
  ],
  [
    {
      ...errorOf(null, 0),
      code: 'ECONNREFUSED',
      message: 'login.example could not be reached: refused (through the proxy proxy.example:3128 of https_proxy)',
    },
    'The proxy of the runner does not connect to Azure',
    'Check address, user name and password in https_proxy',
  ],
  [
    {
      ...errorOf(null, 407),
      message: 'The proxy of HTTPS_PROXY refused the connection to login.example: proxy.example answered 407.',
    },
    'The proxy of the runner does not connect to Azure',
    'user name and password in HTTPS_PROXY',
    'NO_PROXY',
  ],
  [
    { ...errorOf(null, 0), code: 'SELF_SIGNED_CERT_IN_CHAIN', message: 'self-signed certificate' },
    "The runner does not trust Azure's certificate",
    'NODE_EXTRA_CA_CERTS',
  ],
];

test.each(named(cases))('explain %s', (_, error, title, ...quoted) => expectExplained(error, title, quoted));
