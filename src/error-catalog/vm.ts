import { shellCommand } from '../lib/escape.ts';
import {
  type Entries,
  type Failure,
  authorOrImageOwner,
  definitionScope,
  hasCode,
  imageOwner,
  messageText,
  resourceGroupOptions,
  showFeatures,
  sizeCapability,
  sizeIn,
  subscriptionOwner,
  vmOptions,
  workflowAuthor,
} from './entry.ts';

const vmIn = (failure: Failure) => messageText(failure, /VM '([^']+)'/, failure.vmName);

/** The sentence ends with a full stop. The diagnosis of a failed create logs the boot log before the rollback. */
const readBootLog = (failure: Failure, sentence: string) =>
  failure.isVmDeleted
    ? [`${sentence} If Azure returned it, it is in the log of this step.`]
    : [
        `${sentence.slice(0, -1)}:`,
        shellCommand`az vm boot-diagnostics get-boot-log ${vmOptions(failure, vmIn(failure))}`,
      ];

/** Nothing after a rollback: no command works on a VM that was deleted. */
const ifVmExists = (failure: Failure, sentence: string, command: string) =>
  failure.isVmDeleted ? [] : [sentence, command];

const deleteVm = (failure: Failure) =>
  ifVmExists(
    failure,
    'While the VM exists, it incurs costs. `operation: delete` deletes the deployment; to delete the VM alone:',
    shellCommand`az vm delete ${vmOptions(failure, vmIn(failure))} --yes`,
  );

const generalize =
  'Generalize the image again, and create a new version: `sudo waagent -deprovision+user -force`, or `sysprep /generalize /oobe /shutdown`. An image that keeps its users and host name belongs in a Specialized definition.';

/** `reason=…` of the report that cloud-init and azure-init send to Azure. */
const reportedReason = (failure: Failure) => messageText(failure, /\breason=([^|]+)/, '<reason>');

export const vmEntries: Entries = {
  'The guest did not report in time': (failure) => ({
    says: 'OSProvisioningTimedOut: OS Provisioning for VM … did not finish in the allotted time',
    cause: `The guest of VM ${vmIn(failure)} did not report to Azure in time (about 20 minutes on Linux, 40 on Windows). Either the image is not generalized, has no working agent (waagent, cloud-init) or is marked with the wrong OS; or Secure Boot refuses its unsigned boot loader or kernel (Trusted Launch); or the guest cannot reach 168.63.129.16.`,
    who: imageOwner(failure),
    fix: [
      ...readBootLog(failure, 'The end of the boot log shows how far the boot got.'),
      'If it ends before the kernel starts, test without Secure Boot: `security-type: Standard`, or `overrides: {vm: {properties: {securityProfile: {uefiSettings: {secureBootEnabled: false}}}}}`.',
      generalize,
      ...deleteVm(failure),
    ],
  }),
  'VMs from this image fail repeatedly': (failure) => ({
    says: 'OSProvisioningClientError: … This error occurred too many times consecutively from image',
    message: /too many times consecutively/i,
    cause: `VMs from this image failed to start so often that Azure now gives up early. The image is not generalized, or its agent does not work: ${failure.imageId}.`,
    who: imageOwner(failure),
    fix: [
      ...readBootLog(failure, 'The end of the boot log shows how far the boot got.'),
      generalize,
      ...deleteVm(failure),
    ],
  }),
  'The Windows image is not generalized': (failure) => ({
    says: 'OSProvisioningClientError: … This installation of Windows is undeployable. Make sure the image has been properly prepared (generalized)',
    message: /installation of Windows is undeployable/i,
    cause: `The Windows image is not generalized. Windows Setup in VM ${vmIn(failure)} reported the installation as undeployable: sysprep did not run, failed, or was followed by another boot (${failure.imageId}).`,
    who: imageOwner(failure),
    fix: [
      'Run `sysprep /generalize /oobe /shutdown` in the source VM, do not start it again, and create a new image version. `C:\\Windows\\System32\\Sysprep\\Panther\\setupact.log` shows why sysprep failed.',
      'If the image is to keep its users and host name, put it in a Specialized definition.',
      ...deleteVm(failure),
    ],
  }),
  'The guest runs but was not prepared as an image': (failure) => ({
    says: 'OSProvisioningClientError: … the VM guest agent was detected running. This suggests the guest OS has not been properly prepared to be used as a VM image',
    message: /guest agent was detected running/i,
    cause: `The guest of VM ${vmIn(failure)} runs with a working agent, but was not provisioned. The image is not generalized: it started as the machine that it was captured from, and ignored user, password and host name.`,
    who: imageOwner(failure),
    fix: [
      generalize,
      'The agent works and the network is reachable: no other repair of the image is needed.',
      ...deleteVm(failure),
    ],
  }),
  'cloud-init or azure-init in the image reported a failure': (failure) => ({
    says: 'OSProvisioningClientError: … result=error|reason=…|agent=Cloud-Init/…',
    message: /result=error\|.*reason=/i,
    cause: `Provisioning failed in the guest: ${reportedReason(failure)}. ${messageText(failure, /\bagent=([^|]+)/, 'The provisioning agent')} in VM ${vmIn(failure)} reported it.${/dhcp/i.test(reportedReason(failure)) ? ' Without a DHCP lease the guest has no network: its network driver or DHCP client does not work on this VM size.' : ''}`,
    who: imageOwner(failure),
    fix: [
      ...readBootLog(failure, 'The boot log has the messages of the agent.'),
      'What the reasons mean:',
      'https://aka.ms/linuxprovisioningerror',
      /dhcp/i.test(reportedReason(failure)) &&
        'Update kernel, network drivers (hv_netvsc, mana, mlx5) and cloud-init in the image; test with `accelerated-networking: false` and another `vm-size`.',
      ...deleteVm(failure),
    ],
  }),
  'Azure failed to provision the OS': (failure) => ({
    says: 'OSProvisioningInternalError: OS Provisioning failed for VM … due to an internal error',
    cause: `Azure failed to provision VM ${vmIn(failure)} because of an internal error. It does not say that the image is at fault.`,
    who: `${workflowAuthor}; if it keeps failing, Azure support`,
    fix: [
      ...readBootLog(failure, 'Run the job again. If it fails again with this image only, the boot log may show why.'),
      `If other images fail as well, use another \`vm-size\` or \`zone\`, and give correlation ID ${failure.correlationId ?? '<correlation-id>'} to Azure support.`,
      ...deleteVm(failure),
    ],
  }),
  'The VM did not start in time': (failure) => ({
    says: 'VMStartTimedOut: VM … did not start in the allotted time. The VM may still start successfully. Please check the power state later',
    cause: `Azure did not start VM ${vmIn(failure)} in time. It was still starting on its host; the guest had not booted yet, so the image is not the likely reason.`,
    fix: [
      'Run the job again, with another `vm-size` or `zone` if it happens repeatedly.',
      ...ifVmExists(
        failure,
        'To see whether the VM started after all:',
        shellCommand`az vm get-instance-view ${vmOptions(failure, vmIn(failure))} --query "instanceView.statuses[].displayStatus" -o tsv`,
      ),
      ...deleteVm(failure),
    ],
  }),
  'The VM agent does not report': (failure) => ({
    says: 'VMAgentStatusCommunicationError: VM … has not reported status for VM agent or extensions',
    cause: `The agent in VM ${vmIn(failure)} does not report. It is missing, stopped or cannot reach Azure, and no script or extension can run without it.`,
    who: imageOwner(failure),
    fix: [
      ...readBootLog(
        failure,
        'Install the agent in the image (waagent 2.4.0.2 or newer, or the Windows guest agent). The boot log shows whether it starts.',
      ),
    ],
  }),
  'A script or extension failed in the VM': (failure) => ({
    says: 'VMExtensionProvisioningError: VM has reported a failure when processing extension',
    cause: `${messageText(failure, /extension '([^']+)'/, 'A script or extension')} failed inside the VM. Azure's message has its last output.`,
    fix: [
      'More is in the logs of the VM, /var/log/azure (Linux) or C:\\WindowsAzure\\Logs (Windows). With `cleanup: never`, a failed run keeps the VM.',
      ...ifVmExists(
        failure,
        'To show the state of all extensions:',
        shellCommand`az vm get-instance-view ${vmOptions(failure)} --query instanceView.extensions`,
      ),
    ],
  }),
  'Another script is still running in the VM': (failure) => ({
    says: 'Conflict: Run command extension execution is in progress. Please wait for completion before invoking a run command',
    message: /Run command extension execution is in progress/i,
    cause: `Another script is still running in VM ${failure.vmName}. It runs one at a time, for up to 90 minutes each.`,
    fix: [
      'Wait for it, or delete its run command. To list those of the VM:',
      shellCommand`az vm run-command list ${resourceGroupOptions(failure)} --vm-name ${failure.vmName} -o table`,
    ],
  }),
  'A VM with this name exists with different settings': (failure) => ({
    says: "PropertyChangeNotAllowed: Changing property 'imageReference' is not allowed",
    cause: `VM ${failure.vmName} exists with another ${messageText(failure, /property '([^']+)'/, failure.target ?? 'imageReference')}, which cannot be changed.`,
    fix: [
      'Use another `vm-name`, or delete the old VM first (with `operation: delete` if this action created it):',
      shellCommand`az vm delete ${vmOptions(failure)} --yes`,
    ],
  }),
  'A VM with this name exists in another zone': (failure) => ({
    says: 'ResourceAvailabilityZonesCannotBeModified: The resource … has an existing availability zone constraint … and the request has availability zone constraint',
    cause: `VM ${failure.vmName} exists in zone ${messageText(failure, /existing availability zone constraint '([^']*)'/, '<other-zone>') || 'none'}, not ${messageText(failure, /request has availability zone constraint '([^']*)'/, '<zone>') || 'none'}. The zone of a VM cannot be changed.`,
    fix: ['Use another `vm-name`, or the `zone` of the existing VM.'],
  }),
  'A VM with this name appeared during the run': (failure) => ({
    // If-None-Match of the VM's first PUT.
    says: 'PreconditionFailed (412)',
    when: failure.status === 412 || hasCode(failure, 'PreconditionFailed'),
    cause: `VM ${failure.vmName} in ${failure.resourceGroup} already exists. It was created after this run looked for it, so this run did not overwrite it.`,
    fix: [
      'Give each job and matrix leg its own `vm-name` (the default does), or keep jobs apart with `concurrency`. Then run the job again.',
    ],
  }),
  'A disk with this name exists': (failure) => ({
    says: 'ConflictingUserInput: Disk … already exists in resource group … Only CreateOption.Attach is supported',
    message: /Disk .* already exists/i,
    cause: `Disk ${messageText(failure, /Disk (\S+) already/, '<disk>')} already exists in ${failure.resourceGroup}. Azure creates the OS disk with the VM and does not overwrite an existing one.`,
    fix: [
      'Use another `vm-name`, or delete the disk if it is left from an earlier VM. To show whose it is:',
      shellCommand`az disk show ${resourceGroupOptions(failure)} -n ${messageText(failure, /Disk (\S+) already/, '<disk>')} --query "{id:id, managedBy:managedBy, tags:tags}"`,
    ],
  }),
  'The OS disk is smaller than the image': (failure) => ({
    says: 'OperationNotAllowed: The specified disk size … GB is smaller than the size of the corresponding disk in the VM image',
    message: /disk size .* is smaller than/i,
    cause: `\`os-disk-size-gb\` (${messageText(failure, /disk size (\d+) GB/, '<size>')}) is smaller than the disk of the image (${messageText(failure, /VM image: (\d+) GB/, '<image-size>')} GB).`,
    fix: ['Set `os-disk-size-gb` to at least the size of the image, or remove it.'],
  }),
  'The size does not support that many data disks': (failure) => ({
    says: 'OperationNotAllowed: The maximum number of data disks allowed to be attached to a VM of this size is',
    message: /maximum number of data disks/i,
    cause: `${failure.vmSize} supports at most ${messageText(failure, /size is (\d+)/, '<maximum>')} data disks, and the VM would have more.`,
    fix: [
      'Use a larger `vm-size`, or fewer data disks. What the size supports:',
      sizeCapability(failure, "name=='MaxDataDiskCount'"),
    ],
  }),
  'The size does not support the security type': (failure) => ({
    says: 'BadRequest: The VM size … is not supported for creation of VMs and Virtual Machine Scale Set with … security type',
    message: /VM size .* is not supported for creation .* security type/i,
    cause: `${sizeIn(failure)} does not support security type ${messageText(failure, /with '([^']+)' security type/, '<security-type>').replace('<NULL>', 'Standard (none set)')}. Confidential sizes (DC, EC) require ConfidentialVM, and other sizes do not support it.`,
    fix: [
      'Use another `vm-size`, or the `security-type` that the size supports. To show what it supports:',
      sizeCapability(failure, "name=='ConfidentialComputingType' || name=='TrustedLaunchDisabled'"),
    ],
  }),
  'The size needs NVMe, which the image does not support': (failure) => ({
    says: 'InvalidParameter: The VM size … cannot boot with OS image or disk. Please check that disk controller types supported by the OS image',
    message: /cannot boot with OS image or disk.*disk controller types/i,
    cause: `${sizeIn(failure)} cannot boot the image: their disk controllers differ. Sizes since v6 have NVMe only, and the image definition (${definitionScope(failure.imageId)}) does not have the feature DiskControllerTypes with NVMe.`,
    who: authorOrImageOwner(failure),
    fix: [
      'Use a `vm-size` with SCSI, such as Standard_D2s_v5. Or, if the image has the NVMe driver, have its owner create a definition with the feature `DiskControllerTypes=SCSI,NVMe`; what this one has:',
      showFeatures(failure),
    ],
  }),
  'The size does not support accelerated networking': (failure) => ({
    says: 'VMSizeIsNotPermittedToEnableAcceleratedNetworking: Virtual Machine size … is not in the allowed list of VM sizes for accelerated networking',
    cause: `${sizeIn(failure)} does not support accelerated networking, which is enabled on network interface ${messageText(failure, /networkInterfaces\/([^\s./]+)/i, '<nic>')}.`,
    fix: [
      'Set `accelerated-networking: false` (with `nic-id`, disable it on that interface), or use a `vm-size` that supports it. To show whether one does:',
      sizeCapability(failure, "name=='AcceleratedNetworkingEnabled'"),
    ],
  }),
  'The OS disk does not fit on the local disk': (failure) => ({
    says: 'NotSupported: OS disk of Ephemeral VM with size greater than … GB is not allowed for VM size … when the DiffDiskPlacement is',
    message: /OS disk of Ephemeral VM with size greater than/i,
    cause: `The ephemeral OS disk does not fit on the ${messageText(failure, /DiffDiskPlacement is (\w+)/, 'local disk')} of ${sizeIn(failure)}, which holds at most ${messageText(failure, /greater than (\d+)/, '<size>')} GB.`,
    fix: [
      'Use a larger `vm-size`, another `storageProfile.osDisk.diffDiskSettings.placement` in `overrides` (ResourceDisk, NvmeDisk), or remove `diffDiskSettings`. What the size has:',
      sizeCapability(failure, "name=='CachedDiskBytes' || name=='MaxResourceVolumeMB'"),
    ],
  }),
  'Encryption at host is not enabled in the subscription': (failure) => ({
    says: "InvalidParameter: The property 'securityProfile.encryptionAtHost' is not valid because the 'Microsoft.Compute/EncryptionAtHost' feature is not enabled for this subscription",
    message: /EncryptionAtHost' feature is not enabled/i,
    cause: `Encryption at host is not enabled in subscription ${failure.subscriptionId}. Azure requires the feature EncryptionAtHost to be registered there once.`,
    who: subscriptionOwner(failure),
    fix: [
      'Register the feature (it takes up to 15 minutes), then refresh the provider:',
      shellCommand`az feature register --namespace Microsoft.Compute --name EncryptionAtHost --subscription ${failure.subscriptionId}`,
      shellCommand`az feature show --namespace Microsoft.Compute --name EncryptionAtHost --subscription ${failure.subscriptionId} --query properties.state -o tsv`,
      shellCommand`az provider register --namespace Microsoft.Compute --subscription ${failure.subscriptionId}`,
    ],
  }),
  'The user name is reserved': () => ({
    says: 'InvalidParameter: The Admin Username specified is not allowed',
    message: /Admin Username specified is not allowed/i,
    cause:
      '`admin-username` is a reserved name. Azure reserves admin, administrator, root, user, test, guest and others.',
    fix: ['Use another `admin-username`, such as the default `azureuser`.'],
  }),
  'The password is too weak': (failure) => ({
    says: 'InvalidParameter: The supplied password must be between … characters long and must satisfy at least 3 of password complexity requirements',
    message: /supplied password must/i,
    cause: `\`admin-password\` is too weak. It needs ${messageText(failure, /between (\d+-\d+) characters/, '<minimum>-<maximum>')} characters (8-123 on Windows, 6-72 on Linux) and three of upper case, lower case, digit and special character, and must not be a common password.`,
    fix: ['Store a stronger one, or remove it: on Windows a random one is generated, on Linux SSH keys are used.'],
  }),
  'The SSH key is not a public key': () => ({
    says: 'InvalidParameter: The value of parameter linuxConfiguration.ssh.publicKeys.keyData is invalid',
    message: /publicKeys\.keyData is invalid/i,
    cause:
      '`ssh-public-key` is not a list of public keys. Each line must be one in OpenSSH format: RSA with at least 2048 bits, or Ed25519.',
    fix: ['Use the content of the .pub file. To create a key pair:', 'ssh-keygen -t rsa -b 4096 -f vm-key'],
  }),
};
