/** What a size of virtual machine can and cannot do, by its name or by Azure's list, and whether an image boots on it. */

import type { ResourceSku } from '@azure/arm-compute';
import type { ResolvedImage, SecurityType } from '../image/image.ts';
import type { DeployInputs } from '../inputs/inputs.ts';
import { isPatched } from '../inputs/overrides.ts';

/** Undefined: not known. */
interface SizeCapabilities {
  readonly architecture?: 'x64' | 'Arm64';
  readonly generations?: readonly string[];
  readonly diskControllers?: readonly string[];
  readonly trustedLaunch?: boolean;
  /** Such a size boots confidential machines and nothing else. */
  readonly confidential?: boolean;
  readonly acceleratedNetworking?: boolean;
  readonly premiumDisks?: boolean;
  readonly spot?: boolean;
}

/** What the inputs ask of a size. */
interface SizeRequirements {
  readonly securityType: SecurityType;
  /** Trusted Launch is to be had where the size has it; a plain machine will do. */
  readonly trustedLaunchOptional?: boolean;
  readonly acceleratedNetworking: boolean;
  readonly premiumDisks: boolean;
  readonly spot: boolean;
}

/**
 * Whether Trusted Launch is only what is preferred: the definition allows it without asking for it, and so does the
 * author. Then a size that lacks it is no reason to fail.
 */
export function isTrustedLaunchOptional(
  { securityType, overrides }: DeployInputs,
  image: ResolvedImage,
): boolean {
  return (
    securityType === undefined &&
    image.securityType === 'TrustedLaunch' &&
    image.securityFeature?.toLowerCase() !== 'trustedlaunch' &&
    !isPatched(overrides.vm, 'properties.securityProfile')
  );
}

/** What the inputs, together with the image, ask of a size. */
export function sizeRequirements(inputs: DeployInputs, image: ResolvedImage): SizeRequirements {
  const { securityType, network, osDiskType = '', spot } = inputs;
  return {
    securityType: securityType ?? image.securityType,
    trustedLaunchOptional: isTrustedLaunchOptional(inputs, image),
    acceleratedNetworking: network.kind === 'new-nic' && network.acceleratedNetworking,
    premiumDisks: osDiskType.startsWith('Premium'),
    spot: spot !== undefined,
  };
}

/** Whether `overrides` changes what the judgements here go by; then only Azure knows what comes of it. */
export function overridesAffectSize({ overrides }: Pick<DeployInputs, 'overrides'>): boolean {
  return ['hardwareProfile', 'securityProfile', 'storageProfile', 'priority'].some((key) =>
    isPatched(overrides.vm, `properties.${key}`),
  );
}

/** The fields of Azure's list of sizes that are looked at; the list itself has many more. */
export type Sku = Pick<
  ResourceSku,
  'resourceType' | 'name' | 'family' | 'locationInfo' | 'capabilities' | 'restrictions'
>;

export function capability(sku: Sku, name: string): string | undefined {
  return sku.capabilities?.find((one) => one.name?.toLowerCase() === name.toLowerCase())?.value;
}

/** What Azure's list says: complete, and true for this subscription and region. */
export function capabilitiesFromSku(sku: Sku): SizeCapabilities {
  const flag = (name: string): boolean => capability(sku, name)?.toLowerCase() === 'true';
  const list = (name: string): readonly string[] | undefined => capability(sku, name)?.split(/\s*,\s*/);
  const generations = list('HyperVGenerations');
  return {
    architecture: capability(sku, 'CpuArchitectureType') === 'Arm64' ? 'Arm64' : 'x64',
    ...(generations ? { generations } : {}),
    // Sizes that say nothing here are those of before NVMe.
    diskControllers: list('DiskControllerTypes') ?? ['SCSI'],
    trustedLaunch: !flag('TrustedLaunchDisabled'),
    confidential: capability(sku, 'ConfidentialComputingType') !== undefined,
    acceleratedNetworking: flag('AcceleratedNetworkingEnabled'),
    premiumDisks: flag('PremiumIO'),
    spot: flag('LowPriorityCapable'),
  };
}

/**
 * What the name alone says for certain, for where the list may not be read. Names are
 * family, vCPUs, features, accelerator, version: https://learn.microsoft.com/azure/virtual-machines/vm-naming-conventions
 */
export function capabilitiesFromName(size: string): SizeCapabilities {
  const [, family = '', features = '', version = '1'] =
    /^Standard_([A-Z]+)\d+(?:-\d+)?([a-z]*)(?:_(?!v\d+$)[A-Z]\w*?)?(?:_v(\d+))?$/i.exec(size) ?? [];
  const kind = family.toUpperCase();
  if (kind === '') return {};
  const number = Number(version);
  // "p": a processor by Arm, all of which boot Generation 2 only.
  if (/p/i.test(features)) return { architecture: 'Arm64', generations: ['V2'] };
  // No Arm processor is sold in these families without the "p".
  const general = /^(?:A|B|D|DS|E|F|FX|G|GS|L|M)$/.test(kind);
  const x64: SizeCapabilities = general ? { architecture: 'x64' } : {};
  // https://learn.microsoft.com/azure/virtual-machines/generation-2
  if (kind === 'A' || (kind === 'D' && number <= 2 && !/s/i.test(features))) {
    return { ...x64, generations: ['V1'], diskControllers: ['SCSI'], premiumDisks: false };
  }
  if (/^[DEF]$/.test(kind) && number >= 6) {
    return { ...x64, generations: ['V2'], diskControllers: ['NVMe'] };
  }
  return general ? { ...x64, confidential: false } : {};
}

/** Why the image, as the inputs want it, does not boot on a size, as ends of sentences; empty: nothing is known against it. */
export function incompatibilities(
  abilities: SizeCapabilities,
  image: ResolvedImage,
  demands: SizeRequirements,
): string[] {
  const { architecture, generations, diskControllers, trustedLaunch, confidential } = abilities;
  const faults: string[] = [];
  // Only a definition that was read says what the image is.
  if (image.generation !== undefined) {
    if (architecture && architecture !== image.architecture) {
      faults.push(`has ${architecture} processors, and the image is for ${image.architecture}`);
    }
    if (generations && !generations.includes(image.generation)) {
      const boots = generations.map((generation) => generation.replace('V', '')).join(' and ');
      faults.push(
        `boots generation ${boots}, and the image is generation ${image.generation.replace('V', '')}`,
      );
    }
    const supported = (image.diskControllers ?? 'SCSI').split(/\s*,\s*/).map((one) => one.toLowerCase());
    if (diskControllers && !diskControllers.some((one) => supported.includes(one.toLowerCase()))) {
      faults.push(
        `has ${diskControllers.join(' and ')} disks only, and the image definition does not say that it boots from them (feature DiskControllerTypes)`,
      );
    }
  }
  const mustBeTrusted = demands.securityType === 'TrustedLaunch' && !demands.trustedLaunchOptional;
  if (mustBeTrusted && trustedLaunch === false && confidential !== true) {
    faults.push('has no Trusted Launch, which the machine is to have');
  }
  if (demands.securityType === 'ConfidentialVM' && confidential === false) {
    faults.push('is no size for confidential machines, which this is to be');
  }
  if (demands.securityType !== 'ConfidentialVM' && confidential === true) {
    faults.push('boots confidential machines only, which this is not to be');
  }
  if (demands.acceleratedNetworking && abilities.acceleratedNetworking === false) {
    faults.push('has no accelerated networking, which `accelerated-networking` asks for');
  }
  if (demands.premiumDisks && abilities.premiumDisks === false) {
    faults.push('takes no premium disks, which `os-disk-type` asks for');
  }
  if (demands.spot && abilities.spot === false) faults.push('is not sold as Spot, which `spot` asks for');
  return faults;
}

/**
 * Why the image cannot become a machine of that security type, whatever the size; undefined: nothing is known against it.
 * https://learn.microsoft.com/azure/virtual-machines/trusted-launch
 */
export function securityTypeIncompatibility(
  image: ResolvedImage,
  securityType: SecurityType,
): string | undefined {
  if (image.generation === undefined) return undefined;
  const feature = image.securityFeature?.toLowerCase() ?? 'none';
  if (securityType === 'Standard') {
    return feature === 'trustedlaunch' || feature === 'confidentialvm'
      ? `The image definition says SecurityType = ${image.securityFeature}: it makes no plain machines.`
      : undefined;
  }
  if (image.generation === 'V1')
    return `The image is generation 1, which has no UEFI and cannot become ${securityType}.`;
  const wanted = securityType === 'TrustedLaunch' ? 'trustedlaunch' : 'confidentialvm';
  return feature.includes(wanted)
    ? undefined
    : `The image definition does not allow ${securityType} (its feature SecurityType is ${image.securityFeature ?? 'not set'}).`;
}

/** Old series and the end of each. https://learn.microsoft.com/azure/virtual-machines/sizes/retirement/retired-sizes-list */
const retirements: readonly (readonly [series: RegExp, end: string])[] = [
  [/^Standard_DS?\d+(?:-\d+)?(?:_v2)?$/i, '2028-05-01'],
  [/^Standard_L\d+s$/i, '2028-05-01'],
  [/^Standard_F\d+s?(?:_v2)?$/i, '2028-11-15'],
  [/^Standard_L\d+s_v2$/i, '2028-11-15'],
  [/^Standard_GS?\d+(?:-\d+)?$/i, '2028-11-15'],
  [/^Standard_A\d+m?_v2$/i, '2028-11-15'],
  [/^Standard_B\d+[a-z]*$/i, '2028-11-15'],
];

/** The day on which Azure retires a size, as `YYYY-MM-DD`, if that is announced. */
export function retirementDate(size: string): string | undefined {
  return retirements.find(([series]) => series.test(size))?.[1];
}
