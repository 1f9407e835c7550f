import type { VirtualMachine } from '@azure/arm-compute';
import { provisioningStateOf } from '../azure/provisioning-state.ts';
import type { Plan } from '../deployment/plan.ts';
import type { ExistingResources } from '../deployment/resources.ts';
import type { ResolvedImage } from '../image/image.ts';
import type { DeployInputs } from '../inputs/inputs.ts';
import { compareVm } from '../plan/vm-drift.ts';
import type { Reporter } from '../summary/reporter.ts';
import { imageIdOf } from '../vm/vm-spec.ts';
import { retirementDate } from '../vm/sizes.ts';

interface CreatedVm {
  readonly inputs: DeployInputs;
  readonly plan: Plan;
  readonly image: ResolvedImage;
  readonly report: Reporter;
}

export function outputVm(vm: VirtualMachine, plan: Plan, report: Reporter): void {
  const versionId = imageIdOf(vm);
  report.output('admin-username', vm.osProfile?.adminUsername);
  report.output('vm-instance-id', vm.vmId);
  report.output('vm-size', vm.hardwareProfile?.vmSize);
  report.output('zone', vm.zones?.[0]);
  report.output('spot', `${isSpot(vm)}`);
  report.output('os-disk-id', vm.storageProfile?.osDisk?.managedDisk?.id);
  report.output('principal-id', vm.identity?.principalId);
  if (/\/versions\//i.test(versionId)) {
    report.output('image-version-id', versionId);
    report.output('image-version', versionId.split('/').at(-1));
  }
  report.log.info(`Virtual machine ${plan.vm.name}: ${provisioningStateOf(vm)}.`);
  warnBeforeRetirement(vm.hardwareProfile?.vmSize ?? '', report);
}

/** `Low` is the former name of `Spot`. */
function isSpot({ priority }: VirtualMachine): boolean {
  return priority === 'Spot' || priority === 'Low';
}

function warnBeforeRetirement(size: string, { log }: Reporter): void {
  const date = retirementDate(size);
  if (!date) return;
  log.warning(
    `Azure retires ${size} on ${date}, and its capacity becomes scarce before that. Use a newer one as \`vm-size\`: https://learn.microsoft.com/azure/virtual-machines/sizes/retirement/retired-sizes-list`,
  );
}

/** The outputs of a kept deployment do not wait for the update of its tags. */
export function outputExisting({ nic, nsg, vnet, publicIp }: ExistingResources, report: Reporter): void {
  report.output('nic-id', nic?.id);
  report.output('nsg-id', nsg?.id);
  report.output('vnet-id', vnet?.id);
  report.output('public-ip-id', publicIp?.id);
  report.output('public-ip-address', publicIp?.ipAddress);
  report.output('private-ip-address', nic?.ipConfigurations?.[0]?.privateIPAddress);
  report.output('fqdn', publicIp?.dnsSettings?.fqdn);
}

/** Compares a new VM with the inputs: Azure and Azure Policy can change settings of a request. */
export function warnAboutChanges({ inputs, plan, image, report }: CreatedVm, vm: VirtualMachine): void {
  const changedSettings = compareVm(vm, plan, image, inputs).differences.map(
    ({ property, actual, expected }) => `${property}: ${actual}; the inputs request ${expected}`,
  );
  report.addFacts({ changedSettings });
  if (changedSettings.length === 0) return;
  const lines = changedSettings.map((line) => `- ${line}`).join('\n');
  report.log.warning(`Azure or a policy created ${plan.vm.name} with other settings than requested:\n${lines}`);
}
