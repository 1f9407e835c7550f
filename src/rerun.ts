import type { VirtualMachine } from '@azure/arm-compute';
import { Failure } from './failure.ts';
import type { ImageFacts } from './image.ts';
import type { DeployInputs } from './inputs.ts';
import type { Plan } from './plan.ts';
import { sameId } from './resource-id.ts';

/** One way in which a machine that exists is not what the inputs ask for. */
export interface Difference {
  readonly what: string;
  readonly has: string;
  readonly wanted: string;
}

/** What a rerun makes of the machine that is there. */
export interface Comparison {
  readonly differences: readonly Difference[];
  /** Set when the input names a definition and the machine was made from another of its versions. */
  readonly keptVersion?: string;
}

/**
 * Compares an existing machine of this deployment with the plan. Equal means what can be read back: passwords, keys and
 * custom data cannot.
 */
export function compare(
  machine: VirtualMachine,
  plan: Plan,
  image: ImageFacts,
  inputs: DeployInputs,
): Comparison {
  const differences: Difference[] = [];
  const differ = (what: string, has: string | undefined, wanted: string | undefined): void => {
    differences.push({ what, has: has || 'none', wanted: wanted || 'none' });
  };
  const storage = machine.storageProfile;
  const reference = storage?.imageReference;
  const hasImage =
    reference?.id ?? reference?.sharedGalleryImageId ?? reference?.communityGalleryImageId ?? '';
  let keptVersion: string | undefined;
  if (!sameId(hasImage, image.referenceId)) {
    const definition = image.referenceId.replace(/\/versions\/[^/]+$/i, '').toLowerCase();
    const ofDefinition = hasImage.toLowerCase().startsWith(`${definition}/versions/`);
    if (ofDefinition && inputs.image.version === undefined)
      keptVersion = hasImage.slice(definition.length + 10);
    else differ('image', hasImage, image.referenceId);
  }
  const osType = storage?.osDisk?.osType;
  if (osType && osType !== plan.machine.osType) differ('operating system', osType, plan.machine.osType);
  const size = machine.hardwareProfile?.vmSize;
  const sizes = [...new Set(plan.machine.attempts.map((attempt) => attempt.size))];
  if (!sizes.some((wanted) => wanted.toLowerCase() === size?.toLowerCase()))
    differ('size', size, sizes.join(' or '));
  if (inputs.zones.length > 0 && !inputs.zones.includes(machine.zones?.[0] ?? '')) {
    differ('zone', machine.zones?.[0], inputs.zones.join(' or '));
  }
  const nic = machine.networkProfile?.networkInterfaces?.[0]?.id ?? '';
  if (!sameId(nic, plan.nic.id)) differ('network interface', nic, plan.nic.id);
  const identity = identityText(
    machine.identity?.type,
    Object.keys(machine.identity?.userAssignedIdentities ?? {}),
  );
  const planned = plan.machine.body(plan.machine.attempts[0] ?? { size: '' }).identity;
  const wanted = identityText(planned?.type, Object.keys(planned?.userAssignedIdentities ?? {}));
  if (identity !== wanted) differ('identity', identity, wanted);
  return { differences, ...(keptVersion ? { keptVersion } : {}) };
}

function identityText(type: string | undefined, assigned: readonly string[]): string {
  const system = type?.toLowerCase().includes('systemassigned') ? ['system'] : [];
  return [...system, ...assigned.map((id) => id.toLowerCase()).toSorted()].join(', ');
}

/** @throws Failure that lists every difference: an existing machine is never changed into another one. */
export function refuseDifferent(plan: Plan, { differences }: Comparison): void {
  if (differences.length === 0) return;
  const lines = differences.map(
    ({ what, has, wanted }) => `- ${what}: it has ${has}; the inputs ask for ${wanted}`,
  );
  throw new Failure(`comparing virtual machine ${plan.machine.name} with the inputs`, {
    message: `Virtual machine ${plan.machine.name} of this deployment exists already and is another one:\n${lines.join('\n')}`,
    explanation: {
      cause:
        'A rerun adopts a machine only as it is; Azure changes none of this in place, and nothing is replaced unasked.',
      who: "the workflow's author",
      fix: [
        `To replace it, run this action with \`operation: delete\` and \`vm-name: ${plan.deployment}\` first.`,
        'To keep it, give another `vm-name`.',
      ],
    },
  });
}
