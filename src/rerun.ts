import type { Disk, VirtualMachine } from '@azure/arm-compute';
import type {
  NetworkInterface,
  NetworkSecurityGroup,
  PublicIPAddress,
  SecurityRule,
  VirtualNetwork,
} from '@azure/arm-network';
import { quoteForShell } from './explain/ids-and-roles.ts';
import type { ExistingResources } from './facts.ts';
import { type AzureError, ActionError } from './failure.ts';
import { isPatched } from './guarantees.ts';
import type { ResolvedImage } from './image.ts';
import type { DeployInputs, MergePatch } from './inputs.ts';
import { isGeneratedRule, type Plan, subnetName } from './plan.ts';
import { normaliseRegion, sameId } from './resource-id.ts';
import { hasSucceeded, isTerminalState } from './waiting.ts';

/** What became of a machine that is not whole. */
export interface ProvisioningFailure {
  /** Why, in Azure's words. */
  readonly fault: AzureError;
  /** Whether its guest has ever run: then its disk may hold data. */
  readonly hasRun: boolean;
}

/** Whether a machine or a part of the network has come to rest without becoming whole. */
export function isFailedState(resource: { readonly provisioningState?: string }): boolean {
  return isTerminalState(resource) && !hasSucceeded(resource);
}

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

/** One way in which a machine that exists is not what the inputs ask for. */
export interface Difference {
  readonly property: string;
  readonly actual: string;
  readonly expected: string;
  /** How to change what is there, where Azure does that in place. */
  readonly fix?: readonly string[];
}

/** What a rerun makes of the machine that is there. */
export interface VmComparison {
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

/** A resource never changes its region. Where either is not known, as the plan's in some a `check`, nothing is compared. */
function compareRegion(
  property: string,
  { location = '' }: { readonly location?: string },
  plan: Plan,
): Difference[] {
  const region = normaliseRegion(location);
  return region === '' || plan.location === '' || region === normaliseRegion(plan.location)
    ? []
    : [{ property, actual: region, expected: plan.location }];
}

/** A sentence about identities that are there and were not asked for. */
export function logAddedByOthers(identities: readonly string[]): string {
  return `It has identities that the inputs do not ask for, and keeps them: ${identities.join(', ')}.`;
}

/** What a rerun makes of the network that is there. */
export interface NetworkComparison {
  readonly differences: readonly Difference[];
  /** Names of rules in the security group that this action never made: they stay, and nobody is asked about them. */
  readonly otherRules: readonly string[];
}

/** Compares the parts of the network that are there with those that would be made: none of them is changed unasked. */
export function compareNetwork(existing: ExistingResources, plan: Plan): NetworkComparison {
  const { nic, nsg, vnet, publicIp } = existing;
  const parts = [
    ['network interface', nic],
    ['network security group', nsg],
    ['virtual network', vnet],
    ['public IP', publicIp],
  ] as const;
  return {
    differences: [
      ...parts.flatMap(([property, part]) =>
        part ? compareRegion(`region of the ${property}`, part, plan) : [],
      ),
      ...(nic ? compareInterface(nic, plan) : []),
      ...(isUnchanged(vnet) ? compareAddresses(vnet, plan) : []),
      ...(isUnchanged(publicIp) ? compareLabel(publicIp, plan) : []),
      ...(isUnchanged(nsg) ? compareRules(nsg, plan) : []),
    ],
    otherRules: (isUnchanged(nsg) ? (nsg.securityRules ?? []) : [])
      .filter((rule) => !isGeneratedRule(rule))
      .map(({ name = '' }) => name),
  };
}

/** What failed is made again as it should be; anything else stays as it is. */
function isUnchanged<Part extends { readonly provisioningState?: string }>(
  part: Part | undefined,
): part is Part {
  return part !== undefined && !isFailedState(part);
}

function compareInterface(nic: NetworkInterface, plan: Plan): Difference[] {
  if (plan.nic.origin === 'given') return [];
  const patch = plan.patches.get(plan.nic.id.toLowerCase());
  const pairs: [what: string, has: string | undefined, wanted: string | undefined][] = [];
  const of = (body: NetworkInterface) =>
    body.ipConfigurations?.find(({ primary }) => primary) ?? body.ipConfigurations?.[0];
  const [actual, expected] = [of(nic), of(plan.nic.body)];
  if (!overriddenProperty(patch, 'ipConfigurations')) {
    pairs.push(['subnet', actual?.subnet?.id, expected?.subnet?.id]);
    pairs.push(['public IP', actual?.publicIPAddress?.id, expected?.publicIPAddress?.id]);
    if (expected?.privateIPAllocationMethod === 'Static') {
      pairs.push(['private address', actual?.privateIPAddress, expected.privateIPAddress]);
    }
  }
  if (!overriddenProperty(patch, 'networkSecurityGroup')) {
    pairs.push([
      'network security group',
      nic.networkSecurityGroup?.id,
      plan.nic.body.networkSecurityGroup?.id,
    ]);
  }
  return pairs
    .filter(([, one, other]) => !sameId(one ?? '', other ?? ''))
    .map(([property, one, other]) => ({ property, actual: one || 'none', expected: other || 'none' }));
}

/** The address space may have grown since, and other subnets may have come; what was asked for has to be there. */
function compareAddresses(vnet: VirtualNetwork, { vnet: planned, patches }: Plan): Difference[] {
  if (!planned) return [];
  const patch = patches.get(planned.id.toLowerCase());
  const subnetOf = ({ subnets = [] }: VirtualNetwork): readonly string[] => {
    const subnet = subnets.find(({ name }) => name?.toLowerCase() === subnetName);
    return joinSorted(subnet?.addressPrefix, subnet?.addressPrefixes);
  };
  const spaceOf = ({ addressSpace }: VirtualNetwork) => addressSpace?.addressPrefixes ?? [];
  const pairs = [
    ['address prefix', 'addressSpace', spaceOf(vnet), spaceOf(planned.body)],
    ['subnet prefix', 'subnets', subnetOf(vnet), subnetOf(planned.body)],
  ] as const;
  return pairs
    .filter(
      ([, member, actual, expected]) =>
        !overriddenProperty(patch, member) && !expected.every((one) => actual.includes(one)),
    )
    .map(([property, , actual, expected]) => ({
      property,
      actual: actual.join(', ') || 'none',
      expected: expected.join(', '),
    }));
}

function compareLabel({ dnsSettings }: PublicIPAddress, plan: Plan): Difference[] {
  const { publicIp, patches } = plan;
  if (publicIp?.origin !== 'made') return [];
  if (overriddenProperty(patches.get(publicIp.id.toLowerCase()), 'dnsSettings')) return [];
  const actual = dnsSettings?.domainNameLabel ?? '';
  const expected = publicIp.body.dnsSettings?.domainNameLabel;
  // One that nobody asks for opens nothing, and somebody may have given it since.
  if (!expected || actual.toLowerCase() === expected.toLowerCase()) return [];
  return [
    {
      property: 'DNS label',
      actual: actual || 'none',
      expected,
      fix: [
        'To change the label of what is there, and then run the step again:',
        `az network public-ip update ${ipConfigurationPath(plan)} -n ${quoteForShell(publicIp.name)} --dns-name ${expected}`,
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
  const own = all.filter(isGeneratedRule);
  const isIn = (rules: readonly SecurityRule[]) => {
    const told = new Set(rules.map((rule) => formatRule(rule).toLowerCase()));
    return (rule: SecurityRule): boolean => told.has(formatRule(rule).toLowerCase());
  };
  if (planned.every(isIn(all)) && own.every(isIn(planned))) return [];
  const list = (rules: readonly SecurityRule[]): string => rules.map(formatRule).join(', ') || 'none';
  return [
    {
      property: 'inbound rules',
      actual: list(own),
      expected: list(planned),
      fix: rulesFix(own, planned, nsg.name, plan),
    },
  ];
}

/** Then nobody knows them before Azure has them: a list is replaced as a whole. */
export function rulesAreOverridden({ nsg, patches }: Plan): boolean {
  return nsg !== undefined && overriddenProperty(patches.get(nsg.id.toLowerCase()), 'securityRules');
}

/** Makes the rules exactly those of the plan, numbers included: two of one number are refused. */
function rulesFix(
  own: readonly SecurityRule[],
  planned: readonly SecurityRule[],
  group: string,
  plan: Plan,
): readonly string[] {
  const whole = ({ name, priority, ...rule }: SecurityRule): string =>
    `${name} ${priority} ${formatRule(rule)}`.toLowerCase();
  const without = (these: readonly SecurityRule[], from: readonly SecurityRule[]) => {
    const there = new Set(these.map(whole));
    return from.filter((rule) => !there.has(whole(rule)));
  };
  const at = (verb: string, { name = '' }: SecurityRule): string =>
    `az network nsg rule ${verb} ${ipConfigurationPath(plan)} --nsg-name ${quoteForShell(group)} -n ${quoteForShell(name)}`;
  return [
    'To change the rules of what is there, and then run the step again:',
    ...without(planned, own).map((rule) => at('delete', rule)),
    ...without(own, planned).map((rule) =>
      [
        at('create', rule),
        `--priority ${rule.priority} --access Allow --protocol ${quoteForShell(rule.protocol ?? '*')}`,
        `--source-address-prefixes ${quoteForShell(rule.sourceAddressPrefix ?? '*')}`,
        `--destination-port-ranges ${quoteForShell(rule.destinationPortRange ?? '*')}`,
      ].join(' '),
    ),
  ];
}

/** A rule in the words of `allow-inbound`; what none of ours has is said besides. */
function formatRule(rule: SecurityRule): string {
  const { access = 'Allow', direction = 'Inbound', protocol = '*' } = rule;
  const list = (one: string | undefined, many: readonly string[] | undefined, none: string): string =>
    joinSorted(one, many).join(' and ') || none;
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
function joinSorted(one: string | undefined, many: readonly string[] = []): readonly string[] {
  return one ? [one, ...many] : many;
}

function ipConfigurationPath({ subscriptionId, resourceGroup }: Plan): string {
  return `--subscription ${subscriptionId} -g ${quoteForShell(resourceGroup)}`;
}

/** Does a merge patch in the REST shape say something about `properties.<path>`? */
function overriddenProperty(patch: MergePatch | undefined, ...path: readonly string[]): boolean {
  return isPatched(patch, ['properties', ...path].join('.'));
}

/** `system`, and the IDs of user-assigned ones, in lower case. */
function identityIds(identity: VirtualMachine['identity']): readonly string[] {
  const system = identity?.type?.toLowerCase().includes('systemassigned') ? ['system'] : [];
  const assigned = Object.keys(identity?.userAssignedIdentities ?? {}).map((id) => id.toLowerCase());
  return [...system, ...assigned.toSorted()];
}

/** @throws Failure that lists every difference: what exists is never changed into something else. */
export function assertNoDrift(plan: Plan, differences: readonly Difference[]): void {
  if (differences.length === 0) return;
  const lines = differences.map(
    ({ property, actual, expected }) => `- ${property}: it has ${actual}; the inputs ask for ${expected}`,
  );
  throw new ActionError(`comparing deployment ${plan.deployment} with the inputs`, {
    message: `Deployment ${plan.deployment} exists already and is another one:\n${lines.join('\n')}`,
    explanation: {
      cause:
        'A rerun takes over only what is as asked for; nothing that exists is changed or replaced unasked.',
      who: "the workflow's author",
      fix: driftFix(plan, differences),
    },
  });
}

/** What to do about differences: about the whole deployment, and about each that can be changed in place. */
export function driftFix(plan: Plan, differences: readonly Difference[]): readonly string[] {
  return [
    `To replace it, run this action with \`operation: delete\` and \`vm-name: ${plan.deployment}\` first.`,
    'To keep it, give another `vm-name`.',
    ...differences.flatMap(({ fix = [] }) => fix),
  ];
}
