import { expect, test } from '@jest/globals';
import {
  type Case,
  armError,
  context,
  errorOf,
  expectExplained,
  explained,
  named,
  subscription,
  vmTenant,
} from '../../support/azure-errors.ts';

const cases: readonly Case[] = [
  [
    armError('QuotaExceeded', 'Other words.'),
    'The core quota is used up',
    'The core quota in westeurope is used up.\n',
    'Or request a higher limit in the portal:',
  ],
  [
    armError(
      'NoRegisteredProviderFound',
      "No registered resource provider found for location 'mars' and API version '2026-04-01' for type 'virtualMachines'. The supported api-versions are '2025-04-01, 2026-04-01'. The supported locations are 'westeurope'.",
    ),
    'The region or cloud supports no API version that the action knows',
    'mars does not offer virtualMachines, or is not a region of this cloud',
  ],
  [
    armError(
      'NoRegisteredProviderFound',
      "No registered resource provider found for location 'southwest' and API version '2026-04-01' for type 'virtualMachines'. The supported api-versions are '2099-01-01'. The supported locations are 'southwest'.",
    ),
    'The region or cloud supports no API version that the action knows',
    'southwest supports no API version of virtualMachines that the action can use',
    'az provider show --namespace Microsoft.Compute',
  ],
  [
    armError('InvalidResourceType', 'The resource type could not be found in the namespace.', 404),
    'The region or cloud supports no API version that the action knows',
    'Resource Manager does not know the resource type that was requested.',
  ],
  [
    armError('InvalidApiVersionParameter', "The api-version '2025-12-03' is invalid."),
    'The region or cloud supports no API version that the action knows',
    'supports no API version of the type that the action can use, not even an older one.',
  ],
  [
    armError(
      'SubscriptionNotFound',
      "The subscription 'c23fa617-d0cf-4c92-a529-5e444a4cc1fa' could not be found.",
      404,
    ),
    'The subscription does not exist',
    'c23fa617-d0cf-4c92-a529-5e444a4cc1fa',
  ],
  [
    armError(
      'ReadOnlyDisabledSubscription',
      `The subscription '${subscription}' is disabled and therefore marked as read only.`,
      409,
    ),
    'The subscription is disabled',
    subscription,
    vmTenant,
  ],
  [
    armError(
      'ResourceGroupBeingDeleted',
      "The resource group 'deploy-rg' is in deprovisioning state and cannot perform this operation.",
      409,
    ),
    'The resource group is being deleted',
    'Resource group deploy-rg is being deleted.',
    `az group wait --deleted --subscription ${subscription} -n deploy-rg`,
  ],
  [
    armError(
      'InvalidResourceGroupLocation',
      "Invalid resource group location 'eastus'. The Resource group already exists in location 'westus'.",
      409,
    ),
    'The resource group is in another region',
    'already exists in westus, not in eastus',
  ],
  [
    armError(
      'InvalidResourceLocation',
      "The resource 'vm-1-vnet' already exists in location 'eastus' in resource group 'deploy-rg'. A resource with the same name cannot be created in location 'westeurope'. Please select a new resource name.",
      409,
    ),
    'A resource with this name exists in another region',
    'Resource vm-1-vnet already exists in eastus.',
    'again in westeurope',
  ],
  [
    armError(
      'LocationNotAvailableForResourceType',
      "The provided location 'WUS' is not available for resource type 'Microsoft.Compute/virtualMachines'. List of available regions for the resource type is 'eastus,westeurope'.",
    ),
    'The region does not offer the resource type',
    'WUS does not offer Microsoft.Compute/virtualMachines',
    'Azure offers: eastus, westeurope.',
  ],
  [
    armError(
      'LocationNotAvailableForResourceGroup',
      "The provided location 'germanynorth' is not available for resource group. List of available regions is 'centralus,eastasia'.",
    ),
    'The region does not offer the resource type',
    'germanynorth does not offer resource groups',
    'centralus, eastasia',
  ],
  [
    armError('OverconstrainedZonalAllocationRequest', 'Allocation failed.', 200),
    'No host meets all constraints',
    'Standard_D2s_v5',
  ],
  [
    armError(
      'SkuNotAvailable',
      `The requested size for resource '/subscriptions/s/x' is currently not available in location 'westeurope' zones '1' for subscription '${subscription}'. Please try another size or deploy to a different location or zones.`,
      409,
    ),
    'The size is not available in the region',
    'Standard_D2s_v5 is not available in westeurope',
    'not in the requested zone',
  ],
  [
    armError(
      'InvalidParameter',
      'The value D2s_v5 provided for the VM size is not valid. The valid sizes in the current region are: Standard_D2s_v5. Find out more on the valid VM sizes in each region at https://aka.ms/azure-regions.',
    ),
    'The size does not exist in the region',
    'D2s_v5 is not a VM size of westeurope',
    'names begin with `Standard_`',
  ],
  [
    armError(
      'InvalidAvailabilityZone',
      "The zone(s) '4' for resource 'Microsoft.Compute/virtualMachines/v' is not supported. The supported zones for location 'westeurope' are '1,2,3'",
    ),
    'The region does not have the zone',
    'Zone 4 does not exist in westeurope. The region has 1,2,3.',
  ],
  [
    armError(
      'OperationNotAllowed',
      "Unable to perform operation 'Create VM' since the provided max price '0.03207 USD' is lower than the current spot price '0.032077 USD' for Azure Spot VM size 'Standard_D4as_v6'. For more information, see http://aka.ms/AzureSpot/errormessages.",
      409,
    ),
    'The Spot price is above max-price',
    '`max-price` (0.03207 USD) is below the current Spot price (0.032077 USD) of Standard_D4as_v6',
  ],
  [
    errorOf(
      {
        error: {
          code: 'RequestDisallowedByPolicy',
          message: "Resource 'v' was disallowed by policy.",
          additionalInfo: [
            {
              type: 'PolicyViolation',
              info: {
                policyAssignmentDisplayName: 'Change safety',
                evaluationDetails: {
                  missingPolicyTokenDetails: { shouldDeny: true, isChangeReferenceRequired: true },
                },
              },
            },
          ],
        },
      },
      403,
    ),
    'An Azure Policy requires a policy token',
    'Policy "Change safety" requires a policy token',
    'Set `change-reference`',
  ],
];

test.each(named(cases))('explain %s', (_, error, title, ...quoted) => expectExplained(error, title, quoted));

test('name a policy from details that are JSON text', () => {
  const info = { policyAssignmentDisplayName: 'Allowed locations' };
  const inner = {
    error: {
      code: 'RequestDisallowedByPolicy',
      message: "Resource 'x' was disallowed by policy.",
      additionalInfo: [{ type: 'PolicyViolation', info }],
    },
  };
  const details = [{ code: 'Forbidden', message: JSON.stringify(inner) }];
  const { cause, fix } = explained(
    errorOf({ error: { code: 'DeploymentFailed', message: 'x', details } }, 403),
    context,
  );
  expect(cause).toBe('Policy "Allowed locations" denies x.');
  expect(fix[0]).toContain('another `location`');
});
