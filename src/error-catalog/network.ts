import type { AzureErrorInfo } from '../errors/errors.ts';
import { shellCommand } from '../lib/escape.ts';
import {
  type Entry,
  all,
  authorOrSubscriptionOwner,
  codeAndMessage,
  codeIs,
  idSegment,
  messageMatches,
  messageText,
  nobodyNeedsToAct,
  not,
  runnerOwner,
  statusIs,
} from './entry.ts';

const nodeErrors = 'https://nodejs.org/api/errors.html#common-system-errors';

const dependentsRecording = 'azure-cli recording test_delete_dependent_resources';

const lastName = (id: string) => id.split('/').at(-1) ?? id;

/** The holder's own ID: Network names an IP configuration of it. */
const holder = (fault: AzureErrorInfo) =>
  messageText(
    fault,
    /(?:is in use by(?: the following resources:)?|allocated to resource|existing (?:resource|VM)|is attached to VM) (\S+?)\.?(?:\s|$)/,
    '<resource>',
  );

const resourceOf = (id: string) => id.replace(/\/ipConfigurations\/.*$/i, '');

const showResource = (id: string) => shellCommand`az resource show --ids ${id} --query "{id:id, tags:tags}"`;

const privateAddress = (fault: AzureErrorInfo) =>
  messageText(fault, /(?:private|static) IP address ([\d.]+)/i, '<address>');

const lockedScope = (fault: AzureErrorInfo) => messageText(fault, /scope\(s\) are locked: '([^']+)'/, '<scope>');

const proxyInMessage = /(?:The proxy of|\(through the proxy \S+ of) (https?_proxy)\b/i;

export const networkEntries: readonly Entry[] = [
  {
    id: 'dns-label-taken',
    title: 'The DNS label is taken',
    says: 'DnsRecordInUse: DNS record … is already used by another public IP',
    source: 'https://github.com/scarolan/azure-terraform-beginners/issues/20',
    cause: (fault) =>
      `DNS name ${messageText(fault, /DNS record (\S+) is/, '<label>.<location>.cloudapp.azure.com')} is taken by another public IP. All customers of a region share its labels.`,
    fix: ['Use another `dns-label`.'],
  },
  {
    id: 'dns-label-invalid',
    title: 'The DNS label is invalid',
    says: 'InvalidDomainNameLabel: The domain name label … is invalid. It must conform to the following regular expression',
    source: 'https://learn.microsoft.com/azure/virtual-network/ip-services/public-ip-addresses',
    cause: (fault) =>
      `"${messageText(fault, /label (\S+) is invalid/, '<label>')}" is not a valid DNS label. It must have 3 to 63 lower-case letters, digits and hyphens, and start with a letter.`,
    fix: ['Correct `dns-label`.'],
  },
  {
    id: 'subnet-full',
    title: 'The subnet is full',
    says: 'SubnetIsFull: Subnet … with address prefix … does not have enough capacity for 1 IP addresses',
    source: 'https://github.com/MicrosoftDocs/azure-docs/issues/88211',
    cause: (fault) =>
      `Subnet ${lastName(messageText(fault, /Subnet (\S+) with/, '<subnet>'))} (${messageText(fault, /address prefix ([\d./]+)/, '<prefix>')}) has no free IP address. Azure reserves five addresses of each subnet.`,
    who: "the owner of the virtual network, or the workflow's author",
    fix: (fault, known) => [
      'Use another `subnet-id`, delete network interfaces that are no longer needed, or enlarge the subnet. To list what uses it:',
      shellCommand`az network nic list --subscription ${known.subscriptionId} --query ${`[?ipConfigurations[?ends_with(subnet.id, '/${lastName(messageText(fault, /Subnet (\S+) with/, 'subnet'))}')]].id`} -o tsv`,
    ],
  },
  {
    id: 'private-ip-taken',
    title: 'The private IP address is taken',
    says: 'PrivateIPAddressInUse, PrivateIPAddressIsAllocated: IP configuration … is using the private IP address … which is already allocated to resource',
    source: 'https://github.com/daniel-rhoades/acs-engine-terraform/issues/10',
    match: codeIs('PrivateIPAddressInUse', 'PrivateIPAddressIsAllocated'),
    cause: (fault) =>
      `\`private-ip-address\` ${privateAddress(fault)} is taken by ${lastName(resourceOf(holder(fault)))}. It is allocated to ${holder(fault)}.`,
    fix: (fault) => [
      'Use another `private-ip-address`, or remove it: Azure then picks a free one. To show what has it:',
      showResource(resourceOf(holder(fault))),
    ],
  },
  {
    id: 'private-ip-outside',
    title: 'The private IP address cannot be used in the subnet',
    says: 'PrivateIPAddressNotInSubnet: Private static IP address … does not belong to the range of subnet prefix; PrivateIPAddressInReservedRange',
    source: 'https://learn.microsoft.com/azure/virtual-network/virtual-networks-faq',
    match: codeIs('PrivateIPAddressNotInSubnet', 'PrivateIPAddressInReservedRange'),
    cause: (fault) => {
      const prefix = messageText(fault, /subnet prefix ([\d./]+\d)/, '<prefix>');
      return /reserved IP range/i.test(fault.message)
        ? `\`private-ip-address\` ${privateAddress(fault)} is reserved. Azure keeps the first four addresses and the last one of subnet ${prefix}.`
        : `\`private-ip-address\` ${privateAddress(fault)} is outside the subnet ${prefix}.`;
    },
    fix: ['Correct `private-ip-address`, or remove it: Azure then picks a free one.'],
  },
  {
    id: 'public-ip-taken',
    title: 'The public IP address is in use',
    says: 'PublicIPAddressInUse: Resource … is referencing public IP address … that is already allocated to resource',
    source: 'https://github.com/microsoft/azure-tools-for-java/issues/91',
    match: codeAndMessage('PublicIPAddressInUse', /already allocated to resource/i),
    cause: (fault) =>
      `Public IP address ${lastName(messageText(fault, /public IP address (\S+)/i, '<public-ip>'))} is in use by ${lastName(resourceOf(holder(fault)))}. It is allocated to ${holder(fault)}.`,
    fix: (fault) => [
      'Use another `public-ip`, or detach it from the resource that has it:',
      showResource(resourceOf(holder(fault))),
    ],
  },
  {
    id: 'address-prefix',
    title: 'The address prefixes do not fit',
    says: 'NetcfgSubnetRangeOutsideVnet, NetcfgSubnetRangesOverlap, NetcfgInvalidSubnet, InvalidCIDRNotation, InvalidAddressPrefixFormat',
    source: 'https://learn.microsoft.com/azure/virtual-network/virtual-networks-faq',
    match: codeIs(
      'NetcfgSubnetRangeOutsideVnet',
      'NetcfgSubnetRangesOverlap',
      'NetcfgInvalidSubnet',
      'InvalidCIDRNotation',
      'InvalidAddressPrefixFormat',
    ),
    cause: (fault) => `\`address-prefix\` or \`subnet-prefix\` is invalid: ${fault.message}`,
    fix: [
      '`subnet-prefix` must lie within `address-prefix`, be /29 or larger, and both must be network addresses in CIDR notation (`10.0.0.0/24`).',
    ],
  },
  {
    id: 'reference-not-found',
    title: 'A referenced resource does not exist',
    says: 'InvalidResourceReference: Resource … referenced by resource … was not found',
    source: 'https://github.com/Azure/azure-cli/issues/1237',
    cause: (fault) => {
      const id = messageText(fault, /Resource (\S+) referenced/, '<resource-id>');
      return `${lastName(id)} does not exist, or is in another region than the VM. ${messageText(fault, /referenced by resource (\S+)/, 'The VM')} refers to ${id}.`;
    },
    fix: (fault) => [
      'Correct `subnet-id`, `nic-id`, `network-security-group-id` or `public-ip`; all must be in the region of the VM:',
      shellCommand`az resource show --ids ${messageText(fault, /Resource (\S+) referenced/, '<resource-id>')} --query "{id:id, location:location}"`,
    ],
  },
  {
    id: 'certificate-not-trusted',
    title: "The runner does not trust Azure's certificate",
    says: 'SELF_SIGNED_CERT_IN_CHAIN, UNABLE_TO_GET_ISSUER_CERT_LOCALLY, UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    source: 'https://nodejs.org/api/tls.html#x509-certificate-error-codes',
    match: all(statusIs(0), (fault) => certificateErrors.test(fault.code)),
    cause:
      'The runner does not trust the certificate of the connection. A proxy intercepts TLS with a certificate authority that the runner does not know.',
    who: runnerOwner,
    fix: [
      'In the environment of the runner, set NODE_EXTRA_CA_CERTS to a PEM file with that certificate authority, and restart the runner.',
      'The same applies to the certificate authority of a private cloud.',
    ],
  },
  {
    id: 'proxy',
    title: 'The proxy of the runner does not connect to Azure',
    says: 'The proxy of HTTPS_PROXY refused the connection to …; … (through the proxy … of HTTPS_PROXY)',
    source: 'https://everything.curl.dev/usingcurl/proxies/env.html',
    match: all(messageMatches(proxyInMessage), (fault) => !certificateErrors.test(fault.code)),
    cause: (fault) => `The proxy of the runner does not connect to Azure: ${fault.message}`,
    who: runnerOwner,
    fix: (fault, { loginEndpoint, resourceManager }) => {
      const variable = messageText(fault, proxyInMessage, 'HTTPS_PROXY');
      return [
        `Check address, user name and password in ${variable}, and let the proxy connect to these hosts:`,
        loginEndpoint,
        resourceManager,
        'Or name them in NO_PROXY if the runner reaches them directly.',
      ];
    },
  },
  {
    id: 'unreachable',
    title: 'Azure cannot be reached',
    says: 'ENOTFOUND, ECONNREFUSED, ECONNRESET, ETIMEDOUT',
    source: nodeErrors,
    match: all(
      statusIs(0),
      (fault) => fault.code !== '' && !certificateErrors.test(fault.code),
      not(messageMatches(proxyInMessage)),
    ),
    cause: (fault) => `Azure cannot be reached: ${fault.message}`,
    who: runnerOwner,
    fix: (_, { loginEndpoint, resourceManager }) => [
      'On a self-hosted runner, allow these hosts, and set HTTPS_PROXY (and NO_PROXY) if there is a proxy:',
      loginEndpoint,
      resourceManager,
      'In a cloud other than the public one, check `environment`.',
    ],
  },
  {
    id: 'public-ip-quota',
    title: 'The public IP address quota is used up',
    says: 'PublicIPCountLimitReached: Cannot create more than … public IP addresses for this subscription in this region',
    source: 'https://learn.microsoft.com/azure/azure-resource-manager/management/azure-subscription-service-limits',
    cause: (fault, { subscriptionId, location }) =>
      `The public IP address quota in ${location} is used up: all ${messageText(fault, /more than (\d+)/, '<limit>')} of subscription ${subscriptionId} exist.`,
    who: authorOrSubscriptionOwner,
    fix: (_, known) => [
      'Set `public-ip: false`, use an existing address, or delete unused ones:',
      shellCommand`az network list-usages --subscription ${known.subscriptionId} -l ${known.location} -o table`,
      shellCommand`az network public-ip list --subscription ${known.subscriptionId} --query "[?ipConfiguration==null].id" -o tsv`,
    ],
  },
  {
    id: 'basic-public-ip',
    title: 'Basic public IP addresses are retired',
    says: 'IPv4BasicSkuPublicIpCountLimitReached: Cannot create more than 0 IPv4 Basic SKU public IP addresses',
    source:
      'https://azure.microsoft.com/updates/upgrade-to-standard-sku-public-ip-addresses-in-azure-by-30-september-2025-basic-sku-will-be-retired',
    cause: 'The request is for a Basic public IP address. Azure has created none since 2025-09-30.',
    fix: ['The default is Standard: remove `sku` from the key `public-ip` in `overrides`.'],
  },
  {
    id: 'id-malformed',
    title: 'A resource ID is incomplete',
    says: 'LinkedInvalidPropertyId: Property id … is invalid. Expect fully qualified resource Id',
    source: 'azure-cli recording test_account_renew_credentials_fails',
    cause: (fault) => {
      const path = messageText(fault, /at path '([^']+)'/, '');
      return `"${messageText(fault, /Property id '([^']+)'/, '<value>')}"${path ? ` (${path})` : ''} is not a complete resource ID.`;
    },
    fix: [
      'Use the ID from `/subscriptions/` on, as `az resource show … --query id` prints it. Inputs that take IDs: `image-id`, `subnet-id`, `nic-id`, `network-security-group-id`, `public-ip`, `identity`, and values in `overrides`.',
    ],
  },
];

const certificateErrors = /CERT|UNABLE_TO_(?:GET_ISSUER|VERIFY)/;

export const cleanupEntries: readonly Entry[] = [
  {
    id: 'still-in-use',
    title: 'Another resource still uses it',
    says: 'InUseNetworkSecurityGroupCannotBeDeleted, PublicIPAddressCannotBeDeleted, InUseSubnetCannotBeDeleted, NicInUse',
    source: dependentsRecording,
    match: codeIs(
      'InUseNetworkSecurityGroupCannotBeDeleted',
      'PublicIPAddressCannotBeDeleted',
      'InUseSubnetCannotBeDeleted',
      'NicInUse',
    ),
    cause: (fault) =>
      `${lastName(resourceOf(holder(fault)))} still uses the resource. ${lastName(fault.url) || 'It'} cannot be deleted or reused while ${holder(fault)} uses it. It may be about to be deleted itself.`,
    who: nobodyNeedsToAct,
    fix: (fault) => [
      'The action deletes in dependency order (VM, NIC, public IP and NSG, virtual network) and retries. If it gave up, another user attached something; check:',
      showResource(resourceOf(holder(fault))),
      'Then run the action with `operation: delete`.',
    ],
  },
  {
    id: 'nic-reserved',
    title: 'The NIC is reserved after a failed create',
    says: 'NicReservedForAnotherVm: Nic(s) in request is reserved for another Virtual Machine for 180 seconds',
    source: 'https://github.com/Azure/karpenter-provider-azure',
    cause: (fault) =>
      `The NIC is reserved for ${messageText(fault, /for (\d+) seconds/, '180')} seconds after a failed create. It stays reserved for VM ${messageText(fault, /Reserved VM: (\S+)/, '<vm-id>')}.`,
    who: nobodyNeedsToAct,
    fix: ['If the action was stopped before that, run it with `operation: delete`.'],
  },
  {
    id: 'disk-attached',
    title: 'The disk is attached to a VM',
    says: 'OperationNotAllowed: Disk … is attached to VM',
    source: dependentsRecording,
    match: codeAndMessage('OperationNotAllowed', /Disk .* is attached to VM/i),
    cause: (fault) =>
      `Disk ${messageText(fault, /Disk (\S+)/, '<disk>')} is attached to VM ${lastName(holder(fault))}. It cannot be deleted while ${holder(fault)} exists.`,
    who: nobodyNeedsToAct,
    fix: [
      'The action deletes the VM first and retries. If it gave up, the disk was attached to another VM: detach it, then run the action with `operation: delete`.',
    ],
  },
  {
    id: 'locked',
    title: 'A lock blocks the change',
    says: 'ScopeLocked: … cannot perform … operation because following scope(s) are locked',
    source: 'azure-cli recording test_readonly_resource_lock',
    cause: (fault) =>
      `A lock on ${lastName(lockedScope(fault))} blocks the ${messageText(fault, /cannot perform (\w+) operation/, 'write or delete')}. The lock applies to ${lockedScope(fault)}.`,
    who: (fault, known) => {
      const group = idSegment(lockedScope(fault), 'resourceGroups') ?? known.resourceGroup;
      return `the owner of resource group ${group}, in the VM's tenant (${known.tenantId})`;
    },
    fix: (fault, known) => {
      const scope = lockedScope(fault);
      const subscription = idSegment(scope, 'subscriptions') ?? known.subscriptionId;
      const group = idSegment(scope, 'resourceGroups') ?? known.resourceGroup;
      return [
        'Find the lock, and delete it if appropriate. Then run the action with `operation: delete`, or run the job again:',
        shellCommand`az lock list --subscription ${subscription} -g ${group} --query "[].{level:level, id:id}" -o table`,
        shellCommand`az lock delete --ids ${'<lock-id>'}`,
      ];
    },
  },
];
