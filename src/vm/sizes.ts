import type { ResourceSku } from '@azure/arm-compute';
import type { ResolvedImage, SecurityType } from '../image/image.ts';
import type { DeployInputs } from '../inputs/inputs.ts';
import { isPatched } from '../inputs/overrides.ts';

/** Undefined: unknown. */
type SizeCapabilities = Partial<ReturnType<typeof capabilitiesFromSku>>;

/** Trusted Launch is optional if the image supports but does not require it and the inputs do not request it. */
export function isTrustedLaunchOptional({ securityType, overrides }: DeployInputs, image: ResolvedImage): boolean {
  return (
    securityType === undefined &&
    image.securityType === 'TrustedLaunch' &&
    image.securityFeature?.toLowerCase() !== 'trustedlaunch' &&
    !isPatched(overrides.vm, 'properties.securityProfile')
  );
}

export function sizeRequirements(inputs: DeployInputs, image: ResolvedImage) {
  const { securityType, network, osDiskType = '', spot } = inputs;
  return {
    securityType: securityType ?? image.securityType,
    // Trusted Launch is used if the size has it; otherwise a standard VM is created.
    trustedLaunchOptional: isTrustedLaunchOptional(inputs, image),
    acceleratedNetworking: network.kind === 'new-nic' && network.acceleratedNetworking,
    premiumDisks: osDiskType.startsWith('Premium'),
    spot: spot !== undefined && !spot.isOptional,
    encryptionAtHost: inputs.encryptionAtHost,
    dataDisks: image.dataDiskLuns.length + inputs.dataDiskSizesGb.length,
  };
}

/** Whether `overrides` changes properties that these rules depend on; then only Azure can decide. */
export function overridesAffectSize({ overrides }: Pick<DeployInputs, 'overrides'>): boolean {
  return ['hardwareProfile', 'securityProfile', 'storageProfile', 'priority'].some((key) =>
    isPatched(overrides.vm, `properties.${key}`),
  );
}

export function capability(sku: ResourceSku, name: string): string | undefined {
  return sku.capabilities?.find((entry) => entry.name?.toLowerCase() === name.toLowerCase())?.value;
}

/** From Azure's SKU list: complete, and correct for this subscription and region. */
export function capabilitiesFromSku(sku: ResourceSku) {
  const flag = (name: string): boolean => capability(sku, name)?.toLowerCase() === 'true';
  const list = (name: string): readonly string[] | undefined => capability(sku, name)?.split(/\s*,\s*/);
  const architecture: 'x64' | 'Arm64' = capability(sku, 'CpuArchitectureType') === 'Arm64' ? 'Arm64' : 'x64';
  return {
    architecture,
    generations: list('HyperVGenerations'),
    // Sizes without this capability are older than NVMe.
    diskControllers: list('DiskControllerTypes') ?? ['SCSI'],
    trustedLaunch: !flag('TrustedLaunchDisabled'),
    /** The size boots confidential VMs only. */
    confidential: capability(sku, 'ConfidentialComputingType') !== undefined,
    acceleratedNetworking: flag('AcceleratedNetworkingEnabled'),
    premiumDisks: flag('PremiumIO'),
    spot: flag('LowPriorityCapable'),
    encryptionAtHost: flag('EncryptionAtHostSupported'),
    maxDataDisks: Number(capability(sku, 'MaxDataDiskCount') ?? Number.NaN),
  };
}

/** For when the SKU list cannot be read. https://learn.microsoft.com/azure/virtual-machines/vm-naming-conventions */
export function capabilitiesFromName(size: string): SizeCapabilities {
  const [, family = '', features = '', version = '1'] =
    /^Standard_([A-Z]+)\d+(?:-\d+)?([a-z]*)(?:_(?!v\d+$)[A-Z]\w*?)?(?:_v(\d+))?$/i.exec(size) ?? [];
  const series = family.toUpperCase();
  // "p": an Arm processor; all of those boot Generation 2 only.
  if (/p/i.test(features)) return { architecture: 'Arm64', generations: ['V2'] };
  // In these families, every Arm size has the "p".
  if (!/^(?:A|B|D|DS|E|F|FX|G|GS|L|M)$/.test(series)) return {};
  const architecture = 'x64';
  // https://learn.microsoft.com/azure/virtual-machines/generation-2
  if (series === 'A' || (series === 'D' && Number(version) <= 2 && !/s/i.test(features))) {
    return { architecture, generations: ['V1'], diskControllers: ['SCSI'], premiumDisks: false };
  }
  if (/^[DEF]$/.test(series) && Number(version) >= 6) {
    return { architecture, generations: ['V2'], diskControllers: ['NVMe'] };
  }
  return { architecture, confidential: false };
}

const features = [
  ['acceleratedNetworking', 'has no accelerated networking, which `accelerated-networking` requests'],
  ['premiumDisks', 'does not support premium disks, which `os-disk-type` requests'],
  ['spot', 'is not available as Spot, which `spot` requests'],
  ['encryptionAtHost', 'does not support encryption at host, which `encryption-at-host` requests'],
] as const;

/** Why the image does not boot on a size, as predicates for "Size X …"; empty if nothing is known against it. */
export function incompatibilities(
  capabilities: SizeCapabilities,
  image: ResolvedImage,
  required: ReturnType<typeof sizeRequirements>,
): string[] {
  const { trustedLaunch, confidential, maxDataDisks = Number.NaN } = capabilities;
  const lacksTrustedLaunch = trustedLaunch === false && confidential !== true;
  const needsTrustedLaunch = required.securityType === 'TrustedLaunch' && !required.trustedLaunchOptional;
  const isConfidential = required.securityType === 'ConfidentialVM';
  const rules = [
    [needsTrustedLaunch && lacksTrustedLaunch, 'has no Trusted Launch, which the VM requires'],
    [isConfidential && confidential === false, 'does not support confidential VMs, which the VM is to be'],
    [!isConfidential && confidential === true, 'boots confidential VMs only, which the VM is not'],
    ...features.map(([name, missing]) => [required[name] && capabilities[name] === false, missing] as const),
    [required.dataDisks > maxDataDisks, `takes ${maxDataDisks} data disks, and the VM has ${required.dataDisks}`],
  ] as const;
  return [
    ...imageIncompatibilities(capabilities, image),
    ...rules.flatMap(([isViolated, predicate]) => (isViolated ? [predicate] : [])),
  ];
}

function imageIncompatibilities(capabilities: SizeCapabilities, image: ResolvedImage): string[] {
  const { architecture, generations, diskControllers } = capabilities;
  // Without the definition, the image's properties are unknown.
  if (image.generation === undefined) return [];
  const found: string[] = [];
  if (architecture && architecture !== image.architecture) {
    found.push(`has ${architecture} processors, and the image is for ${image.architecture}`);
  }
  if (generations && !generations.includes(image.generation)) {
    const supported = generations.map((generation) => generation.replace('V', '')).join(' and ');
    found.push(`boots generation ${supported}, and the image is generation ${image.generation.replace('V', '')}`);
  }
  const bootable = (image.diskControllers ?? 'SCSI').toLowerCase().split(/\s*,\s*/);
  if (diskControllers && !diskControllers.some((controller) => bootable.includes(controller.toLowerCase()))) {
    found.push(
      `has ${diskControllers.join(' and ')} disks only, which the image definition does not list (feature DiskControllerTypes)`,
    );
  }
  return found;
}

/** Undefined if nothing is known against it. https://learn.microsoft.com/azure/virtual-machines/trusted-launch */
export function securityTypeIncompatibility(image: ResolvedImage, securityType: SecurityType): string | undefined {
  if (image.generation === undefined) return undefined;
  const feature = image.securityFeature?.toLowerCase() ?? 'none';
  if (securityType === 'Standard') {
    return feature === 'trustedlaunch' || feature === 'confidentialvm'
      ? `The image definition says SecurityType = ${image.securityFeature}: it does not allow standard VMs.`
      : undefined;
  }
  if (image.generation === 'V1')
    return `The image is generation 1, which has no UEFI and cannot become ${securityType}.`;
  return feature.includes(securityType.toLowerCase())
    ? undefined
    : `The image definition does not allow ${securityType} (its feature SecurityType is ${image.securityFeature ?? 'not set'}).`;
}

/** Retirement dates of series. https://learn.microsoft.com/azure/virtual-machines/sizes/retirement/retired-sizes-list */
const retirements: readonly (readonly [series: RegExp, end: string])[] = [
  [/^Standard_DS?\d+(?:-\d+)?(?:_v2)?$/i, '2028-05-01'],
  [/^Standard_L\d+s$/i, '2028-05-01'],
  [/^Standard_F\d+s?(?:_v2)?$/i, '2028-11-15'],
  [/^Standard_L\d+s_v2$/i, '2028-11-15'],
  [/^Standard_GS?\d+(?:-\d+)?$/i, '2028-11-15'],
  [/^Standard_A\d+m?_v2$/i, '2028-11-15'],
  [/^Standard_B\d+[a-z]*$/i, '2028-11-15'],
];

/** When Azure retires a size, as `YYYY-MM-DD`, if that was announced. */
export function retirementDate(size: string): string | undefined {
  return retirements.find(([series]) => series.test(size))?.[1];
}
