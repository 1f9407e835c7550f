import type { AzureErrorInfo } from '../errors/azure-error.ts';
import { quoteForShell } from '../lib/escape.ts';
import {
  type Entry,
  type FilledErrorContext,
  all,
  any,
  codeIs,
  imageOwner,
  messageMatches,
  messageText,
  noCode,
  not,
  resolve,
  statusIs,
  urlMatches,
  wordsOf,
  workflowAuthor,
} from './entry.ts';
import { definitionScope, imageOptions } from './role-commands.ts';

const regionOf = (fault: AzureErrorInfo, { location }: FilledErrorContext) =>
  messageText(fault, /not available in (.+?) region/i, location)
    .replaceAll(' ', '')
    .toLowerCase();

export const imageEntries: readonly Entry[] = [
  {
    id: 'image-not-in-region',
    title: 'The image version is not in the region',
    says: 'The gallery image … is not available in … region. Please contact image owner to replicate to this region',
    match: any(
      codeIs('GalleryImageNotFound'),
      messageMatches(/gallery image .* is not available in .+ region/i),
    ),
    cause: (fault, known) =>
      `Image version ${messageText(fault, /gallery image (\S+)/i, known.imageId)} is not replicated to ${regionOf(fault, known)}, or does not exist.`,
    who: imageOwner,
    fix: (fault, known) => [
      'Replicate it, in the image tenant:',
      `az sig image-version update ${imageOptions(fault, known, true)} --add publishingProfile.targetRegions name=${regionOf(fault, known)}`,
      'Or choose a `location` that it is replicated to:',
      `az sig image-version show ${imageOptions(fault, known, true)} --expand ReplicationStatus --query replicationStatus.summary -o table`,
      'While it is being replicated, `image-wait-minutes` makes the action wait.',
    ],
  },
  {
    id: 'image-no-latest',
    title: 'No version counts as the latest',
    says: 'NotFound: There is no latest image version exists for',
    match: messageMatches(/no latest image version/i),
    cause: (fault, known) =>
      `Image definition ${messageText(fault, /exists for "([^"]+)"/, definitionScope(known.imageId))} has no version, or all are excluded from latest.`,
    who: (fault, known) => `${workflowAuthor}, or ${resolve(imageOwner, fault, known)}`,
    fix: (fault, known) => [
      'Name a version in `image-id`; these there are:',
      `az sig image-version list ${imageOptions(fault, known)} -o table`,
      'Or let one count:',
      `az sig image-version update ${imageOptions(fault, known, true)} --set publishingProfile.excludeFromLatest=false`,
    ],
  },
  {
    id: 'image-not-found',
    title: 'There is no such image',
    says: "ResourceNotFound: The Resource 'Microsoft.Compute/galleries/…/images/…/versions/…' under resource group … was not found",
    match: all(
      codeIs('ResourceNotFound', 'NotFound', 'ParentResourceNotFound'),
      any(messageMatches(/Microsoft\.Compute\/galleries\//i), urlMatches(/\/galleries\//i)),
      not(messageMatches(/no latest image version/i)),
    ),
    cause: (fault, known) => {
      const named =
        /'(?:Microsoft\.Compute\/galleries\/)?([^']+)' (?:under resource group '([^']+)' was )?not found/i.exec(
          wordsOf(fault),
        );
      const where = named?.[2] ? ` in resource group ${named[2]}` : '';
      return `There is no ${named?.[1] ?? known.imageId}${where}: the gallery, the definition or the version is missing or misspelt.`;
    },
    who: workflowAuthor,
    fix: (fault, known) => [
      'Correct `image-id`; in the image tenant, this lists the versions:',
      `az sig image-version list ${imageOptions(fault, known)} -o table`,
    ],
  },
  {
    // Azure's words for it are not known; the states are: https://github.com/Azure/AgentBaker/pull/6741
    id: 'image-being-created',
    title: 'The image version is not finished',
    says: '409 on the image version or the VM, while provisioningState is Creating',
    match: all(statusIs(409), noCode, urlMatches(/\/(?:galleries|virtualMachines)\//i)),
    cause: (_, { imageId }) =>
      `Azure gave no reason. It is known for an image version that is still being created: ${imageId}.`,
    who: 'nobody: wait until the version is made; that takes about 7 minutes, with many regions up to hours',
    fix: (fault, known) => [
      'Give `image-wait-minutes`, or wait for it in the image tenant:',
      `az sig image-version wait ${imageOptions(fault, known, true)} --created`,
    ],
  },
  {
    id: 'os-profile-not-allowed',
    title: 'A specialized image takes no user',
    says: "InvalidParameter: Parameter 'osProfile' is not allowed",
    match: messageMatches(/Parameter 'osProfile' is not allowed/i),
    cause: (_, { imageId }) =>
      `The image definition is Specialized (${definitionScope(imageId)}): user, password and keys are in the image already, and osProfile may not be sent.`,
    who: workflowAuthor,
    fix: [
      'Leave out `admin-username`, `admin-password`, `ssh-public-key`, `computer-name`, `custom-data`, and any `osProfile` in `overrides`.',
      'If the image was generalized after all, its owner has to put it into a definition with osState Generalized.',
    ],
  },
  {
    id: 'os-profile-missing',
    title: 'A generalized image needs a user',
    says: "InvalidParameter: Required parameter 'osProfile' is missing (null)",
    match: messageMatches(/parameter 'osProfile' is missing/i),
    cause: (_, { imageId }) =>
      `The image definition is Generalized (${definitionScope(imageId)}), so a user has to be made on the VM, and osProfile was not sent.`,
    who: workflowAuthor,
    fix: [
      'Give `ssh-public-key` (Linux) or `admin-password` (Windows), and drop any `overrides` that remove `osProfile`.',
    ],
  },
  {
    id: 'plan-missing',
    title: 'The image needs a purchase plan',
    says: 'VMMarketplaceInvalidInput: Creating a virtual machine from Marketplace image … requires Plan information in the request',
    match: codeIs('VMMarketplaceInvalidInput'),
    cause: (fault, known) =>
      `The image comes from a Marketplace image with a plan, and the definition ${definitionScope(known.imageId)} does not name it, so that VM ${messageText(fault, /VM: '([^']+)'/, known.vmName)} was asked for without.`,
    who: imageOwner,
    fix: (fault, known) => [
      'See what the definition says, and make it again with the plan (--plan-name, --plan-product, --plan-publisher); the action then sends the same plan:',
      `az sig image-definition show ${imageOptions(fault, known)} --query purchasePlan`,
      'Until then, `overrides` can add it: `vm: {plan: {name: …, product: …, publisher: …}}`.',
    ],
  },
  {
    id: 'terms-not-accepted',
    title: 'The terms of the Marketplace plan are not accepted',
    says: 'ResourcePurchaseValidationFailed: … You have not accepted the legal terms on this subscription',
    match: codeIs('ResourcePurchaseValidationFailed'),
    cause: (fault, known) =>
      `In subscription ${messageText(fault, /subscription: '([^']+)'/, known.subscriptionId)} nobody has accepted the terms of the plan that the image was built from.`,
    who: (fault, known) =>
      `the owner of subscription ${messageText(fault, /subscription: '([^']+)'/, known.subscriptionId)}, in the VM's tenant (${known.tenantId})`,
    fix: (fault, known) => [
      'Read and accept them, once per subscription:',
      `az vm image terms accept --publisher ${quoteForShell(messageText(fault, /publisher\s*=\s*'([^']+)'/, '<publisher>'))} --offer ${quoteForShell(messageText(fault, /offer\s*=\s*'([^']+)'/, '<offer>'))} --plan ${quoteForShell(messageText(fault, /sku\s*=\s*'([^']+)'/, '<plan>'))} --subscription ${quoteForShell(messageText(fault, /subscription: '([^']+)'/, known.subscriptionId))}`,
    ],
  },
  {
    id: 'marketplace-not-eligible',
    title: 'The subscription may not buy from the Marketplace',
    says: 'MarketplacePurchaseEligibilityFailed: Marketplace purchase eligibilty check returned errors',
    match: codeIs('MarketplacePurchaseEligibilityFailed'),
    cause: (fault, { subscriptionId }) => {
      const reason = fault.details.at(-1);
      return `Subscription ${subscriptionId} may not buy the image's plan${reason ? ` (${reason.code}): ${reason.message}` : '; the inner message says why.'}`;
    },
    who: (_, { tenantId }) => `the billing administrator of the VM's tenant (${tenantId})`,
    fix: (fault) => [
      'Do what the inner message asks for: billing account, tenant profile, or an offer that allows purchases.',
      ...[...wordsOf(fault).matchAll(/https:\/\/[^\s"'}]+/g)].map(([link]) => link),
      'Or use an image without a plan.',
    ],
  },
];
