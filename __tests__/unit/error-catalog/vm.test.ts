import { test } from '@jest/globals';
import { type Case, armError, expectExplained, named, operationUrl } from '../../support/azure-errors.ts';

const cases: readonly Case[] = [
  [
    armError(
      'VMAgentStatusCommunicationError',
      "VM 'vm-9' has not reported status for VM agent or extensions.",
      200,
      operationUrl,
    ),
    'The VM agent does not report',
    '-n vm-9',
  ],
  [
    armError(
      'Conflict',
      'Run command extension execution is in progress. Please wait for completion before invoking a run command.',
      409,
    ),
    'Another script is still running in the VM',
    '--vm-name vm-1',
  ],
  [
    armError('PreconditionFailed', 'The condition is not met.', 412),
    'A VM with this name appeared during the run',
    'VM vm-1 in deploy-rg',
  ],
  [
    armError(
      'ConflictingUserInput',
      'Disk vm-1-osdisk already exists in resource group DEPLOY-RG. Only CreateOption.Attach is supported.',
      409,
    ),
    'A disk with this name exists',
    'az disk show',
    '-n vm-1-osdisk',
  ],
  [
    armError(
      'OperationNotAllowed',
      'The specified disk size 10 GB is smaller than the size of the corresponding disk in the VM image: 30 GB. This is not allowed.',
      409,
    ),
    'The OS disk is smaller than the image',
    '`os-disk-size-gb` (10) is smaller than the disk of the image (30 GB).',
  ],
  [
    armError(
      'OperationNotAllowed',
      'The maximum number of data disks allowed to be attached to a VM of this size is 4.',
      409,
    ),
    'The size does not support that many data disks',
    'Standard_D2s_v5 supports at most 4 data disks',
  ],
  [
    armError(
      'ResourceAvailabilityZonesCannotBeModified',
      "The resource '/x/vm-1' has an existing availability zone constraint '1' and the request has availability zone constraint '2', which do not match.",
    ),
    'A VM with this name exists in another zone',
    'exists in zone 1, not 2',
  ],
  [
    armError(
      'VMSizeIsNotPermittedToEnableAcceleratedNetworking',
      'The specified VM size Standard_B1s is not permitted to enable AcceleratedNetworking on network interface(s) /s/networkInterfaces/n.',
    ),
    'The size does not support accelerated networking',
    'Standard_B1s does not support accelerated networking, which is enabled on network interface n.',
  ],
];

test.each(named(cases))('explain %s', (_, error, title, ...quoted) => expectExplained(error, title, quoted));
