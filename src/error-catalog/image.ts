import { shellCommand } from '../lib/escape.ts';
import {
  type Entries,
  type Failure,
  authorOrImageOwner,
  definitionScope,
  idSegment,
  imageOptions,
  imageOwner,
  messagesOf,
  messageText,
  showFeatures,
  sizeCapability,
  sizeIn,
} from './entry.ts';

const regionOf = (failure: Failure) =>
  messageText(failure, /not available in (.+?) region/i, failure.location)
    .replaceAll(' ', '')
    .toLowerCase();

const missingImage = (failure: Failure) => messageText(failure, /gallery image (\S+)/i, failure.imageId);

/** `linux 1.10.0` or `linux`: short enough for a title. */
function imageName(id: string): string {
  const definition = /\/images\/([^/]+)(?:\/versions\/([^/]+))?$/i.exec(id);
  return definition ? definition.slice(1).filter(Boolean).join(' ') : id;
}

const securityType = (failure: Failure) => messageText(failure, /with '([^']+)' security type/, 'TrustedLaunch');

const planSubscription = (failure: Failure) => messageText(failure, /subscription: '([^']+)'/, failure.subscriptionId);

const hasUnknownOffer = (failure: Failure) => /Offer with PublisherId.* not found/i.test(messagesOf(failure));

const billingAdmin = ({ tenantId }: Failure) => `the billing administrator of the VM's tenant (${tenantId})`;

const showPlan = (failure: Failure) =>
  shellCommand`az sig image-definition show ${imageOptions(failure)} --query purchasePlan`;

export const imageEntries: Entries = {
  'The image version is not replicated to the region': (failure) => ({
    says: 'GalleryImageNotFound: The gallery image … is not available in … region. Please contact image owner to replicate to this region',
    codes: [],
    message: /gallery image .* is not available in .+ region/i,
    cause: `Image ${imageName(missingImage(failure))} is not replicated to ${regionOf(failure)}, or does not exist. Azure looked for ${missingImage(failure)}.`,
    who: imageOwner(failure),
    fix: [
      'Replicate it, in the image tenant:',
      shellCommand`az sig image-version update ${imageOptions(failure, true)} --add publishingProfile.targetRegions ${`name=${regionOf(failure)}`}`,
      'Or use a `location` that has a replica. To show them:',
      shellCommand`az sig image-version show ${imageOptions(failure, true)} --expand ReplicationStatus --query replicationStatus.summary -o table`,
      'If replication is in progress, set `image-wait-minutes` to wait for it, and a longer `timeout-minutes`.',
    ],
  }),
  'The image definition has no latest version': (failure) => {
    const definition = messageText(failure, /exists for "([^"]+)"/, definitionScope(failure.imageId));
    return {
      says: 'NotFound: There is no latest image version exists for',
      message: /no latest image version/i,
      cause: `Image definition ${imageName(definition)} has no version that counts as the latest. ${definition} has no versions, or all are excluded from latest.`,
      who: authorOrImageOwner(failure),
      fix: [
        'Set `image-id` to a version. To list the versions:',
        shellCommand`az sig image-version list ${imageOptions(failure)} -o table`,
        'Or include a version in latest:',
        shellCommand`az sig image-version update ${imageOptions(failure, true)} --set publishingProfile.excludeFromLatest=false`,
      ],
    };
  },
  'The image does not exist': (failure) => {
    const pattern = /'(?:Microsoft\.Compute\/galleries\/)?([^']+)' (?:under resource group '([^']+)' was )?not found/i;
    const [, named = failure.imageId, inGroup] = pattern.exec(messagesOf(failure)) ?? [];
    const group = inGroup ?? idSegment(failure.url, 'resourceGroups');
    const name = named.replace(/^([^/]+)\/images\/([^/]+)\/versions\/([^/]+)$/, 'version $3 of $2 in gallery $1');
    return {
      says: "ResourceNotFound: The Resource 'Microsoft.Compute/galleries/<gallery>/images/<image-definition>/versions/<image-version>' under resource group … was not found",
      codes: ['ResourceNotFound', 'NotFound', 'ParentResourceNotFound'],
      message: /not found/i,
      when: /\/galleries\//i.test(`${failure.url} ${messagesOf(failure)}`),
      cause: `Image ${name} does not exist${group ? ` in resource group ${group}` : ''}. The gallery, the definition or the version is missing or misspelled.`,
      fix: [
        'Correct `image-id`. In the image tenant, this lists the versions:',
        shellCommand`az sig image-version list ${imageOptions(failure)} -o table`,
      ],
    };
  },
  'The image version is still being created': (failure) => ({
    // Azure's text for this state is unknown.
    says: '409 on the image version or the VM, while provisioningState is Creating',
    when: failure.status === 409 && failure.code === '' && /\/(?:galleries|virtualMachines)\//i.test(failure.url),
    cause: `Azure returned 409 without a reason, probably because the image version is still being created: ${failure.imageId}.`,
    who: 'nobody: wait until the version exists, which takes about 7 minutes, and up to hours for many regions',
    fix: [
      'Set `image-wait-minutes`, or wait for it in the image tenant:',
      shellCommand`az sig image-version wait ${imageOptions(failure, true)} --created`,
    ],
  }),
  'A specialized image does not accept a user': ({ imageId }) => ({
    says: "InvalidParameter: Parameter 'osProfile' is not allowed",
    message: /Parameter 'osProfile' is not allowed/i,
    cause: `Image definition ${imageName(definitionScope(imageId))} is Specialized, and osProfile may not be sent. User, password and keys are part of the image (${definitionScope(imageId)}).`,
    fix: [
      'Remove `admin-username`, `admin-password`, `ssh-public-key`, `computer-name`, `custom-data`, and any `osProfile` in `overrides`.',
      'If the image was generalized, its owner must move it to a definition with osState Generalized.',
    ],
  }),
  'A generalized image needs a user': ({ imageId }) => ({
    says: "InvalidParameter: Required parameter 'osProfile' is missing (null)",
    message: /parameter 'osProfile' is missing/i,
    cause: `Image definition ${imageName(definitionScope(imageId))} is Generalized, but osProfile was not sent. A VM from ${definitionScope(imageId)} needs a user.`,
    fix: [
      'Set `ssh-public-key` (Linux) or `admin-password` (Windows), and remove `overrides` that delete `osProfile`.',
    ],
  }),
  'The request redefines a disk of the image': (failure) => ({
    says: 'InvalidParameter: Cannot specify user image overrides for a disk already defined in the specified image reference',
    message: /Cannot specify user image overrides for a disk/i,
    cause: `\`overrides\` redefines ${failure.target ?? 'a disk'} that the image defines. A VM from image ${imageName(failure.imageId)} may set size, type and caching of its disks, but not their source (\`image\`, \`vhd\`, \`createOption\`).`,
    fix: [
      'In `overrides`, remove `image`, `vhd` and `createOption` from `storageProfile.osDisk` and from the data disks with a LUN of the image.',
      'Add your own data disks under LUNs that the image does not use.',
    ],
  }),
  'The data disks do not match the image': (failure) => ({
    says: 'InvalidParameter: StorageProfile.dataDisks.lun does not have required value(s) for image specified in storage profile',
    message: /dataDisks\.lun\s+does not have required value/i,
    cause: `The data disks in \`overrides\` lack a LUN of the image. Image ${imageName(failure.imageId)} has data disks, and a request that lists data disks must list all of them.`,
    fix: [
      'Remove `storageProfile.dataDisks` from `overrides`, or list one disk with createOption FromImage for each LUN of the image:',
      shellCommand`az sig image-version show ${imageOptions(failure, true)} --query "storageProfile.dataDiskImages[].lun"`,
    ],
  }),
  'The image needs a purchase plan': (failure) => ({
    says: 'VMMarketplaceInvalidInput: Creating a virtual machine from Marketplace image … requires Plan information in the request',
    message: /requires Plan information/i,
    cause: `The image needs a purchase plan that its definition does not name. It was built from a Marketplace image with a plan, but ${definitionScope(failure.imageId)} has none, so VM ${messageText(failure, /VM: '([^']+)'/, failure.vmName)} was requested without a plan.`,
    who: imageOwner(failure),
    fix: [
      'Check the definition, and create it again with the plan (--plan-name, --plan-product, --plan-publisher); the action then sends that plan:',
      showPlan(failure),
      'Until then, `overrides` can add it: `vm: {plan: {name: …, product: …, publisher: …}}`.',
    ],
  }),
  'The image has no purchase plan': (failure) => ({
    says: 'VMMarketplaceInvalidInput: Creating a virtual machine from a non-Marketplace image does not need Plan information in the request',
    message: /does not need Plan information/i,
    cause: `A purchase plan was sent for an image that has none. It comes from the image definition (${definitionScope(failure.imageId)}) or from \`overrides\`, but the image was not built from a Marketplace image with a plan.`,
    who: authorOrImageOwner(failure),
    fix: [
      'Remove `plan` from the key `vm` in `overrides`. If it is not there, the definition names a plan, and must be created again without one:',
      showPlan(failure),
    ],
  }),
  'The purchase plan is not that of the image': (failure) => ({
    says: 'VMMarketplaceInvalidInput: Unable to deploy from the Marketplace image … The part number in the purchase information for VM … is not as expected',
    message: /purchase information .* is not as expected/i,
    cause: `The purchase plan that was sent is not the one of the image. Name, product and publisher are case-sensitive. The plan comes from the image definition (${definitionScope(failure.imageId)}) or from \`overrides\`.`,
    who: authorOrImageOwner(failure),
    fix: [
      'Compare the plan of the definition with that of the Marketplace image that the image was built from:',
      showPlan(failure),
    ],
  }),
  'The terms of the Marketplace plan are not accepted': (failure) => ({
    says: 'ResourcePurchaseValidationFailed: … You have not accepted the legal terms on this subscription',
    message: /not accepted the legal terms/i,
    cause: `The terms of the image's Marketplace plan are not accepted in subscription ${planSubscription(failure)}.`,
    who: `the owner of subscription ${planSubscription(failure)}, in the VM's tenant (${failure.tenantId})`,
    fix: [
      'Read and accept them, once per subscription:',
      shellCommand`az vm image terms accept --publisher ${messageText(failure, /publisher\s*=\s*'([^']+)'/, '<publisher>')} --offer ${messageText(failure, /offer\s*=\s*'([^']+)'/, '<offer>')} --plan ${messageText(failure, /sku\s*=\s*'([^']+)'/, '<plan>')} --subscription ${planSubscription(failure)}`,
    ],
  }),
  'The Marketplace plan is not sold to this subscription': (failure) => ({
    says: 'ResourcePurchaseValidationFailed: … cannot be purchased due to validation errors … is not available to be purchased in the billing market of the subscription',
    message: /cannot be purchased|does not make available/i,
    cause: `The publisher does not sell the image's plan to subscription ${failure.subscriptionId}. Offer ${messageText(failure, /OfferId: '([^']+)'/, '<offer>')} of publisher ${messageText(failure, /PublisherId: '([^']+)'/, '<publisher>')}${/billing market|region: '/.test(messagesOf(failure)) ? ' is not available in the billing country of the subscription' : ' cannot be purchased by it'}. Accepting terms does not help.`,
    who: billingAdmin(failure),
    fix: [
      'Use a subscription whose billing account is in a country where the plan is sold, or ask the publisher to offer it there (or as a private offer).',
      'Or use an image without this plan.',
    ],
  }),
  "The image's Marketplace offer does not exist": (failure) => ({
    says: 'MarketplacePurchaseEligibilityFailed: … Offer with PublisherId: …, OfferId: … not found',
    when: hasUnknownOffer(failure),
    cause: `The Marketplace has no offer ${messageText(failure, /OfferId: '?([^',\s]+)/, '<offer>')} of publisher ${messageText(failure, /PublisherId: '?([^',\s]+)/, '<publisher>')}. It was withdrawn, the plan in the image definition is misspelled, or the offer was published less than 30 minutes ago.`,
    who: imageOwner(failure),
    fix: [
      'Check the plan of the image definition:',
      showPlan(failure),
      'If the offer was withdrawn, build the image from another one. If it is new, run the job again in 30 minutes.',
    ],
  }),
  'The subscription may not buy from the Marketplace': (failure) => {
    const reason = failure.details.at(-1);
    return {
      says: 'MarketplacePurchaseEligibilityFailed: Marketplace purchase eligibilty check returned errors',
      message: /purchase eligib/i,
      when: !hasUnknownOffer(failure),
      cause: `The Marketplace does not let subscription ${failure.subscriptionId} buy the image's plan${reason ? ` (${reason.code}): ${reason.message}` : '; the inner message has the reason.'}`,
      who: billingAdmin(failure),
      fix: [
        'Follow the inner message: it concerns the billing account, the tenant profile, or an offer that does not allow purchases.',
        ...[...messagesOf(failure).matchAll(/https:\/\/[^\s"'}]+/g)].map(([link]) => link),
        'Or use an image without a plan.',
      ],
    };
  },
  'The image requires a security type': (failure) => ({
    says: "BadRequest: The provided gallery image only supports creation of VMs and VM Scale Sets with '…' security type",
    message: /gallery image only supports creation .* security type/i,
    cause: `Image ${imageName(failure.imageId)} requires security type ${securityType(failure)}. Its definition has the feature SecurityType=${securityType(failure)}.`,
    fix: [`Set \`security-type: ${securityType(failure)}\`, or remove \`security-type\`.`],
  }),
  'The kind of image does not support the security type': (failure) => ({
    says: 'BadRequest: Managed Images are not supported for virtual machines with security type TrustedLaunch',
    message: /Managed Images are not supported .* security type/i,
    cause: `A managed image does not support security type ${messageText(failure, /security type (\w+)/, 'TrustedLaunch')}; only gallery images do.`,
    fix: [
      'Set `security-type: Standard`, or use an image definition with the feature SecurityType=TrustedLaunch or TrustedLaunchSupported.',
    ],
  }),
  'The image does not support Trusted Launch': (failure) => ({
    says: 'BadRequest: Use of TrustedLaunch setting is not supported for the provided image',
    message: /TrustedLaunch setting is not supported for the provided image/i,
    cause: `The image does not support Trusted Launch. Its definition (${definitionScope(failure.imageId)}) lacks the feature SecurityType=TrustedLaunch or TrustedLaunchSupported.`,
    fix: [
      "Set `security-type: Standard`. Or have the gallery's owner create a definition of generation V2 with that feature; what this one has:",
      showFeatures(failure),
    ],
  }),
  'A Generation 1 image has no UEFI settings': ({ imageId }) => ({
    says: 'BadRequest: UEFI settings are not supported for VMs and VM Scale Sets using Generation 1 Image',
    message: /UEFI settings are not supported/i,
    cause: `A Generation 1 image supports no Secure Boot, vTPM or Trusted Launch. The image definition (${definitionScope(imageId)}) is of generation V1.`,
    fix: [
      'Set `security-type: Standard` and remove `securityProfile` from `overrides`, or use an image of generation V2.',
    ],
  }),
  'The size cannot boot the generation of the image': (failure) => ({
    says: 'BadRequest: The selected VM size … cannot boot Hypervisor Generation',
    message: /cannot boot Hypervisor Generation/i,
    cause: `${sizeIn(failure)} cannot boot images of generation ${messageText(failure, /Hypervisor Generation '([^']+)'/, '<1 or 2>')}. Old sizes (Dv2, Av2) boot generation 1 only, sizes since v6 generation 2 only.`,
    fix: [
      'Use a `vm-size` that boots it, such as Standard_D2s_v5 (both generations). What a size supports:',
      sizeCapability(failure, "name=='HyperVGenerations'"),
    ],
  }),
  'The size has another CPU architecture than the image': (failure) => ({
    says: 'BadRequest: Cannot create a VM of size … because this VM size only supports a CPU Architecture of … but an image or disk with CPU Architecture … was given',
    message: /only supports a CPU Architecture of/i,
    cause: `${sizeIn(failure)} is ${messageText(failure, /CPU Architecture of '([^']+)'/, '<size-architecture>')}, but the image is ${messageText(failure, /with CPU Architecture '([^']+)'/, '<image-architecture>')}.`,
    fix: [
      'Use a `vm-size` of the architecture of the image (Arm64 sizes have a `p`, as in Standard_D2ps_v6), or an image of the other architecture. By default the action selects a size that fits the image definition.',
    ],
  }),
};
