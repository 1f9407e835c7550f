import type { Disk, VirtualMachine } from '@azure/arm-compute';
import { sameId } from '../azure/resource-id.ts';
import type { Plan } from '../deployment/plan.ts';
import { ActionError } from '../errors/action-error.ts';
import type { ResolvedImage } from '../image/image.ts';
import type { DeployInputs } from '../inputs/inputs.ts';
import { isPatched } from '../inputs/overrides.ts';
import type { ProvisioningFailure } from '../vm/vm-status.ts';
import { type Difference, compareRegion, overriddenProperty } from './drift.ts';

/** @throws Failure when the machine has run: it is neither taken over nor replaced. One that never ran is made anew. */
export function assertRecreatable(
  { provisioningState }: VirtualMachine,
  { fault, hasRun }: ProvisioningFailure,
  { resourceGroup, vmName }: Pick<DeployInputs, 'resourceGroup' | 'vmName'>,
): void {
  if (!hasRun) return;
  throw new ActionError(`looking at virtual machine ${vmName}`, {
    message: `Virtual machine ${vmName} of this deployment exists already, in state ${provisioningState}.`,
    cause: fault,
    explanation: {
      cause:
        'An earlier create or a later change of it failed. It has run, so its disk may hold data: it is neither taken over nor replaced unasked.',
      who: "the workflow's author",
      fix: [
        'If the machine itself is well, this puts it right; then run the step again:',
        `az vm reapply --resource-group ${resourceGroup} --name ${vmName}`,
        `To replace it, run this action with \`operation: delete\` and \`vm-name: ${vmName}\` first.`,
      ],
    },
  });
}

/** @throws Failure when this deployment's disk is there although its machine is not. */
export function assertNoOrphanedDisk(
  disk: Pick<Disk, 'name'> | undefined,
  id: string,
  { vmName }: Pick<DeployInputs, 'vmName'>,
): void {
  if (!disk) return;
  throw new ActionError(`creating virtual machine ${vmName}`, {
    message: `The disk ${disk.name} of this deployment is still there, without its machine.`,
    explanation: {
      cause: `Somebody deleted the machine and kept its disk, or a deletion got no further: ${id}. What may hold data is neither overwritten nor deleted unasked.`,
      who: "the workflow's author",
      fix: [
        `If nobody needs the disk, run this action with \`operation: delete\` and \`vm-name: ${vmName}\` first.`,
        'To keep it, give another `vm-name`.',
      ],
    },
  });
}

/** What a rerun makes of the machine that is there. */
interface VmComparison {
  readonly differences: readonly Difference[];
  /** Identities that nobody asked for. Azure Policy adds some to every machine: they stay. */
  readonly addedIdentities: readonly string[];
  /** Set when the input names a definition and the machine was made from another of its versions. */
  readonly keptVersion?: string;
}

/**
 * Compares an existing machine of this deployment with the plan. Equal means what can be read back: passwords, keys and
 * custom data cannot. What the author's overrides say replaces what the inputs say, as it did when the machine was made.
 */
export function compareVm(
  vm: VirtualMachine,
  plan: Plan,
  image: ResolvedImage,
  inputs: DeployInputs,
): VmComparison {
  const differences: Difference[] = [];
  const differ = (property: string, actual: string | undefined, expected: string | undefined): void => {
    differences.push({ property, actual: actual || 'none', expected: expected || 'none' });
  };
  differences.push(...compareRegion('region', vm, plan));
  const patch = plan.patches.get(plan.vm.id.toLowerCase());
  const storage = vm.storageProfile;
  const reference = storage?.imageReference;
  const hasImage =
    reference?.id ?? reference?.sharedGalleryImageId ?? reference?.communityGalleryImageId ?? '';
  let keptVersion: string | undefined;
  if (
    !sameId(hasImage, image.referenceId) &&
    !overriddenProperty(patch, 'storageProfile', 'imageReference')
  ) {
    const definition = image.referenceId.replace(/\/versions\/[^/]+$/i, '').toLowerCase();
    const ofDefinition = hasImage.toLowerCase().startsWith(`${definition}/versions/`);
    if (ofDefinition && inputs.image.version === undefined)
      keptVersion = hasImage.slice(definition.length + 10);
    else differ('image', hasImage, image.referenceId);
  }
  const osType = storage?.osDisk?.osType;
  if (osType && osType !== plan.vm.osType) differ('operating system', osType, plan.vm.osType);
  const size = vm.hardwareProfile?.vmSize;
  const sizes = [...new Set(plan.vm.attempts.map((attempt) => attempt.size))];
  if (
    !sizes.some((expected) => expected.toLowerCase() === size?.toLowerCase()) &&
    !overriddenProperty(patch, 'hardwareProfile', 'vmSize')
  ) {
    differ('size', size, sizes.join(' or '));
  }
  const zones = plan.vm.attempts.flatMap(({ zone }) => zone ?? []);
  if (zones.length > 0 && !zones.includes(vm.zones?.[0] ?? '') && !isPatched(patch, 'zones')) {
    differ('zone', vm.zones?.[0], [...new Set(zones)].join(' or '));
  }
  const nics = vm.networkProfile?.networkInterfaces ?? [];
  const nic = (nics.find(({ primary }) => primary) ?? nics[0])?.id ?? '';
  if (!sameId(nic, plan.nic.id) && !overriddenProperty(patch, 'networkProfile', 'networkInterfaces')) {
    differ('network interface', nic, plan.nic.id);
  }
  const planned = plan.vm.body(plan.vm.attempts[0] ?? { size: '' }).identity;
  const [identities, expected] = [identityIds(vm.identity), identityIds(planned)];
  let addedIdentities: readonly string[] = [];
  if (!isPatched(patch, 'identity')) {
    const isIn = (list: readonly string[]) => (one: string) => list.includes(one);
    if (!expected.every(isIn(identities))) differ('identity', identities.join(', '), expected.join(', '));
    addedIdentities = identities.filter((one) => !isIn(expected)(one));
  }
  differences.push(...compareSettings(vm, plan, image, inputs));
  return { differences, addedIdentities, ...(keptVersion ? { keptVersion } : {}) };
}

/**
 * Compares account, price, OS disk, security type and licence, as far as GET returns them: the size and type of the OS
 * disk are missing while a VM is deallocated. A licence that the inputs do not name is ignored; Azure Policy may add one.
 */
function compareSettings(
  vm: VirtualMachine,
  plan: Plan,
  image: ResolvedImage,
  inputs: DeployInputs,
): Difference[] {
  const patch = plan.patches.get(plan.vm.id.toLowerCase());
  const expected = plan.vm.body(plan.vm.attempts[0] ?? { size: '' });
  const [disk, wantedDisk] = [vm.storageProfile?.osDisk, expected.storageProfile?.osDisk];
  const wantedPriority = expected.priority ?? 'Regular';
  const spot = wantedPriority === 'Spot' && priorityOf(vm) === 'Spot' ? expected : undefined;
  const securityType = vm.securityProfile?.securityType ?? 'Standard';
  // The image definition names the type where the inputs do not, and it may be unreadable.
  const anySecurity =
    (inputs.securityType === undefined && image.generation === undefined) ||
    (plan.vm.plainWillDo && securityType === 'Standard');
  const pairs: [what: string, path: string[], has: Setting, wanted: Setting][] = [
    [
      'admin user',
      ['osProfile', 'adminUsername'],
      vm.osProfile?.adminUsername,
      expected.osProfile?.adminUsername,
    ],
    ['host name', ['osProfile', 'computerName'], vm.osProfile?.computerName, inputs.computerName],
    ['priority', ['priority'], priorityOf(vm), wantedPriority],
    ['eviction policy', ['evictionPolicy'], vm.evictionPolicy, spot?.evictionPolicy],
    [
      'Spot price limit',
      ['billingProfile', 'maxPrice'],
      vm.billingProfile?.maxPrice,
      spot?.billingProfile?.maxPrice,
    ],
    [
      'OS disk size in GB',
      ['storageProfile', 'osDisk', 'diskSizeGB'],
      disk?.diskSizeGB,
      wantedDisk?.diskSizeGB,
    ],
    [
      'OS disk type',
      ['storageProfile', 'osDisk', 'managedDisk', 'storageAccountType'],
      disk?.managedDisk?.storageAccountType,
      wantedDisk?.managedDisk?.storageAccountType,
    ],
    [
      'security type',
      ['securityProfile', 'securityType'],
      securityType,
      anySecurity ? undefined : (expected.securityProfile?.securityType ?? 'Standard'),
    ],
    ['licence', ['licenseType'], vm.licenseType ?? 'None', expected.licenseType],
  ];
  const isSame = (property: string, actual: Setting, other: Setting): boolean =>
    property === 'admin user' && plan.vm.osType === 'Linux'
      ? actual === other
      : `${actual}`.toLowerCase() === `${other}`.toLowerCase();
  return pairs.flatMap(([property, path, actual, other]) =>
    actual === undefined ||
    other === undefined ||
    isSame(property, actual, other) ||
    overriddenProperty(patch, ...path)
      ? []
      : [{ property, actual: `${actual}`, expected: `${other}` }],
  );
}

type Setting = string | number | undefined;

/** `Low` is Azure's former name of `Spot`. */
function priorityOf({ priority = 'Regular' }: VirtualMachine): string {
  return priority === 'Low' ? 'Spot' : priority;
}

/** A sentence about identities that are there and were not asked for. */
export function logAddedByOthers(identities: readonly string[]): string {
  return `It has identities that the inputs do not ask for, and keeps them: ${identities.join(', ')}.`;
}

/** `system`, and the IDs of user-assigned ones, in lower case. */
function identityIds(identity: VirtualMachine['identity']): readonly string[] {
  const system = identity?.type?.toLowerCase().includes('systemassigned') ? ['system'] : [];
  const assigned = Object.keys(identity?.userAssignedIdentities ?? {}).map((id) => id.toLowerCase());
  return [...system, ...assigned.toSorted()];
}
