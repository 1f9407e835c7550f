import type { Disk, VirtualMachine } from '@azure/arm-compute';
import type {
  NetworkInterface,
  NetworkSecurityGroup,
  PublicIPAddress,
  SecurityRule,
  VirtualNetwork,
} from '@azure/arm-network';
import { shell } from './explain/ids-and-roles.ts';
import type { Survey } from './facts.ts';
import { type AzureError, Failure } from './failure.ts';
import { isPatched } from './guarantees.ts';
import type { ImageFacts } from './image.ts';
import type { DeployInputs, MergePatch } from './inputs.ts';
import { isOwnRule, type Plan, subnetName } from './plan.ts';
import { normaliseRegion, sameId } from './resource-id.ts';
import { hasSucceeded, isTerminalState } from './waiting.ts';

/** What became of a machine that is not whole. */
export interface Fate {
  /** Why, in Azure's words. */
  readonly fault: AzureError;
  /** Whether its guest has ever run: then its disk may hold data. */
  readonly hasRun: boolean;
}

/** Whether a machine or a part of the network has come to rest without becoming whole. */
export function hasFailed(resource: { readonly provisioningState?: string }): boolean {
  return isTerminalState(resource) && !hasSucceeded(resource);
}

/** @throws Failure when the machine has run: it is neither taken over nor replaced. One that never ran is made anew. */
export function refuseFailed(
  { provisioningState }: VirtualMachine,
  { fault, hasRun }: Fate,
  { resourceGroup, vmName }: Pick<DeployInputs, 'resourceGroup' | 'vmName'>,
): void {
  if (!hasRun) return;
  throw new Failure(`looking at virtual machine ${vmName}`, {
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
export function refuseStrayDisk(
  disk: Pick<Disk, 'name'> | undefined,
  id: string,
  { vmName }: Pick<DeployInputs, 'vmName'>,
): void {
  if (!disk) return;
  throw new Failure(`creating virtual machine ${vmName}`, {
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

/** One way in which a machine that exists is not what the inputs ask for. */
export interface Difference {
  readonly what: string;
  readonly has: string;
  readonly wanted: string;
  /** How to change what is there, where Azure does that in place. */
  readonly fix?: readonly string[];
}

/** What a rerun makes of the machine that is there. */
export interface Comparison {
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
  if (zones.length > 0 && !zones.includes(machine.zones?.[0] ?? '') && !isPatched(patch, 'zones')) {
    differ('zone', machine.zones?.[0], [...new Set(zones)].join(' or '));
  }
  const nics = machine.networkProfile?.networkInterfaces ?? [];
  const nic = (nics.find(({ primary }) => primary) ?? nics[0])?.id ?? '';
  if (!sameId(nic, plan.nic.id) && !overridden(patch, 'networkProfile', 'networkInterfaces')) {
    differ('network interface', nic, plan.nic.id);
  }
  const planned = plan.machine.body(plan.machine.attempts[0] ?? { size: '' }).identity;
  const [identities, wanted] = [identitiesOf(machine.identity), identitiesOf(planned)];
  let addedIdentities: readonly string[] = [];
  if (!isPatched(patch, 'identity')) {
    const isIn = (list: readonly string[]) => (one: string) => list.includes(one);
    if (!wanted.every(isIn(identities))) differ('identity', identities.join(', '), wanted.join(', '));
    addedIdentities = identities.filter((one) => !isIn(wanted)(one));
  }
  differences.push(...compareSettings(machine, plan, image, inputs));
  return { differences, addedIdentities, ...(keptVersion ? { keptVersion } : {}) };
}

/**
 * Compares account, price, OS disk, security type and licence, as far as GET returns them: the size and type of the OS
 * disk are missing while a VM is deallocated. A licence that the inputs do not name is ignored; Azure Policy may add one.
 */
function compareSettings(
  machine: VirtualMachine,
  plan: Plan,
  image: ImageFacts,
  inputs: DeployInputs,
): Difference[] {
  const patch = plan.patches.get(plan.machine.id.toLowerCase());
  const wanted = plan.machine.body(plan.machine.attempts[0] ?? { size: '' });
  const [disk, wantedDisk] = [machine.storageProfile?.osDisk, wanted.storageProfile?.osDisk];
  const wantedPriority = wanted.priority ?? 'Regular';
  const spot = wantedPriority === 'Spot' && priorityOf(machine) === 'Spot' ? wanted : undefined;
  const securityType = machine.securityProfile?.securityType ?? 'Standard';
  // The image definition names the type where the inputs do not, and it may be unreadable.
  const anySecurity =
    (inputs.securityType === undefined && image.generation === undefined) ||
    (plan.machine.plainWillDo && securityType === 'Standard');
  const pairs: [what: string, path: string[], has: Setting, wanted: Setting][] = [
    [
      'admin user',
      ['osProfile', 'adminUsername'],
      machine.osProfile?.adminUsername,
      wanted.osProfile?.adminUsername,
    ],
    ['host name', ['osProfile', 'computerName'], machine.osProfile?.computerName, inputs.computerName],
    ['priority', ['priority'], priorityOf(machine), wantedPriority],
    ['eviction policy', ['evictionPolicy'], machine.evictionPolicy, spot?.evictionPolicy],
    [
      'Spot price limit',
      ['billingProfile', 'maxPrice'],
      machine.billingProfile?.maxPrice,
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
      anySecurity ? undefined : (wanted.securityProfile?.securityType ?? 'Standard'),
    ],
    ['licence', ['licenseType'], machine.licenseType ?? 'None', wanted.licenseType],
  ];
  const isSame = (what: string, has: Setting, other: Setting): boolean =>
    what === 'admin user' && plan.machine.osType === 'Linux'
      ? has === other
      : `${has}`.toLowerCase() === `${other}`.toLowerCase();
  return pairs.flatMap(([what, path, has, other]) =>
    has === undefined || other === undefined || isSame(what, has, other) || overridden(patch, ...path)
      ? []
      : [{ what, has: `${has}`, wanted: `${other}` }],
  );
}

type Setting = string | number | undefined;

/** `Low` is Azure's former name of `Spot`. */
function priorityOf({ priority = 'Regular' }: VirtualMachine): string {
  return priority === 'Low' ? 'Spot' : priority;
}

/** A resource never changes its region. Where either is not known, as the plan's in some a `check`, nothing is compared. */
function compareRegion(
  what: string,
  { location = '' }: { readonly location?: string },
  plan: Plan,
): Difference[] {
  const region = normaliseRegion(location);
  return region === '' || plan.location === '' || region === normaliseRegion(plan.location)
    ? []
    : [{ what, has: region, wanted: plan.location }];
}

/** A sentence about identities that are there and were not asked for. */
export function tellAdded(identities: readonly string[]): string {
  return `It has identities that the inputs do not ask for, and keeps them: ${identities.join(', ')}.`;
}

/** What a rerun makes of the network that is there. */
export interface NetworkComparison {
  readonly differences: readonly Difference[];
  /** Names of rules in the security group that this action never made: they stay, and nobody is asked about them. */
  readonly otherRules: readonly string[];
}

/** Compares the parts of the network that are there with those that would be made: none of them is changed unasked. */
export function compareNetwork(existing: Survey, plan: Plan): NetworkComparison {
  const { nic, nsg, vnet, publicIp } = existing;
  const parts = [
    ['network interface', nic],
    ['network security group', nsg],
    ['virtual network', vnet],
    ['public IP', publicIp],
  ] as const;
  return {
    differences: [
      ...parts.flatMap(([what, part]) => (part ? compareRegion(`region of the ${what}`, part, plan) : [])),
      ...(nic ? compareInterface(nic, plan) : []),
      ...(isKept(vnet) ? compareAddresses(vnet, plan) : []),
      ...(isKept(publicIp) ? compareLabel(publicIp, plan) : []),
      ...(isKept(nsg) ? compareRules(nsg, plan) : []),
    ],
    otherRules: (isKept(nsg) ? (nsg.securityRules ?? []) : [])
      .filter((rule) => !isOwnRule(rule))
      .map(({ name = '' }) => name),
  };
}

/** What failed is made again as it should be; anything else stays as it is. */
function isKept<Part extends { readonly provisioningState?: string }>(part: Part | undefined): part is Part {
  return part !== undefined && !hasFailed(part);
}

function compareInterface(nic: NetworkInterface, plan: Plan): Difference[] {
  if (plan.nic.origin === 'given') return [];
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
  return pairs
    .filter(([, one, other]) => !sameId(one ?? '', other ?? ''))
    .map(([what, one, other]) => ({ what, has: one || 'none', wanted: other || 'none' }));
}

/** The address space may have grown since, and other subnets may have come; what was asked for has to be there. */
function compareAddresses(vnet: VirtualNetwork, { vnet: planned, patches }: Plan): Difference[] {
  if (!planned) return [];
  const patch = patches.get(planned.id.toLowerCase());
  const subnetOf = ({ subnets = [] }: VirtualNetwork): readonly string[] => {
    const subnet = subnets.find(({ name }) => name?.toLowerCase() === subnetName);
    return together(subnet?.addressPrefix, subnet?.addressPrefixes);
  };
  const spaceOf = ({ addressSpace }: VirtualNetwork) => addressSpace?.addressPrefixes ?? [];
  const pairs = [
    ['address prefix', 'addressSpace', spaceOf(vnet), spaceOf(planned.body)],
    ['subnet prefix', 'subnets', subnetOf(vnet), subnetOf(planned.body)],
  ] as const;
  return pairs
    .filter(
      ([, member, has, wanted]) => !overridden(patch, member) && !wanted.every((one) => has.includes(one)),
    )
    .map(([what, , has, wanted]) => ({ what, has: has.join(', ') || 'none', wanted: wanted.join(', ') }));
}

function compareLabel({ dnsSettings }: PublicIPAddress, plan: Plan): Difference[] {
  const { publicIp, patches } = plan;
  if (publicIp?.origin !== 'made') return [];
  if (overridden(patches.get(publicIp.id.toLowerCase()), 'dnsSettings')) return [];
  const has = dnsSettings?.domainNameLabel ?? '';
  const wanted = publicIp.body.dnsSettings?.domainNameLabel;
  // One that nobody asks for opens nothing, and somebody may have given it since.
  if (!wanted || has.toLowerCase() === wanted.toLowerCase()) return [];
  return [
    {
      what: 'DNS label',
      has: has || 'none',
      wanted,
      fix: [
        'To change the label of what is there, and then run the step again:',
        `az network public-ip update ${placeOf(plan)} -n ${shell(publicIp.name)} --dns-name ${wanted}`,
      ],
    },
  ];
}

/**
 * Every rule that is wanted has to be there, and none of ours that is not. Which number a rule has says nothing: all of
 * ours allow, so that their order makes no difference.
 */
function compareRules({ securityRules: all = [] }: NetworkSecurityGroup, plan: Plan): Difference[] {
  const { nsg } = plan;
  if (nsg?.origin !== 'made' || rulesAreOverridden(plan)) return [];
  const planned = nsg.body.securityRules ?? [];
  const own = all.filter(isOwnRule);
  const isIn = (rules: readonly SecurityRule[]) => {
    const told = new Set(rules.map((rule) => tellRule(rule).toLowerCase()));
    return (rule: SecurityRule): boolean => told.has(tellRule(rule).toLowerCase());
  };
  if (planned.every(isIn(all)) && own.every(isIn(planned))) return [];
  const list = (rules: readonly SecurityRule[]): string => rules.map(tellRule).join(', ') || 'none';
  return [
    {
      what: 'inbound rules',
      has: list(own),
      wanted: list(planned),
      fix: rulesFix(own, planned, nsg.name, plan),
    },
  ];
}

/** Then nobody knows them before Azure has them: a list is replaced as a whole. */
export function rulesAreOverridden({ nsg, patches }: Plan): boolean {
  return nsg !== undefined && overridden(patches.get(nsg.id.toLowerCase()), 'securityRules');
}

/** Makes the rules exactly those of the plan, numbers included: two of one number are refused. */
function rulesFix(
  own: readonly SecurityRule[],
  planned: readonly SecurityRule[],
  group: string,
  plan: Plan,
): readonly string[] {
  const whole = ({ name, priority, ...rule }: SecurityRule): string =>
    `${name} ${priority} ${tellRule(rule)}`.toLowerCase();
  const without = (these: readonly SecurityRule[], from: readonly SecurityRule[]) => {
    const there = new Set(these.map(whole));
    return from.filter((rule) => !there.has(whole(rule)));
  };
  const at = (verb: string, { name = '' }: SecurityRule): string =>
    `az network nsg rule ${verb} ${placeOf(plan)} --nsg-name ${shell(group)} -n ${shell(name)}`;
  return [
    'To change the rules of what is there, and then run the step again:',
    ...without(planned, own).map((rule) => at('delete', rule)),
    ...without(own, planned).map((rule) =>
      [
        at('create', rule),
        `--priority ${rule.priority} --access Allow --protocol ${shell(rule.protocol ?? '*')}`,
        `--source-address-prefixes ${shell(rule.sourceAddressPrefix ?? '*')}`,
        `--destination-port-ranges ${shell(rule.destinationPortRange ?? '*')}`,
      ].join(' '),
    ),
  ];
}

/** A rule in the words of `allow-inbound`; what none of ours has is said besides. */
function tellRule(rule: SecurityRule): string {
  const { access = 'Allow', direction = 'Inbound', protocol = '*' } = rule;
  const list = (one: string | undefined, many: readonly string[] | undefined, none: string): string =>
    together(one, many).join(' and ') || none;
  const groups = 'an application security group';
  const ports = list(rule.destinationPortRange, rule.destinationPortRanges, '*');
  const source = list(rule.sourceAddressPrefix, rule.sourceAddressPrefixes, groups);
  const destination = list(rule.destinationAddressPrefix, rule.destinationAddressPrefixes, groups);
  const sourcePorts = list(rule.sourcePortRange, rule.sourcePortRanges, '*');
  return [
    ...(access.toLowerCase() === 'allow' ? [] : [access.toLowerCase()]),
    ...(direction.toLowerCase() === 'inbound' ? [] : [direction.toLowerCase()]),
    `${ports}/${protocol.toLowerCase()} from ${source}`,
    ...(sourcePorts === '*' ? [] : [`port ${sourcePorts}`]),
    ...(destination === '*' ? [] : [`to ${destination}`]),
  ].join(' ');
}

/** Network gives one value or a list of them, by the member that it is in. */
function together(one: string | undefined, many: readonly string[] = []): readonly string[] {
  return one ? [one, ...many] : many;
}

function placeOf({ subscriptionId, resourceGroup }: Plan): string {
  return `--subscription ${subscriptionId} -g ${shell(resourceGroup)}`;
}

/** Does a merge patch in the REST shape say something about `properties.<path>`? */
function overridden(patch: MergePatch | undefined, ...path: readonly string[]): boolean {
  return isPatched(patch, ['properties', ...path].join('.'));
}

/** `system`, and the IDs of user-assigned ones, in lower case. */
function identitiesOf(identity: VirtualMachine['identity']): readonly string[] {
  const system = identity?.type?.toLowerCase().includes('systemassigned') ? ['system'] : [];
  const assigned = Object.keys(identity?.userAssignedIdentities ?? {}).map((id) => id.toLowerCase());
  return [...system, ...assigned.toSorted()];
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
        'A rerun takes over only what is as asked for; nothing that exists is changed or replaced unasked.',
      who: "the workflow's author",
      fix: differenceFix(plan, differences),
    },
  });
}

/** What to do about differences: about the whole deployment, and about each that can be changed in place. */
export function differenceFix(plan: Plan, differences: readonly Difference[]): readonly string[] {
  return [
    `To replace it, run this action with \`operation: delete\` and \`vm-name: ${plan.deployment}\` first.`,
    'To keep it, give another `vm-name`.',
    ...differences.flatMap(({ fix = [] }) => fix),
  ];
}
