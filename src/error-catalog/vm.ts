import type { AzureErrorInfo } from '../errors/errors.ts';
import { shellCommand } from '../lib/escape.ts';
import {
  type Entry,
  type FilledErrorContext,
  type Lines,
  type Match,
  all,
  any,
  authorOrImageOwner,
  badRequest,
  codeAndMessage,
  codeIs,
  definitionScope,
  fromCompute,
  imageOwner,
  messageText,
  resourceGroupOptions,
  showFeatures,
  sizeCapability,
  sizeIn,
  statusIs,
  subscriptionOwner,
  vmErrors,
  vmOptions,
  workflowAuthor,
} from './entry.ts';

const invalidParameter = (pattern: RegExp): Match => all(fromCompute, codeAndMessage('InvalidParameter', pattern));

const clientError = (pattern: RegExp): Match => codeAndMessage('OSProvisioningClientError', pattern);

const vmIn = (fault: AzureErrorInfo, known: FilledErrorContext) => messageText(fault, /VM '([^']+)'/, known.vmName);

const readBootLog = (fault: AzureErrorInfo, known: FilledErrorContext) =>
  shellCommand`az vm boot-diagnostics get-boot-log ${vmOptions(known, vmIn(fault, known))}`;

const deleteVm = (fault: AzureErrorInfo, known: FilledErrorContext) => [
  'The VM exists and incurs costs until it is deleted. With `cleanup: never`, delete it yourself:',
  shellCommand`az vm delete ${vmOptions(known, vmIn(fault, known))} --yes`,
];

const generalize =
  'Generalize the image again, and create a new version: `sudo waagent -deprovision+user -force`, or `sysprep /generalize /oobe /shutdown`. An image that keeps its users and host name belongs in a Specialized definition.';

const bootLogAndGeneralize: Lines = (fault, known) => [
  'The end of the boot log shows how far the boot got:',
  readBootLog(fault, known),
  generalize,
  ...deleteVm(fault, known),
];

/** `reason=…` of the report that cloud-init and azure-init send to Azure. */
const reportedReason = (fault: AzureErrorInfo) => messageText(fault, /\breason=([^|]+)/, '<reason>');

export const vmEntries: readonly Entry[] = [
  {
    id: 'os-provisioning-timed-out',
    title: 'The guest did not report in time',
    says: 'OSProvisioningTimedOut: OS Provisioning for VM … did not finish in the allotted time',
    source: vmErrors,
    cause: (fault, known) =>
      `The guest of VM ${vmIn(fault, known)} did not report to Azure in time (about 20 minutes on Linux, 40 on Windows). Either the image is not generalized, has no working agent (waagent, cloud-init) or is marked with the wrong OS; or Secure Boot refuses its unsigned boot loader or kernel (Trusted Launch); or the guest cannot reach 168.63.129.16.`,
    who: imageOwner,
    fix: (fault, known) => [
      'The end of the boot log shows how far the boot got:',
      readBootLog(fault, known),
      'If it ends before the kernel starts, test without Secure Boot: `security-type: Standard`, or `overrides: {vm: {properties: {securityProfile: {uefiSettings: {secureBootEnabled: false}}}}}`.',
      generalize,
      ...deleteVm(fault, known),
    ],
  },
  {
    id: 'os-provisioning-keeps-failing',
    title: 'VMs from this image fail repeatedly',
    says: 'OSProvisioningClientError: … This error occurred too many times consecutively from image',
    source: vmErrors,
    match: clientError(/too many times consecutively/i),
    cause: (_, { imageId }) =>
      `VMs from this image failed to start so often that Azure now gives up early. The image is not generalized, or its agent does not work: ${imageId}.`,
    who: imageOwner,
    fix: bootLogAndGeneralize,
  },
  {
    id: 'windows-not-generalized',
    title: 'The Windows image is not generalized',
    says: 'OSProvisioningClientError: … This installation of Windows is undeployable. Make sure the image has been properly prepared (generalized)',
    source: vmErrors,
    match: clientError(/installation of Windows is undeployable/i),
    cause: (fault, known) =>
      `The Windows image is not generalized. Windows Setup in VM ${vmIn(fault, known)} reported the installation as undeployable: sysprep did not run, failed, or was followed by another boot (${known.imageId}).`,
    who: imageOwner,
    fix: (fault, known) => [
      'Run `sysprep /generalize /oobe /shutdown` in the source VM, do not start it again, and create a new image version. `C:\\Windows\\System32\\Sysprep\\Panther\\setupact.log` shows why sysprep failed.',
      'If the image is to keep its users and host name, put it in a Specialized definition.',
      ...deleteVm(fault, known),
    ],
  },
  {
    id: 'agent-runs-unprepared',
    title: 'The guest runs but was not prepared as an image',
    says: 'OSProvisioningClientError: … the VM guest agent was detected running. This suggests the guest OS has not been properly prepared to be used as a VM image',
    source: vmErrors,
    match: clientError(/guest agent was detected running/i),
    cause: (fault, known) =>
      `The guest of VM ${vmIn(fault, known)} runs with a working agent, but was not provisioned. The image is not generalized: it started as the machine that it was captured from, and ignored user, password and host name.`,
    who: imageOwner,
    fix: (fault, known) => [
      generalize,
      'The agent works and the network is reachable: no other repair of the image is needed.',
      ...deleteVm(fault, known),
    ],
  },
  {
    id: 'provisioning-agent-failed',
    title: 'cloud-init or azure-init in the image reported a failure',
    says: 'OSProvisioningClientError: … result=error|reason=…|agent=Cloud-Init/…',
    source: 'https://github.com/Azure/azure-init/issues/58',
    match: clientError(/result=error\|.*reason=/i),
    cause: (fault, known) =>
      `Provisioning failed in the guest: ${reportedReason(fault)}. ${messageText(fault, /\bagent=([^|]+)/, 'The provisioning agent')} in VM ${vmIn(fault, known)} reported it.${/dhcp/i.test(reportedReason(fault)) ? ' Without a DHCP lease the guest has no network: its network driver or DHCP client does not work on this VM size.' : ''}`,
    who: imageOwner,
    fix: (fault, known) => [
      'The boot log has the messages of the agent:',
      readBootLog(fault, known),
      'What the reasons mean:',
      'https://aka.ms/linuxprovisioningerror',
      ...(/dhcp/i.test(reportedReason(fault))
        ? [
            'Update kernel, network drivers (hv_netvsc, mana, mlx5) and cloud-init in the image; test with `accelerated-networking: false` and another `vm-size`.',
          ]
        : []),
      ...deleteVm(fault, known),
    ],
  },
  {
    id: 'os-provisioning-internal',
    title: 'Azure failed to provision the OS',
    says: 'OSProvisioningInternalError: OS Provisioning failed for VM … due to an internal error',
    source: vmErrors,
    cause: (fault, known) =>
      `Azure failed to provision VM ${vmIn(fault, known)} because of an internal error. It does not say that the image is at fault.`,
    who: `${workflowAuthor}; if it keeps failing, Azure support`,
    fix: (fault, known) => [
      'Run the job again. If it fails again with this image only, the boot log may show why:',
      readBootLog(fault, known),
      `If other images fail as well, use another \`vm-size\` or \`zone\`, and give correlation ID ${fault.correlationId ?? '<correlation-id>'} to Azure support.`,
      ...deleteVm(fault, known),
    ],
  },
  {
    id: 'start-timed-out',
    title: 'The VM did not start in time',
    says: 'VMStartTimedOut: VM … did not start in the allotted time. The VM may still start successfully. Please check the power state later',
    source: vmErrors,
    cause: (fault, known) =>
      `Azure did not start VM ${vmIn(fault, known)} in time. It was still starting on its host; the guest had not booted yet, so the image is not the likely reason.`,
    fix: (fault, known) => [
      'Run the job again, with another `vm-size` or `zone` if it happens repeatedly. To see whether it started after all:',
      shellCommand`az vm get-instance-view ${vmOptions(known, vmIn(fault, known))} --query "instanceView.statuses[].displayStatus" -o tsv`,
      ...deleteVm(fault, known),
    ],
  },
  {
    id: 'agent-silent',
    title: 'The VM agent does not report',
    says: 'VMAgentStatusCommunicationError: VM … has not reported status for VM agent or extensions',
    source: 'https://github.com/Azure/azure-powershell/issues/5741',
    cause: (fault, known) =>
      `The agent in VM ${vmIn(fault, known)} does not report. It is missing, stopped or cannot reach Azure, and no script or extension can run without it.`,
    who: imageOwner,
    fix: (fault, known) => [
      'Install the agent in the image (waagent 2.4.0.2 or newer, or the Windows guest agent). The boot log shows whether it starts:',
      readBootLog(fault, known),
    ],
  },
  {
    id: 'extension-failed',
    title: 'A script or extension failed in the VM',
    says: 'VMExtensionProvisioningError: VM has reported a failure when processing extension',
    source: 'azure-cli recording test_vm_disk_encryption',
    cause: (fault) =>
      `${messageText(fault, /extension '([^']+)'/, 'A script or extension')} failed inside the VM. Azure's message has its last output.`,
    fix: (_, known) => [
      'The logs are in /var/log/azure (Linux) or C:\\WindowsAzure\\Logs (Windows). To show the state of all extensions:',
      shellCommand`az vm get-instance-view ${vmOptions(known)} --query instanceView.extensions`,
    ],
  },
  {
    id: 'script-running',
    title: 'Another script is still running in the VM',
    says: 'Conflict: Run command extension execution is in progress. Please wait for completion before invoking a run command',
    source: 'https://github.com/Azure/azure-cli/issues/32305',
    match: codeAndMessage('Conflict', /Run command extension execution is in progress/i),
    cause: (_, { vmName }) =>
      `Another script is still running in VM ${vmName}. It runs one at a time, for up to 90 minutes each.`,
    fix: (_, known) => [
      'Wait for it, or delete its run command:',
      shellCommand`az vm run-command list ${resourceGroupOptions(known)} --vm-name ${known.vmName} -o table`,
    ],
  },
  {
    id: 'vm-differs',
    title: 'A VM with this name exists with different settings',
    says: "PropertyChangeNotAllowed: Changing property 'imageReference' is not allowed",
    source:
      'https://learn.microsoft.com/troubleshoot/azure/azure-kubernetes/create-upgrade-delete/changing-property-imagereference-not-allowed',
    cause: (fault, { vmName }) =>
      `VM ${vmName} exists with another ${messageText(fault, /property '([^']+)'/, fault.target ?? 'imageReference')}, which cannot be changed.`,
    fix: (_, known) => [
      'Use another `vm-name`, or delete the old VM first (with `operation: delete` if this action created it):',
      shellCommand`az vm delete ${vmOptions(known)} --yes`,
    ],
  },
  {
    id: 'zones-differ',
    title: 'A VM with this name exists in another zone',
    says: 'ResourceAvailabilityZonesCannotBeModified: The resource … has an existing availability zone constraint … and the request has availability zone constraint',
    source: 'https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors',
    cause: (fault, { vmName }) =>
      `VM ${vmName} exists in zone ${messageText(fault, /existing availability zone constraint '([^']*)'/, '<other-zone>') || 'none'}, not ${messageText(fault, /request has availability zone constraint '([^']*)'/, '<zone>') || 'none'}. The zone of a VM cannot be changed.`,
    fix: ['Use another `vm-name`, or the `zone` of the existing VM.'],
  },
  {
    // If-None-Match of the VM's first PUT.
    id: 'vm-created-by-another-run',
    title: 'A VM with this name appeared during the run',
    says: 'PreconditionFailed (412)',
    source: 'https://github.com/kubernetes-sigs/cloud-provider-azure/issues/9728',
    match: any(codeIs('PreconditionFailed'), statusIs(412)),
    cause: (_, { vmName, resourceGroup }) =>
      `VM ${vmName} in ${resourceGroup} already exists. It was created after this run looked for it, so this run did not overwrite it.`,
    fix: [
      'Give each job and matrix leg its own `vm-name` (the default does), or keep jobs apart with `concurrency`. Then run the job again.',
    ],
  },
  {
    id: 'disk-name-taken',
    title: 'A disk with this name exists',
    says: 'ConflictingUserInput: Disk … already exists in resource group … Only CreateOption.Attach is supported',
    source: vmErrors,
    match: codeAndMessage('ConflictingUserInput', /Disk .* already exists/i),
    cause: (fault, { resourceGroup }) =>
      `Disk ${messageText(fault, /Disk (\S+) already/, '<disk>')} already exists in ${resourceGroup}. Azure creates the OS disk with the VM and does not overwrite an existing one.`,
    fix: (fault, known) => [
      'Use another `vm-name`, or delete the disk if it is left from an earlier VM:',
      shellCommand`az disk show ${resourceGroupOptions(known)} -n ${messageText(fault, /Disk (\S+) already/, '<disk>')} --query "{id:id, managedBy:managedBy, tags:tags}"`,
    ],
  },
  {
    id: 'disk-too-small',
    title: 'The OS disk is smaller than the image',
    says: 'OperationNotAllowed: The specified disk size … GB is smaller than the size of the corresponding disk in the VM image',
    source: vmErrors,
    match: all(fromCompute, codeAndMessage('OperationNotAllowed', /disk size .* is smaller than/i)),
    cause: (fault) =>
      `\`os-disk-size-gb\` (${messageText(fault, /disk size (\d+) GB/, '<size>')}) is smaller than the disk of the image (${messageText(fault, /VM image: (\d+) GB/, '<image-size>')} GB).`,
    fix: ['Set `os-disk-size-gb` to at least the size of the image, or remove it.'],
  },
  {
    id: 'too-many-data-disks',
    title: 'The size does not support that many data disks',
    says: 'OperationNotAllowed: The maximum number of data disks allowed to be attached to a VM of this size is',
    source: vmErrors,
    match: all(fromCompute, codeAndMessage('OperationNotAllowed', /maximum number of data disks/i)),
    cause: (fault, { vmSize }) =>
      `${vmSize} supports at most ${messageText(fault, /size is (\d+)/, '<maximum>')} data disks, and the VM would have more.`,
    fix: (fault, known) => [
      'Use a larger `vm-size`, or fewer data disks. What the size supports:',
      sizeCapability(fault, known, "name=='MaxDataDiskCount'"),
    ],
  },
  {
    id: 'size-and-security-type',
    title: 'The size does not support the security type',
    says: 'BadRequest: The VM size … is not supported for creation of VMs and Virtual Machine Scale Set with … security type',
    source: 'https://github.com/GoogleCloudPlatform/PerfKitBenchmarker',
    match: badRequest(/VM size .* is not supported for creation .* security type/i),
    cause: (fault, known) =>
      `${sizeIn(fault, known)} does not support security type ${messageText(fault, /with '([^']+)' security type/, '<security-type>').replace('<NULL>', 'Standard (none set)')}. Confidential sizes (DC, EC) require ConfidentialVM, and other sizes do not support it.`,
    fix: (fault, known) => [
      'Use another `vm-size`, or the `security-type` that the size supports:',
      sizeCapability(fault, known, "name=='ConfidentialComputingType' || name=='TrustedLaunchDisabled'"),
    ],
  },
  {
    id: 'disk-controller',
    title: 'The size needs NVMe, which the image does not support',
    says: 'InvalidParameter: The VM size … cannot boot with OS image or disk. Please check that disk controller types supported by the OS image',
    source: 'https://github.com/kubernetes-sigs/image-builder/pull/1875',
    match: invalidParameter(/cannot boot with OS image or disk.*disk controller types/i),
    cause: (fault, known) =>
      `${sizeIn(fault, known)} cannot boot the image: their disk controllers differ. Sizes since v6 have NVMe only, and the image definition (${definitionScope(known.imageId)}) does not have the feature DiskControllerTypes with NVMe.`,
    who: authorOrImageOwner,
    fix: (fault, known) => [
      'Use a `vm-size` with SCSI, such as Standard_D2s_v5. Or, if the image has the NVMe driver, have its owner create a definition with the feature `DiskControllerTypes=SCSI,NVMe`; what this one has:',
      showFeatures(fault, known),
    ],
  },
  {
    id: 'accelerated-networking',
    title: 'The size does not support accelerated networking',
    says: 'VMSizeIsNotPermittedToEnableAcceleratedNetworking: Virtual Machine size … is not in the allowed list of VM sizes for accelerated networking',
    source: 'https://learn.microsoft.com/azure/virtual-network/accelerated-networking-overview',
    cause: (fault, known) =>
      `${sizeIn(fault, known)} does not support accelerated networking, which is enabled on network interface ${messageText(fault, /networkInterfaces\/([^\s./]+)/i, '<nic>')}.`,
    fix: (fault, known) => [
      'Set `accelerated-networking: false` (with `nic-id`, disable it on that interface), or use a `vm-size` that supports it:',
      sizeCapability(fault, known, "name=='AcceleratedNetworkingEnabled'"),
    ],
  },
  {
    id: 'ephemeral-disk',
    title: 'The OS disk does not fit on the local disk',
    says: 'NotSupported: OS disk of Ephemeral VM with size greater than … GB is not allowed for VM size … when the DiffDiskPlacement is',
    source: 'https://learn.microsoft.com/azure/virtual-machines/ephemeral-os-disks',
    match: all(fromCompute, codeAndMessage('NotSupported', /OS disk of Ephemeral VM with size greater than/i)),
    cause: (fault, known) =>
      `The ephemeral OS disk does not fit on the ${messageText(fault, /DiffDiskPlacement is (\w+)/, 'local disk')} of ${sizeIn(fault, known)}, which holds at most ${messageText(fault, /greater than (\d+)/, '<size>')} GB.`,
    fix: (fault, known) => [
      'Use a larger `vm-size`, another `storageProfile.osDisk.diffDiskSettings.placement` in `overrides` (ResourceDisk, NvmeDisk), or remove `diffDiskSettings`. What the size has:',
      sizeCapability(fault, known, "name=='CachedDiskBytes' || name=='MaxResourceVolumeMB'"),
    ],
  },
  {
    id: 'encryption-at-host',
    title: 'Encryption at host is not enabled in the subscription',
    says: "InvalidParameter: The property 'securityProfile.encryptionAtHost' is not valid because the 'Microsoft.Compute/EncryptionAtHost' feature is not enabled for this subscription",
    source: 'https://learn.microsoft.com/azure/virtual-machines/linux/disks-enable-host-based-encryption-cli',
    match: invalidParameter(/EncryptionAtHost' feature is not enabled/i),
    cause: (_, { subscriptionId }) =>
      `Encryption at host is not enabled in subscription ${subscriptionId}. Azure requires the feature EncryptionAtHost to be registered there once.`,
    who: subscriptionOwner,
    fix: (_, { subscriptionId }) => [
      'Register the feature (it takes up to 15 minutes), then refresh the provider:',
      shellCommand`az feature register --namespace Microsoft.Compute --name EncryptionAtHost --subscription ${subscriptionId}`,
      shellCommand`az feature show --namespace Microsoft.Compute --name EncryptionAtHost --subscription ${subscriptionId} --query properties.state -o tsv`,
      shellCommand`az provider register --namespace Microsoft.Compute --subscription ${subscriptionId}`,
    ],
  },
  {
    id: 'admin-username',
    title: 'The user name is reserved',
    says: 'InvalidParameter: The Admin Username specified is not allowed',
    source: 'https://learn.microsoft.com/azure/lab-services/troubleshoot-setup',
    match: invalidParameter(/Admin Username specified is not allowed/i),
    cause:
      '`admin-username` is a reserved name. Azure reserves admin, administrator, root, user, test, guest and others.',
    fix: ['Use another `admin-username`, such as the default `azureuser`.'],
  },
  {
    id: 'admin-password',
    title: 'The password is too weak',
    says: 'InvalidParameter: The supplied password must be between … characters long and must satisfy at least 3 of password complexity requirements',
    source: 'https://learn.microsoft.com/azure/virtual-machines/windows/faq',
    match: invalidParameter(/supplied password must/i),
    cause: (fault) =>
      `\`admin-password\` is too weak. It needs ${messageText(fault, /between (\d+-\d+) characters/, '<minimum>-<maximum>')} characters (8-123 on Windows, 6-72 on Linux) and three of upper case, lower case, digit and special character, and must not be a common password.`,
    fix: ['Store a stronger one, or remove it: on Windows a random one is generated, on Linux SSH keys are used.'],
  },
  {
    id: 'ssh-key',
    title: 'The SSH key is not a public key',
    says: 'InvalidParameter: The value of parameter linuxConfiguration.ssh.publicKeys.keyData is invalid',
    source: 'azure-libraries-for-java session record ARMTemplateWithDeploymentOperations',
    match: invalidParameter(/publicKeys\.keyData is invalid/i),
    cause:
      '`ssh-public-key` is not a list of public keys. Each line must be one in OpenSSH format: RSA with at least 2048 bits, or Ed25519.',
    fix: ['Use the content of the .pub file. To create a key pair:', 'ssh-keygen -t rsa -b 4096 -f vm-key'],
  },
];
