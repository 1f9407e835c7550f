import { requiresPolicyToken } from '../azure/policies/policy-token.ts';
import type { AzureErrorInfo } from '../errors/errors.ts';
import { shellCommand } from '../lib/escape.ts';
import { areTenantsSwapped } from './authorization.ts';
import {
  type Entry,
  type FilledErrorContext,
  all,
  any,
  authorOrSubscriptionOwner,
  codeIs,
  messageText,
  messagesOf,
  not,
  codeAndMessage,
  subscriptionOwner,
  workflowAuthor,
} from './entry.ts';

const troubleshooting = 'https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting';

const allocationFailures = 'https://learn.microsoft.com/troubleshoot/azure/virtual-machines/windows/allocation-failure';

const sizesInMessage = (fault: AzureErrorInfo, { vmSize }: FilledErrorContext) =>
  messageText(fault, /Restrictions?: ([\w, ]+?)'/i, messageText(fault, /VM size '([^']+)'/, vmSize));

const locationInMessage = (fault: AzureErrorInfo, { location }: FilledErrorContext) =>
  messageText(fault, /in location '([^']+)'/i, messageText(fault, /Location: (\w+)/, location));

const groupInMessage = (fault: AzureErrorInfo, { resourceGroup }: FilledErrorContext) =>
  messageText(fault, /resource group '([^']+)'/i, resourceGroup);

const subscriptionInMessage = (fault: AzureErrorInfo, { subscriptionId }: FilledErrorContext) =>
  messageText(fault, /subscription '([^']+)'/i, subscriptionId);

const namespaceInMessage = (fault: AzureErrorInfo) => messageText(fault, /namespace '([^']+)'/, '<namespace>');

const tryElsewhere = (_: AzureErrorInfo, known: FilledErrorContext): string[] => [
  'List several sizes in `vm-size` (and zones in `zone`): the action uses the first one that is available. To list the sizes of the region:',
  shellCommand`az vm list-skus -l ${known.location} --size Standard_D2 -o table`,
  'Or use another `location` that has a replica of the image, or try again later.',
];

const figure = (fault: AzureErrorInfo, name: string, placeholder: string) =>
  messageText(fault, new RegExp(`${name}: (\\d+)`), placeholder);

const usageText = (fault: AzureErrorInfo) =>
  `${figure(fault, 'Current Usage', '<usage>')} of ${figure(fault, 'Current Limit', '<limit>')} are in use and ${figure(fault, 'Additional Required', '<needed>')} more are needed; the limit would have to be ${figure(fault, 'New Limit Required', '<new-limit>')}`;

const raiseQuota = (fault: AzureErrorInfo, known: FilledErrorContext): string[] => [
  'To show the usage:',
  shellCommand`az vm list-usage --subscription ${known.subscriptionId} -l ${locationInMessage(fault, known)} -o table`,
  `Or request a limit of ${figure(fault, 'New Limit Required', '<new-limit>')} in the portal:`,
  `${known.portal}/#view/Microsoft_Azure_Capacity/QuotaMenuBlade/~/myQuotas`,
];

const policyNames = (fault: AzureErrorInfo): string[] => {
  // In the message, in additionalInfo or in both, and within JSON that may be a string itself.
  const patterns = [/policyAssignmentDisplayName\\?"\s*:\s*\\?"([^"\\]+)/g, /"policyAssignment":\{"name":"([^"]+)"/g];
  const texts = `${fault.body}\n${messagesOf(fault)}`;
  return [...new Set(patterns.flatMap((pattern) => [...texts.matchAll(pattern)].map(([, name = '']) => name)))];
};

/** The input that may satisfy a policy, guessed from the policy's name. */
const policyHints: readonly (readonly [name: RegExp, hint: string])[] = [
  [/public ip/i, '`public-ip: false`'],
  [/location|region/i, 'another `location`'],
  [/sku|size/i, 'another `vm-size`'],
  [/\btags?\b/i, '`tags`'],
  [/inbound|\b(?:mgmt)?ports?\b/i, 'a narrower `allow-inbound`'],
];

export const subscriptionEntries: readonly Entry[] = [
  {
    id: 'policy-token',
    title: 'An Azure Policy requires a policy token',
    says: 'RequestDisallowedByPolicy: Resource … was disallowed by policy (missingPolicyTokenDetails)',
    source: 'https://github.com/Azure/azure-sdk/issues/10081',
    match: ({ body }) => requiresPolicyToken(body),
    cause: (fault) =>
      `Policy ${
        policyNames(fault)
          .map((name) => `"${name}"`)
          .join(', ') || '<policy>'
      } requires a policy token, and none was issued for this request. The message of its external check is at the end of Azure's message.`,
    who: (_, { tenantId }) => `${workflowAuthor}, or the owner of the policy in the VM's tenant (${tenantId})`,
    fix: ({ body }) => [
      ...(/"isChangeReferenceRequired"\s*:\s*true/.test(body)
        ? ['Set `change-reference` to the reference of an approved change.']
        : []),
      'Fulfil what the external check asks for, then run the job again.',
    ],
  },
  {
    id: 'policy',
    title: 'An Azure Policy denies the resource',
    says: 'RequestDisallowedByPolicy: Resource … was disallowed by policy',
    source: `${troubleshooting}/error-policy-requestdisallowedbypolicy`,
    match: all(codeIs('RequestDisallowedByPolicy'), ({ body }) => !requiresPolicyToken(body)),
    cause: (fault) => {
      const names = policyNames(fault).map((name) => `"${name}"`);
      return `Policy ${names.join(', ') || '<policy>'} denies ${messageText(fault, /Resource '([^']+)' was disallowed/, fault.target ?? '<resource>')}.`;
    },
    who: (_, { tenantId }) => `${workflowAuthor}, or the owner of the policy in the VM's tenant (${tenantId})`,
    fix: (fault, known) => {
      const id = messageText(fault, /"policyAssignment":\{[^}]*"id":"([^"]+)"/, '<policy-assignment-id>');
      const names = policyNames(fault).join(' ');
      const hints = policyHints.filter(([name]) => name.test(names)).map(([, hint]) => hint);
      const [scope, name] = id.split('/providers/Microsoft.Authorization/policyAssignments/');
      const group = `/subscriptions/${known.subscriptionId}/resourceGroups/${known.resourceGroup}`;
      return [
        `Change the input that violates the policy${hints.length > 0 ? `; judging by its name, ${hints.join(' or ')}` : ''}. To show what it requires:`,
        shellCommand`az policy assignment show --name ${name ?? '<policy-assignment>'} --scope ${name ? (scope ?? '') : '<scope>'}`,
        'Or exempt the resource group:',
        shellCommand`az policy exemption create --name cross-tenant-vm --policy-assignment ${id} --exemption-category Waiver --scope ${group}`,
      ];
    },
  },
  {
    id: 'region-restricted-by-azure',
    title: 'Azure does not offer the region to this subscription',
    says: 'RequestDisallowedByAzure: Resource … was disallowed by Azure: This policy maintains a set of best available regions',
    source: 'https://github.com/Azure/azure-cli/issues/32567',
    cause: (_, { subscriptionId, location }) =>
      `Azure does not allow subscription ${subscriptionId} to deploy to ${location}. Microsoft itself restricts the regions of some subscriptions, such as trial and student ones. No Azure Policy of the tenant is involved, and no role or exemption changes it.`,
    who: authorOrSubscriptionOwner,
    fix: (_, { portal }) => [
      'Use another `location` that has a replica of the image.',
      'Or ask Microsoft for access to the region: a support request of type "Service and subscription limits (quotas)":',
      `${portal}/#view/Microsoft_Azure_Support/NewSupportRequestV3Blade`,
    ],
  },
  {
    id: 'group-not-found',
    title: 'The resource group does not exist',
    says: 'ResourceGroupNotFound: Resource group … could not be found',
    source: `${troubleshooting}/error-not-found`,
    match: all(not(areTenantsSwapped), codeIs('ResourceGroupNotFound')),
    cause: (fault, known) =>
      `Resource group ${groupInMessage(fault, known)} does not exist in subscription ${known.subscriptionId}.`,
    fix: (fault, known) => [
      'Check `resource-group` and `subscription-id`. With `location`, the action creates the group, which needs a permission on the subscription. Or create it once:',
      shellCommand`az group create --subscription ${known.subscriptionId} -n ${groupInMessage(fault, known)} -l ${known.location}`,
    ],
  },
  {
    id: 'group-being-deleted',
    title: 'The resource group is being deleted',
    says: 'ResourceGroupBeingDeleted: The resource group … is in deprovisioning state and cannot perform this operation',
    source: `${troubleshooting}/error-not-found`,
    cause: (fault, known) =>
      `Resource group ${groupInMessage(fault, known)} is being deleted. Azure accepts no changes in it.`,
    fix: (fault, known) => [
      'Use another `resource-group`, or wait for the deletion and run the job again:',
      shellCommand`az group wait --deleted --subscription ${known.subscriptionId} -n ${groupInMessage(fault, known)}`,
    ],
  },
  {
    id: 'group-elsewhere',
    title: 'The resource group is in another region',
    says: 'InvalidResourceGroupLocation: … The Resource group already exists in location',
    source: 'https://github.com/Azure/azure-cli/issues/22242',
    cause: (fault, { resourceGroup, location }) =>
      `Resource group ${resourceGroup} already exists in ${messageText(fault, /exists in location '([^']+)'/, '<other-location>')}, not in ${messageText(fault, /group location '([^']+)'/, location)}. Another job created it after this one checked.`,
    fix: ['Run the job again: the group exists now, and a VM can be in another region than its group.'],
  },
  {
    id: 'resource-elsewhere',
    title: 'A resource with this name exists in another region',
    says: 'InvalidResourceLocation: The resource … already exists in location … A resource with the same name cannot be created in location',
    source: `${troubleshooting}/common-deployment-errors`,
    cause: (fault, { resourceGroup, location }) =>
      `Resource ${messageText(fault, /The resource '([^']+)'/, '<resource>')} already exists in ${messageText(fault, /exists in location '([^']+)'/, '<other-location>')}. It cannot be created again in ${messageText(fault, /created in location '([^']+)'/, location)} under the same name in resource group ${resourceGroup}.`,
    fix: ['Use another `vm-name`, or the `location` of the existing resource.'],
  },
  {
    id: 'subscription-not-found',
    title: 'The subscription does not exist',
    says: 'SubscriptionNotFound: The subscription … could not be found',
    source: `${troubleshooting}/error-not-found`,
    cause: (fault, known) =>
      `Subscription ${subscriptionInMessage(fault, known)} does not exist in this cloud, or is not visible to app ${known.clientId}.`,
    fix: [
      'Check `subscription-id`, `image-id` and `environment`. Signed in as the app, this lists the visible subscriptions:',
      'az account list --all --query "[].{name:name, id:id, tenant:tenantId, state:state}" -o table',
    ],
  },
  {
    id: 'subscription-disabled',
    title: 'The subscription is disabled',
    says: 'ReadOnlyDisabledSubscription: The subscription … is disabled and therefore marked as read only',
    source: 'https://learn.microsoft.com/azure/cost-management-billing/manage/subscription-disabled',
    cause: (fault, known) =>
      `Subscription ${subscriptionInMessage(fault, known)} is disabled. A credit has run out, a payment is overdue, or it was canceled. Nothing in it can be created or changed.`,
    who: subscriptionOwner,
    fix: ['Reactivate it:', 'https://learn.microsoft.com/azure/cost-management-billing/manage/subscription-disabled'],
  },
  {
    id: 'provider-not-registered',
    title: 'The resource provider is not registered',
    says: 'MissingSubscriptionRegistration: The subscription is not registered to use namespace',
    source: `${troubleshooting}/error-register-resource-provider`,
    cause: (fault, known) =>
      `Resource provider ${namespaceInMessage(fault)} is not registered in subscription ${known.subscriptionId}.`,
    who: subscriptionOwner,
    fix: (fault, known) => [
      'Register it, once per subscription (it takes a minute or two):',
      shellCommand`az provider register --namespace ${namespaceInMessage(fault)} --subscription ${known.subscriptionId} --wait`,
    ],
  },
  {
    id: 'region-not-offered',
    title: 'The region does not offer the resource type',
    says: 'LocationNotAvailableForResourceType: The provided location … is not available for resource type',
    source: `${troubleshooting}/common-deployment-errors`,
    match: codeIs('LocationNotAvailableForResourceType', 'LocationNotAvailableForResourceGroup'),
    cause: (fault, known) =>
      `${messageText(fault, /provided location '([^']+)'/, known.location)} does not offer ${codeIs('LocationNotAvailableForResourceGroup')(fault, known) ? 'resource groups' : messageText(fault, /resource type '([^']+)'/, '<resource-type>')}, or is not a region of this cloud.`,
    fix: (fault) => [
      `Use another \`location\`. Azure offers: ${messageText(fault, /regions (?:for the resource type )?is '([^']+)'/, '<list in the message>').replaceAll(/,\s*/g, ', ')}.`,
      'az account list-locations --query "[].name" -o tsv',
    ],
  },
  {
    id: 'api-version-unknown',
    title: 'The region or cloud supports no API version that the action knows',
    says: "NoRegisteredProviderFound: No registered resource provider found for location '…' and API version '…' for type '…'",
    source: 'https://github.com/Azure/azure-cli/issues/28496',
    match: codeIs('NoRegisteredProviderFound', 'InvalidResourceType', 'InvalidResourceNamespace'),
    cause: (fault, { location }) => {
      const region = messageText(fault, /for location '([^']+)'/, location);
      const requested = messageText(fault, /API version '([^']+)'/i, '');
      return requested && messageText(fault, /supported api-versions are '([^']*)'/i, '').includes(requested)
        ? `${region} does not offer ${resourceTypeInMessage(fault)}, or is not a region of this cloud.`
        : `${region} supports no API version of ${resourceTypeInMessage(fault)} that the action can use. It also tried older ones.`;
    },
    fix: (fault, { subscriptionId }) => [
      'Use another `location` that offers the type. In a cloud other than the public one, check `environment`:',
      shellCommand`az provider show --namespace ${namespaceOf(fault)} --subscription ${subscriptionId} --query "resourceTypes[].{type:resourceType, locations:join(', ', locations), versions:join(', ', apiVersions)}" -o table`,
    ],
  },
];

export const capacityEntries: readonly Entry[] = [
  {
    id: 'no-capacity',
    title: 'No capacity in the region',
    says: 'AllocationFailed: Allocation failed. Please try reducing the VM size or number of VMs',
    source: allocationFailures,
    cause: (_, { vmSize, location }) =>
      `Azure has no capacity for ${vmSize} in ${location} at the moment. This is independent of the quota.`,
    fix: tryElsewhere,
  },
  {
    id: 'no-capacity-in-zone',
    title: 'No capacity in the zone',
    says: 'ZonalAllocationFailed: … We do not have sufficient capacity for the requested VM size in this zone',
    source:
      'https://learn.microsoft.com/troubleshoot/azure/azure-kubernetes/error-codes/zonalallocation-allocationfailed-error',
    cause: (_, { vmSize, location }) =>
      `Azure has no capacity for ${vmSize} in this zone of ${location} at the moment. Other zones may have.`,
    fix: (fault, known) => ['List several zones in `zone`, or remove it.', ...tryElsewhere(fault, known)],
  },
  {
    id: 'too-many-constraints',
    title: 'No host meets all constraints',
    says: 'OverconstrainedAllocationRequest: … the condition is too restrictive',
    source: 'https://learn.microsoft.com/azure/sap/automation/troubleshooting',
    match: codeIs('OverconstrainedAllocationRequest', 'OverconstrainedZonalAllocationRequest'),
    cause: (fault, { vmSize, location }) => {
      const constraints = [...messagesOf(fault).matchAll(/^- (.+)$/gm)].map(([, text]) => text?.trim());
      return `No host in ${location} meets all constraints of this ${vmSize}: ${constraints.join('; ') || 'size, zone, accelerated networking and others'}.`;
    },
    fix: (fault, known) => [
      'Remove a constraint: `accelerated-networking: false`, no `zone`, no `spot`, no ephemeral OS disk.',
      ...tryElsewhere(fault, known),
    ],
  },
  {
    id: 'size-not-available',
    title: 'The size is not available in the region',
    says: 'SkuNotAvailable: The requested VM size … is currently not available in location',
    source: `${troubleshooting}/error-sku-not-available`,
    match: codeAndMessage('SkuNotAvailable', /not available in location/i),
    cause: (fault, known) =>
      `${sizesInMessage(fault, known)} is not available in ${locationInMessage(fault, known)}. It is not offered to subscription ${known.subscriptionId} there${/zones '[^']+'/.test(messagesOf(fault)) ? ', or not in the requested zone' : ''}, or has no capacity at the moment.`,
    fix: (fault, known) => [
      'List several sizes in `vm-size`: the action uses the first one that is available. Sizes without restrictions in this list are offered (it does not show capacity):',
      shellCommand`az vm list-skus -l ${locationInMessage(fault, known)} --size ${sizesInMessage(fault, known).split(/,\s*/)[0] ?? ''} --all -o table`,
      'Or use another `zone` or `location`.',
    ],
  },
  {
    id: 'size-unknown',
    title: 'The size does not exist in the region',
    says: 'InvalidParameter: The value … provided for the VM size is not valid. The valid sizes in the current region are',
    source: `${troubleshooting}/error-sku-not-available`,
    match: codeAndMessage('InvalidParameter', /provided for the VM size is not valid/i),
    cause: (fault, known) =>
      `${messageText(fault, /The value (\S+) provided/, known.vmSize)} is not a VM size of ${known.location}. It is misspelled, or the region does not have it.`,
    fix: (_, known) => [
      'Correct `vm-size`; names begin with `Standard_` (`Standard_D2s_v5`). To list the sizes of the region:',
      shellCommand`az vm list-sizes -l ${known.location} --query "[].name" -o tsv`,
    ],
  },
  {
    id: 'zone-not-in-region',
    title: 'The region does not have the zone',
    says: 'InvalidAvailabilityZone, LocationNotSupportAvailabilityZones: The location … does not support availability zones',
    source: 'https://learn.microsoft.com/azure/reliability/availability-zones-region-support',
    match: codeIs('InvalidAvailabilityZone', 'LocationNotSupportAvailabilityZones'),
    cause: (fault, known) =>
      codeIs('LocationNotSupportAvailabilityZones')(fault, known)
        ? `${messageText(fault, /location '([^']+)'/i, known.location)} has no availability zones.`
        : `Zone ${messageText(fault, /zone\(s\) '([^']+)'/, '<zone>')} does not exist in ${messageText(fault, /for location '([^']+)'/, known.location)}. The region has ${messageText(fault, /are '([^']+)'/, '<zones>')}.`,
    fix: [
      'Remove `zone`, or use a region that has the zone:',
      'https://learn.microsoft.com/azure/reliability/availability-zones-region-support',
    ],
  },
  {
    id: 'spot-quota',
    title: 'The Spot quota is used up',
    says: 'OperationNotAllowed: Operation could not be completed as it results in exceeding approved LowPriorityCores quota',
    source: 'https://learn.microsoft.com/azure/virtual-machines/spot-vms',
    match: codeAndMessage('OperationNotAllowed', /exceeding approved LowPriorityCores quota/i),
    cause: (fault, known) =>
      `The Spot quota in ${locationInMessage(fault, known)} is used up: ${usageText(fault)}. Spot VMs of all sizes share this quota; regular VMs have their own.`,
    who: authorOrSubscriptionOwner,
    fix: (fault, known) => [
      'Remove `spot` to create a regular VM, use a smaller `vm-size` or another `location`, or delete Spot VMs that are no longer needed.',
      ...raiseQuota(fault, known),
    ],
  },
  {
    id: 'quota',
    title: 'The core quota is used up',
    says: 'QuotaExceeded, or OperationNotAllowed: Operation could not be completed as it results in exceeding approved … quota',
    source: `${troubleshooting}/error-resource-quota`,
    match: any(
      codeIs('QuotaExceeded'),
      codeAndMessage('OperationNotAllowed', /exceeding approved (?!LowPriorityCores).+ quota/i),
    ),
    cause: (fault, known) =>
      `The quota ${messageText(fault, /exceeding approved (.+?) quota/i, '<quota>')} in ${locationInMessage(fault, known)} is used up: ${usageText(fault)}.`,
    who: authorOrSubscriptionOwner,
    fix: (fault, known) => [
      'Use a smaller `vm-size`, one of another family or another `location`, or delete VMs that are no longer needed.',
      ...raiseQuota(fault, known),
    ],
  },
  {
    id: 'spot-price',
    title: 'The Spot price is above max-price',
    says: "OperationNotAllowed: Unable to perform operation … since the provided max price … is lower than the current spot price … for Azure Spot VM size '…'",
    source: 'https://github.com/redhat-developer/mapt/issues/548',
    match: codeAndMessage('OperationNotAllowed', /is lower than the current spot price/i),
    cause: (fault, { vmSize, location }) =>
      `\`max-price\` (${messageText(fault, /max price '([^']+)'/, '<max-price>')}) is below the current Spot price (${messageText(fault, /current spot price '([^']+)'/, '<spot-price>')}) of ${messageText(fault, /VM size '([^']+)'/, vmSize)} in ${location}.`,
    fix: [
      'Raise `max-price`, or remove it: then the VM costs the Spot price, and is never evicted because of the price.',
      'Or list other sizes in `vm-size`.',
    ],
  },
];

function resourceTypeInMessage(fault: AzureErrorInfo): string {
  return messageText(fault, /(?:for type|The resource type) '([^']+)'/, 'the type');
}

function namespaceOf({ url }: AzureErrorInfo): string {
  return /\/providers\/([\w.]+)(?!.*\/providers\/)/.exec(url)?.[1] ?? '<namespace>';
}
