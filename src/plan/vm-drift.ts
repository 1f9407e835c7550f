import type { DataDisk, Disk, VirtualMachine } from '@azure/arm-compute';
import { sameId } from '../azure/resource-id.ts';
import { type Plan, findPrimary } from '../deployment/resources.ts';
import { ActionError } from '../errors/errors.ts';
import type { ResolvedImage } from '../image/image.ts';
import type { DeployInputs } from '../inputs/inputs.ts';
import { isPatched, patchedList } from '../inputs/overrides.ts';
import { imageIdOf } from '../vm/vm-spec.ts';
import { type ProvisioningFailure, isFailedState } from '../vm/vm-status.ts';
import {
  type Comparison,
  compareIds,
  compareLists,
  compareRegion,
  findDifferences,
  isSameSetting,
  type Setting,
} from './drift.ts';
import { shellCommand } from '../lib/escape.ts';

/** @throws ActionError if the failed VM has run, except with `if-exists: replace`: its disk may hold data. */
export function assertRecreatable(
  { id = '', provisioningState }: VirtualMachine,
  { fault, hasRun }: ProvisioningFailure,
  { vmName, ifExists }: Pick<DeployInputs, 'vmName' | 'ifExists'>,
): void {
  if (!hasRun || ifExists === 'replace') return;
  throw new ActionError(`reading virtual machine ${vmName}`, {
    message: `Virtual machine ${vmName} of this deployment already exists, in state ${provisioningState}.`,
    cause: fault,
    reason:
      'Creating or changing it failed earlier. It has run, so its disk may hold data: it is neither adopted nor replaced.',
    fix: [
      'If the VM itself works, reapply its settings, then run the step again:',
      shellCommand`az vm reapply --ids ${id}`,
      'To delete it with its disks and create it again on the same network, set `if-exists: replace`.',
    ],
  });
}

/** @throws ActionError if the deployment's OS disk exists without its VM, except with `if-exists: replace`. */
export function assertNoOrphanedDisk(
  disk: Pick<Disk, 'name'> | undefined,
  id: string,
  { vmName, ifExists }: Pick<DeployInputs, 'vmName' | 'ifExists'>,
): void {
  if (!disk || ifExists === 'replace') return;
  throw new ActionError(`creating virtual machine ${vmName}`, {
    message: `The disk ${disk.name} of this deployment still exists, without its VM.`,
    reason: `Somebody deleted the VM and kept its disk, or a deletion was interrupted: ${id}. It may hold data, so it is neither overwritten nor deleted.`,
    fix: [
      'If nobody needs the disk, set `if-exists: replace`, which deletes it and creates the VM again.',
      'To keep it, give another `vm-name`.',
    ],
  });
}

/**
 * Compares an existing VM of this deployment with the plan, as far as GET returns the properties: passwords and custom
 * data are never returned, and the size and type of the OS disk are missing while the VM is deallocated.
 */
export function compareVm(vm: VirtualMachine, plan: Plan, image: ResolvedImage, inputs: DeployInputs) {
  const patch = plan.patches.get(plan.vm.id.toLowerCase());
  const body = plan.vm.body(plan.vm.attempts[0] ?? { size: '' });
  const keptVersion = inputs.image.version === undefined ? olderVersion(vm, image) : undefined;
  const identities = identityIds(vm.identity);
  const expectedIdentities = identityIds(body.identity);
  const comparisons: readonly Comparison[] = [
    compareRegion('region', vm, plan),
    ...(keptVersion === undefined
      ? [compareIds('image', 'storageProfile.imageReference', imageIdOf(vm), image.referenceId)]
      : []),
    ...comparePlacement(vm, plan),
    compareLists('identity', 'identity', identities, expectedIdentities),
    ...compareAccount(vm, body, inputs),
    ...compareSpot(vm, body, inputs.spot?.isOptional),
    ...compareDisk(vm, body),
    ...compareDataDisks(vm, patchedList(patch, dataDisks, emptyDisk) ?? body.storageProfile?.dataDisks),
    ...compareSecurity(vm, body, plan, inputs.securityType ?? image.generation),
  ];
  const differences = findDifferences(patch, comparisons);
  const outdated = [
    ...(keptVersion ? [{ property: 'image version', actual: keptVersion, expected: image.version }] : []),
    ...(isFailedState(vm) ? [{ property: 'state', actual: `${vm.provisioningState}`, expected: 'Succeeded' }] : []),
  ];
  return {
    differences,
    /** Why the VM has to be replaced; empty unless `if-exists: replace` is set. */
    replacementReasons: inputs.ifExists === 'replace' ? [...differences, ...outdated] : [],
    /** Identities that the inputs do not name, such as those that Azure Policy adds: they stay. */
    addedIdentities: isPatched(patch, 'identity') ? [] : identities.filter((id) => !expectedIdentities.includes(id)),
    /** Set if `image-id` names a definition and the VM was created from another of its versions. */
    keptVersion,
  };
}

function olderVersion(vm: VirtualMachine, { referenceId }: ResolvedImage): string | undefined {
  const prefix = `${referenceId.replace(/\/versions\/[^/]+$/i, '')}/versions/`.toLowerCase();
  const actual = imageIdOf(vm);
  const isOther = actual.toLowerCase().startsWith(prefix) && !sameId(actual, referenceId);
  return isOther ? actual.slice(prefix.length) : undefined;
}

function comparePlacement(vm: VirtualMachine, { vm: planned, nic: plannedNic }: Plan): readonly Comparison[] {
  const nic = findPrimary(vm.networkProfile?.networkInterfaces);
  const size = vm.hardwareProfile?.vmSize;
  const sizes = [...new Set(planned.attempts.map((attempt) => attempt.size))];
  const hasSize = sizes.some((expected) => isSameSetting(size ?? '', expected));
  const zone = vm.zones?.[0] ?? 'none';
  const zones = [...new Set(planned.attempts.flatMap((attempt) => attempt.zone ?? []))];
  return [
    ['operating system', 'storageProfile.osDisk.osType', vm.storageProfile?.osDisk?.osType, planned.osType],
    ['size', 'hardwareProfile.vmSize', size, sizes.join(' or '), hasSize],
    ['zone', 'zones', zone, zones.join(' or '), zones.length === 0 || zones.includes(zone)],
    compareIds('network interface', 'networkProfile.networkInterfaces', nic?.id, plannedNic.id),
  ];
}

function compareAccount(vm: VirtualMachine, body: VirtualMachine, inputs: DeployInputs): readonly Comparison[] {
  const { computerName, adminUsername: actual } = vm.osProfile ?? {};
  const expected = body.osProfile?.adminUsername;
  // Linux distinguishes upper and lower case.
  const isOther = !body.osProfile?.windowsConfiguration && actual && expected && actual !== expected;
  const [keys, expectedKeys] = [sshKeys(vm), sshKeys(body)];
  const hasKeys = !keys || inputs.sshPublicKeys.length === 0 || keys === expectedKeys;
  return [
    ['admin user', 'osProfile.adminUsername', actual, expected, !isOther && isSameSetting(actual, expected)],
    ['SSH public keys', 'osProfile.linuxConfiguration.ssh', keys, expectedKeys, hasKeys],
    ['host name', 'osProfile.computerName', computerName, inputs.computerName],
    // Azure Policy may set a license that the inputs do not name.
    ['license', 'licenseType', vm.licenseType ?? 'None', inputs.licenseType],
  ];
}

/** Without their comments. */
function sshKeys({ osProfile }: VirtualMachine): string {
  const keys = osProfile?.linuxConfiguration?.ssh?.publicKeys ?? [];
  return keys
    .map(({ keyData = '' }) => keyData.trim().split(/\s+/, 2).join(' '))
    .toSorted()
    .join(', ');
}

function compareSpot(vm: VirtualMachine, body: VirtualMachine, isSpotOptional = false): readonly Comparison[] {
  // `Low` is the former name of `Spot`.
  const priority = (vm.priority === 'Low' ? 'Spot' : vm.priority) ?? 'Regular';
  const expected = isSpotOptional ? priority : (body.priority ?? 'Regular');
  const spot = priority === 'Spot' && expected === 'Spot' ? body : undefined;
  return [
    ['priority', 'priority', priority, expected],
    ['eviction policy', 'evictionPolicy', vm.evictionPolicy, spot?.evictionPolicy],
    ['Spot price limit', 'billingProfile.maxPrice', vm.billingProfile?.maxPrice, spot?.billingProfile?.maxPrice],
  ];
}

function compareDisk({ storageProfile }: VirtualMachine, body: VirtualMachine): readonly Comparison[] {
  const [actual, expected] = [storageProfile?.osDisk, body.storageProfile?.osDisk];
  const [type, expectedType] = [actual, expected].map((disk) => disk?.managedDisk?.storageAccountType);
  return [
    ['OS disk size in GB', 'storageProfile.osDisk.diskSizeGB', actual?.diskSizeGB, expected?.diskSizeGB],
    ['OS disk type', 'storageProfile.osDisk.managedDisk.storageAccountType', type, expectedType],
    // Azure chooses it by size and image; only `overrides` requests one.
    ['disk controller', 'storageProfile.diskControllerType', storageProfile?.diskControllerType, undefined],
  ];
}

const dataDisks = 'properties.storageProfile.dataDisks';

const emptyDisk: DataDisk = { lun: -1, createOption: '', managedDisk: {} };

/** Those of the image belong to its version. A disk attached later is not deleted with the VM by default; ours are. */
function compareDataDisks(vm: VirtualMachine, requested: readonly DataDisk[] = []): readonly Comparison[] {
  const planned = requested.filter(({ createOption }) => createOption === 'Empty');
  const isPlanned = (lun: number) => planned.some((disk) => disk.lun === lun);
  const existing = (vm.storageProfile?.dataDisks ?? []).filter(
    ({ lun, createOption, deleteOption }) => isPlanned(lun) || (createOption === 'Empty' && deleteOption === 'Delete'),
  );
  const luns = (disks: readonly DataDisk[]): string => {
    const numbers = disks.map(({ lun }) => `${lun}`);
    return numbers.toSorted().join(', ');
  };
  const compare = (property: string, setting: (disk: DataDisk) => Setting): Comparison => {
    const pairs = planned.flatMap((disk) => {
      const actual = existing.find(({ lun }) => lun === disk.lun);
      const [has, wants] = [actual && setting(actual), setting(disk)];
      return isSameSetting(has, wants) ? [] : [[`LUN ${disk.lun}: ${has}`, `LUN ${disk.lun}: ${wants}`] as const];
    });
    return [property, undefined, pairs.map(([has]) => has).join(', '), pairs.map(([, wants]) => wants).join(', ')];
  };
  return [
    ['LUNs of data disks', undefined, luns(existing), luns(planned)],
    compare('sizes of data disks in GB', ({ diskSizeGB }) => diskSizeGB),
    compare('types of data disks', ({ managedDisk }) => managedDisk?.storageAccountType),
  ];
}

/** @param source of the expected type: the input, or a trait of the image definition if that could be read. */
function compareSecurity(vm: VirtualMachine, body: VirtualMachine, plan: Plan, source?: string): readonly Comparison[] {
  const { securityType: actual = 'Standard', encryptionAtHost } = vm.securityProfile ?? {};
  // Azure Policy may enable it.
  const encrypt = body.securityProfile?.encryptionAtHost ? 'true' : undefined;
  const isAccepted = source === undefined || (plan.vm.plainWillDo && actual === 'Standard');
  const expected = isAccepted ? undefined : (body.securityProfile?.securityType ?? 'Standard');
  return [
    ['encryption at host', 'securityProfile.encryptionAtHost', `${encryptionAtHost === true}`, encrypt],
    ['security type', 'securityProfile.securityType', actual, expected],
  ];
}

export function addedIdentitiesNotice(identities: readonly string[]): string {
  return `It has identities that the inputs do not name, and keeps them: ${identities.join(', ')}.`;
}

/** `system`, and the lower-cased IDs of user-assigned identities. */
function identityIds(identity: VirtualMachine['identity']): readonly string[] {
  const system = identity?.type?.toLowerCase().includes('systemassigned') ? ['system'] : [];
  const assigned = Object.keys(identity?.userAssignedIdentities ?? {}).map((id) => id.toLowerCase());
  return [...system, ...assigned.toSorted()];
}
