/** Answers about the resources that would be created: they need the plan, and with it the image and the region. */
import { apiVersions } from '../azure/api-versions.ts';
import type { Session } from '../azure/arm-client.ts';
import { type Result, settle } from '../azure/lookup.ts';
import type { ExistingResources, Plan } from '../deployment/resources.ts';
import type { DeployInputs } from '../inputs/inputs.ts';
import { type Json, isJson, mergePatch, omitUndefined } from '../lib/json.ts';
import type { PolicyDenial, SpotPrice, SubscriptionFacts } from './facts.ts';

/**
 * The latest prices of the sizes that may be tried.
 * https://learn.microsoft.com/azure/virtual-machines/spot-vms#pricing-and-eviction-history
 */
export function collectSpotPrices(
  { arm }: Session,
  { spot }: DeployInputs,
  { location, vm }: Plan,
): Promise<Result<readonly SpotPrice[]>> | undefined {
  if (!spot || spot.maxPrice === -1 || location === '') return undefined;
  const sizes = [...new Set(vm.attempts.map(({ size }) => `'${size}'`))];
  const query = `SpotResources
    | where type =~ 'microsoft.compute/skuspotpricehistory/ostype/location' and location =~ '${location}'
    | where properties.osType =~ '${vm.osType}' and sku.name in~ (${sizes.join(', ')})
    | project size = tostring(sku.name), price = todouble(properties.spotPrices[0].priceUSD)`;
  return settle(async () => {
    const path = '/providers/Microsoft.ResourceGraph/resources';
    const answer = await arm<{ data?: readonly SpotPrice[] }>('POST', path, apiVersions.resourceGraph, {
      body: { query },
    });
    return answer.data ?? [];
  });
}

interface PolicyEvaluation {
  readonly policyInfo?: { readonly policyAssignmentId?: string };
  readonly evaluationResult?: string;
  readonly evaluationDetails?: { readonly reason?: string };
  readonly effectDetails?: { readonly policyEffect?: string };
}

/**
 * Has Azure Policy evaluate the resources that would be created, with the first size.
 * https://learn.microsoft.com/rest/api/policy/policy-restrictions/check-at-resource-group-scope
 */
export function collectPolicyDenials(
  { arm }: Session,
  { group, existing }: SubscriptionFacts,
  plan: Plan,
): Promise<Result<readonly PolicyDenial[]>> | undefined {
  if ('error' in group) return undefined;
  const subscription = `/subscriptions/${plan.subscriptionId}`;
  const scope = group.value.exists ? `${subscription}/resourceGroups/${plan.resourceGroup}` : subscription;
  const path = `${scope}/providers/Microsoft.PolicyInsights/checkPolicyRestrictions`;
  const isAbsent = (part: keyof ExistingResources) => {
    const found = existing[part];
    return found && 'value' in found && !found.value;
  };
  const { nic, nsg, publicIp, vnet, vm } = plan;
  const made = { nsg, vnet, publicIp, nic, vm: { ...vm, body: vm.body(vm.attempts[0] ?? { size: '' }) } };
  const resources = Object.entries(made).flatMap(([part, resource]) =>
    resource && 'body' in resource && isAbsent(part as keyof ExistingResources) ? [resource] : [],
  );
  if (resources.length === 0) return undefined;
  return settle(async () => {
    const denials = await Promise.all(
      resources.map(async ({ id, name, body }) => {
        const type = /\/providers\/([^/]+\/[^/]+)/.exec(id)?.[1] ?? '';
        const resourceContent = mergePatch(
          { type, name, ...restShape(body) },
          plan.patches.get(id.toLowerCase()) ?? {},
        );
        const apiVersion = type.startsWith('Microsoft.Compute') ? apiVersions.virtualMachines : apiVersions.network;
        const answer = await arm<{
          contentEvaluationResult?: { policyEvaluations?: readonly PolicyEvaluation[] };
        }>('POST', path, apiVersions.policyRestrictions, {
          body: { resourceDetails: { resourceContent, apiVersion } },
        });
        return (answer.contentEvaluationResult?.policyEvaluations ?? [])
          .filter(
            ({ evaluationResult, effectDetails }) =>
              `${evaluationResult} ${effectDetails?.policyEffect}`.toLowerCase() === 'noncompliant deny',
          )
          .map(({ policyInfo, evaluationDetails }) => ({
            resource: name,
            policyAssignmentId: policyInfo?.policyAssignmentId ?? '',
            ...omitUndefined({ reason: evaluationDetails?.reason }),
          }));
      }),
    );
    return denials.flat();
  });
}

const envelope = new Set(['id', 'name', 'location', 'tags', 'zones', 'sku', 'identity', 'plan']);

/** No policy needs them, and they hold passwords and keys. */
const withheld = new Set(['osProfile', 'userData']);

/** The SDK's models lack the level `properties`, also in lists. */
function restShape(body: object): Json {
  const entries = Object.entries(body)
    .filter(([key]) => !withheld.has(key))
    .map(([key, value]) => [key, shapeNested(value)] as const);
  return {
    ...Object.fromEntries(entries.filter(([key]) => envelope.has(key))),
    properties: Object.fromEntries(entries.filter(([key]) => !envelope.has(key))),
  };
}

/** Entries of lists are resources of their own if they have a name or an ID. */
function shapeNested(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map((entry: unknown) =>
      isJson(entry) && ('name' in entry || 'id' in entry) ? restShape(entry) : entry,
    );
  }
  if (!isJson(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, nested]) => [key, shapeNested(nested)]));
}
