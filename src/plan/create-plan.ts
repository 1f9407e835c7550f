import { type ResourceIds, resourceIds, resourceNames, type Plan } from '../deployment/resources.ts';
import type { ResolvedImage } from '../image/image.ts';
import type { DeployInputs, OverrideTarget } from '../inputs/inputs.ts';
import type { MergePatch } from '../lib/json.ts';
import { openPortWarnings, planNetwork } from '../network/network-spec.ts';
import { isTrustedLaunchOptional } from '../vm/sizes.ts';
import { type DeploymentContext, identityId, placementsInOrder, vmBody } from '../vm/vm-spec.ts';

/** Pure: the same arguments give the same plan, and nothing is read or sent. */
export function createPlan(inputs: DeployInputs, image: ResolvedImage, context: DeploymentContext): Plan {
  const names = resourceNames(inputs.vmName);
  const ids = resourceIds(context.subscriptionId, inputs.resourceGroup, inputs.vmName);
  const common = { location: context.location, tags: { ...inputs.tags, ...context.ownership } };
  const network = planNetwork(inputs, names, ids, common);
  const vmSpec = { inputs, image, context, network, names, common };
  const warnings = openPortWarnings(inputs);
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
      imageReferenceId: image.referenceId,
      attempts: placementsInOrder(inputs, image),
      plainWillDo: isTrustedLaunchOptional(inputs, image),
      body: (attempt) => vmBody(vmSpec, attempt),
    },
    identities: inputs.identity.named.map((name) => ({
      name,
      id: identityId(context.subscriptionId, inputs.resourceGroup, name),
    })),
    patches: patchesByResourceId(inputs, ids),
    notices: network.notices,
    warnings,
  };
}

function patchesByResourceId({ overrides }: DeployInputs, ids: ResourceIds): ReadonlyMap<string, MergePatch> {
  const target = { ...ids, 'public-ip': ids.publicIp };
  return new Map(Object.entries(overrides).map(([key, patch]) => [target[key as OverrideTarget].toLowerCase(), patch]));
}
