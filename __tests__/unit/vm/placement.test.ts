import { expect, test } from '@jest/globals';
import { AzureError } from '../../../src/errors/errors.ts';
import { isPlacementError } from '../../../src/vm/placement.ts';
import { armError, errorOf } from '../../support/azure-errors.ts';

const bootError =
  "The VM size 'Standard_D2s_v6' cannot boot with OS image or disk. Please check that disk controller types supported by the OS image or disk is one of the supported disk controller types.";
const spotError =
  "Unable to perform operation 'Create VM' since the provided max price '0.01 USD' is lower than the current spot price '0.02 USD' for Azure Spot VM size 'Standard_D2s_v5'.";
const quotaError =
  'Operation could not be completed as it results in exceeding approved standardDSv5Family Cores quota.';
const withTarget = (target: string) => errorOf({ error: { code: 'InvalidParameter', message: 'Not valid.', target } });
const withDetail = (code: string) =>
  errorOf({ error: { code: 'VMOperationFailed', message: 'Failed.', details: [{ code, message: 'Failed.' }] } }, 200);

test.each([
  ...[
    'SkuNotAvailable',
    'AllocationFailed',
    'ZonalAllocationFailed',
    'OverconstrainedAllocationRequest',
    'OverconstrainedZonalAllocationRequest',
    'QuotaExceeded',
    'InvalidAvailabilityZone',
    'VMSizeIsNotPermittedToEnableAcceleratedNetworking',
    'ComputeResourceZoneConstraintDoesNotMatchPublicIPAddressZoneConstraint',
  ].map((code) => ({ what: code, error: armError(code, 'Refused.'), expected: true })),
  { what: 'an exceeded quota', error: armError('OperationNotAllowed', quotaError, 409), expected: true },
  { what: 'a Spot price above the maximum', error: armError('OperationNotAllowed', spotError, 409), expected: true },
  { what: 'a disk controller that the image lacks', error: armError('InvalidParameter', bootError), expected: true },
  { what: 'an unknown size', error: withTarget('vmSize'), expected: true },
  { what: 'a capacity error within another', error: withDetail('AllocationFailed'), expected: true },
  { what: 'another parameter', error: withTarget('adminPassword'), expected: false },
  { what: 'another operation that is not allowed', error: armError('OperationNotAllowed', 'No.'), expected: false },
  { what: 'a policy', error: armError('RequestDisallowedByPolicy', 'Denied.', 403), expected: false },
  { what: 'a guest that fails', error: withDetail('OSProvisioningTimedOut'), expected: false },
])('decide whether another size or zone may cure $what', ({ error, expected }) => {
  expect(isPlacementError(new AzureError(error))).toBe(expected);
});
