import type { AzureErrorInfo } from '../errors/azure-error.ts';
import { quoteForShell } from '../lib/escape.ts';
import {
  type Entry,
  type FilledErrorContext,
  all,
  any,
  codeIs,
  messageMatches,
  messageText,
  resolve,
  subscriptionOwner,
  wordsOf,
  workflowAuthor,
} from './entry.ts';

const sizesInMessage = (fault: AzureErrorInfo, { vmSize }: FilledErrorContext) =>
  messageText(fault, /Restrictions?: ([\w, ]+?)'/i, messageText(fault, /VM size '([^']+)'/, vmSize));

const placeInMessage = (fault: AzureErrorInfo, { location }: FilledErrorContext) =>
  messageText(fault, /in location '([^']+)'/i, messageText(fault, /Location: (\w+)/, location));

const tryElsewhere = (_: AzureErrorInfo, known: FilledErrorContext): string[] => [
  'List several sizes in `vm-size` (and zones in `zone`): the action takes the first that can be had. What the region offers:',
  `az vm list-skus -l ${quoteForShell(known.location)} --size Standard_D2 -o table`,
  'Or use another `location` that the image is replicated to, or try later.',
];

export const capacityEntries: readonly Entry[] = [
  {
    id: 'no-capacity',
    title: 'No capacity in the region now',
    says: 'AllocationFailed: Allocation failed. Please try reducing the VM size or number of VMs',
    match: codeIs('AllocationFailed'),
    cause: (_, { vmSize, location }) =>
      `Azure has no machine free for ${vmSize} in ${location} now. Quota has nothing to do with it.`,
    who: workflowAuthor,
    fix: tryElsewhere,
  },
  {
    id: 'no-capacity-in-zone',
    title: 'No capacity in the zone now',
    says: 'ZonalAllocationFailed: … We do not have sufficient capacity for the requested VM size in this zone',
    match: codeIs('ZonalAllocationFailed'),
    cause: (_, { vmSize, location }) =>
      `Azure has no machine free for ${vmSize} in this zone of ${location} now; other zones may have.`,
    who: workflowAuthor,
    fix: (fault, known) => ['List several zones in `zone`, or leave it out.', ...tryElsewhere(fault, known)],
  },
  {
    id: 'too-many-constraints',
    title: 'Too many constraints at once',
    says: 'OverconstrainedAllocationRequest: … the condition is too restrictive',
    match: codeIs('OverconstrainedAllocationRequest', 'OverconstrainedZonalAllocationRequest'),
    cause: (fault, { vmSize, location }) => {
      const constraints = [...wordsOf(fault).matchAll(/^- (.+)$/gm)].map(([, constraint]) =>
        constraint?.trim(),
      );
      return `No machine in ${location} meets everything that ${vmSize} was asked with: ${constraints.join('; ') || 'size, zone, accelerated networking and the like'}.`;
    },
    who: workflowAuthor,
    fix: (fault, known) => [
      'Drop a constraint: `accelerated-networking: false`, no `zone`, no `spot`, a persistent OS disk.',
      ...tryElsewhere(fault, known),
    ],
  },
  {
    id: 'size-not-available',
    title: 'The size is not to be had in the region',
    says: 'SkuNotAvailable: The requested VM size … is currently not available in location',
    match: codeIs('SkuNotAvailable'),
    cause: (fault, known) =>
      `${sizesInMessage(fault, known)} is not offered to subscription ${known.subscriptionId} in ${placeInMessage(fault, known)}, or has no capacity there now.`,
    who: workflowAuthor,
    fix: (fault, known) => [
      'List several sizes in `vm-size`: the action takes the first that can be had. Sizes without an entry under Restrictions are offered (capacity does not show there):',
      `az vm list-skus -l ${quoteForShell(placeInMessage(fault, known))} --size ${quoteForShell(sizesInMessage(fault, known).split(/,\s*/)[0] ?? '')} --all -o table`,
      'Or use another `zone` or `location`.',
    ],
  },
  {
    id: 'quota',
    title: 'The quota of cores is used up',
    says: 'QuotaExceeded, or OperationNotAllowed: Operation could not be completed as it results in exceeding approved … quota',
    match: any(
      codeIs('QuotaExceeded'),
      all(codeIs('OperationNotAllowed'), messageMatches(/exceeding approved .+ quota/i)),
    ),
    cause: (fault, known) => {
      const figure = (name: string, placeholder: string) =>
        messageText(fault, new RegExp(`${name}: (\\d+)`), placeholder);
      return `${messageText(fault, /exceeding approved (.+?) quota/i, '<quota>')} in ${placeInMessage(fault, known)}: ${figure('Current Usage', '<usage>')} of ${figure('Current Limit', '<limit>')} are in use and ${figure('Additional Required', '<needed>')} more are needed; the limit would have to be ${figure('New Limit Required', '<new-limit>')}.`;
    },
    who: (fault, known) =>
      `${workflowAuthor} (another size or region), or ${resolve(subscriptionOwner, fault, known)}`,
    fix: (fault, known) => [
      'Give a smaller `vm-size` or one of another family, another `location`, or delete what is not needed. What is in use:',
      `az vm list-usage --subscription ${known.subscriptionId} -l ${quoteForShell(placeInMessage(fault, known))} -o table`,
      `Or ask for a limit of ${messageText(fault, /New Limit Required: (\d+)/, '<new-limit>')} at the link in Azure's message, or in the portal:`,
      `${known.portal}/#view/Microsoft_Azure_Capacity/QuotaMenuBlade/~/myQuotas`,
    ],
  },
  {
    id: 'public-ip-quota',
    title: 'The quota of public IP addresses is used up',
    says: 'PublicIPCountLimitReached: Cannot create more than … public IP addresses for this subscription in this region',
    match: codeIs('PublicIPCountLimitReached'),
    cause: (fault, { subscriptionId, location }) =>
      `Subscription ${subscriptionId} may have ${messageText(fault, /more than (\d+)/, '<limit>')} public IP addresses in ${location}, and has them.`,
    who: (fault, known) => `${workflowAuthor}, or ${resolve(subscriptionOwner, fault, known)}`,
    fix: (_, known) => [
      'Set `public-ip: false`, give an existing one, or delete unused ones:',
      `az network list-usages --subscription ${known.subscriptionId} -l ${quoteForShell(known.location)} -o table`,
      `az network public-ip list --subscription ${known.subscriptionId} --query "[?ipConfiguration==null].id" -o tsv`,
    ],
  },
  {
    id: 'basic-public-ip',
    title: 'Basic public IP addresses are retired',
    says: 'IPv4BasicSkuPublicIpCountLimitReached: Cannot create more than 0 IPv4 Basic SKU public IP addresses',
    match: codeIs('IPv4BasicSkuPublicIpCountLimitReached'),
    cause: 'A public IP of SKU Basic was asked for; Azure has made no new ones since 2025-09-30.',
    who: workflowAuthor,
    fix: ['The action asks for Standard: remove `sku` from the key `public-ip` in `overrides`.'],
  },
  {
    // https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors
    id: 'region-not-offered',
    title: 'The region does not offer it',
    says: 'LocationNotAvailableForResourceType: The provided location … is not available for resource type',
    match: codeIs('LocationNotAvailableForResourceType', 'LocationNotAvailableForResourceGroup'),
    cause: (fault, known) =>
      `${messageText(fault, /provided location '([^']+)'/, known.location)} does not offer ${codeIs('LocationNotAvailableForResourceGroup')(fault) ? 'resource groups' : messageText(fault, /resource type '([^']+)'/, '<resource-type>')}, or is no region of this cloud.`,
    who: workflowAuthor,
    fix: (fault) => [
      `Give another \`location\`. Azure offers: ${messageText(fault, /regions (?:for the resource type )?is '([^']+)'/, '<list in the message>').replaceAll(/,\s*/g, ', ')}.`,
      'az account list-locations --query "[].name" -o tsv',
    ],
  },
  {
    // https://github.com/Azure/azure-cli/issues/28496 and https://github.com/Azure/azure-cli/issues/27451
    id: 'api-version-unknown',
    title: 'The region or cloud knows no version of this type that the action speaks',
    says: "NoRegisteredProviderFound: No registered resource provider found for location '…' and API version '…' for type '…'",
    match: codeIs('NoRegisteredProviderFound', 'InvalidResourceType', 'InvalidResourceNamespace'),
    cause: (fault, { location }) => {
      const region = messageText(fault, /for location '([^']+)'/, location);
      const asked = messageText(fault, /API version '([^']+)'/i, '');
      return asked && messageText(fault, /supported api-versions are '([^']*)'/i, '').includes(asked)
        ? `${region} does not offer ${resourceTypeInMessage(fault)}, or is no region of this cloud.`
        : `The action has looked for an older api-version, and none of those that are known for ${resourceTypeInMessage(fault)} in ${region} will do.`;
    },
    who: workflowAuthor,
    fix: (fault, { subscriptionId }) => [
      'Give another `location`, where the type is offered; in another cloud than the public one, check `environment`:',
      `az provider show --namespace ${namespaceOf(fault)} --subscription ${subscriptionId} --query "resourceTypes[].{type:resourceType, locations:join(', ', locations), versions:join(', ', apiVersions)}" -o table`,
    ],
  },
  {
    // https://github.com/Azure/azure-cli/issues/22242
    id: 'group-elsewhere',
    title: 'The resource group is in another region',
    says: 'InvalidResourceGroupLocation: … The Resource group already exists in location',
    match: codeIs('InvalidResourceGroupLocation'),
    cause: (fault, { resourceGroup, location }) =>
      `Resource group ${resourceGroup} was made in ${messageText(fault, /exists in location '([^']+)'/, '<location>')} meanwhile; it was asked for in ${messageText(fault, /group location '([^']+)'/, location)}.`,
    who: workflowAuthor,
    fix: ['Run the job again: the group is there now, and a VM may be in another region than its group.'],
  },
];

function resourceTypeInMessage(fault: AzureErrorInfo): string {
  return messageText(fault, /(?:for type|The resource type) '([^']+)'/, 'the type');
}

function namespaceOf({ url }: AzureErrorInfo): string {
  return /\/providers\/([\w.]+)(?!.*\/providers\/)/.exec(url)?.[1] ?? '<namespace>';
}
