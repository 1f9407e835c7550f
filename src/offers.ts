/** What to take instead of sizes that could not be had, by Azure's list of sizes. Pure: whoever asks has read the list. */
import { capability, retirementOf, type Sku } from './size.ts';

/** An attempt at placing the machine that came to nothing, in Azure's words. */
export interface Refused {
  readonly size: string;
  readonly zone?: string;
  readonly code: string;
  readonly message: string;
}

const most = 5;

/**
 * Sizes that the subscription may have in the region and that nothing of what was refused speaks against, those most
 * like the first refused one first: `Standard_D2as_v5 (2 vCPUs, 8 GiB, zones 1, 2, 3)`. Whether there is capacity for
 * them, no list of Azure's says.
 * @param fits whether the image, as the inputs want it, boots on a size.
 */
export function sizesInstead(
  skus: readonly Sku[],
  fits: (sku: Sku) => boolean,
  refused: readonly Refused[],
): readonly string[] {
  const machines = skus.filter(({ resourceType }) => resourceType === 'virtualMachines');
  const first = machines.find(({ name = '' }) => sameName(name, refused[0]?.size ?? ''));
  const zoned = refused.some(({ zone }) => zone !== undefined);
  const exhausted = refused.map(quotaIn);
  return machines
    .filter(
      (sku) => fits(sku) && retirementOf(sku.name ?? '') === undefined && !exhausted.some((by) => by(sku)),
    )
    .flatMap((sku) => {
      const zones = zonesLeft(sku, refused);
      return zones === undefined || (zoned && zones.length === 0) ? [] : [{ sku, zones }];
    })
    .toSorted(
      (one, other) =>
        distance(one.sku, first) - distance(other.sku, first) ||
        (one.sku.name ?? '').localeCompare(other.sku.name ?? ''),
    )
    .slice(0, most)
    .map(({ sku, zones }) => {
      const where = zones.length > 0 ? `, zone${zones.length > 1 ? 's' : ''} ${zones.join(', ')}` : '';
      return `${sku.name} (${capability(sku, 'vCPUs') ?? '?'} vCPUs, ${capability(sku, 'MemoryGB') ?? '?'} GiB${where})`;
    });
}

/** Zones in which the size is still worth a try; undefined where it is not to be had at all. */
function zonesLeft({ name = '', locationInfo, restrictions }: Sku, refused: readonly Refused[]) {
  if (restrictions?.some(({ type }) => type === 'Location')) return undefined;
  const mine = refused.filter(({ size }) => sameName(size, name));
  if (mine.some(({ zone }) => zone === undefined)) return undefined;
  const closed = [
    ...mine.map(({ zone }) => zone),
    ...(restrictions ?? []).flatMap(({ restrictionInfo }) => restrictionInfo?.zones ?? []),
  ];
  const offered = locationInfo?.flatMap(({ zones = [] }) => zones) ?? [];
  return offered.filter((zone) => !closed.includes(zone)).toSorted();
}

/** Sizes that a refusal for want of quota rules out: the whole family, or whatever takes more cores than are left. */
function quotaIn({ code, message }: Refused): (sku: Sku) => boolean {
  const [, quota = '', limit, usage] =
    /exceeding approved (.+?) quota.*Current Limit: (\d+), Current Usage: (\d+)/s.exec(message) ?? [];
  if (!/OperationNotAllowed|QuotaExceeded/.test(code) || limit === undefined) return () => false;
  const family = /^(\S+Family)\b/i.exec(quota)?.[1];
  const left = Number(limit) - Number(usage);
  return (sku) =>
    (family === undefined || sameName(sku.family ?? '', family)) &&
    !(Number(capability(sku, 'vCPUs')) <= left);
}

/** How unlike two sizes are, in doublings of cores and memory; other families count a little. */
function distance(sku: Sku, wanted: Sku | undefined): number {
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

function sameName(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}
