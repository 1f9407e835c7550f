import { shellCommand } from '../lib/escape.ts';
import {
  type Entries,
  type Failure,
  authorOrSubscriptionOwner,
  idSegment,
  messageText,
  nobodyNeedsToAct,
  runnerOwner,
} from './entry.ts';

const lastName = (id: string) => id.split('/').at(-1) ?? id;

/** The holder's own ID: Network names an IP configuration of it. */
const holder = (failure: Failure) =>
  messageText(
    failure,
    /(?:is in use by(?: the following resources:)?|allocated to resource|existing (?:resource|VM)|is attached to VM) (\S+?)\.?(?:\s|$)/,
    '<resource>',
  );

const resourceOf = (id: string) => id.replace(/\/ipConfigurations\/.*$/i, '');

const showResource = (id: string) => shellCommand`az resource show --ids ${id} --query "{id:id, tags:tags}"`;

const privateAddress = (failure: Failure) =>
  messageText(failure, /(?:private|static) IP address ([\d.]+)/i, '<address>');

const proxyInMessage = /(?:The proxy of|\(through the proxy \S+ of) (https?_proxy)\b/i;

export const networkEntries: Entries = {
  'The DNS label is taken': (failure) => ({
    says: 'DnsRecordInUse: DNS record … is already used by another public IP',
    cause: `DNS name ${messageText(failure, /DNS record (\S+) is/, '<label>.<location>.cloudapp.azure.com')} is taken by another public IP. All customers of a region share its labels.`,
    fix: ['Use another `dns-label`.'],
  }),
  'The DNS label is invalid': (failure) => ({
    says: 'InvalidDomainNameLabel: The domain name label … is invalid. It must conform to the following regular expression',
    cause: `"${messageText(failure, /label (\S+) is invalid/, '<label>')}" is not a valid DNS label. It must have 3 to 63 lower-case letters, digits and hyphens, and start with a letter.`,
    fix: ['Correct `dns-label`.'],
  }),
  'The subnet is full': (failure) => ({
    says: 'SubnetIsFull: Subnet … with address prefix … does not have enough capacity for 1 IP addresses',
    cause: `Subnet ${lastName(messageText(failure, /Subnet (\S+) with/, '<subnet>'))} (${messageText(failure, /address prefix ([\d./]+)/, '<prefix>')}) has no free IP address. Azure reserves five addresses of each subnet.`,
    who: "the owner of the virtual network, or the workflow's author",
    fix: [
      'Use another `subnet-id`, delete network interfaces that are no longer needed, or enlarge the subnet. To list what uses it:',
      shellCommand`az network nic list --subscription ${failure.subscriptionId} --query ${`[?ipConfigurations[?ends_with(subnet.id, '/${lastName(messageText(failure, /Subnet (\S+) with/, 'subnet'))}')]].id`} -o tsv`,
    ],
  }),
  'The private IP address is taken': (failure) => ({
    says: 'PrivateIPAddressInUse, PrivateIPAddressIsAllocated: IP configuration … is using the private IP address … which is already allocated to resource',
    cause: `\`private-ip-address\` ${privateAddress(failure)} is taken by ${lastName(resourceOf(holder(failure)))}. It is allocated to ${holder(failure)}.`,
    fix: [
      'Use another `private-ip-address`, or remove it: Azure then picks a free one. To show what has it:',
      showResource(resourceOf(holder(failure))),
    ],
  }),
  'The private IP address cannot be used in the subnet': (failure) => {
    const prefix = messageText(failure, /subnet prefix ([\d./]+\d)/, '<prefix>');
    return {
      says: 'PrivateIPAddressNotInSubnet: Private static IP address … does not belong to the range of subnet prefix; PrivateIPAddressInReservedRange',
      codes: ['PrivateIPAddressNotInSubnet', 'PrivateIPAddressInReservedRange'],
      cause: /reserved IP range/i.test(failure.message)
        ? `\`private-ip-address\` ${privateAddress(failure)} is reserved. Azure keeps the first four addresses and the last one of subnet ${prefix}.`
        : `\`private-ip-address\` ${privateAddress(failure)} is outside the subnet ${prefix}.`,
      fix: ['Correct `private-ip-address`, or remove it: Azure then picks a free one.'],
    };
  },
  'The public IP address is in use': (failure) => ({
    says: 'PublicIPAddressInUse: Resource … is referencing public IP address … that is already allocated to resource',
    message: /already allocated to resource/i,
    cause: `Public IP address ${lastName(messageText(failure, /public IP address (\S+)/i, '<public-ip>'))} is in use by ${lastName(resourceOf(holder(failure)))}. It is allocated to ${holder(failure)}.`,
    fix: [
      'Use another `public-ip`, or detach it from the resource that has it. To show that resource:',
      showResource(resourceOf(holder(failure))),
    ],
  }),
  'The address prefixes do not fit': (failure) => ({
    says: 'NetcfgSubnetRangeOutsideVnet, NetcfgSubnetRangesOverlap, NetcfgInvalidSubnet, InvalidCIDRNotation, InvalidAddressPrefixFormat',
    cause: `\`address-prefix\` or \`subnet-prefix\` is invalid: ${failure.message}`,
    fix: [
      '`subnet-prefix` must lie within `address-prefix`, be /29 or larger, and both must be network addresses in CIDR notation (`10.0.0.0/24`).',
    ],
  }),
  'A referenced resource does not exist': (failure) => {
    const id = messageText(failure, /Resource (\S+) referenced/, '<resource-id>');
    return {
      says: 'InvalidResourceReference: Resource … referenced by resource … was not found',
      cause: `Resource ${lastName(id)} does not exist, or is in another region than the VM. ${messageText(failure, /referenced by resource (\S+)/, 'The VM')} refers to ${id}.`,
      fix: [
        'Correct `subnet-id`, `nic-id`, `network-security-group-id` or `public-ip`; all must be in the region of the VM:',
        shellCommand`az resource show --ids ${id} --query "{id:id, location:location}"`,
      ],
    };
  },
  "The runner does not trust Azure's certificate": ({ code, status }) => ({
    says: 'SELF_SIGNED_CERT_IN_CHAIN, UNABLE_TO_GET_ISSUER_CERT_LOCALLY, UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    codes: [],
    when: status === 0 && certificateErrors.test(code),
    cause:
      'The runner does not trust the certificate of the connection. A proxy intercepts TLS with a certificate authority that the runner does not know.',
    who: runnerOwner,
    fix: [
      'In the environment of the runner, set NODE_EXTRA_CA_CERTS to a PEM file with that certificate authority, and restart the runner.',
      'The same applies to the certificate authority of a private cloud.',
    ],
  }),
  'The proxy of the runner does not connect to Azure': (failure) => ({
    says: 'The proxy of HTTPS_PROXY refused the connection to …; … (through the proxy … of HTTPS_PROXY)',
    message: proxyInMessage,
    when: !certificateErrors.test(failure.code),
    cause: `The proxy of the runner does not connect to Azure: ${failure.message}`,
    who: runnerOwner,
    fix: [
      `Check address, user name and password in ${messageText(failure, proxyInMessage, 'HTTPS_PROXY')}, and let the proxy connect to these hosts:`,
      failure.loginEndpoint,
      failure.resourceManager,
      'Or name them in NO_PROXY if the runner reaches them directly.',
    ],
  }),
  'Azure cannot be reached': ({ status, code, message, loginEndpoint, resourceManager }) => ({
    says: 'ENOTFOUND, ECONNREFUSED, ECONNRESET, ETIMEDOUT',
    codes: [],
    when: status === 0 && code !== '' && !certificateErrors.test(code) && !proxyInMessage.test(message),
    cause: `Azure cannot be reached: ${message}`,
    who: runnerOwner,
    fix: [
      'On a self-hosted runner, allow these hosts, and set HTTPS_PROXY (and NO_PROXY) if there is a proxy:',
      loginEndpoint,
      resourceManager,
      'In a cloud other than the public one, check `environment`.',
    ],
  }),
  'The public IP address quota is used up': (failure) => ({
    says: 'PublicIPCountLimitReached: Cannot create more than … public IP addresses for this subscription in this region',
    cause: `The public IP address quota in ${failure.location} is used up: all ${messageText(failure, /more than (\d+)/, '<limit>')} of subscription ${failure.subscriptionId} exist.`,
    who: authorOrSubscriptionOwner(failure),
    fix: [
      'Set `public-ip: false`, use an existing address, or delete unused ones. To show the usage, and the unused ones:',
      shellCommand`az network list-usages --subscription ${failure.subscriptionId} -l ${failure.location} -o table`,
      shellCommand`az network public-ip list --subscription ${failure.subscriptionId} --query "[?ipConfiguration==null].id" -o tsv`,
    ],
  }),
  'Basic public IP addresses are retired': () => ({
    says: 'IPv4BasicSkuPublicIpCountLimitReached: Cannot create more than 0 IPv4 Basic SKU public IP addresses',
    cause: 'The request is for a Basic public IP address. Azure has created none since 2025-09-30.',
    fix: ['The default is Standard: remove `sku` from the key `public-ip` in `overrides`.'],
  }),
  'A resource ID is incomplete': (failure) => {
    const path = messageText(failure, /at path '([^']+)'/, '');
    return {
      says: 'LinkedInvalidPropertyId: Property id … is invalid. Expect fully qualified resource Id',
      cause: `"${messageText(failure, /Property id '([^']+)'/, '<value>')}"${path ? ` (${path})` : ''} is not a complete resource ID.`,
      fix: [
        'Use the ID from `/subscriptions/` on, as `az resource show … --query id` prints it. Inputs that take IDs: `image-id`, `subnet-id`, `nic-id`, `network-security-group-id`, `public-ip`, `identity`, and values in `overrides`.',
      ],
    };
  },
};

const certificateErrors = /CERT|UNABLE_TO_(?:GET_ISSUER|VERIFY)/;

export const cleanupEntries: Entries = {
  'Another resource still uses it': (failure) => ({
    says: 'InUseNetworkSecurityGroupCannotBeDeleted, PublicIPAddressCannotBeDeleted, InUseSubnetCannotBeDeleted, NicInUse',
    cause: `${lastName(resourceOf(holder(failure)))} still uses ${lastName(failure.url) || 'the resource'}. It cannot be deleted or reused while ${holder(failure)} uses it.`,
    who: `the owner of ${resourceOf(holder(failure))}`,
    fix: [
      'Delete what uses it, or detach it there. To see whose it is:',
      showResource(resourceOf(holder(failure))),
      'Then run the action with `operation: delete`, or run the job again.',
    ],
  }),
  'The NIC is reserved after a failed create': (failure) => ({
    says: 'NicReservedForAnotherVm: Nic(s) in request is reserved for another Virtual Machine for 180 seconds',
    cause: `The NIC is reserved for ${messageText(failure, /for (\d+) seconds/, '180')} seconds after a failed create. It stays reserved for VM ${messageText(failure, /Reserved VM: (\S+)/, '<vm-id>')}.`,
    who: nobodyNeedsToAct,
    fix: ['If the action was stopped before that, run it with `operation: delete`.'],
  }),
  'The disk is attached to a VM': (failure) => ({
    says: 'OperationNotAllowed: Disk … is attached to VM',
    message: /Disk .* is attached to VM/i,
    cause: `Disk ${messageText(failure, /Disk (\S+)/, '<disk>')} is attached to VM ${lastName(holder(failure))}. It cannot be deleted while ${holder(failure)} exists.`,
    who: `the owner of ${holder(failure)}`,
    fix: ['Delete that VM, or detach the disk from it. Then run the action with `operation: delete`.'],
  }),
  'A lock blocks the change': (failure) => {
    const scope = messageText(failure, /scope\(s\) are locked: '([^']+)'/, '<scope>');
    const subscription = idSegment(scope, 'subscriptions') ?? failure.subscriptionId;
    const group = idSegment(scope, 'resourceGroups') ?? failure.resourceGroup;
    return {
      says: 'ScopeLocked: … cannot perform … operation because following scope(s) are locked',
      cause: `A lock on ${lastName(scope)} blocks the ${messageText(failure, /cannot perform (\w+) operation/, 'write or delete')}. The lock applies to ${scope}.`,
      who: `the owner of resource group ${group}, in the VM's tenant (${failure.tenantId})`,
      fix: [
        'Find the lock:',
        shellCommand`az lock list --subscription ${subscription} -g ${group} --query "[].{level:level, id:id}" -o table`,
        'Delete it if appropriate:',
        shellCommand`az lock delete --ids ${'<lock-id>'}`,
        'Then run the action with `operation: delete`, or run the job again.',
      ],
    };
  },
};
