import { requiresPolicyToken } from '../azure/policies/policy-token.ts';
import { shellCommand } from '../lib/escape.ts';
import { areTenantsSwapped } from './authorization.ts';
import {
  type Entries,
  type Failure,
  authorOrPolicyOwner,
  authorOrSubscriptionOwner,
  hasCode,
  messagesOf,
  messageText,
  quotaPage,
  subscriptionOwner,
} from './entry.ts';

const sizesInMessage = (failure: Failure) =>
  messageText(failure, /Restrictions?: ([\w, ]+?)'/i, messageText(failure, /VM size '([^']+)'/, failure.vmSize));

const locationInMessage = (failure: Failure) =>
  messageText(failure, /in location '([^']+)'/i, messageText(failure, /Location: (\w+)/, failure.location));

const groupInMessage = (failure: Failure) => messageText(failure, /resource group '([^']+)'/i, failure.resourceGroup);

const subscriptionInMessage = (failure: Failure) =>
  messageText(failure, /subscription '([^']+)'/i, failure.subscriptionId);

const namespaceInMessage = (failure: Failure) => messageText(failure, /namespace '([^']+)'/, '<namespace>');

const tryElsewhere = (failure: Failure): string[] => [
  'List several sizes in `vm-size` (and zones in `zone`): the action uses the first one that is available. To list the sizes of the region:',
  shellCommand`az vm list-skus --subscription ${failure.subscriptionId} -l ${failure.location} --size Standard_D2 -o table`,
  'Or use another `location` that has a replica of the image, or try again later.',
];

/** Empty if the message has no such number: not every cloud states them. */
const figure = (failure: Failure, name: string) => messageText(failure, new RegExp(`${name}: (\\d+)`), '');

function usageText(failure: Failure): string {
  const names = ['Current Usage', 'Current Limit', 'Additional Required', 'New Limit Required'];
  const [usage, limit, needed, newLimit] = names.map((name) => figure(failure, name));
  if (!usage || !limit || !needed || !newLimit) return '';
  return `: ${usage} of ${limit} are in use and ${needed} more are needed; the limit would have to be ${newLimit}`;
}

function raiseQuota(failure: Failure): string[] {
  const newLimit = figure(failure, 'New Limit Required');
  return [
    'To show the usage:',
    shellCommand`az vm list-usage --subscription ${failure.subscriptionId} -l ${locationInMessage(failure)} -o table`,
    `Or request a ${newLimit ? `limit of ${newLimit}` : 'higher limit'} in the portal:`,
    quotaPage(failure),
  ];
}

const policyNames = (failure: Failure): string => {
  // In the message, in additionalInfo or in both, and within JSON that may be a string itself.
  const patterns = [/policyAssignmentDisplayName\\?"\s*:\s*\\?"([^"\\]+)/g, /"policyAssignment":\{"name":"([^"]+)"/g];
  const texts = `${failure.body}\n${messagesOf(failure)}`;
  const names = patterns.flatMap((pattern) => [...texts.matchAll(pattern)].map(([, name]) => `"${name}"`));
  return [...new Set(names)].join(', ') || '<policy>';
};

/** To see what the assignment of a policy requires, or to be exempt from it. */
export function policyCommands(id: string, group: string): string[] {
  const [, scope = '<scope>', name = '<policy-assignment>'] =
    /^(.*)\/providers\/Microsoft.Authorization\/policyAssignments\/(.*)$/i.exec(id) ?? [];
  return [
    shellCommand`az policy assignment show --name ${name} --scope ${scope}`,
    'Or exempt the resource group:',
    shellCommand`az policy exemption create --name cross-tenant-vm --policy-assignment ${id} --exemption-category Waiver --scope ${group}`,
  ];
}

/** The input that may satisfy a policy, guessed from the policy's name. */
const policyHints: readonly (readonly [name: RegExp, hint: string])[] = [
  [/public ip/i, '`public-ip: false`'],
  [/location|region/i, 'another `location`'],
  [/sku|size/i, 'another `vm-size`'],
  [/\btags?\b/i, '`tags`'],
  [/inbound|\b(?:mgmt)?ports?\b/i, 'a narrower `allow-inbound`'],
];

export const subscriptionEntries: Entries = {
  'An Azure Policy requires a policy token': (failure) => ({
    says: 'RequestDisallowedByPolicy: Resource … was disallowed by policy (missingPolicyTokenDetails)',
    codes: [],
    when: requiresPolicyToken(failure.body),
    cause: `Policy ${policyNames(failure)} requires a policy token, and none was issued for this request. The message of its external check is at the end of Azure's message.`,
    who: authorOrPolicyOwner(failure),
    fix: [
      /"isChangeReferenceRequired"\s*:\s*true/.test(failure.body) &&
        'Set `change-reference` to the reference of an approved change.',
      'Fulfil what the external check asks for, then run the job again.',
    ],
  }),
  'An Azure Policy denies the resource': (failure) => {
    const id = messageText(failure, /"policyAssignment":\{[^}]*"id":"([^"]+)"/, '<policy-assignment-id>');
    const names = policyNames(failure);
    const hints = policyHints.filter(([name]) => name.test(names)).map(([, hint]) => hint);
    const group = `/subscriptions/${failure.subscriptionId}/resourceGroups/${failure.resourceGroup}`;
    return {
      says: 'RequestDisallowedByPolicy: Resource … was disallowed by policy',
      when: !requiresPolicyToken(failure.body),
      cause: `Policy ${policyNames(failure)} denies ${messageText(failure, /Resource '([^']+)' was disallowed/, failure.target ?? '<resource>')}.`,
      who: authorOrPolicyOwner(failure),
      fix: [
        `Change the input that violates the policy${hints.length > 0 ? `; judging by its name, ${hints.join(' or ')}` : ''}. To show what it requires:`,
        ...policyCommands(id, group),
      ],
    };
  },
  'Azure does not offer the region to this subscription': (failure) => ({
    says: 'RequestDisallowedByAzure: Resource … was disallowed by Azure: This policy maintains a set of best available regions',
    cause: `Azure does not allow subscription ${failure.subscriptionId} to deploy to ${failure.location}. Microsoft itself restricts the regions of some subscriptions, such as trial and student ones. No Azure Policy of the tenant is involved, and no role or exemption changes it.`,
    who: authorOrSubscriptionOwner(failure),
    fix: [
      'Use another `location` that has a replica of the image.',
      'Or ask Microsoft for access to the region: a support request of type "Service and subscription limits (quotas)":',
      `${failure.portal}/#view/Microsoft_Azure_Support/NewSupportRequestV3Blade`,
    ],
  }),
  'The resource group does not exist': (failure) => ({
    says: 'ResourceGroupNotFound: Resource group … could not be found',
    when: !areTenantsSwapped(failure),
    cause: `Resource group ${groupInMessage(failure)} does not exist in subscription ${failure.subscriptionId}.`,
    fix: [
      'Check `resource-group` and `subscription-id`. With `location`, the action creates the group, which needs a permission on the subscription. Or create it once:',
      shellCommand`az group create --subscription ${failure.subscriptionId} -n ${groupInMessage(failure)} -l ${failure.location}`,
    ],
  }),
  'The resource group is being deleted': (failure) => ({
    says: 'ResourceGroupBeingDeleted: The resource group … is in deprovisioning state and cannot perform this operation',
    cause: `Resource group ${groupInMessage(failure)} is being deleted. Azure accepts no changes in it.`,
    fix: [
      'Use another `resource-group`, or wait for the deletion and run the job again:',
      shellCommand`az group wait --deleted --subscription ${failure.subscriptionId} -n ${groupInMessage(failure)}`,
    ],
  }),
  'The resource group is in another region': (failure) => ({
    says: 'InvalidResourceGroupLocation: … The Resource group already exists in location',
    cause: `Resource group ${failure.resourceGroup} already exists in ${messageText(failure, /exists in location '([^']+)'/, '<other-location>')}, not in ${messageText(failure, /group location '([^']+)'/, failure.location)}. Another job created it after this one checked.`,
    fix: ['Run the job again: the group exists now, and a VM can be in another region than its group.'],
  }),
  'A resource with this name exists in another region': (failure) => ({
    says: 'InvalidResourceLocation: The resource … already exists in location … A resource with the same name cannot be created in location',
    cause: `Resource ${messageText(failure, /The resource '([^']+)'/, '<resource>')} already exists in ${messageText(failure, /exists in location '([^']+)'/, '<other-location>')}. It cannot be created again in ${messageText(failure, /created in location '([^']+)'/, failure.location)} under the same name in resource group ${failure.resourceGroup}.`,
    fix: ['Use another `vm-name`, or the `location` of the existing resource.'],
  }),
  'The subscription does not exist': (failure) => ({
    says: 'SubscriptionNotFound: The subscription … could not be found',
    cause: `Subscription ${subscriptionInMessage(failure)} does not exist in this cloud, or is not visible to app ${failure.clientId}.`,
    fix: [
      'Check `subscription-id`, `image-id` and `environment`. Signed in as the app, this lists the visible subscriptions:',
      'az account list --all --query "[].{name:name, id:id, tenant:tenantId, state:state}" -o table',
    ],
  }),
  'The subscription is disabled': (failure) => ({
    says: 'ReadOnlyDisabledSubscription: The subscription … is disabled and therefore marked as read only',
    cause: `Subscription ${subscriptionInMessage(failure)} is disabled. A credit has run out, a payment is overdue, or it was canceled. Nothing in it can be created or changed.`,
    who: subscriptionOwner(failure),
    fix: ['Reactivate it:', 'https://learn.microsoft.com/azure/cost-management-billing/manage/subscription-disabled'],
  }),
  'The resource provider is not registered': (failure) => ({
    says: 'MissingSubscriptionRegistration: The subscription is not registered to use namespace',
    cause: `Resource provider ${namespaceInMessage(failure)} is not registered in subscription ${failure.subscriptionId}.`,
    who: subscriptionOwner(failure),
    fix: [
      'Register it, once per subscription (it takes a minute or two):',
      shellCommand`az provider register --namespace ${namespaceInMessage(failure)} --subscription ${failure.subscriptionId} --wait`,
    ],
  }),
  'The region does not offer the resource type': (failure) => ({
    says: 'LocationNotAvailableForResourceType: The provided location … is not available for resource type',
    codes: ['LocationNotAvailableForResourceType', 'LocationNotAvailableForResourceGroup'],
    cause: `${messageText(failure, /provided location '([^']+)'/, failure.location)} does not offer ${hasCode(failure, 'LocationNotAvailableForResourceGroup') ? 'resource groups' : messageText(failure, /resource type '([^']+)'/, '<resource-type>')}, or is not a region of this cloud.`,
    fix: [
      `Use another \`location\`. Azure offers: ${messageText(failure, /regions (?:for the resource type )?is '([^']+)'/, '<list in the message>').replaceAll(/,\s*/g, ', ')}. To list all regions:`,
      'az account list-locations --query "[].name" -o tsv',
    ],
  }),
  'The region or cloud supports no API version that the action knows': (failure) => {
    const location = messageText(failure, /for location '([^']+)'/, failure.location);
    const region = location.startsWith('<') ? 'The cloud' : location;
    const requested = messageText(failure, /API[ -]version '([^']+)'/i, '');
    const type = messageText(failure, /(?:for type|The resource type) '([^']+)'/, 'the type');
    const isTypeUnknown = requested === '' && !hasCode(failure, 'NoRegisteredProviderFound');
    return {
      says: "NoRegisteredProviderFound: No registered resource provider found for location '…' and API version '…' for type '…'",
      codes: [
        'NoRegisteredProviderFound',
        'InvalidResourceType',
        'InvalidResourceNamespace',
        'InvalidApiVersionParameter',
      ],
      cause: isTypeUnknown
        ? 'Resource Manager does not know the resource type that was requested.'
        : requested && messageText(failure, /supported api-versions are '([^']*)'/i, '').includes(requested)
          ? `${region} does not offer ${type}, or is not a region of this cloud.`
          : `${region} supports no API version of ${type} that the action can use, not even an older one.`,
      fix: [
        'Use another `location` that offers the type. In a cloud other than the public one, check `environment`:',
        shellCommand`az provider show --namespace ${/\/providers\/([\w.]+)(?!.*\/providers\/)/.exec(failure.url)?.[1] ?? '<namespace>'} --subscription ${failure.subscriptionId} --query "resourceTypes[].{type:resourceType, locations:join(', ', locations), versions:join(', ', apiVersions)}" -o table`,
      ],
    };
  },
};

export const capacityEntries: Entries = {
  'No capacity in the region': (failure) => ({
    says: 'AllocationFailed: Allocation failed. Please try reducing the VM size or number of VMs',
    cause: `Azure has no capacity for ${failure.vmSize} in ${failure.location} at the moment. This is independent of the quota.`,
    fix: tryElsewhere(failure),
  }),
  'No capacity in the zone': (failure) => ({
    says: 'ZonalAllocationFailed: … We do not have sufficient capacity for the requested VM size in this zone',
    cause: `Azure has no capacity for ${failure.vmSize} in this zone of ${failure.location} at the moment. Other zones may have.`,
    fix: ['List several zones in `zone`, or remove it.', ...tryElsewhere(failure)],
  }),
  'No host meets all constraints': (failure) => {
    const constraints = [...messagesOf(failure).matchAll(/^- (.+)$/gm)].map(([, text]) => text?.trim());
    return {
      says: 'OverconstrainedAllocationRequest: … the condition is too restrictive',
      codes: ['OverconstrainedAllocationRequest', 'OverconstrainedZonalAllocationRequest'],
      cause: `No host in ${failure.location} meets all constraints of this ${failure.vmSize}: ${constraints.join('; ') || 'size, zone, accelerated networking and others'}.`,
      fix: [
        'Remove a constraint: `accelerated-networking: false`, no `zone`, no `spot`, no ephemeral OS disk.',
        ...tryElsewhere(failure),
      ],
    };
  },
  'The size is not available in the region': (failure) => ({
    says: 'SkuNotAvailable: The requested VM size … is currently not available in location',
    message: /not available in location/i,
    cause: `${sizesInMessage(failure)} is not available in ${locationInMessage(failure)}. It is not offered to subscription ${failure.subscriptionId} there${/zones '[^']+'/.test(messagesOf(failure)) ? ', or not in the requested zone' : ''}, or has no capacity at the moment.`,
    fix: [
      'List several sizes in `vm-size`: the action uses the first one that is available. Sizes without restrictions in this list are offered (it does not show capacity):',
      shellCommand`az vm list-skus --subscription ${failure.subscriptionId} -l ${locationInMessage(failure)} --size ${sizesInMessage(failure).split(/,\s*/)[0] ?? ''} --all -o table`,
      'Or use another `zone` or `location`.',
    ],
  }),
  'The size does not exist in the region': (failure) => ({
    says: 'InvalidParameter: The value … provided for the VM size is not valid. The valid sizes in the current region are',
    message: /provided for the VM size is not valid/i,
    cause: `${messageText(failure, /The value (\S+) provided/, failure.vmSize)} is not a VM size of ${failure.location}. It is misspelled, or the region does not have it.`,
    fix: [
      'Correct `vm-size`; names begin with `Standard_` (`Standard_D2s_v5`). To list the sizes of the region:',
      shellCommand`az vm list-sizes --subscription ${failure.subscriptionId} -l ${failure.location} --query "[].name" -o tsv`,
    ],
  }),
  'The region does not have the zone': (failure) => ({
    says: 'InvalidAvailabilityZone, LocationNotSupportAvailabilityZones: The location … does not support availability zones',
    cause: hasCode(failure, 'LocationNotSupportAvailabilityZones')
      ? `${messageText(failure, /location '([^']+)'/i, failure.location)} has no availability zones.`
      : `Zone ${messageText(failure, /zone\(s\) '([^']+)'/, '<zone>')} does not exist in ${messageText(failure, /for location '([^']+)'/, failure.location)}. The region has ${messageText(failure, /are '([^']+)'/, '<zones>')}.`,
    fix: [
      'Remove `zone`, or use a region that has the zone:',
      'https://learn.microsoft.com/azure/reliability/availability-zones-region-support',
    ],
  }),
  'The Spot quota is used up': (failure) => ({
    says: 'OperationNotAllowed: Operation could not be completed as it results in exceeding approved LowPriorityCores quota',
    message: /exceeding approved LowPriorityCores quota/i,
    cause: `The Spot quota in ${locationInMessage(failure)} is used up${usageText(failure)}. Spot VMs of all sizes share this quota; regular VMs have their own.`,
    who: authorOrSubscriptionOwner(failure),
    fix: [
      'Remove `spot` to create a regular VM, use a smaller `vm-size` or another `location`, or delete Spot VMs that are no longer needed.',
      ...raiseQuota(failure),
    ],
  }),
  'The core quota is used up': (failure) => ({
    says: 'QuotaExceeded, OperationNotAllowed: Operation could not be completed as it results in exceeding approved … quota',
    when:
      hasCode(failure, 'QuotaExceeded') || /exceeding approved (?!LowPriorityCores).+ quota/i.test(messagesOf(failure)),
    cause: `The ${messageText(failure, /exceeding approved (.+?) quota/i, 'core')} quota in ${locationInMessage(failure)} is used up${usageText(failure)}.`,
    who: authorOrSubscriptionOwner(failure),
    fix: [
      'Use a smaller `vm-size`, one of another family or another `location`, or delete VMs that are no longer needed.',
      ...raiseQuota(failure),
    ],
  }),
  'The Spot price is above max-price': (failure) => ({
    says: "OperationNotAllowed: Unable to perform operation … since the provided max price … is lower than the current spot price … for Azure Spot VM size '…'",
    message: /is lower than the current spot price/i,
    cause: `\`max-price\` (${messageText(failure, /max price '([^']+)'/, '<max-price>')}) is below the current Spot price (${messageText(failure, /current spot price '([^']+)'/, '<spot-price>')}) of ${messageText(failure, /VM size '([^']+)'/, failure.vmSize)} in ${failure.location}.`,
    fix: [
      'Raise `max-price`, or remove it: then the VM costs the Spot price, and is never evicted because of the price.',
      'Or list other sizes in `vm-size`.',
    ],
  }),
};
