import type { AzureErrorInfo } from '../errors/errors.ts';
import { shellCommand } from '../lib/escape.ts';
import {
  type Entry,
  type FilledErrorContext,
  all,
  any,
  authorOrImageOwner,
  badRequest,
  codeAndMessage,
  codeIs,
  definitionScope,
  idSegment,
  imageOptions,
  imageOwner,
  messageMatches,
  messagesOf,
  messageText,
  noCode,
  not,
  showFeatures,
  sizeCapability,
  sizeIn,
  statusIs,
  urlMatches,
  vmErrors,
} from './entry.ts';

const galleryErrors = 'https://learn.microsoft.com/azure/virtual-machines/troubleshooting-shared-images';

const marketplaceErrors = 'https://learn.microsoft.com/azure/virtual-machines/marketplace-images';

const trustedLaunch = 'https://learn.microsoft.com/azure/virtual-machines/trusted-launch';

const regionOf = (fault: AzureErrorInfo, { location }: FilledErrorContext) =>
  messageText(fault, /not available in (.+?) region/i, location)
    .replaceAll(' ', '')
    .toLowerCase();

const missingImage = (fault: AzureErrorInfo, known: FilledErrorContext) =>
  messageText(fault, /gallery image (\S+)/i, known.imageId);

/** `linux 1.10.0` or `linux`: short enough for a title. */
function imageName(id: string): string {
  const definition = /\/images\/([^/]+)(?:\/versions\/([^/]+))?$/i.exec(id);
  return definition ? definition.slice(1).filter(Boolean).join(' ') : id;
}

const planSubscription = (fault: AzureErrorInfo, { subscriptionId }: FilledErrorContext) =>
  messageText(fault, /subscription: '([^']+)'/, subscriptionId);

const unknownOffer = /Offer with PublisherId.* not found/i;

const billingAdmin = (_: AzureErrorInfo, { tenantId }: FilledErrorContext) =>
  `the billing administrator of the VM's tenant (${tenantId})`;

const showPlan = (fault: AzureErrorInfo, known: FilledErrorContext) =>
  shellCommand`az sig image-definition show ${imageOptions(fault, known)} --query purchasePlan`;

export const imageEntries: readonly Entry[] = [
  {
    id: 'image-not-in-region',
    title: 'The image version is not replicated to the region',
    says: 'GalleryImageNotFound: The gallery image … is not available in … region. Please contact image owner to replicate to this region',
    source: galleryErrors,
    match: messageMatches(/gallery image .* is not available in .+ region/i),
    cause: (fault, known) =>
      `Image ${imageName(missingImage(fault, known))} is not replicated to ${regionOf(fault, known)}, or does not exist. Azure looked for ${missingImage(fault, known)}.`,
    who: imageOwner,
    fix: (fault, known) => [
      'Replicate it, in the image tenant:',
      shellCommand`az sig image-version update ${imageOptions(fault, known, true)} --add publishingProfile.targetRegions ${`name=${regionOf(fault, known)}`}`,
      'Or use a `location` that has a replica:',
      shellCommand`az sig image-version show ${imageOptions(fault, known, true)} --expand ReplicationStatus --query replicationStatus.summary -o table`,
      'If replication is in progress, set `image-wait-minutes` to wait for it.',
    ],
  },
  {
    id: 'image-no-latest',
    title: 'The image definition has no latest version',
    says: 'NotFound: There is no latest image version exists for',
    source: galleryErrors,
    match: codeAndMessage('NotFound', /no latest image version/i),
    cause: (fault, known) => {
      const definition = messageText(fault, /exists for "([^"]+)"/, definitionScope(known.imageId));
      return `Image definition ${imageName(definition)} has no version that counts as the latest. ${definition} has no versions, or all are excluded from latest.`;
    },
    who: authorOrImageOwner,
    fix: (fault, known) => [
      'Set `image-id` to a version. To list the versions:',
      shellCommand`az sig image-version list ${imageOptions(fault, known)} -o table`,
      'Or include a version in latest:',
      shellCommand`az sig image-version update ${imageOptions(fault, known, true)} --set publishingProfile.excludeFromLatest=false`,
    ],
  },
  {
    id: 'image-not-found',
    title: 'The image does not exist',
    says: "ResourceNotFound: The Resource 'Microsoft.Compute/galleries/<gallery>/images/<image-definition>/versions/<image-version>' under resource group … was not found",
    source: `${galleryErrors}; azure-cli recordings`,
    match: all(
      codeIs('ResourceNotFound', 'NotFound', 'ParentResourceNotFound'),
      any(messageMatches(/Microsoft\.Compute\/galleries\//i), urlMatches(/\/galleries\//i)),
      messageMatches(/not found/i),
      not(messageMatches(/no latest image version/i)),
    ),
    cause: (fault, known) => {
      const named =
        /'(?:Microsoft\.Compute\/galleries\/)?([^']+)' (?:under resource group '([^']+)' was )?not found/i.exec(
          messagesOf(fault),
        );
      const group = named?.[2] ?? idSegment(fault.url, 'resourceGroups');
      const name = named?.[1]?.replace(
        /^([^/]+)\/images\/([^/]+)\/versions\/([^/]+)$/,
        'version $3 of $2 in gallery $1',
      );
      return `Image ${name ?? known.imageId} does not exist${group ? ` in resource group ${group}` : ''}. The gallery, the definition or the version is missing or misspelled.`;
    },
    fix: (fault, known) => [
      'Correct `image-id`. In the image tenant, this lists the versions:',
      shellCommand`az sig image-version list ${imageOptions(fault, known)} -o table`,
    ],
  },
  {
    // Azure's text for this state is unknown.
    id: 'image-being-created',
    title: 'The image version is still being created',
    says: '409 on the image version or the VM, while provisioningState is Creating',
    source: 'https://github.com/Azure/AgentBaker/pull/6741',
    match: all(statusIs(409), noCode, urlMatches(/\/(?:galleries|virtualMachines)\//i)),
    cause: (_, { imageId }) =>
      `Azure returned 409 without a reason, probably because the image version is still being created: ${imageId}.`,
    who: 'nobody: wait until the version exists, which takes about 7 minutes, and up to hours for many regions',
    fix: (fault, known) => [
      'Set `image-wait-minutes`, or wait for it in the image tenant:',
      shellCommand`az sig image-version wait ${imageOptions(fault, known, true)} --created`,
    ],
  },
  {
    id: 'os-profile-not-allowed',
    title: 'A specialized image does not accept a user',
    says: "InvalidParameter: Parameter 'osProfile' is not allowed",
    source: galleryErrors,
    match: codeAndMessage('InvalidParameter', /Parameter 'osProfile' is not allowed/i),
    cause: (_, { imageId }) =>
      `Image definition ${imageName(definitionScope(imageId))} is Specialized, and osProfile may not be sent. User, password and keys are part of the image (${definitionScope(imageId)}).`,
    fix: [
      'Remove `admin-username`, `admin-password`, `ssh-public-key`, `computer-name`, `custom-data`, and any `osProfile` in `overrides`.',
      'If the image was generalized, its owner must move it to a definition with osState Generalized.',
    ],
  },
  {
    id: 'os-profile-missing',
    title: 'A generalized image needs a user',
    says: "InvalidParameter: Required parameter 'osProfile' is missing (null)",
    source: galleryErrors,
    match: codeAndMessage('InvalidParameter', /parameter 'osProfile' is missing/i),
    cause: (_, { imageId }) =>
      `Image definition ${imageName(definitionScope(imageId))} is Generalized, but osProfile was not sent. A VM from ${definitionScope(imageId)} needs a user.`,
    fix: [
      'Set `ssh-public-key` (Linux) or `admin-password` (Windows), and remove `overrides` that delete `osProfile`.',
    ],
  },
  {
    id: 'own-data-disks',
    title: 'The request redefines a disk of the image',
    says: 'InvalidParameter: Cannot specify user image overrides for a disk already defined in the specified image reference',
    source: 'https://github.com/hashicorp/terraform-provider-azurerm/issues/1042',
    match: codeAndMessage('InvalidParameter', /Cannot specify user image overrides for a disk/i),
    cause: (fault, { imageId }) =>
      `\`overrides\` redefines ${fault.target ?? 'a disk'} that the image defines. A VM from image ${imageName(imageId)} may set size, type and caching of its disks, but not their source (\`image\`, \`vhd\`, \`createOption\`).`,
    fix: [
      'In `overrides`, remove `image`, `vhd` and `createOption` from `storageProfile.osDisk` and from the data disks with a LUN of the image.',
      'Add your own data disks under LUNs that the image does not use.',
    ],
  },
  {
    id: 'data-disk-luns',
    title: 'The data disks do not match the image',
    says: 'InvalidParameter: StorageProfile.dataDisks.lun does not have required value(s) for image specified in storage profile',
    source: 'https://github.com/hashicorp/packer/issues/7042',
    match: codeAndMessage('InvalidParameter', /dataDisks\.lun\s+does not have required value/i),
    cause: (_, { imageId }) =>
      `The data disks in \`overrides\` lack a LUN of the image. Image ${imageName(imageId)} has data disks, and a request that lists data disks must list all of them.`,
    fix: (fault, known) => [
      'Remove `storageProfile.dataDisks` from `overrides`, or list one disk with createOption FromImage for each LUN of the image:',
      shellCommand`az sig image-version show ${imageOptions(fault, known, true)} --query "storageProfile.dataDiskImages[].lun"`,
    ],
  },
  {
    id: 'plan-missing',
    title: 'The image needs a purchase plan',
    says: 'VMMarketplaceInvalidInput: Creating a virtual machine from Marketplace image … requires Plan information in the request',
    source: 'https://github.com/Azure/sap-automation/issues/433',
    match: codeAndMessage('VMMarketplaceInvalidInput', /requires Plan information/i),
    cause: (fault, known) =>
      `The image needs a purchase plan that its definition does not name. It was built from a Marketplace image with a plan, but ${definitionScope(known.imageId)} has none, so VM ${messageText(fault, /VM: '([^']+)'/, known.vmName)} was requested without a plan.`,
    who: imageOwner,
    fix: (fault, known) => [
      'Check the definition, and create it again with the plan (--plan-name, --plan-product, --plan-publisher); the action then sends that plan:',
      showPlan(fault, known),
      'Until then, `overrides` can add it: `vm: {plan: {name: …, product: …, publisher: …}}`.',
    ],
  },
  {
    id: 'plan-not-needed',
    title: 'The image has no purchase plan',
    says: 'VMMarketplaceInvalidInput: Creating a virtual machine from a non-Marketplace image does not need Plan information in the request',
    source: vmErrors,
    match: codeAndMessage('VMMarketplaceInvalidInput', /does not need Plan information/i),
    cause: (_, { imageId }) =>
      `A purchase plan was sent for an image that has none. It comes from the image definition (${definitionScope(imageId)}) or from \`overrides\`, but the image was not built from a Marketplace image with a plan.`,
    who: authorOrImageOwner,
    fix: (fault, known) => [
      'Remove `plan` from the key `vm` in `overrides`. If it is not there, the definition names a plan, and must be created again without one:',
      showPlan(fault, known),
    ],
  },
  {
    id: 'plan-differs',
    title: 'The purchase plan is not that of the image',
    says: 'VMMarketplaceInvalidInput: Unable to deploy from the Marketplace image … The part number in the purchase information for VM … is not as expected',
    source: vmErrors,
    match: codeAndMessage('VMMarketplaceInvalidInput', /purchase information .* is not as expected/i),
    cause: (_, { imageId }) =>
      `The purchase plan that was sent is not the one of the image. Name, product and publisher are case-sensitive. The plan comes from the image definition (${definitionScope(imageId)}) or from \`overrides\`.`,
    who: authorOrImageOwner,
    fix: (fault, known) => [
      'Compare the plan of the definition with that of the Marketplace image that the image was built from:',
      showPlan(fault, known),
    ],
  },
  {
    id: 'terms-not-accepted',
    title: 'The terms of the Marketplace plan are not accepted',
    says: 'ResourcePurchaseValidationFailed: … You have not accepted the legal terms on this subscription',
    source: marketplaceErrors,
    match: codeAndMessage('ResourcePurchaseValidationFailed', /not accepted the legal terms/i),
    cause: (fault, known) =>
      `The terms of the image's Marketplace plan are not accepted in subscription ${planSubscription(fault, known)}.`,
    who: (fault, known) =>
      `the owner of subscription ${planSubscription(fault, known)}, in the VM's tenant (${known.tenantId})`,
    fix: (fault, known) => [
      'Read and accept them, once per subscription:',
      shellCommand`az vm image terms accept --publisher ${messageText(fault, /publisher\s*=\s*'([^']+)'/, '<publisher>')} --offer ${messageText(fault, /offer\s*=\s*'([^']+)'/, '<offer>')} --plan ${messageText(fault, /sku\s*=\s*'([^']+)'/, '<plan>')} --subscription ${planSubscription(fault, known)}`,
    ],
  },
  {
    id: 'not-purchasable',
    title: 'The Marketplace plan is not sold to this subscription',
    says: 'ResourcePurchaseValidationFailed: … cannot be purchased due to validation errors … is not available to be purchased in the billing market of the subscription',
    source: 'https://github.com/microsoft/startstopv2-deployments/issues/133',
    match: codeAndMessage('ResourcePurchaseValidationFailed', /cannot be purchased|does not make available/i),
    cause: (fault, { subscriptionId }) =>
      `The publisher does not sell the image's plan to subscription ${subscriptionId}. Offer ${messageText(fault, /OfferId: '([^']+)'/, '<offer>')} of publisher ${messageText(fault, /PublisherId: '([^']+)'/, '<publisher>')}${/billing market|region: '/.test(messagesOf(fault)) ? ' is not available in the billing country of the subscription' : ' cannot be purchased by it'}. Accepting terms does not help.`,
    who: billingAdmin,
    fix: [
      'Use a subscription whose billing account is in a country where the plan is sold, or ask the publisher to offer it there (or as a private offer).',
      'Or use an image without this plan.',
    ],
  },
  {
    id: 'offer-not-found',
    title: "The image's Marketplace offer does not exist",
    says: 'MarketplacePurchaseEligibilityFailed: … Offer with PublisherId: …, OfferId: … not found',
    source: marketplaceErrors,
    match: all(codeIs('MarketplacePurchaseEligibilityFailed'), messageMatches(unknownOffer)),
    cause: (fault) =>
      `The Marketplace has no offer ${messageText(fault, /OfferId: '?([^',\s]+)/, '<offer>')} of publisher ${messageText(fault, /PublisherId: '?([^',\s]+)/, '<publisher>')}. It was withdrawn, the plan in the image definition is misspelled, or the offer was published less than 30 minutes ago.`,
    who: imageOwner,
    fix: (fault, known) => [
      'Check the plan of the image definition:',
      showPlan(fault, known),
      'If the offer was withdrawn, build the image from another one. If it is new, run the job again in 30 minutes.',
    ],
  },
  {
    id: 'marketplace-not-eligible',
    title: 'The subscription may not buy from the Marketplace',
    says: 'MarketplacePurchaseEligibilityFailed: Marketplace purchase eligibilty check returned errors',
    source: 'azure-cli recording test_vm_create_with_market_place_image',
    match: all(
      codeAndMessage('MarketplacePurchaseEligibilityFailed', /purchase eligib/i),
      not(messageMatches(unknownOffer)),
    ),
    cause: (fault, { subscriptionId }) => {
      const reason = fault.details.at(-1);
      return `The Marketplace does not let subscription ${subscriptionId} buy the image's plan${reason ? ` (${reason.code}): ${reason.message}` : '; the inner message has the reason.'}`;
    },
    who: billingAdmin,
    fix: (fault) => [
      'Follow the inner message: it concerns the billing account, the tenant profile, or an offer that does not allow purchases.',
      ...[...messagesOf(fault).matchAll(/https:\/\/[^\s"'}]+/g)].map(([link]) => link),
      'Or use an image without a plan.',
    ],
  },
  {
    id: 'image-security-type',
    title: 'The image requires a security type',
    says: "BadRequest: The provided gallery image only supports creation of VMs and VM Scale Sets with '…' security type",
    source: trustedLaunch,
    match: badRequest(/gallery image only supports creation .* security type/i),
    cause: (fault, { imageId }) =>
      `Image ${imageName(imageId)} requires security type ${securityType(fault)}. Its definition has the feature SecurityType=${securityType(fault)}.`,
    fix: (fault) => [`Set \`security-type: ${securityType(fault)}\`, or remove \`security-type\`.`],
  },
  {
    id: 'security-type-of-managed-image',
    title: 'The kind of image does not support the security type',
    says: 'BadRequest: Managed Images are not supported for virtual machines with security type TrustedLaunch',
    source: 'azure-cli recording test_vmss_update_image',
    match: badRequest(/Managed Images are not supported .* security type/i),
    cause: (fault) =>
      `A managed image does not support security type ${messageText(fault, /security type (\w+)/, 'TrustedLaunch')}; only gallery images do.`,
    fix: [
      'Set `security-type: Standard`, or use an image definition with the feature SecurityType=TrustedLaunch or TrustedLaunchSupported.',
    ],
  },
  {
    id: 'trusted-launch-image',
    title: 'The image does not support Trusted Launch',
    says: 'BadRequest: Use of TrustedLaunch setting is not supported for the provided image',
    source: trustedLaunch,
    match: badRequest(/TrustedLaunch setting is not supported for the provided image/i),
    cause: (_, { imageId }) =>
      `The image does not support Trusted Launch. Its definition (${definitionScope(imageId)}) lacks the feature SecurityType=TrustedLaunch or TrustedLaunchSupported.`,
    fix: (fault, known) => [
      "Set `security-type: Standard`. Or have the gallery's owner create a definition of generation V2 with that feature; what this one has:",
      showFeatures(fault, known),
    ],
  },
  {
    id: 'uefi-on-generation-1',
    title: 'A Generation 1 image has no UEFI settings',
    says: 'BadRequest: UEFI settings are not supported for VMs and VM Scale Sets using Generation 1 Image',
    source: 'azure-cli recording test_vmss_update_image',
    match: badRequest(/UEFI settings are not supported/i),
    cause: (_, { imageId }) =>
      `A Generation 1 image supports no Secure Boot, vTPM or Trusted Launch. The image definition (${definitionScope(imageId)}) is of generation V1.`,
    fix: [
      'Set `security-type: Standard` and remove `securityProfile` from `overrides`, or use an image of generation V2.',
    ],
  },
  {
    id: 'hypervisor-generation',
    title: 'The size cannot boot the generation of the image',
    says: 'BadRequest: The selected VM size … cannot boot Hypervisor Generation',
    source: 'https://github.com/juju/juju',
    match: badRequest(/cannot boot Hypervisor Generation/i),
    cause: (fault, known) =>
      `${sizeIn(fault, known)} cannot boot images of generation ${messageText(fault, /Hypervisor Generation '([^']+)'/, '<1 or 2>')}. Old sizes (Dv2, Av2) boot generation 1 only, sizes since v6 generation 2 only.`,
    fix: (fault, known) => [
      'Use a `vm-size` that boots it, such as Standard_D2s_v5 (both generations). What a size supports:',
      sizeCapability(fault, known, "name=='HyperVGenerations'"),
    ],
  },
  {
    id: 'architecture',
    title: 'The size has another CPU architecture than the image',
    says: 'BadRequest: Cannot create a VM of size … because this VM size only supports a CPU Architecture of … but an image or disk with CPU Architecture … was given',
    source: vmErrors,
    match: badRequest(/only supports a CPU Architecture of/i),
    cause: (fault, known) =>
      `${sizeIn(fault, known)} is ${messageText(fault, /CPU Architecture of '([^']+)'/, '<size-architecture>')}, but the image is ${messageText(fault, /with CPU Architecture '([^']+)'/, '<image-architecture>')}.`,
    fix: [
      'Use a `vm-size` of the architecture of the image (Arm64 sizes have a `p`, as in Standard_D2ps_v6), or an image of the other architecture. By default the action selects a size that fits the image definition.',
    ],
  },
];

function securityType(fault: AzureErrorInfo): string {
  return messageText(fault, /with '([^']+)' security type/, 'TrustedLaunch');
}
