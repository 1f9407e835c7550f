import type { VirtualMachine } from '@azure/arm-compute';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { formatError } from '../errors/format-error.ts';
import { runnerFileError } from '../runner/environment.ts';
import { provisioningStateOf } from '../azure/lookup.ts';
import { type ExistingResources, type Plan, findPrimary } from '../deployment/resources.ts';
import type { DeployInputs } from '../inputs/inputs.ts';
import { compareNetwork, compareTags, formatDifference } from '../plan/drift.ts';
import { compareVm } from '../plan/vm-drift.ts';
import type { Reporter } from '../summary/reporter.ts';
import { imageIdOf } from '../vm/vm-spec.ts';
import { retirementDate } from '../vm/sizes.ts';
import { shellCommand } from '../lib/escape.ts';
import { knownHosts } from '../lib/ssh-key.ts';
import { resetCommand } from '../summary/status.ts';
import { readSerialLog } from '../vm/vm-status.ts';
import type { DeployContext, PlannedDeployment } from './adopt-existing.ts';

export function outputVm(vm: VirtualMachine, plan: Plan, { log, outputAll, addFacts }: Reporter): void {
  const size = vm.hardwareProfile?.vmSize ?? '';
  const versionId = imageIdOf(vm);
  outputAll({ 'admin-username': vm.osProfile?.adminUsername, 'vm-instance-id': vm.vmId, 'vm-size': size });
  // `Low` is the former name of `Spot`.
  outputAll({ zone: vm.zones?.[0], spot: `${vm.priority === 'Spot' || vm.priority === 'Low'}` });
  outputAll({ 'os-disk-id': vm.storageProfile?.osDisk?.managedDisk?.id, 'principal-id': vm.identity?.principalId });
  if (/\/versions\//i.test(versionId)) {
    outputAll({ 'image-version-id': versionId, 'image-version': versionId.split('/').at(-1) });
  }
  addFacts({ securityType: vm.securityProfile?.securityType ?? 'Standard' });
  log.info(`Virtual machine ${plan.vm.name}: ${provisioningStateOf(vm)}.`);
  const retirement = retirementDate(size);
  if (!retirement) return;
  log.warning(
    `Azure retires ${size} on ${retirement}, and its capacity becomes scarce before that. Use a newer one as \`vm-size\`: https://learn.microsoft.com/azure/virtual-machines/sizes/retirement/retired-sizes-list`,
  );
}

/** The outputs of a kept deployment do not wait for the update of its tags. */
export function outputExisting({ nic, nsg, vnet, publicIp }: ExistingResources, { outputAll }: Reporter): void {
  outputAll({ 'nic-id': nic?.id, 'nsg-id': nsg?.id, 'vnet-id': vnet?.id, 'public-ip-id': publicIp?.id });
  const privateIp = findPrimary(nic?.ipConfigurations)?.privateIPAddress;
  outputAll({ 'public-ip-address': publicIp?.ipAddress, 'private-ip-address': privateIp });
  outputAll({ fqdn: publicIp?.dnsSettings?.fqdn });
}

/** Compares a new deployment with the inputs: Azure and Azure Policy can change settings of a request. */
export function warnAboutChanges(
  { inputs, plan, image, report }: PlannedDeployment,
  vm: VirtualMachine,
  network: ExistingResources,
): void {
  const differences = [
    ...compareVm(vm, plan, image, inputs).differences,
    ...compareNetwork(network, plan).differences,
    ...compareTags(vm, plan),
  ];
  const changedSettings = differences.map(formatDifference);
  report.addFacts({ changedSettings });
  if (changedSettings.length === 0) return;
  const lines = changedSettings.map((line) => `- ${line}`).join('\n');
  report.log.warning(`Azure or a policy created ${plan.vm.name} with other settings than requested:\n${lines}`);
}

/** The host keys only make the connection safer, so they must not delay or fail a run. */
const bootLogTimeoutMs = 8_000;

/** Outputs how to connect to a Linux VM. Host keys come from its boot log, which only those with a role on the VM can read. */
export async function outputSshConnection(deployment: PlannedDeployment & DeployContext): Promise<void> {
  const { plan, report, temporaryFolder } = deployment;
  const { outputs } = report;
  const addresses = [outputs.fqdn, outputs['public-ip-address'] ?? outputs['private-ip-address']];
  const [address] = addresses.filter(Boolean);
  if (plan.vm.osType !== 'Linux' || !address) return;
  const user = outputs['admin-username'];
  const keyPath = outputs['ssh-private-key-path'];
  const hostKeys = await readHostKeys(deployment, addresses.filter(Boolean).join(','));
  let knownHostsPath: string | undefined;
  if (hostKeys) {
    report.output('ssh-known-hosts', hostKeys.trim());
    try {
      const folder = keyPath ? dirname(keyPath) : await mkdtemp(join(temporaryFolder, 'cross-tenant-vm-'));
      await writeFile(join(folder, 'known_hosts'), hostKeys);
      knownHostsPath = join(folder, 'known_hosts');
    } catch (error) {
      report.log.warning(formatError(runnerFileError('RUNNER_TEMP', error)).join('\n'));
    }
  }
  // The accounts of a specialized image are part of the image and not known here.
  if (!user) return;
  const hostKeyOptions = knownHostsPath
    ? ['-o', 'StrictHostKeyChecking=yes', '-o', `UserKnownHostsFile=${knownHostsPath}`]
    : ['-o', 'StrictHostKeyChecking=accept-new'];
  const key = keyPath ? ['-i', keyPath] : [];
  report.output('ssh-command', shellCommand`ssh ${[...key, ...hostKeyOptions, `${user}@${address}`]}`);
}

async function readHostKeys({ session, plan, inputs, report }: PlannedDeployment, hosts: string): Promise<string> {
  if (inputs.waitFor === 'accepted') return '';
  const signal = AbortSignal.any([session.waiting.signal, AbortSignal.timeout(bootLogTimeoutMs)]);
  try {
    return knownHosts(await readSerialLog(session.withSignal(signal), plan), hosts);
  } catch {
    report.log.info('The host keys could not be read from the boot log.');
    return '';
  }
}

/** The warning, before it is created, about a VM that outlives the only copy of its generated key or password. */
export function lostCredentialWarnings(
  { cleanup, adminUsername }: Pick<DeployInputs, 'cleanup' | 'adminUsername'>,
  generated: { readonly privateKey?: string; readonly password?: string },
  { subscriptionId, resourceGroup, vm }: Plan,
): readonly string[] {
  if (cleanup === 'always' || (!generated.privateKey && !generated.password)) return [];
  const [what, input] = generated.password
    ? ['password is not exposed', 'admin-password']
    : ['SSH key is deleted when the job ends', 'ssh-public-key'];
  const { name: vmName, osType } = vm;
  const command = resetCommand({ subscriptionId, resourceGroup, vmName, osType, user: adminUsername });
  return [
    `The VM stays after the job, but its generated ${what}. Set \`${input}\` to keep access, or \`cleanup: always\` to delete the VM with the job. To set a new one later:\n${command}`,
  ];
}
