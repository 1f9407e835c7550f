import type { Result } from '../../azure/lookup.ts';
import { workflowAuthor } from '../../error-catalog/entry.ts';
import { type Sku, capability } from '../../vm/sizes.ts';
import {
  type Finding,
  type RuleContext,
  type Usage,
  faultFinding,
  okFinding,
  unknownFromError,
} from '../facts.ts';
import { type SizeProblem, findSku } from './sizes.ts';

/** The quotas that a size counts against: Spot machines have one of their own for all families. */
function requiredQuotas({ facts: { inputs } }: RuleContext, sku: Sku): readonly string[] {
  return inputs.spot ? ['lowPriorityCores'] : ['cores', ...(sku.family ? [sku.family] : [])];
}

function findUsage(usages: Result<readonly Usage[]> | undefined, name: string): Usage | undefined {
  if (!usages || 'error' in usages) return undefined;
  return usages.value.find((usage) => usage.name.value?.toLowerCase() === name.toLowerCase());
}

export function quotaProblems(context: RuleContext, size: string, sku: Sku): SizeProblem[] {
  const { subscriptionFacts, plan, known } = context;
  const cores = Number(capability(sku, 'vCPUs') ?? Number.NaN);
  return requiredQuotas(context, sku).flatMap((name): SizeProblem[] => {
    const usage = findUsage(subscriptionFacts.computeUsages, name);
    if (!usage || !(usage.limit - usage.currentValue < cores)) return [];
    const title = usage.name.localizedValue ?? name;
    return [
      {
        id: `quota/${name}`,
        asked: `quota "${title}" in ${plan.location}`,
        text: `${usage.currentValue} of ${usage.limit} are in use, and ${size} takes ${cores}.`,
        ends: false,
        who: `the owner of subscription ${known.subscriptionId}`,
        fix: quotaFix(context),
      },
    ];
  });
}

function quotaFix({ plan, known }: RuleContext): readonly string[] {
  return [
    'Delete what is not needed, use another size or `location`, or ask for more:',
    `az vm list-usage --subscription ${known.subscriptionId} -l ${plan.location} -o table`,
    `${known.portal}/#view/Microsoft_Azure_Capacity/QuotaMenuBlade/~/myQuotas`,
  ];
}

export function checkQuota(context: RuleContext, sizes: readonly string[]): Finding[] {
  const { subscriptionFacts, plan, known } = context;
  const asked = `quota of cores in ${plan.location}`;
  if (!subscriptionFacts.computeUsages) return [];
  if ('error' in subscriptionFacts.computeUsages) {
    const right = {
      action: 'Microsoft.Compute/locations/usages/read',
      scope: `/subscriptions/${subscriptionFacts.subscriptionId}`,
    };
    return [unknownFromError('quota', asked, subscriptionFacts.computeUsages.error, right, known)];
  }
  const skus = sizes.flatMap((size) => findSku(context, size) ?? []);
  const names = [...new Set(skus.flatMap((sku) => requiredQuotas(context, sku)))];
  return names.flatMap((name) => {
    const usage = findUsage(subscriptionFacts.computeUsages, name);
    if (!usage) return [];
    const title = usage.name.localizedValue ?? name;
    return [
      okFinding(
        `quota/${name}`,
        `quota "${title}" in ${plan.location}`,
        `${usage.limit - usage.currentValue} of ${usage.limit} are free.`,
      ),
    ];
  });
}

export function checkPublicIpQuota(context: RuleContext): Finding[] {
  const { subscriptionFacts, plan, known, facts } = context;
  if (plan.publicIp?.origin !== 'made') return [];
  const there = subscriptionFacts.existing.publicIp;
  if (there && 'value' in there && there.value) return [];
  const scope = `/subscriptions/${subscriptionFacts.subscriptionId}`;
  const findings: Finding[] = [];
  if (subscriptionFacts.networkUsages) {
    const id = 'quota/public-ip';
    const asked = `quota of public IPs in ${plan.location}`;
    if ('error' in subscriptionFacts.networkUsages) {
      const right = { action: 'Microsoft.Network/locations/usages/read', scope };
      findings.push(unknownFromError(id, asked, subscriptionFacts.networkUsages.error, right, known));
    } else {
      const usages = ['StandardSkuPublicIpAddresses', 'PublicIPAddresses'].flatMap(
        (name) => findUsage(subscriptionFacts.networkUsages, name) ?? [],
      );
      const full = usages.find(({ limit, currentValue }) => limit - currentValue < 1);
      const [least] = usages;
      findings.push(
        full
          ? faultFinding(
              id,
              asked,
              `All ${full.limit} are in use.`,
              `the owner of subscription ${known.subscriptionId}`,
              [
                'Delete what is not needed, do without (`public-ip: false`), or ask for more:',
                `az network list-usages --subscription ${known.subscriptionId} -l ${plan.location} -o table`,
                `${known.portal}/#view/Microsoft_Azure_Capacity/QuotaMenuBlade/~/myQuotas`,
              ],
            )
          : okFinding(
              id,
              asked,
              least ? `${least.limit - least.currentValue} of ${least.limit} are free.` : 'Azure lists none.',
            ),
      );
    }
  }
  const { network } = facts.inputs;
  const label =
    network.kind === 'new-nic' && network.publicIp.kind === 'new' ? network.publicIp.dnsLabel : undefined;
  if (label && subscriptionFacts.dnsLabelFree) {
    const id = 'name/dns-label';
    const asked = `whether DNS label ${label} is free in ${plan.location}`;
    if ('error' in subscriptionFacts.dnsLabelFree) {
      const right = { action: 'Microsoft.Network/locations/checkDnsNameAvailability/read', scope };
      findings.push(unknownFromError(id, asked, subscriptionFacts.dnsLabelFree.error, right, known));
    } else {
      findings.push(
        subscriptionFacts.dnsLabelFree.value
          ? okFinding(id, asked, 'Free.')
          : faultFinding(id, asked, 'Taken: labels are unique in a region.', workflowAuthor, [
              'Give another `dns-label`.',
            ]),
      );
    }
  }
  return findings;
}
