import type { Placement } from '../../deployment/plan.ts';
import { workflowAuthor } from '../../error-catalog/entry.ts';
import { quoteForShell } from '../../lib/escape.ts';
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
  okFinding,
  unknownFinding,
  unknownFromError,
  warnFinding,
} from '../facts.ts';
import { checkQuota, quotaProblems } from './quota.ts';

// Sizes and quotas

/** What is wrong with one attempt at placing the machine. */
export interface SizeProblem {
  readonly id: string;
  readonly asked: string;
  readonly text: string;
  /** `create` goes on to the next attempt after quota and capacity; anything else ends it. */
  readonly ends: boolean;
  readonly who: string;
  readonly fix: readonly string[];
}

export function checkSizes(context: RuleContext): Finding[] {
  const { facts, subscriptionFacts, plan, known } = context;
  const imageRead = subscriptionFacts.image && 'value' in subscriptionFacts.image;
  if (!imageRead && facts.inputs.sizes.length === 0) {
    return [
      unknownFinding(
        'size',
        'the size',
        'Not asked: the default size depends on the image, which could not be read.',
      ),
    ];
  }
  const { attempts } = plan.vm;
  const sizes = [...new Set(attempts.map(({ size }) => size))];
  const problems = attempts.map((attempt) => sizeProblems(context, attempt));
  const levels = severityByPlacement(problems);
  const findings: Finding[] = [];
  if (!subscriptionFacts.skus) {
    findings.push(unknownFinding('size', 'the sizes', 'Not asked: the region is not known.'));
  } else if ('error' in subscriptionFacts.skus) {
    const right = {
      action: 'Microsoft.Compute/skus/read',
      scope: `/subscriptions/${subscriptionFacts.subscriptionId}`,
    };
    findings.push(
      unknownFromError(
        'size',
        `whether ${sizes.join(', ')} can be had in ${plan.location}`,
        subscriptionFacts.skus.error,
        right,
        known,
      ),
    );
  }
  const told = problems.flatMap((list, index) =>
    list.map((problem) => ({ problem, level: levels[index] ?? 'fault' })),
  );
  for (const id of [...new Set(told.map(({ problem }) => problem.id))]) {
    const same = told.filter(({ problem }) => problem.id === id);
    const [first] = same;
    if (!first) continue;
    const level = same.some((one) => one.level === 'fault') ? 'fault' : 'warning';
    const answer = [...new Set(same.map(({ problem }) => problem.text))].join(' ');
    const { asked, who, fix } = first.problem;
    findings.push({ id, level, asked, answer, who, fix });
  }
  const troubled = new Set(findings.map(({ id }) => id));
  return [
    ...findings,
    ...sizesThatFit(context, sizes).filter(({ id }) => !troubled.has(id)),
    ...checkQuota(context, sizes).filter(({ id }) => !troubled.has(id)),
    ...sizes.flatMap((size) => {
      const end = retirementDate(size);
      const asked = `the retirement of size ${size}`;
      return end
        ? [
            warnFinding(
              `retirement/${size}`,
              asked,
              `Azure retires ${size} on ${end}; capacity gets scarce before that.`,
              workflowAuthor,
              [
                'Use a newer size, e.g. Standard_D2s_v5:',
                'https://learn.microsoft.com/azure/virtual-machines/sizes/retirement/retired-sizes-list',
              ],
            ),
          ]
        : [];
    }),
  ];
}

/**
 * `create` takes the first attempt that can be had. What is wrong with an attempt is a fault if it comes to that: if none
 * can be had, or if it ends the run before one is reached.
 */
function severityByPlacement(problems: readonly (readonly SizeProblem[])[]): ('fault' | 'warning')[] {
  const usable = problems.findIndex((list) => list.length === 0);
  return problems.map((list, index) => {
    if (usable < 0) return 'fault';
    return index < usable && list.some(({ ends }) => ends) ? 'fault' : 'warning';
  });
}

export function findSku({ subscriptionFacts }: RuleContext, size: string): Sku | undefined {
  if (!subscriptionFacts.skus || 'error' in subscriptionFacts.skus) return undefined;
  return subscriptionFacts.skus.value.find(
    ({ resourceType, name }) =>
      resourceType === 'virtualMachines' && name?.toLowerCase() === size.toLowerCase(),
  );
}

function sizeFix({ plan, known }: RuleContext, size: string): readonly string[] {
  const series = /^Standard_[A-Z]+\d+/i.exec(size)?.[0] ?? size;
  return [
    'Give another size in `vm-size`, or several: the first that can be had is taken. What the region offers:',
    `az vm list-skus --subscription ${known.subscriptionId} -l ${plan.location} --size ${quoteForShell(series)} --all -o table`,
  ];
}

function sizeProblems(context: RuleContext, { size, zone }: Placement): SizeProblem[] {
  const {
    facts: { inputs },
    subscriptionFacts,
    plan,
  } = context;
  const id = `size/${size}`;
  const asked = `size ${size} in ${plan.location}${inputs.zones.length > 0 ? `, zone ${inputs.zones.join(', ')}` : ''}`;
  const problem = (text: string, ends: boolean): SizeProblem => ({
    id,
    asked,
    text,
    ends,
    who: workflowAuthor,
    fix: sizeFix(context, size),
  });
  const sku = findSku(context, size);
  if (subscriptionFacts.skus && 'value' in subscriptionFacts.skus && !sku) {
    return [problem(`There is no size ${size} in ${plan.location}.`, false)];
  }
  const found: SizeProblem[] = [];
  if (sku) {
    const zones = sku.locationInfo?.flatMap(({ zones = [] }) => zones) ?? [];
    if (zone && !zones.includes(zone)) {
      const which = zones.length > 0 ? `zones ${zones.toSorted().join(', ')} only` : 'no zone at all';
      found.push(problem(`${size} is offered in ${which} of ${plan.location}, not in zone ${zone}.`, false));
    }
    for (const { type, restrictionInfo, reasonCode } of sku.restrictions ?? []) {
      const zoned = type === 'Zone';
      if (zoned && (!zone || !restrictionInfo?.zones?.includes(zone))) continue;
      const where = zoned ? `zone ${zone} of ${plan.location}` : plan.location;
      found.push(
        problem(
          `${size} is not offered to this subscription in ${where} (${reasonCode ?? 'restricted'}).`,
          false,
        ),
      );
    }
    found.push(...quotaProblems(context, size, sku));
  }
  const image =
    subscriptionFacts.image && 'value' in subscriptionFacts.image
      ? subscriptionFacts.image.value.facts
      : undefined;
  if (image && !overridesAffectSize(inputs)) {
    const abilities = sku ? capabilitiesFromSku(sku) : capabilitiesFromName(size);
    found.push(
      ...incompatibilities(abilities, image, sizeRequirements(inputs, image)).map((text) =>
        problem(`${size} ${text}.`, true),
      ),
    );
  }
  return found;
}

function sizesThatFit(context: RuleContext, sizes: readonly string[]): Finding[] {
  const { facts, subscriptionFacts, plan } = context;
  const image =
    subscriptionFacts.image && 'value' in subscriptionFacts.image
      ? subscriptionFacts.image.value.facts
      : undefined;
  // Only what `misfits` has compared: it needs the image definition, and a VM that `overrides` do not change.
  const isCompared = image?.generation !== undefined && !overridesAffectSize(facts.inputs);
  const boots = isCompared ? ' The image boots on it.' : ' Not compared with the image.';
  return sizes.flatMap((size) => {
    const sku = findSku(context, size);
    if (!sku) return [];
    const zones = (sku.locationInfo?.flatMap(({ zones = [] }) => zones) ?? []).toSorted();
    const where = zones.length > 0 ? `${plan.location}, zones ${zones.join(', ')}` : plan.location;
    const answer = `Offered in ${where}: ${capability(sku, 'vCPUs') ?? '?'} vCPUs, ${capability(sku, 'MemoryGB') ?? '?'} GiB.${boots}`;
    return [okFinding(`size/${size}`, `size ${size} in ${plan.location}`, answer)];
  });
}
