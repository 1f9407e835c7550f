/** What to take instead of sizes that could not be had, by Azure's list of sizes. Pure: whoever asks has read the list. */

import { type Sku, capability, retirementDate } from './sizes.ts';

/** An attempt at placing the machine that came to nothing, in Azure's words. */
export interface RefusedSize {
  readonly size: string;
  readonly zone?: string;
  readonly code: string;
  readonly message: string;
}

const maxSuggestions = 5;

/**
 * Sizes that the subscription may have in the region and that nothing of what was refused speaks against, those most
 * like the first refused one first: `Standard_D2as_v5 (2 vCPUs, 8 GiB, zones 1, 2, 3)`. Whether there is capacity for
 * them, no list of Azure's says.
 * @param fits whether the image, as the inputs want it, boots on a size.
 */
export function suggestSizes(
  skus: readonly Sku[],
  fits: (sku: Sku) => boolean,
  refused: readonly RefusedSize[],
): readonly string[] {
  const vms = skus.filter(({ resourceType }) => resourceType === 'virtualMachines');
  const first = vms.find(({ name = '' }) => isSameName(name, refused[0]?.size ?? ''));
  const zoned = refused.some(({ zone }) => zone !== undefined);
  const exhausted = refused.map(availableQuota);
  return vms
    .filter(
      (sku) => fits(sku) && retirementDate(sku.name ?? '') === undefined && !exhausted.some((by) => by(sku)),
    )
    .flatMap((sku) => {
      const zones = remainingZones(sku, refused);
      return zones === undefined || (zoned && zones.length === 0) ? [] : [{ sku, zones }];
    })
    .toSorted(
      (one, other) =>
        sizeDistance(one.sku, first) - sizeDistance(other.sku, first) ||
        (one.sku.name ?? '').localeCompare(other.sku.name ?? ''),
    )
    .slice(0, maxSuggestions)
    .map(({ sku, zones }) => {
      const where = zones.length > 0 ? `, zone${zones.length > 1 ? 's' : ''} ${zones.join(', ')}` : '';
      return `${sku.name} (${capability(sku, 'vCPUs') ?? '?'} vCPUs, ${capability(sku, 'MemoryGB') ?? '?'} GiB${where})`;
    });
}

/** Zones in which the size is still worth a try; undefined where it is not to be had at all. */
function remainingZones({ name = '', locationInfo, restrictions }: Sku, refused: readonly RefusedSize[]) {
  if (restrictions?.some(({ type }) => type === 'Location')) return undefined;
  const mine = refused.filter(({ size }) => isSameName(size, name));
  if (mine.some(({ zone }) => zone === undefined)) return undefined;
  const closed = [
    ...mine.map(({ zone }) => zone),
    ...(restrictions ?? []).flatMap(({ restrictionInfo }) => restrictionInfo?.zones ?? []),
  ];
  const offered = locationInfo?.flatMap(({ zones = [] }) => zones) ?? [];
  return offered.filter((zone) => !closed.includes(zone)).toSorted();
}

/** Sizes that a refusal for want of quota rules out: the whole family, or whatever takes more cores than are left. */
function availableQuota({ code, message }: RefusedSize): (sku: Sku) => boolean {
  const [, quota = '', limit, usage] =
    /exceeding approved (.+?) quota.*Current Limit: (\d+), Current Usage: (\d+)/s.exec(message) ?? [];
  if (!/OperationNotAllowed|QuotaExceeded/.test(code) || limit === undefined) return () => false;
  const family = /^(\S+Family)\b/i.exec(quota)?.[1];
  const left = Number(limit) - Number(usage);
  return (sku) =>
    (family === undefined || isSameName(sku.family ?? '', family)) &&
    !(Number(capability(sku, 'vCPUs')) <= left);
}

/** How unlike two sizes are, in doublings of cores and memory; other families count a little. */
function sizeDistance(sku: Sku, wanted: Sku | undefined): number {
  const doublings = (name: string, usual: number): number =>
    Math.abs(
      Math.log2(
        Number(capability(sku, name) ?? usual) / Number((wanted && capability(wanted, name)) ?? usual),
      ),
    );
  const letter = (name = ''): string => /_([A-Z]+)/i.exec(name)?.[1] ?? '';
  return (
    2 * doublings('vCPUs', 2) +
    doublings('MemoryGB', 8) +
    (letter(sku.name) === letter(wanted?.name ?? 'Standard_D') ? 0 : 0.5)
  );
}

function isSameName(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}
