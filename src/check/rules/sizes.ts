import type { ResourceSku } from '@azure/arm-compute';
import { valueOf } from '../../azure/lookup.ts';
import type { Placement } from '../../deployment/resources.ts';
import { quotaPage, subscriptionOwner } from '../../error-catalog/entry.ts';
import { shellCommand } from '../../lib/escape.ts';
import {
  capabilitiesFromName,
  capabilitiesFromSku,
  capability,
  incompatibilities,
  overridesAffectSize,
  retirementDate,
  sizeRequirements,
} from '../../vm/sizes.ts';
import type { Usage } from '../collect.ts';
import type { Finding, RuleContext } from '../facts.ts';

/** What is wrong with one placement of the VM. `create` tries the next one, unless the problem is fatal. */
type PlacementProblem = Finding & { readonly isFatal?: true };

export function checkSizes(context: RuleContext): Finding[] {
  const { inputs, image, plan, ask } = context;
  if (!image && inputs.sizes.length === 0) {
    const answer = 'Skipped: the default size depends on the image, which could not be read.';
    return [ask('size', 'the size').unknown(answer)];
  }
  const sizes = [...new Set(plan.vm.attempts.map(({ size }) => size))];
  const problems = placementFindings(context);
  const reported = new Set(problems.map(({ id }) => id));
  const skus = sizes.flatMap((size) => findSku(context, size) ?? []);
  const available = [...sizes.flatMap((size) => availableSize(context, size)), ...checkQuota(context, skus)];
  return [
    ...checkSkuList(context, sizes),
    ...checkSpotPrices(context, sizes),
    ...problems,
    ...available.filter(({ id }) => !reported.has(id)),
    ...sizes.flatMap((size) => checkRetirement(context, size)),
  ];
}

function checkSkuList({ facts, plan, ask }: RuleContext, sizes: readonly string[]): Finding[] {
  if (!facts.skus) return [ask('size', 'the sizes').unknown('Skipped: the region is not known.')];
  const asked = `${sizes.length > 1 ? 'sizes' : 'size'} ${sizes.join(', ')} in ${plan.location}`;
  return ask('size', asked, 'Microsoft.Compute/skus/read').answered(facts.skus, () => []);
}

/** One finding per size or quota, although several placements may have the same problem. */
function placementFindings(context: RuleContext): Finding[] {
  const byPlacement = context.plan.vm.attempts.map((placement) => placementProblems(context, placement));
  const usable = byPlacement.findIndex((list) => list.length === 0);
  const all = byPlacement.flatMap((list, index) => {
    // `create` uses the first placement that works, unless a problem ends the run before it is reached.
    const isFault = usable < 0 || (index < usable && list.some(({ isFatal }) => isFatal));
    return list.map((problem): Finding => ({ ...problem, level: isFault ? 'fault' : 'warning' }));
  });
  return [...Map.groupBy(all, ({ id }) => id).values()].flatMap((same) => {
    const level = same.some((finding) => finding.level === 'fault') ? 'fault' : 'warning';
    const answer = [...new Set(same.map((finding) => finding.answer))].join(' ');
    return same.slice(0, 1).map((first) => ({ ...first, level, answer }));
  });
}

function findSku({ facts }: RuleContext, size: string): ResourceSku | undefined {
  return valueOf(facts.skus)?.find(
    ({ resourceType, name }) => resourceType === 'virtualMachines' && name?.toLowerCase() === size.toLowerCase(),
  );
}

function placementProblems(context: RuleContext, placement: Placement): PlacementProblem[] {
  const { inputs, facts, plan, known, image, ask } = context;
  const { size, zone } = placement;
  const zones = inputs.zones.length > 0 ? `, zone ${inputs.zones.join(', ')}` : '';
  const series = /^Standard_[A-Z]+\d+/i.exec(size)?.[0] ?? size;
  const problem = (text: string) =>
    ask(`size/${size}`, `size ${size} in ${plan.location}${zones}`).fault(text, [
      'Give another size in `vm-size`, or several: the first available one is used. To list what the region offers:',
      shellCommand`az vm list-skus --subscription ${known.subscriptionId} -l ${plan.location} --size ${series} --all -o table`,
    ]);
  const sku = findSku(context, size);
  if (valueOf(facts.skus) && !sku) return [problem(`There is no size ${size} in ${plan.location}.`)];
  const compared = image && !overridesAffectSize(inputs) ? image : undefined;
  const capabilities = sku ? capabilitiesFromSku(sku) : capabilitiesFromName(size);
  const misfits = compared ? incompatibilities(capabilities, compared, sizeRequirements(inputs, compared)) : [];
  return [
    ...(sku ? availabilityProblems(sku, zone, plan.location).map((text) => problem(`${size} ${text}.`)) : []),
    ...(sku ? quotaProblems(context, placement, sku) : []),
    ...spotPriceProblems(context, placement),
    ...misfits.map((text) => ({ ...problem(`${size} ${text}.`), isFatal: true as const })),
  ];
}

/** Why the region or zone does not offer the size to this subscription, as ends of sentences. */
function availabilityProblems(sku: ResourceSku, zone: string | undefined, location: string): string[] {
  const zones = zonesOf(sku);
  const offered = zones.length > 0 ? `zones ${zones.join(', ')} only` : 'no zone at all';
  const restrictions = (sku.restrictions ?? []).flatMap(({ type, restrictionInfo, reasonCode }) => {
    const isZonal = type === 'Zone';
    if (isZonal && (!zone || !restrictionInfo?.zones?.includes(zone))) return [];
    const place = isZonal ? `zone ${zone} of ${location}` : location;
    return [`is not offered to this subscription in ${place} (${reasonCode ?? 'restricted'})`];
  });
  return zone && !zones.includes(zone)
    ? [`is offered in ${offered} of ${location}, not in zone ${zone}`, ...restrictions]
    : restrictions;
}

function zonesOf({ locationInfo = [] }: ResourceSku): readonly string[] {
  return locationInfo.flatMap(({ zones = [] }) => zones).toSorted();
}

function availableSize(context: RuleContext, size: string): Finding[] {
  const { inputs, plan, image, ask } = context;
  const sku = findSku(context, size);
  if (!sku) return [];
  // `incompatibilities` compares only with an image definition that was read, and only what `overrides` leaves alone.
  const isCompared = image?.generation !== undefined && !overridesAffectSize(inputs);
  const compatibility = isCompared ? 'The image boots on it.' : 'Not compared with the image.';
  const zones = zonesOf(sku);
  const place = zones.length > 0 ? `${plan.location}, zones ${zones.join(', ')}` : plan.location;
  const capacity = `${capability(sku, 'vCPUs') ?? '?'} vCPUs, ${capability(sku, 'MemoryGB') ?? '?'} GiB`;
  const question = ask(`size/${size}`, `size ${size} in ${plan.location}`);
  return [question.ok(`Offered in ${place}: ${capacity}. ${compatibility}`)];
}

function checkRetirement({ ask }: RuleContext, size: string): Finding[] {
  const date = retirementDate(size);
  if (!date) return [];
  const answer = `Azure retires ${size} on ${date}, and its capacity becomes scarce before then.`;
  const fix = [
    'Use a newer size, e.g. Standard_D2s_v5:',
    'https://learn.microsoft.com/azure/virtual-machines/sizes/retirement/retired-sizes-list',
  ];
  return [ask(`retirement/${size}`, `the retirement of size ${size}`).warning(answer, fix)];
}

/** Quotas that a size counts against: Spot VMs have one for all families. */
function requiredQuotas({ spot }: Pick<Placement, 'spot'>, { family }: ResourceSku): readonly string[] {
  return spot ? ['lowPriorityCores'] : ['cores', ...(family ? [family] : [])];
}

export function findUsage(usages: readonly Usage[], name: string): Usage | undefined {
  return usages.find((usage) => usage.name.value?.toLowerCase() === name.toLowerCase());
}

function askQuota({ plan, ask }: RuleContext, name: string, usage: Usage) {
  return ask(`quota/${name}`, `quota "${usage.name.localizedValue ?? name}" in ${plan.location}`);
}

function quotaProblems(context: RuleContext, placement: Placement, sku: ResourceSku): Finding[] {
  const { facts, plan, known } = context;
  const cores = Number(capability(sku, 'vCPUs') ?? Number.NaN);
  return requiredQuotas(placement, sku).flatMap((name) => {
    const usage = findUsage(valueOf(facts.computeUsages) ?? [], name);
    if (!usage || !(usage.limit - usage.currentValue < cores)) return [];
    const answer = `${usage.currentValue} of ${usage.limit} are in use, and ${placement.size} needs ${cores}.`;
    const fix = [
      'Delete unused VMs, use another size or `location`, or request a higher quota:',
      shellCommand`az vm list-usage --subscription ${known.subscriptionId} -l ${plan.location} -o table`,
      quotaPage(known),
    ];
    return [askQuota(context, name, usage).fault(answer, fix, subscriptionOwner(known))];
  });
}

function spotPriceOf({ facts: { spotPrices } }: RuleContext, size: string): number | undefined {
  return valueOf(spotPrices)?.find((entry) => entry.size.toLowerCase() === size.toLowerCase())?.price;
}

function spotPriceProblems(context: RuleContext, { size, spot }: Placement): Finding[] {
  const price = spotPriceOf(context, size);
  const limit = context.inputs.spot?.maxPrice;
  if (!spot || price === undefined || limit === undefined || price <= limit) return [];
  const answer = `${size} costs ${price} US dollars an hour, and \`max-price\` is ${limit}.`;
  const fix = ['Raise `max-price`, or leave it out to pay the regular price at most.'];
  return [context.ask('spot-price', 'the Spot price').fault(answer, fix)];
}

function checkSpotPrices(context: RuleContext, sizes: readonly string[]): Finding[] {
  const question = context.ask('spot-price', 'the Spot price', 'Microsoft.ResourceGraph/resources/read');
  return question.answered(context.facts.spotPrices, () => {
    const unpriced = sizes.filter((size) => spotPriceOf(context, size) === undefined);
    return unpriced.map((size) => question.unknown(`Skipped: Azure publishes no Spot price of ${size} here.`));
  });
}

function checkQuota(context: RuleContext, skus: readonly ResourceSku[]): Finding[] {
  const { facts, plan, ask } = context;
  const question = ask('quota', `core quota in ${plan.location}`, 'Microsoft.Compute/locations/usages/read');
  return question.answered(facts.computeUsages, (usages) => {
    const names = new Set(plan.vm.attempts.flatMap((attempt) => skus.flatMap((sku) => requiredQuotas(attempt, sku))));
    return [...names].flatMap((name) => {
      const usage = findUsage(usages, name);
      if (!usage) return [];
      return askQuota(context, name, usage).ok(`${usage.limit - usage.currentValue} of ${usage.limit} are free.`);
    });
  });
}
