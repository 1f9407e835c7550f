import { expect, test } from '@jest/globals';
import { describeSize, sizes } from '../../../simulator/providers/compute/skus.ts';
import { type RefusedSize, suggestSizes } from '../../../src/vm/alternative-sizes.ts';
import type { Sku } from '../../../src/vm/sizes.ts';

const named = (...names: string[]): Sku[] =>
  sizes
    .filter(({ name }) => names.includes(name))
    .map((size) => describeSize(size, 'westeurope', ['1', '2', '3'], []) as Sku);
const all = sizes.map((size) => describeSize(size, 'westeurope', ['1', '2', '3'], []) as Sku);
const refused = (size: string, more: Partial<RefusedSize> = {}): RefusedSize => ({
  size,
  code: 'AllocationFailed',
  message: 'Allocation failed.',
  ...more,
});
const anything = (): boolean => true;
const quota = (what: string, limit: number, usage: number): string =>
  `Operation could not be completed as it results in exceeding approved ${what} quota. Additional details - Deployment Model: Resource Manager, Location: westeurope, Current Limit: ${limit}, Current Usage: ${usage}, Additional Required: 2, (Minimum) New Limit Required: 12.`;

test('those most like the refused one come first; what was refused and what retires is left out', () => {
  const offers = suggestSizes(all, anything, [refused('standard_d2S_V5')]);
  expect(offers).toHaveLength(5);
  expect(offers[0]).toBe('Standard_D2as_v5 (2 vCPUs, 8 GiB, zones 1, 2, 3)');
  expect(offers.join()).not.toMatch(/D2s_v5|_v2 |B1s|B2s /);
  expect(suggestSizes(all, anything, [refused('Standard_D4s_v5')])[0]).toMatch(
    /^Standard_D4\w+_v\d \(4 vCPUs, 16 GiB/,
  );
});

test('what the image does not boot on, and other kinds of resources, are no offer', () => {
  const disk = { resourceType: 'disks', name: 'Premium_LRS' };
  expect(
    suggestSizes([disk, ...all], ({ name }) => name === 'Standard_D2ps_v5', [refused('Standard_D2s_v5')]),
  ).toEqual(['Standard_D2ps_v5 (2 vCPUs, 8 GiB, zones 1, 2, 3)']);
});

test('of a size refused in some zones the others are left', () => {
  const skus = named('Standard_D2s_v5', 'Standard_A1_v2', 'Standard_D2as_v5');
  const [closed] = named('Standard_D2as_v5');
  const restriction = { type: 'Zone', restrictionInfo: { zones: ['1', '2'] } };
  const restricted = { ...closed, restrictions: [restriction] } as Sku;
  const offers = suggestSizes(
    [...skus.filter(({ name }) => name !== 'Standard_D2as_v5'), restricted],
    anything,
    [refused('Standard_D2s_v5', { zone: '1' })],
  );
  expect(offers).toEqual([
    'Standard_D2as_v5 (2 vCPUs, 8 GiB, zone 3)',
    'Standard_D2s_v5 (2 vCPUs, 8 GiB, zones 2, 3)',
  ]);
  expect(
    suggestSizes(
      skus,
      anything,
      ['1', '2', '3'].flatMap((zone) => [
        refused('Standard_D2s_v5', { zone }),
        refused('Standard_D2as_v5', { zone }),
      ]),
    ),
  ).toEqual([]);
});

test('a size that the subscription may not have in the region is no offer', () => {
  const [sku] = named('Standard_D2as_v5');
  const restricted = { ...sku, restrictions: [{ type: 'Location' }] } as Sku;
  expect(suggestSizes([restricted], anything, [refused('Standard_D2s_v5')])).toEqual([]);
});

test('a family without quota is ruled out, and so is what takes more cores than the region has left', () => {
  const family = suggestSizes(all, anything, [
    refused('Standard_D2s_v5', {
      code: 'OperationNotAllowed',
      message: quota('standardDSv5Family Cores', 10, 10),
    }),
  ]);
  expect(family.join()).not.toMatch(/D\ds_v5/);
  const region = suggestSizes(all, anything, [
    refused('Standard_D4s_v5', {
      code: 'OperationNotAllowed',
      message: quota('Total Regional Cores', 10, 8),
    }),
  ]);
  expect(region.length).toBeGreaterThan(0);
  for (const offer of region) expect(offer).toMatch(/\([12] vCPUs/);
});
