import { omitUndefined } from '../lib/json.ts';
import { type Reader, type RunnerValues, quoteValue } from './input-reader.ts';
import type { DeployInputs, InputName } from './inputs.ts';
import { encoded, readCustomData } from './read-script.ts';
import { validateVmSize } from './vm-name.ts';

export function readVmInputs(reader: Reader, runner: RunnerValues) {
  return {
    sizes: readSizes(reader),
    zones: readZones(reader),
    dataDiskSizesGb: readDataDiskSizes(reader),
    encryptionAtHost: reader.boolean('encryption-at-host'),
    // Left to Azure or the image unless they are given.
    ...omitUndefined({
      spot: readSpot(reader),
      osDiskSizeGb: reader.number('os-disk-size-gb', {
        accepts: (value) => Number.isInteger(value) && value >= 1 && value <= 4_095,
        text: 'a whole number from 1 to 4095',
      }),
      osDiskType: reader.oneOf('os-disk-type', [
        'Standard_LRS',
        'StandardSSD_LRS',
        'StandardSSD_ZRS',
        'Premium_LRS',
        'Premium_ZRS',
        'PremiumV2_LRS',
      ]),
      customData: readCustomData(reader, runner),
      userData: encoded(reader, 'user-data', Buffer.from(reader.raw('user-data') ?? ''), 65_536),
      securityType: reader.oneOf('security-type', ['Standard', 'TrustedLaunch', 'ConfidentialVM']),
      licenseType: reader.oneOf('license-type', licenseTypes),
    }),
  };
}

/** https://learn.microsoft.com/cli/azure/vm#az-vm-create (`--license-type`) */
const licenseTypes = [
  'None',
  'RHEL_BASE',
  'RHEL_BASESAPAPPS',
  'RHEL_BASESAPHA',
  'RHEL_BYOS',
  'RHEL_ELS_6',
  'RHEL_EUS',
  'RHEL_SAPAPPS',
  'RHEL_SAPHA',
  'SLES',
  'SLES_BYOS',
  'SLES_HPC',
  'SLES_SAP',
  'SLES_STANDARD',
  'UBUNTU',
  'UBUNTU_PRO',
  'Windows_Client',
  'Windows_Server',
] as const;

function readSizes(reader: Reader): readonly string[] {
  const sizes = reader.list('vm-size');
  for (const size of sizes) {
    const issue = validateVmSize(size);
    if (issue) reader.addIssue('vm-size', `${quoteValue(size)} ${issue}`);
  }
  return sizes;
}

function readEach(reader: Reader, name: InputName, pattern: RegExp, rule: string): readonly string[] {
  const entries = reader.entries(name);
  for (const entry of new Set(entries)) {
    if (!pattern.test(entry)) reader.addIssue(name, `${quoteValue(entry)} is not ${rule}.`);
  }
  return entries;
}

/** Azure numbers the zones of every region with zones alike; a zone that does not offer the size is refused and skipped. */
const allZones = ['1', '2', '3'];

function readZones(reader: Reader): readonly string[] {
  if (reader.text('zone')?.toLowerCase() === 'any') return allZones;
  return [...new Set(readEach(reader, 'zone', /^[1-3]$/, 'a zone: 1, 2 or 3, or any alone'))];
}

const maxDiskSizeGb = 32_767;

function readDataDiskSizes(reader: Reader): readonly number[] {
  const rule = `a whole number from 1 to ${maxDiskSizeGb}`;
  const sizes = readEach(reader, 'data-disk-sizes-gb', /^[1-9][0-9]{0,4}$/, rule).map(Number);
  const tooLarge = sizes.find((size) => size > maxDiskSizeGb);
  if (tooLarge) reader.addIssue('data-disk-sizes-gb', `${tooLarge} is not ${rule}.`);
  // No Azure size takes more data disks.
  if (sizes.length > 64) reader.addIssue('data-disk-sizes-gb', `has ${sizes.length} entries; a VM takes 64.`);
  return sizes;
}

function readSpot(reader: Reader): DeployInputs['spot'] {
  const spot = reader.oneOf('spot', ['false', 'true', 'prefer']);
  if (spot !== 'true' && spot !== 'prefer') {
    reader.rejectIfGiven(['max-price', 'eviction-policy'], 'it is for Azure Spot, and spot is neither true nor prefer');
    return undefined;
  }
  const price = {
    accepts: (value: number) => value === -1 || value > 0,
    text: 'a price in US dollars an hour above 0, or -1 for no limit',
  };
  return {
    maxPrice: reader.number('max-price', price) ?? -1,
    evictionPolicy: reader.oneOf('eviction-policy', ['Delete', 'Deallocate']) ?? 'Delete',
    ...(spot === 'prefer' ? { isOptional: true as const } : {}),
  };
}
