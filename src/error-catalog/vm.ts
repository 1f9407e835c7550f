import type { AzureErrorInfo } from '../errors/azure-error.ts';
import { quoteForShell } from '../lib/escape.ts';
import {
  type Entry,
  type Lines,
  type Match,
  all,
  any,
  codeIs,
  imageOwner,
  messageMatches,
  messageText,
  statusIs,
  wordsOf,
  workflowAuthor,
} from './entry.ts';
import { definitionScope, imageOptions, vmOptions } from './role-commands.ts';

const badRequest = (pattern: RegExp) => all(codeIs('BadRequest'), messageMatches(pattern));

const invalidParameter = (target: RegExp, pattern: RegExp): Match =>
  all(codeIs('InvalidParameter'), (fault) => target.test(fault.target ?? '') || pattern.test(wordsOf(fault)));

const errorTarget = (fault: AzureErrorInfo, placeholder: string) => fault.target ?? placeholder;

/** The commands that a guest which never answered calls for. */
const bootLog: Lines = (fault, known) => {
  const name = messageText(fault, /VM '([^']+)'/, known.vmName);
  return [
    'The end of the boot log tells how far it came:',
    `az vm boot-diagnostics get-boot-log ${vmOptions(known, name)}`,
    'Generalize the image again and make a new version: `sudo waagent -deprovision+user -force`, or `sysprep /generalize /oobe /shutdown`. An image with its users and host name in it belongs in a Specialized definition.',
    `The VM is there and costs money until it is deleted; with \`cleanup: never\` do so by hand:`,
    `az vm delete ${vmOptions(known, name)} --yes`,
  ];
};

export const vmEntries: readonly Entry[] = [
  {
    id: 'os-provisioning-timed-out',
    title: 'The guest did not report in time',
    says: 'OSProvisioningTimedOut: OS Provisioning for VM … did not finish in the allotted time',
    match: codeIs('OSProvisioningTimedOut'),
    cause: (fault, known) =>
      `VM ${messageText(fault, /VM '([^']+)'/, known.vmName)} runs, but nothing in it reported to Azure in time (about 20 minutes on Linux, 40 on Windows): the image is not generalized, has no working agent (waagent, cloud-init), is marked with the wrong OS, or the guest cannot reach the host's address 168.63.129.16.`,
    who: imageOwner,
    fix: bootLog,
  },
  {
    id: 'os-provisioning-keeps-failing',
    title: 'The image fails again and again',
    says: 'OSProvisioningClientError: … This error occurred too many times consecutively from image',
    match: codeIs('OSProvisioningClientError'),
    cause: (_, { imageId }) =>
      `VMs from this image (${imageId}) have failed to start so often in a row that Azure gives up sooner: the image is not generalized or its agent is broken.`,
    who: imageOwner,
    fix: bootLog,
  },
  {
    // https://github.com/Azure/azure-powershell/issues/5741
    id: 'agent-silent',
    title: 'The VM agent does not report',
    says: 'VMAgentStatusCommunicationError: VM … has not reported status for VM agent or extensions',
    match: codeIs('VMAgentStatusCommunicationError'),
    cause: (fault, known) =>
      `The agent in VM ${messageText(fault, /VM '([^']+)'/, known.vmName)} is missing, stopped or cut off from Azure, and without it no script or extension can run.`,
    who: imageOwner,
    fix: (fault, known) => [
      'Install the agent in the image (waagent 2.4.0.2 or newer, or the Windows guest agent). The boot log shows whether it starts:',
      `az vm boot-diagnostics get-boot-log ${vmOptions(known, messageText(fault, /VM '([^']+)'/, known.vmName))}`,
    ],
  },
  {
    id: 'extension-failed',
    title: 'A script or extension failed in the VM',
    says: 'VMExtensionProvisioningError: VM has reported a failure when processing extension',
    match: codeIs('VMExtensionProvisioningError'),
    cause: (fault) =>
      `${messageText(fault, /extension '([^']+)'/, 'A script or extension')} failed inside the VM; Azure's message holds what it said last.`,
    who: workflowAuthor,
    fix: (_, known) => [
      'Read the message; more is in /var/log/azure (Linux) or C:\\WindowsAzure\\Logs (Windows). The state of all extensions:',
      `az vm get-instance-view ${vmOptions(known)} --query instanceView.extensions`,
    ],
  },
  {
    // https://github.com/Azure/azure-cli/issues/32305
    id: 'script-running',
    title: 'Another script is still running in the VM',
    says: 'Conflict: Run command extension execution is in progress. Please wait for completion before invoking a run command',
    match: messageMatches(/Run command extension execution is in progress/i),
    cause: (_, { vmName }) =>
      `VM ${vmName} runs one script at a time, and an earlier one has not ended (it may take up to 90 minutes).`,
    who: workflowAuthor,
    fix: (_, known) => [
      'Wait for it, or delete the run command that hangs:',
      `az vm run-command list --subscription ${known.subscriptionId} -g ${quoteForShell(known.resourceGroup)} --vm-name ${quoteForShell(known.vmName)} -o table`,
    ],
  },
  {
    id: 'vm-differs',
    title: 'A VM of that name exists, made otherwise',
    says: "PropertyChangeNotAllowed: Changing property 'imageReference' is not allowed",
    match: codeIs('PropertyChangeNotAllowed'),
    cause: (fault, { vmName }) =>
      `VM ${vmName} exists and was made with another ${messageText(fault, /property '([^']+)'/, errorTarget(fault, 'imageReference'))}, which cannot be changed afterwards.`,
    who: workflowAuthor,
    fix: (_, known) => [
      'Give another `vm-name`, or delete the old VM first (`operation: delete` if this action made it):',
      `az vm delete ${vmOptions(known)} --yes`,
    ],
  },
  {
    // If-None-Match of the VM's first PUT; code as in https://github.com/kubernetes-sigs/cloud-provider-azure/issues/9728
    id: 'vm-made-meanwhile',
    title: 'A VM of that name was made in the meantime',
    says: 'PreconditionFailed (412)',
    match: any(codeIs('PreconditionFailed'), statusIs(412)),
    cause: (_, { vmName, resourceGroup }) =>
      `Someone else made VM ${vmName} in ${resourceGroup} between the look and the request. Nothing that exists is overwritten.`,
    who: workflowAuthor,
    fix: [
      'Give each job and matrix leg a `vm-name` of its own (the default does), or keep jobs apart with `concurrency`. Then run the job again.',
    ],
  },
  {
    id: 'security-type-of-managed-image',
    title: 'The kind of image does not go with the security type',
    says: 'BadRequest: Managed Images are not supported for virtual machines with security type TrustedLaunch',
    match: badRequest(/Managed Images are not supported .* security type/i),
    cause: (fault) =>
      `A managed image cannot boot with security type ${messageText(fault, /security type (\w+)/, 'TrustedLaunch')}; only images in a gallery can.`,
    who: workflowAuthor,
    fix: [
      'Set `security-type: Standard`, or use an image definition with the feature SecurityType=TrustedLaunch or TrustedLaunchSupported.',
    ],
  },
  {
    id: 'trusted-launch-image',
    title: 'The image does not support Trusted Launch',
    says: 'BadRequest: Use of TrustedLaunch setting is not supported for the provided image',
    match: badRequest(/TrustedLaunch setting is not supported for the provided image/i),
    cause: (_, { imageId }) =>
      `The image definition (${definitionScope(imageId)}) does not declare the feature SecurityType=TrustedLaunch or TrustedLaunchSupported.`,
    who: workflowAuthor,
    fix: (fault, known) => [
      'Set `security-type: Standard`. Or have the owner of the gallery make a definition of generation V2 with that feature; what this one declares:',
      `az sig image-definition show ${imageOptions(fault, known)} --query "{generation:hyperVGeneration, features:features}"`,
    ],
  },
  {
    id: 'uefi-on-generation-1',
    title: 'A Generation 1 image has no UEFI settings',
    says: 'BadRequest: UEFI settings are not supported for VMs and VM Scale Sets using Generation 1 Image',
    match: badRequest(/UEFI settings are not supported/i),
    cause: (_, { imageId }) =>
      `The image definition (${definitionScope(imageId)}) is of generation V1: no secure boot, no vTPM, no Trusted Launch.`,
    who: workflowAuthor,
    fix: [
      'Set `security-type: Standard` and drop `securityProfile` from `overrides`, or use an image of generation V2.',
    ],
  },
  {
    id: 'size-and-security-type',
    title: 'The size does not go with the security type',
    says: 'BadRequest: The VM size … is not supported for creation of VMs and Virtual Machine Scale Set with … security type',
    match: badRequest(/VM size .* is not supported for creation .* security type/i),
    cause: (fault, { vmSize }) =>
      `Size ${messageText(fault, /VM size '([^']+)'/, vmSize)} cannot be had with security type ${messageText(fault, /with '([^']+)' security type/, '<NULL>').replace('<NULL>', 'Standard (none given)')}. Confidential sizes (DC, EC) take ConfidentialVM only, and no others do.`,
    who: workflowAuthor,
    fix: (fault, known) => [
      'Give another `vm-size`, or the `security-type` that the size is made for:',
      `az vm list-skus -l ${quoteForShell(known.location)} --size ${quoteForShell(messageText(fault, /VM size '([^']+)'/, known.vmSize))} --query "[].capabilities[?name=='ConfidentialComputingType' || name=='TrustedLaunchDisabled']"`,
    ],
  },
  {
    id: 'hypervisor-generation',
    title: 'The size cannot boot the generation of the image',
    says: 'BadRequest: The selected VM size … cannot boot Hypervisor Generation',
    match: badRequest(/cannot boot Hypervisor Generation/i),
    cause: (fault, { vmSize }) =>
      `Size ${messageText(fault, /VM size '([^']+)'/, vmSize)} cannot boot images of generation ${messageText(fault, /Hypervisor Generation '([^']+)'/, '<1 or 2>')}. Old sizes (Dv2, Av2) boot generation 1 only, the newest (v6 on) generation 2 only.`,
    who: workflowAuthor,
    fix: (fault, known) => [
      'Give a `vm-size` that boots it, such as Standard_D2s_v5 (both generations). What a size can do:',
      `az vm list-skus -l ${quoteForShell(known.location)} --size ${quoteForShell(messageText(fault, /VM size '([^']+)'/, known.vmSize))} --query "[].capabilities[?name=='HyperVGenerations'].value"`,
    ],
  },
  {
    id: 'admin-username',
    title: 'The user name is reserved',
    says: 'InvalidParameter: The Admin Username specified is not allowed',
    match: invalidParameter(/adminUsername/i, /Admin Username specified is not allowed/i),
    cause: 'Azure reserves names such as admin, administrator, root, user, test and guest.',
    who: workflowAuthor,
    fix: ['Give another `admin-username`, such as the default `azureuser`.'],
  },
  {
    id: 'admin-password',
    title: 'The password is too weak',
    says: 'InvalidParameter: The supplied password must be between … characters long and must satisfy at least 3 of password complexity requirements',
    match: invalidParameter(/adminPassword/i, /supplied password must/i),
    cause: (fault) =>
      `\`admin-password\` must have ${messageText(fault, /between (\d+-\d+) characters/, '8-123')} characters (8-123 on Windows, 6-72 on Linux), three of upper case, lower case, digit and special, and no well-known password.`,
    who: workflowAuthor,
    fix: [
      'Store a stronger one, or leave it out: on Windows a random one is made, on Linux SSH keys are used.',
    ],
  },
  {
    id: 'ssh-key',
    title: 'The SSH key is not a public key',
    says: 'InvalidParameter: The value of parameter linuxConfiguration.ssh.publicKeys.keyData is invalid',
    match: invalidParameter(/publicKeys/i, /publicKeys\.keyData is invalid/i),
    cause:
      '`ssh-public-key` holds something else than public keys in OpenSSH form (RSA of 2048 bits or more, or Ed25519), one per line.',
    who: workflowAuthor,
    fix: ['Give the content of the .pub file. To make a pair:', 'ssh-keygen -t rsa -b 4096 -f vm-key'],
  },
  {
    id: 'id-malformed',
    title: 'A resource ID is not a whole ID',
    says: 'LinkedInvalidPropertyId: Property id … is invalid. Expect fully qualified resource Id',
    match: codeIs('LinkedInvalidPropertyId'),
    cause: (fault) =>
      `"${messageText(fault, /Property id '([^']+)'/, '<value>')}"${/at path '([^']+)'/.test(wordsOf(fault)) ? ` (${messageText(fault, /at path '([^']+)'/, '')})` : ''} is not a whole resource ID.`,
    who: workflowAuthor,
    fix: [
      'Give the ID from `/subscriptions/` on, as `az resource show … --query id` prints it. Inputs that take IDs: `image-id`, `subnet-id`, `nic-id`, `network-security-group-id`, `public-ip`, `identity`; and whatever `overrides` holds.',
    ],
  },
];
