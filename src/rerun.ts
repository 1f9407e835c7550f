import type { VirtualMachine } from '@azure/arm-compute';
import type { NetworkInterface } from '@azure/arm-network';
import { Failure } from './failure.ts';
import type { ImageFacts } from './image.ts';
import type { DeployInputs, MergePatch } from './inputs.ts';
import type { Plan } from './plan.ts';
import { normaliseRegion, sameId } from './resource-id.ts';

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
 * custom data cannot. What the author's overrides say replaces what the inputs say, as it did when the machine was made.
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
  differences.push(...compareRegion('region', machine, plan));
  const patch = plan.patches.get(plan.machine.id.toLowerCase());
  const storage = machine.storageProfile;
  const reference = storage?.imageReference;
  const hasImage =
    reference?.id ?? reference?.sharedGalleryImageId ?? reference?.communityGalleryImageId ?? '';
  let keptVersion: string | undefined;
  if (!sameId(hasImage, image.referenceId) && !overridden(patch, 'storageProfile', 'imageReference')) {
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
  if (
    !sizes.some((wanted) => wanted.toLowerCase() === size?.toLowerCase()) &&
    !overridden(patch, 'hardwareProfile', 'vmSize')
  ) {
    differ('size', size, sizes.join(' or '));
  }
  const zones = plan.machine.attempts.flatMap(({ zone }) => zone ?? []);
  if (zones.length > 0 && !zones.includes(machine.zones?.[0] ?? '') && patch?.['zones'] === undefined) {
    differ('zone', machine.zones?.[0], [...new Set(zones)].join(' or '));
  }
  const nics = machine.networkProfile?.networkInterfaces ?? [];
  const nic = (nics.find(({ primary }) => primary) ?? nics[0])?.id ?? '';
  if (!sameId(nic, plan.nic.id) && !overridden(patch, 'networkProfile', 'networkInterfaces')) {
    differ('network interface', nic, plan.nic.id);
  }
  const identity = identityText(
    machine.identity?.type,
    Object.keys(machine.identity?.userAssignedIdentities ?? {}),
  );
  const planned = plan.machine.body(plan.machine.attempts[0] ?? { size: '' }).identity;
  const wanted = identityText(planned?.type, Object.keys(planned?.userAssignedIdentities ?? {}));
  if (identity !== wanted && patch?.['identity'] === undefined) differ('identity', identity, wanted);
  return { differences, ...(keptVersion ? { keptVersion } : {}) };
}

/** A resource never changes its region. `check` may not know the plan's: then there is nothing to compare with. */
function compareRegion(
  what: string,
  { location = '' }: { readonly location?: string },
  plan: Plan,
): Difference[] {
  const region = normaliseRegion(location);
  return plan.location === '' || region === normaliseRegion(plan.location)
    ? []
    : [{ what, has: region || 'none', wanted: plan.location }];
}

/** Compares the interface that is there with the one that would be made: what it joins cannot be changed unasked. */
export function compareNetwork(nic: NetworkInterface | undefined, plan: Plan): readonly Difference[] {
  if (!nic || plan.nic.origin === 'given') return [];
  const patch = plan.patches.get(plan.nic.id.toLowerCase());
  const pairs: [what: string, has: string | undefined, wanted: string | undefined][] = [];
  const of = (body: NetworkInterface) =>
    body.ipConfigurations?.find(({ primary }) => primary) ?? body.ipConfigurations?.[0];
  const [has, wanted] = [of(nic), of(plan.nic.body)];
  if (!overridden(patch, 'ipConfigurations')) {
    pairs.push(['subnet', has?.subnet?.id, wanted?.subnet?.id]);
    pairs.push(['public IP', has?.publicIPAddress?.id, wanted?.publicIPAddress?.id]);
    if (wanted?.privateIPAllocationMethod === 'Static') {
      pairs.push(['private address', has?.privateIPAddress, wanted.privateIPAddress]);
    }
  }
  if (!overridden(patch, 'networkSecurityGroup')) {
    pairs.push([
      'network security group',
      nic.networkSecurityGroup?.id,
      plan.nic.body.networkSecurityGroup?.id,
    ]);
  }
  return [
    ...compareRegion('region of the network interface', nic, plan),
    ...pairs
      .filter(([, one, other]) => !sameId(one ?? '', other ?? ''))
      .map(([what, one, other]) => ({ what, has: one || 'none', wanted: other || 'none' })),
  ];
}

/** Does a merge patch in the REST shape say something about `properties.<path>`? */
function overridden(patch: MergePatch | undefined, ...path: readonly string[]): boolean {
  let at: unknown = patch?.['properties'];
  for (const key of path) {
    if (typeof at !== 'object' || at === null) return false;
    at = (at as Readonly<Record<string, unknown>>)[key];
  }
  return at !== undefined;
}

function identityText(type: string | undefined, assigned: readonly string[]): string {
  const system = type?.toLowerCase().includes('systemassigned') ? ['system'] : [];
  return [...system, ...assigned.map((id) => id.toLowerCase()).toSorted()].join(', ');
}

/** @throws Failure that lists every difference: what exists is never changed into something else. */
export function refuseDifferent(plan: Plan, differences: readonly Difference[]): void {
  if (differences.length === 0) return;
  const lines = differences.map(
    ({ what, has, wanted }) => `- ${what}: it has ${has}; the inputs ask for ${wanted}`,
  );
  throw new Failure(`comparing deployment ${plan.deployment} with the inputs`, {
    message: `Deployment ${plan.deployment} exists already and is another one:\n${lines.join('\n')}`,
    explanation: {
      cause:
        'A rerun takes over only what is as asked for; Azure changes none of this in place, and nothing is replaced unasked.',
      who: "the workflow's author",
      fix: [
        `To replace it, run this action with \`operation: delete\` and \`vm-name: ${plan.deployment}\` first.`,
        'To keep it, give another `vm-name`.',
      ],
    },
  });
}
