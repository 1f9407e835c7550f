// Virtual machine sizes as the Resource SKUs API describes them: a small table of real sizes.
// Capability names and values: https://learn.microsoft.com/rest/api/compute/resource-skus/list
// Which size boots which generation: https://learn.microsoft.com/azure/virtual-machines/generation-2

/** One size. Defaults are those of a plain x64 size that boots both generations over SCSI. */
export interface Size {
  readonly name: string;
  readonly family: string;
  /** The family's name in quota messages and `localizedValue`. */
  readonly familyName: string;
  readonly vCPUs: number;
  readonly memoryGB: number;
  readonly generations: readonly ('V1' | 'V2')[];
  readonly architecture: 'x64' | 'Arm64';
  readonly trustedLaunch: boolean;
  /** SEV-SNP sizes boot only confidential VMs. */
  readonly confidential: boolean;
  readonly acceleratedNetworking: boolean;
  readonly diskControllers: readonly ('SCSI' | 'NVMe')[];
  readonly premiumDisks: boolean;
  /** Supports an ephemeral OS disk: the local or cache disk is large enough. */
  readonly ephemeralDisks: boolean;
  readonly spot: boolean;
  readonly maxDataDisks: number;
  readonly maxNics: number;
  /** False for sizes that no availability zone offers. */
  readonly zonal: boolean;
}

type Row = Pick<Size, 'name' | 'family' | 'familyName' | 'vCPUs' | 'memoryGB'> & Partial<Size>;

const V1: readonly ['V1'] = ['V1'];
const V2: readonly ['V2'] = ['V2'];
const arm = { generations: V2, architecture: 'Arm64', trustedLaunch: false } as const;
// Burstable sizes have no Spot price: https://learn.microsoft.com/azure/virtual-machines/spot-vms#limitations
const burstable = { spot: false, acceleratedNetworking: false } as const;
// Version 6 and newer: Generation 2 and NVMe only.
const v6 = { generations: V2, diskControllers: ['NVMe'] } as const;
const confidential = { generations: V2, confidential: true, trustedLaunch: false } as const;

function family(value: string, name: string): Pick<Size, 'family' | 'familyName'> {
  return { family: value, familyName: name };
}

const dsv5 = family('standardDSv5Family', 'Standard DSv5 Family vCPUs');
const dasv5 = family('standardDASv5Family', 'Standard DASv5 Family vCPUs');
const dpsv5 = family('standardDPSv5Family', 'Standard DPSv5 Family vCPUs');
const dpsv6 = family('StandardDpsv6Family', 'Standard Dpsv6 Family vCPUs');
const dsv6 = family('StandardDsv6Family', 'Standard Dsv6 Family vCPUs');
const bsv2 = family('standardBsv2Family', 'Standard Bsv2 Family vCPUs');
const bs = family('standardBSFamily', 'Standard BS Family vCPUs');
const dv2 = family('standardDv2Family', 'Standard Dv2 Family vCPUs');
const dsv2 = family('standardDSv2Family', 'Standard DSv2 Family vCPUs');
const dsv3 = family('standardDSv3Family', 'Standard DSv3 Family vCPUs');
const dsv4 = family('standardDSv4Family', 'Standard DSv4 Family vCPUs');

const rows: readonly Row[] = [
  { name: 'Standard_D2s_v5', ...dsv5, vCPUs: 2, memoryGB: 8, maxDataDisks: 4 },
  { name: 'Standard_D4s_v5', ...dsv5, vCPUs: 4, memoryGB: 16, maxDataDisks: 8 },
  { name: 'Standard_D8s_v5', ...dsv5, vCPUs: 8, memoryGB: 32, maxDataDisks: 16, maxNics: 4 },
  { name: 'Standard_D2as_v5', ...dasv5, vCPUs: 2, memoryGB: 8, maxDataDisks: 4 },
  { name: 'Standard_D4as_v5', ...dasv5, vCPUs: 4, memoryGB: 16, maxDataDisks: 8 },
  {
    name: 'Standard_D2ds_v5',
    ...family('standardDDSv5Family', 'Standard DDSv5 Family vCPUs'),
    vCPUs: 2,
    memoryGB: 8,
    ephemeralDisks: true,
  },
  { name: 'Standard_D2ps_v5', ...dpsv5, ...arm, vCPUs: 2, memoryGB: 8 },
  { name: 'Standard_D4ps_v5', ...dpsv5, ...arm, vCPUs: 4, memoryGB: 16, maxDataDisks: 8 },
  // https://learn.microsoft.com/azure/virtual-machines/trusted-launch: Dpsv6 supports Trusted Launch, Dpsv5 does not.
  { name: 'Standard_D2ps_v6', ...dpsv6, ...arm, trustedLaunch: true, vCPUs: 2, memoryGB: 8 },
  { name: 'Standard_D2s_v6', ...dsv6, ...v6, vCPUs: 2, memoryGB: 8 },
  { name: 'Standard_D4s_v6', ...dsv6, ...v6, vCPUs: 4, memoryGB: 16, maxDataDisks: 12 },
  { name: 'Standard_D2s_v4', ...dsv4, vCPUs: 2, memoryGB: 8 },
  { name: 'Standard_D2s_v3', ...dsv3, vCPUs: 2, memoryGB: 8, ephemeralDisks: true },
  { name: 'Standard_D4s_v3', ...dsv3, vCPUs: 4, memoryGB: 16, ephemeralDisks: true, maxDataDisks: 8 },
  { name: 'Standard_B2s_v2', ...bsv2, vCPUs: 2, memoryGB: 8, spot: false },
  { name: 'Standard_B2ts_v2', ...bsv2, vCPUs: 2, memoryGB: 1, spot: false },
  {
    name: 'Standard_B2pts_v2',
    ...family('standardBpsv2Family', 'Standard Bpsv2 Family vCPUs'),
    ...arm,
    vCPUs: 2,
    memoryGB: 1,
    spot: false,
  },
  { name: 'Standard_B1s', ...bs, ...burstable, vCPUs: 1, memoryGB: 1, maxDataDisks: 2 },
  { name: 'Standard_B2s', ...bs, ...burstable, vCPUs: 2, memoryGB: 4 },
  { name: 'Standard_B2ms', ...bs, ...burstable, vCPUs: 2, memoryGB: 8 },
  {
    name: 'Standard_D1_v2',
    ...dv2,
    vCPUs: 1,
    memoryGB: 3.5,
    generations: V1,
    trustedLaunch: false,
    premiumDisks: false,
    acceleratedNetworking: false,
  },
  {
    name: 'Standard_D2_v2',
    ...dv2,
    vCPUs: 2,
    memoryGB: 7,
    generations: V1,
    trustedLaunch: false,
    premiumDisks: false,
    maxDataDisks: 8,
  },
  { name: 'Standard_DS1_v2', ...dsv2, vCPUs: 1, memoryGB: 3.5, acceleratedNetworking: false },
  { name: 'Standard_DS2_v2', ...dsv2, vCPUs: 2, memoryGB: 7, ephemeralDisks: true, maxDataDisks: 8 },
  {
    name: 'Standard_A1_v2',
    ...family('standardAv2Family', 'Standard Av2 Family vCPUs'),
    vCPUs: 1,
    memoryGB: 2,
    generations: V1,
    trustedLaunch: false,
    premiumDisks: false,
    acceleratedNetworking: false,
    maxDataDisks: 2,
    zonal: false,
  },
  {
    name: 'Standard_DC2as_v5',
    ...family('standardDCASv5Family', 'Standard DCASv5 Family vCPUs'),
    ...confidential,
    vCPUs: 2,
    memoryGB: 8,
  },
  {
    name: 'Standard_EC2as_v5',
    ...family('standardECASv5Family', 'Standard ECASv5 Family vCPUs'),
    ...confidential,
    vCPUs: 2,
    memoryGB: 16,
  },
  {
    name: 'Standard_E2s_v5',
    ...family('standardESv5Family', 'Standard ESv5 Family vCPUs'),
    vCPUs: 2,
    memoryGB: 16,
  },
  {
    name: 'Standard_F2s_v2',
    ...family('standardFSv2Family', 'Standard FSv2 Family vCPUs'),
    vCPUs: 2,
    memoryGB: 4,
    ephemeralDisks: true,
  },
];

/** Every size that the simulator models. */
export const sizes: readonly Size[] = rows.map((row) => ({
  generations: ['V1', 'V2'],
  architecture: 'x64',
  trustedLaunch: true,
  confidential: false,
  acceleratedNetworking: true,
  diskControllers: ['SCSI'],
  premiumDisks: true,
  ephemeralDisks: false,
  spot: true,
  maxDataDisks: 4,
  maxNics: 2,
  zonal: true,
  ...row,
}));

/** Size names are compared without case. */
export function findSize(name: string): Size | undefined {
  const key = name.toLowerCase();
  return sizes.find((size) => size.name.toLowerCase() === key);
}

/** A restriction as the Resource SKUs API reports it. */
export interface SizeRestriction {
  readonly location: string;
  readonly size: string;
  /** Absent: the whole region. */
  readonly zones?: readonly string[];
  readonly reasonCode: 'NotAvailableForSubscription' | 'QuotaId';
}

function capability(name: string, value: string | number | boolean): object {
  return { name, value: typeof value === 'boolean' ? (value ? 'True' : 'False') : String(value) };
}

function capabilities(size: Size): object[] {
  return [
    capability('MaxResourceVolumeMB', 0),
    capability('OSVhdSizeMB', 1047552),
    capability('vCPUs', size.vCPUs),
    capability('MemoryPreservingMaintenanceSupported', true),
    capability('HyperVGenerations', size.generations.join(',')),
    ...(size.diskControllers.includes('NVMe')
      ? [capability('DiskControllerTypes', size.diskControllers.join(','))]
      : []),
    capability('MemoryGB', size.memoryGB),
    capability('MaxDataDiskCount', size.maxDataDisks),
    capability('CpuArchitectureType', size.architecture),
    capability('LowPriorityCapable', size.spot),
    capability('PremiumIO', size.premiumDisks),
    capability('VMDeploymentTypes', 'IaaS'),
    capability('vCPUsAvailable', size.vCPUs),
    ...(size.trustedLaunch ? [] : [capability('TrustedLaunchDisabled', true)]),
    ...(size.confidential ? [capability('ConfidentialComputingType', 'SNP')] : []),
    capability('EphemeralOSDiskSupported', size.ephemeralDisks),
    capability('EncryptionAtHostSupported', size.premiumDisks),
    capability('AcceleratedNetworkingEnabled', size.acceleratedNetworking),
    capability('RdmaEnabled', false),
    capability('MaxNetworkInterfaces', size.maxNics),
  ];
}

/** The entry of one size in one region, as `GET …/providers/Microsoft.Compute/skus` lists it. */
export function describeSize(
  size: Size,
  location: string,
  zones: readonly string[],
  restrictions: readonly SizeRestriction[],
): object {
  return {
    resourceType: 'virtualMachines',
    name: size.name,
    tier: 'Standard',
    size: size.name.replace(/^Standard_/, ''),
    family: size.family,
    locations: [location],
    locationInfo: [{ location, zones: size.zonal ? [...zones] : [], zoneDetails: [] }],
    capabilities: capabilities(size),
    restrictions: restrictions
      .filter((item) => item.location === location && item.size.toLowerCase() === size.name.toLowerCase())
      .map((item) => ({
        type: item.zones === undefined ? 'Location' : 'Zone',
        values: [location],
        restrictionInfo: {
          locations: [location],
          ...(item.zones === undefined ? {} : { zones: [...item.zones] }),
        },
        reasonCode: item.reasonCode,
      })),
  };
}
