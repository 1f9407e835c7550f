import type { AzureFault } from '../failure.ts';
import {
  all,
  any,
  author,
  code,
  resolve,
  said,
  subscriptionOwner,
  text,
  wordsOf,
  type Entry,
  type Known,
} from './entry.ts';
import { shell } from './ids-and-roles.ts';

const sizesOf = (fault: AzureFault, { vmSize }: Known) =>
  said(fault, /Restrictions?: ([\w, ]+?)'/i, said(fault, /VM size '([^']+)'/, vmSize));
const placeOf = (fault: AzureFault, { location }: Known) =>
  said(fault, /in location '([^']+)'/i, said(fault, /Location: (\w+)/, location));

const elsewhere = (_: AzureFault, known: Known): string[] => [
  'List several sizes in `vm-size` (and zones in `zone`): the action takes the first that can be had. What the region offers:',
  `az vm list-skus -l ${shell(known.location)} --size Standard_D2 -o table`,
  'Or use another `location` that the image is replicated to, or try later.',
];

export const capacity: readonly Entry[] = [
  {
    id: 'no-capacity',
    title: 'No capacity in the region now',
    says: 'AllocationFailed: Allocation failed. Please try reducing the VM size or number of VMs',
    match: code('AllocationFailed'),
    cause: (_, { vmSize, location }) =>
      `Azure has no machine free for ${vmSize} in ${location} now. Quota has nothing to do with it.`,
    who: author,
    fix: elsewhere,
  },
  {
    id: 'no-capacity-in-zone',
    title: 'No capacity in the zone now',
    says: 'ZonalAllocationFailed: … We do not have sufficient capacity for the requested VM size in this zone',
    match: code('ZonalAllocationFailed'),
    cause: (_, { vmSize, location }) =>
      `Azure has no machine free for ${vmSize} in this zone of ${location} now; other zones may have.`,
    who: author,
    fix: (fault, known) => ['List several zones in `zone`, or leave it out.', ...elsewhere(fault, known)],
  },
  {
    id: 'too-many-constraints',
    title: 'Too many constraints at once',
    says: 'OverconstrainedAllocationRequest: … the condition is too restrictive',
    match: code('OverconstrainedAllocationRequest', 'OverconstrainedZonalAllocationRequest'),
    cause: (fault, { vmSize, location }) => {
      const constraints = [...wordsOf(fault).matchAll(/^- (.+)$/gm)].map(([, constraint]) =>
        constraint?.trim(),
      );
      return `No machine in ${location} meets everything that ${vmSize} was asked with: ${constraints.join('; ') || 'size, zone, accelerated networking and the like'}.`;
    },
    who: author,
    fix: (fault, known) => [
      'Drop a constraint: `accelerated-networking: false`, no `zone`, no `spot`, a persistent OS disk.',
      ...elsewhere(fault, known),
    ],
  },
  {
    id: 'size-not-available',
    title: 'The size is not to be had in the region',
    says: 'SkuNotAvailable: The requested VM size … is currently not available in location',
    match: code('SkuNotAvailable'),
    cause: (fault, known) =>
      `${sizesOf(fault, known)} is not offered to subscription ${known.subscriptionId} in ${placeOf(fault, known)}, or has no capacity there now.`,
    who: author,
    fix: (fault, known) => [
      'List several sizes in `vm-size`: the action takes the first that can be had. Sizes without an entry under Restrictions are offered (capacity does not show there):',
      `az vm list-skus -l ${shell(placeOf(fault, known))} --size ${shell(sizesOf(fault, known).split(/,\s*/)[0] ?? '')} --all -o table`,
      'Or use another `zone` or `location`.',
    ],
  },
  {
    id: 'quota',
    title: 'The quota of cores is used up',
    says: 'QuotaExceeded, or OperationNotAllowed: Operation could not be completed as it results in exceeding approved … quota',
    match: any(code('QuotaExceeded'), all(code('OperationNotAllowed'), text(/exceeding approved .+ quota/i))),
    cause: (fault, known) => {
      const figure = (name: string, placeholder: string) =>
        said(fault, new RegExp(`${name}: (\\d+)`), placeholder);
      return `${said(fault, /exceeding approved (.+?) quota/i, '<quota>')} in ${placeOf(fault, known)}: ${figure('Current Usage', '<usage>')} of ${figure('Current Limit', '<limit>')} are in use and ${figure('Additional Required', '<needed>')} more are needed; the limit would have to be ${figure('New Limit Required', '<new-limit>')}.`;
    },
    who: (fault, known) =>
      `${author} (another size or region), or ${resolve(subscriptionOwner, fault, known)}`,
    fix: (fault, known) => [
      'Give a smaller `vm-size` or one of another family, another `location`, or delete what is not needed. What is in use:',
      `az vm list-usage --subscription ${known.subscriptionId} -l ${shell(placeOf(fault, known))} -o table`,
      `Or ask for a limit of ${said(fault, /New Limit Required: (\d+)/, '<new-limit>')} at the link in Azure's message, or in the portal:`,
      `${known.portal}/#view/Microsoft_Azure_Capacity/QuotaMenuBlade/~/myQuotas`,
    ],
  },
  {
    id: 'public-ip-quota',
    title: 'The quota of public IP addresses is used up',
    says: 'PublicIPCountLimitReached: Cannot create more than … public IP addresses for this subscription in this region',
    match: code('PublicIPCountLimitReached'),
    cause: (fault, { subscriptionId, location }) =>
      `Subscription ${subscriptionId} may have ${said(fault, /more than (\d+)/, '<limit>')} public IP addresses in ${location}, and has them.`,
    who: (fault, known) => `${author}, or ${resolve(subscriptionOwner, fault, known)}`,
    fix: (_, known) => [
      'Set `public-ip: false`, give an existing one, or delete unused ones:',
      `az network list-usages --subscription ${known.subscriptionId} -l ${shell(known.location)} -o table`,
      `az network public-ip list --subscription ${known.subscriptionId} --query "[?ipConfiguration==null].id" -o tsv`,
    ],
  },
  {
    id: 'basic-public-ip',
    title: 'Basic public IP addresses are retired',
    says: 'IPv4BasicSkuPublicIpCountLimitReached: Cannot create more than 0 IPv4 Basic SKU public IP addresses',
    match: code('IPv4BasicSkuPublicIpCountLimitReached'),
    cause: 'A public IP of SKU Basic was asked for; Azure has made no new ones since 2025-09-30.',
    who: author,
    fix: ['The action asks for Standard: remove `sku` from the key `public-ip` in `overrides`.'],
  },
  {
    // https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors
    id: 'region-not-offered',
    title: 'The region does not offer it',
    says: 'LocationNotAvailableForResourceType: The provided location … is not available for resource type',
    match: code('LocationNotAvailableForResourceType', 'LocationNotAvailableForResourceGroup'),
    cause: (fault, known) =>
      `${said(fault, /provided location '([^']+)'/, known.location)} does not offer ${code('LocationNotAvailableForResourceGroup')(fault) ? 'resource groups' : said(fault, /resource type '([^']+)'/, '<resource-type>')}, or is no region of this cloud.`,
    who: author,
    fix: (fault) => [
      `Give another \`location\`. Azure offers: ${said(fault, /regions (?:for the resource type )?is '([^']+)'/, '<list in the message>').replaceAll(/,\s*/g, ', ')}.`,
      'az account list-locations --query "[].name" -o tsv',
    ],
  },
  {
    // https://github.com/Azure/azure-cli/issues/28496 and https://github.com/Azure/azure-cli/issues/27451
    id: 'api-version-unknown',
    title: 'The region or cloud knows no version of this type that the action speaks',
    says: "NoRegisteredProviderFound: No registered resource provider found for location '…' and API version '…' for type '…'",
    match: code('NoRegisteredProviderFound', 'InvalidResourceType', 'InvalidResourceNamespace'),
    cause: (fault, { location }) => {
      const region = said(fault, /for location '([^']+)'/, location);
      const asked = said(fault, /API version '([^']+)'/i, '');
      return asked && said(fault, /supported api-versions are '([^']*)'/i, '').includes(asked)
        ? `${region} does not offer ${typeSaid(fault)}, or is no region of this cloud.`
        : `The action has looked for an older api-version, and none of those that are known for ${typeSaid(fault)} in ${region} will do.`;
    },
    who: author,
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
    match: code('InvalidResourceGroupLocation'),
    cause: (fault, { resourceGroup, location }) =>
      `Resource group ${resourceGroup} was made in ${said(fault, /exists in location '([^']+)'/, '<location>')} meanwhile; it was asked for in ${said(fault, /group location '([^']+)'/, location)}.`,
    who: author,
    fix: ['Run the job again: the group is there now, and a VM may be in another region than its group.'],
  },
];

function typeSaid(fault: AzureFault): string {
  return said(fault, /(?:for type|The resource type) '([^']+)'/, 'the type');
}

function namespaceOf({ url }: AzureFault): string {
  return /\/providers\/([\w.]+)(?!.*\/providers\/)/.exec(url)?.[1] ?? '<namespace>';
}
