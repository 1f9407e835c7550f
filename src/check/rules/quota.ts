import { type Sku, capability } from '../../vm/sizes.ts';
import { type Finding, type RuleContext, type Usage, answered, okFinding } from '../facts.ts';

/** What is wrong with one placement of the VM. */
export interface PlacementProblem {
  readonly id: string;
  readonly asked: string;
  readonly text: string;
  /** `create` tries the next placement after quota and capacity errors; any other error ends it. */
  readonly fatal: boolean;
  readonly who: string;
  readonly fix: readonly string[];
}

/** Quotas that a size counts against: Spot VMs have one for all families. */
function requiredQuotas({ inputs }: RuleContext, sku: Sku): readonly string[] {
  return inputs.spot ? ['lowPriorityCores'] : ['cores', ...(sku.family ? [sku.family] : [])];
}

export function findUsage(usages: readonly Usage[], name: string): Usage | undefined {
  return usages.find((usage) => usage.name.value?.toLowerCase() === name.toLowerCase());
}

export function quotaFix(command: string, { plan, known }: RuleContext): readonly string[] {
  return [
    `${command} --subscription ${known.subscriptionId} -l ${plan.location} -o table`,
    `${known.portal}/#view/Microsoft_Azure_Capacity/QuotaMenuBlade/~/myQuotas`,
  ];
}

export function quotaProblems(context: RuleContext, size: string, sku: Sku): PlacementProblem[] {
  const { facts, plan, known } = context;
  const usages = facts.computeUsages && 'value' in facts.computeUsages ? facts.computeUsages.value : [];
  const cores = Number(capability(sku, 'vCPUs') ?? Number.NaN);
  return requiredQuotas(context, sku).flatMap((name): PlacementProblem[] => {
    const usage = findUsage(usages, name);
    if (!usage || !(usage.limit - usage.currentValue < cores)) return [];
    return [
      {
        id: `quota/${name}`,
        asked: `quota "${usage.name.localizedValue ?? name}" in ${plan.location}`,
        text: `${usage.currentValue} of ${usage.limit} are in use, and ${size} needs ${cores}.`,
        fatal: false,
        who: `the owner of subscription ${known.subscriptionId}`,
        fix: [
          'Delete unused VMs, use another size or `location`, or request a higher quota:',
          ...quotaFix('az vm list-usage', context),
        ],
      },
    ];
  });
}

export function checkQuota(context: RuleContext, skus: readonly Sku[]): Finding[] {
  const { facts, plan, known, subscription } = context;
  if (!facts.computeUsages) return [];
  const question = {
    id: 'quota',
    asked: `core quota in ${plan.location}`,
    permission: { action: 'Microsoft.Compute/locations/usages/read', scope: subscription },
  };
  return answered(question, facts.computeUsages, known, (usages) => {
    const names = [...new Set(skus.flatMap((sku) => requiredQuotas(context, sku)))];
    return names.flatMap((name) => {
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
