import { identityType } from '../azure/api-versions.ts';
import { resourceId } from '../azure/resource-id.ts';
import { type ResourceIds, resourceIds, resourceNames, type Plan } from '../deployment/resources.ts';
import type { ResolvedImage } from '../image/image.ts';
import type { DeployInputs, OverrideTarget } from '../inputs/inputs.ts';
import type { MergePatch } from '../lib/json.ts';
import { openPortWarnings, planNetwork } from '../network/network-spec.ts';
import { isTrustedLaunchOptional } from '../vm/sizes.ts';
import { type DeploymentContext, placementsInOrder, vmBody } from '../vm/vm-spec.ts';

/** Pure: the same arguments give the same plan, and nothing is read or sent. */
export function createPlan(inputs: DeployInputs, image: ResolvedImage, context: DeploymentContext): Plan {
  const names = resourceNames(inputs.vmName);
  const ids = resourceIds(context.subscriptionId, inputs.resourceGroup, inputs.vmName);
  const common = { location: context.location, tags: { ...inputs.tags, ...context.ownership } };
  const network = planNetwork(inputs, names, ids, common);
  const identities = inputs.identity.named.map((name) => ({
    name,
    id: resourceId(context.subscriptionId, inputs.resourceGroup, identityType, name),
  }));
  const vmSpec = { inputs, image, context, network, identities, names, common };
  return {
    deployment: inputs.vmName,
    subscriptionId: context.subscriptionId,
    resourceGroup: inputs.resourceGroup,
    ...common,
    ...network,
    vm: {
      id: ids.vm,
      name: names.vm,
      osDisk: { id: ids.osDisk, name: names.osDisk },
      osType: image.osType,
      attempts: placementsInOrder(inputs, image),
      plainWillDo: isTrustedLaunchOptional(inputs, image),
      body: (attempt) => vmBody(vmSpec, attempt),
    },
    identities,
    patches: patchesByResourceId(inputs, ids),
    warnings: openPortWarnings(inputs),
  };
}

function patchesByResourceId({ overrides }: DeployInputs, ids: ResourceIds): ReadonlyMap<string, MergePatch> {
  const target = { ...ids, 'public-ip': ids.publicIp };
  return new Map(Object.entries(overrides).map(([key, patch]) => [target[key as OverrideTarget].toLowerCase(), patch]));
}
