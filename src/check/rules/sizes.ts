import { valueOf } from '../../azure/lookup.ts';
import type { Placement } from '../../deployment/resources.ts';
import { workflowAuthor } from '../../error-catalog/entry.ts';
import { shellCommand } from '../../lib/escape.ts';
import {
  type Sku,
  capabilitiesFromName,
  capabilitiesFromSku,
  capability,
  incompatibilities,
  overridesAffectSize,
  retirementDate,
  sizeRequirements,
} from '../../vm/sizes.ts';
import {
  type Finding,
  type RuleContext,
  type Usage,
  answered,
  okFinding,
  unknownFinding,
  warnFinding,
} from '../facts.ts';

/** What is wrong with one placement of the VM. */
interface PlacementProblem {
  readonly id: string;
  readonly asked: string;
  readonly text: string;
  /** `create` tries the next placement after quota and capacity errors; any other error ends it. */
  readonly fatal: boolean;
  readonly who: string;
  readonly fix: readonly string[];
}

export function checkSizes(context: RuleContext): Finding[] {
  const { inputs, image, plan } = context;
  if (!image && inputs.sizes.length === 0) {
    const question = { id: 'size', asked: 'the size' };
    const answer = 'Skipped: the default size depends on the image, which could not be read.';
    return [unknownFinding(question, answer)];
  }
  const sizes = [...new Set(plan.vm.attempts.map(({ size }) => size))];
  const problems = placementFindings(context);
  const reported = new Set(problems.map(({ id }) => id));
  const skus = sizes.flatMap((size) => findSku(context, size) ?? []);
  return [
    ...checkSkuList(context, sizes),
    ...checkSpotPrices(context, sizes),
    ...problems,
    ...[...sizes.flatMap((size) => availableSize(context, size)), ...checkQuota(context, skus)].filter(
      ({ id }) => !reported.has(id),
    ),
    ...sizes.flatMap(checkRetirement),
  ];
}

function checkSkuList({ facts, plan, known, subscription }: RuleContext, sizes: readonly string[]): Finding[] {
  if (!facts.skus) return [unknownFinding({ id: 'size', asked: 'the sizes' }, 'Skipped: the region is not known.')];
  const question = {
    id: 'size',
    asked: `${sizes.length > 1 ? 'sizes' : 'size'} ${sizes.join(', ')} in ${plan.location}`,
    permission: { action: 'Microsoft.Compute/skus/read', scope: subscription },
  };
  return answered(question, facts.skus, known, () => []);
}

/** One finding per size or quota, although several placements may have the same problem. */
function placementFindings(context: RuleContext): Finding[] {
  const byPlacement = context.plan.vm.attempts.map((placement) => placementProblems(context, placement));
  const levels = severityByPlacement(byPlacement);
  const all = byPlacement.flatMap((list, index) =>
    list.map((problem) => ({ ...problem, level: levels[index] ?? 'fault' })),
  );
  return [...Map.groupBy(all, ({ id }) => id)].flatMap(([id, [first, ...others]]) => {
    if (!first) return [];
    const same = [first, ...others];
    const level = same.some((problem) => problem.level === 'fault') ? 'fault' : 'warning';
    const answer = [...new Set(same.map(({ text }) => text))].join(' ');
    return [{ id, level, asked: first.asked, answer, who: first.who, fix: first.fix }];
  });
}

/**
 * `create` uses the first placement that works, so a problem is a fault only if no placement works or the problem ends
 * the run before one is reached.
 */
function severityByPlacement(problems: readonly (readonly PlacementProblem[])[]): ('fault' | 'warning')[] {
  const usable = problems.findIndex((list) => list.length === 0);
  return problems.map((list, index) => {
    if (usable < 0) return 'fault';
    return index < usable && list.some(({ fatal }) => fatal) ? 'fault' : 'warning';
  });
}

function findSku({ facts }: RuleContext, size: string): Sku | undefined {
  return valueOf(facts.skus)?.find(
    ({ resourceType, name }) => resourceType === 'virtualMachines' && name?.toLowerCase() === size.toLowerCase(),
  );
}

function placementProblems(context: RuleContext, placement: Placement): PlacementProblem[] {
  const { inputs, facts, plan, known, image } = context;
  const { size, zone } = placement;
  const zones = inputs.zones.length > 0 ? `, zone ${inputs.zones.join(', ')}` : '';
  const series = /^Standard_[A-Z]+\d+/i.exec(size)?.[0] ?? size;
  const problem = (text: string, fatal: boolean): PlacementProblem => ({
    id: `size/${size}`,
    asked: `size ${size} in ${plan.location}${zones}`,
    text,
    fatal,
    who: workflowAuthor,
    fix: [
      'Give another size in `vm-size`, or several: the first available one is used. To list what the region offers:',
      shellCommand`az vm list-skus --subscription ${known.subscriptionId} -l ${plan.location} --size ${series} --all -o table`,
    ],
  });
  const sku = findSku(context, size);
  if (facts.skus && 'value' in facts.skus && !sku)
    return [problem(`There is no size ${size} in ${plan.location}.`, false)];
  const compared = image && !overridesAffectSize(inputs) ? image : undefined;
  const capabilities = sku ? capabilitiesFromSku(sku) : capabilitiesFromName(size);
  return [
    ...(sku ? availabilityProblems(sku, zone, plan.location).map((text) => problem(`${size} ${text}.`, false)) : []),
    ...(sku ? quotaProblems(context, placement, sku) : []),
    ...spotPriceProblems(context, placement),
    ...(compared
      ? incompatibilities(capabilities, compared, sizeRequirements(inputs, compared)).map((text) =>
          problem(`${size} ${text}.`, true),
        )
      : []),
  ];
}

/** Why the region or zone does not offer the size to this subscription, as ends of sentences. */
function availabilityProblems(sku: Sku, zone: string | undefined, location: string): string[] {
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

function zonesOf({ locationInfo = [] }: Sku): readonly string[] {
  return locationInfo.flatMap(({ zones = [] }) => zones).toSorted();
}

function availableSize(context: RuleContext, size: string): Finding[] {
  const { inputs, plan, image } = context;
  const sku = findSku(context, size);
  if (!sku) return [];
  // `incompatibilities` compares only with an image definition that was read, and only what `overrides` leaves alone.
  const isCompared = image?.generation !== undefined && !overridesAffectSize(inputs);
  const compatibility = isCompared ? 'The image boots on it.' : 'Not compared with the image.';
  const zones = zonesOf(sku);
  const place = zones.length > 0 ? `${plan.location}, zones ${zones.join(', ')}` : plan.location;
  const capacity = `${capability(sku, 'vCPUs') ?? '?'} vCPUs, ${capability(sku, 'MemoryGB') ?? '?'} GiB`;
  const question = { id: `size/${size}`, asked: `size ${size} in ${plan.location}` };
  return [okFinding(question, `Offered in ${place}: ${capacity}. ${compatibility}`)];
}

function checkRetirement(size: string): Finding[] {
  const date = retirementDate(size);
  if (!date) return [];
  return [
    warnFinding(
      { id: `retirement/${size}`, asked: `the retirement of size ${size}` },
      `Azure retires ${size} on ${date}, and its capacity becomes scarce before then.`,
      workflowAuthor,
      [
        'Use a newer size, e.g. Standard_D2s_v5:',
        'https://learn.microsoft.com/azure/virtual-machines/sizes/retirement/retired-sizes-list',
      ],
    ),
  ];
}

/** Quotas that a size counts against: Spot VMs have one for all families. */
function requiredQuotas({ spot }: Pick<Placement, 'spot'>, { family }: Sku): readonly string[] {
  return spot ? ['lowPriorityCores'] : ['cores', ...(family ? [family] : [])];
}

export function findUsage(usages: readonly Usage[], name: string): Usage | undefined {
  return usages.find((usage) => usage.name.value?.toLowerCase() === name.toLowerCase());
}

export function quotaFix(command: string, { portal }: RuleContext['known']): readonly string[] {
  return [command, `${portal}/#view/Microsoft_Azure_Capacity/QuotaMenuBlade/~/myQuotas`];
}

function quotaProblems(context: RuleContext, placement: Placement, sku: Sku): PlacementProblem[] {
  const { facts, plan, known } = context;
  const usages = valueOf(facts.computeUsages) ?? [];
  const cores = Number(capability(sku, 'vCPUs') ?? Number.NaN);
  return requiredQuotas(placement, sku).flatMap((name): PlacementProblem[] => {
    const usage = findUsage(usages, name);
    if (!usage || !(usage.limit - usage.currentValue < cores)) return [];
    return [
      {
        id: `quota/${name}`,
        asked: `quota "${usage.name.localizedValue ?? name}" in ${plan.location}`,
        text: `${usage.currentValue} of ${usage.limit} are in use, and ${placement.size} needs ${cores}.`,
        fatal: false,
        who: `the owner of subscription ${known.subscriptionId}`,
        fix: [
          'Delete unused VMs, use another size or `location`, or request a higher quota:',
          ...quotaFix(
            shellCommand`az vm list-usage --subscription ${known.subscriptionId} -l ${plan.location} -o table`,
            known,
          ),
        ],
      },
    ];
  });
}

function spotPriceOf({ facts: { spotPrices } }: RuleContext, size: string): number | undefined {
  return valueOf(spotPrices)?.find((entry) => entry.size.toLowerCase() === size.toLowerCase())?.price;
}

function spotPriceProblems(context: RuleContext, { size, spot }: Placement): PlacementProblem[] {
  const price = spotPriceOf(context, size);
  const limit = context.inputs.spot?.maxPrice;
  if (!spot || price === undefined || limit === undefined || price <= limit) return [];
  return [
    {
      id: 'spot-price',
      asked: 'the Spot price',
      text: `${size} costs ${price} US dollars an hour, and \`max-price\` is ${limit}.`,
      fatal: false,
      who: workflowAuthor,
      fix: ['Raise `max-price`, or leave it out to pay the regular price at most.'],
    },
  ];
}

function checkSpotPrices(context: RuleContext, sizes: readonly string[]): Finding[] {
  const { facts, known, subscription } = context;
  const permission = { action: 'Microsoft.ResourceGraph/resources/read', scope: subscription };
  const question = { id: 'spot-price', asked: 'the Spot price', permission };
  return answered(question, facts.spotPrices, known, () => {
    const unpriced = sizes.filter((size) => spotPriceOf(context, size) === undefined);
    return unpriced.map((size) => unknownFinding(question, `Skipped: Azure publishes no Spot price of ${size} here.`));
  });
}

function checkQuota(context: RuleContext, skus: readonly Sku[]): Finding[] {
  const { facts, plan, known, subscription } = context;
  const question = {
    id: 'quota',
    asked: `core quota in ${plan.location}`,
    permission: { action: 'Microsoft.Compute/locations/usages/read', scope: subscription },
  };
  return answered(question, facts.computeUsages, known, (usages) => {
    const names = new Set(plan.vm.attempts.flatMap((attempt) => skus.flatMap((sku) => requiredQuotas(attempt, sku))));
    return [...names].flatMap((name) => {
      const usage = findUsage(usages, name);
      if (!usage) return [];
      const title = usage.name.localizedValue ?? name;
      return okFinding(
        { id: `quota/${name}`, asked: `quota "${title}" in ${plan.location}` },
        `${usage.limit - usage.currentValue} of ${usage.limit} are free.`,
      );
    });
  });
}
