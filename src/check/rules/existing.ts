import type { VirtualMachine } from '@azure/arm-compute';
import { hasSucceeded, provisioningStateOf } from '../../azure/provisioning-state.ts';
import { normaliseRegion, sameId } from '../../azure/resource-id.ts';
import { resourceIds, resourceNames } from '../../deployment/resources.ts';
import { assertOwned, classifyOwnership } from '../../deployment/ownership.ts';
import type { Plan } from '../../deployment/plan.ts';
import { workflowAuthor } from '../../error-catalog/entry.ts';
import { type Difference, driftFix } from '../../plan/drift.ts';
import { compareNetwork } from '../../plan/network-drift.ts';
import { assertNoOrphanedDisk, assertRecreatable, compareVm, logAddedByOthers } from '../../plan/vm-drift.ts';
import { isFailedState } from '../../vm/vm-status.ts';
import {
  type Finding,
  type ReferencedResource,
  type RuleContext,
  azureErrorIn,
  faultFinding,
  faultFromError,
  okFinding,
  unknownFromError,
  unreadable,
} from '../facts.ts';
import { checkSizes } from './sizes.ts';

// Names and given resources

const partTitles = {
  vm: 'virtual machine',
  nsg: 'network security group',
  vnet: 'virtual network',
  publicIp: 'public IP',
  nic: 'network interface',
  osDisk: 'disk',
} as const;

export function checkNames(context: RuleContext): Finding[] {
  const { facts, subscriptionFacts, known } = context;
  const { inputs, run } = facts;
  const names = resourceNames(inputs.vmName);
  const ids = resourceIds(subscriptionFacts.subscriptionId, inputs.resourceGroup, names);
  const looked = { ...subscriptionFacts.existing, osDisk: subscriptionFacts.osDisk };
  const { vm } = subscriptionFacts.existing;
  const isThere = vm && 'value' in vm ? vm.value !== undefined : undefined;
  return Object.entries(looked).map(([key, found]) => {
    const part = key as keyof typeof partTitles;
    const what = `${partTitles[part]} ${names[part]}`;
    const id = `name/${partTitles[part].replaceAll(' ', '-').toLowerCase()}`;
    const asked = `whether the name of ${what} is free`;
    if ('error' in found) {
      // `create` does without the disk: Azure itself refuses a name that is taken.
      if (part !== 'osDisk') return unreadable(id, asked, found.error, ids[part], context);
      const group = `/subscriptions/${subscriptionFacts.subscriptionId}/resourceGroups/${inputs.resourceGroup}`;
      const right = { action: 'Microsoft.Compute/disks/read', scope: group };
      return unknownFromError(id, asked, found.error, right, known);
    }
    if (!found.value) return okFinding(id, asked, 'Free.');
    // Nobody asks about the disk of a machine that is there: it goes with that.
    if (part === 'osDisk' && isThere) return okFinding(id, asked, 'It is there, and so is its machine.');
    try {
      assertOwned(what, { id: ids[part], tags: found.value.tags }, inputs.vmName, run);
      if (part === 'osDisk' && isThere === false) assertNoOrphanedDisk(found.value, ids.osDisk, inputs);
      return okFinding(id, asked, "It is there and is this deployment's.");
    } catch (refusal) {
      return faultFromError(id, asked, refusal, known);
    }
  });
}

/** Of the parts that are this deployment's: about those that are not, `create` says no more than that. */
export function checkNetwork({ facts: { inputs, run }, subscriptionFacts, plan }: RuleContext): Finding[] {
  const own = Object.entries(subscriptionFacts.existing).flatMap(([part, found]) =>
    part !== 'machine' &&
    'value' in found &&
    found.value &&
    classifyOwnership(found.value.tags, inputs.vmName, run) === 'ours'
      ? [[part, found.value] as const]
      : [],
  );
  if (own.length === 0) return [];
  const asked = `whether the network of deployment ${plan.deployment}, as far as it exists, is as asked for`;
  const { differences } = compareNetwork(Object.fromEntries(own), plan);
  return [checkDrift('rerun/network', asked, differences, plan, 'It is, and would be left as it is.')];
}

/** @param same the answer where there are none. */
function checkDrift(
  id: string,
  asked: string,
  differences: readonly Difference[],
  plan: Plan,
  same: string,
): Finding {
  if (differences.length === 0) return okFinding(id, asked, same);
  const lines = differences.map(
    ({ property, actual, expected }) => `${property}: it has ${actual}, the inputs ask for ${expected}`,
  );
  return faultFinding(
    id,
    asked,
    `It is another one. ${lines.join('; ')}.`,
    workflowAuthor,
    driftFix(plan, differences),
  );
}

const referencedActions: Readonly<Record<ReferencedResource['kind'], string>> = {
  subnet: 'Microsoft.Network/virtualNetworks/read',
  'network security group': 'Microsoft.Network/networkSecurityGroups/read',
  'public IP': 'Microsoft.Network/publicIPAddresses/read',
  'network interface': 'Microsoft.Network/networkInterfaces/read',
  identity: 'Microsoft.ManagedIdentity/userAssignedIdentities/read',
};

export function checkReferenced({ subscriptionFacts, plan, known }: RuleContext): Finding[] {
  return subscriptionFacts.given.map(({ kind, id: resource, found }) => {
    const name = resource.split('/').at(-1) ?? '';
    const id = `given/${kind.toLowerCase().replaceAll(' ', '-')}${kind === 'identity' ? `/${name}` : ''}`;
    const asked = `${kind} ${resource}`;
    if ('error' in found) {
      const azure = azureErrorIn(found.error);
      // `create` itself reads these two.
      const mustRead = kind === 'network interface' || kind === 'public IP';
      return azure?.status === 401 || (azure?.status === 403 && mustRead)
        ? faultFromError(id, asked, found.error, known)
        : unknownFromError(
            id,
            asked,
            found.error,
            { action: referencedActions[kind], scope: resource },
            known,
          );
    }
    if (!found.value) {
      return faultFinding(id, asked, 'There is no such thing.', workflowAuthor, ['Correct the ID.']);
    }
    const { location, usedBy } = found.value;
    if (kind !== 'identity' && location && normaliseRegion(location) !== plan.location) {
      return faultFinding(
        id,
        asked,
        `It is in ${normaliseRegion(location)}, and the machine goes to ${plan.location}: both must be in one region.`,
        workflowAuthor,
        [`Give \`location: ${normaliseRegion(location)}\`, or another ${kind} in ${plan.location}.`],
      );
    }
    const users = [plan.vm.id, plan.nic.id];
    if (
      usedBy &&
      !users.some((own) => sameId(own, usedBy) || usedBy.toLowerCase().startsWith(`${own.toLowerCase()}/`))
    ) {
      return faultFinding(id, asked, `It is in use by ${usedBy}.`, workflowAuthor, [
        `Give another ${kind}, or free this one first; it can serve one machine only.`,
      ]);
    }
    const where = location ? ` in ${normaliseRegion(location)}` : '; its region could not be read';
    return okFinding(id, asked, `It is there${where}${usedBy ? ", used by this deployment's own" : ''}.`);
  });
}

export function checkVm(context: RuleContext): Finding[] {
  const { vm } = context.subscriptionFacts.existing;
  const existing = vm && 'value' in vm ? vm.value : undefined;
  if (!existing) return checkSizes(context);
  const { inputs, run } = context.facts;
  return classifyOwnership(existing.tags, inputs.vmName, run) === 'ours' ? checkRerun(context, existing) : [];
}

/** What `create` makes of a machine that is there: it is left as it is, made anew, or stands in the way. */
function checkRerun(context: RuleContext, vm: VirtualMachine): Finding[] {
  const {
    facts: { inputs },
    subscriptionFacts: { fate, image },
    plan,
    known,
  } = context;
  const id = 'rerun';
  const asked = `whether virtual machine ${plan.vm.name}, which exists, is as asked for`;
  const state = provisioningStateOf(vm);
  if (state === 'Deleting') {
    const answer = 'It is being deleted: the end of that would be waited for, and the machine made anew.';
    return [okFinding(id, asked, answer), ...checkSizes(context)];
  }
  if (isFailedState(vm) && fate) {
    if ('error' in fate) return [unreadable(id, asked, fate.error, plan.vm.id, context)];
    try {
      assertRecreatable(vm, fate.value, inputs);
    } catch (refusal) {
      return [faultFromError(id, asked, refusal, known)];
    }
    const answer = `An earlier run could not place it (${fate.value.fault.fault.code}): it would be removed and made anew.`;
    return [okFinding(id, asked, answer), ...checkSizes(context)];
  }
  if (!image || !('value' in image) || image.value.unusable) return [];
  const { differences, addedIdentities } = compareVm(vm, plan, image.value.facts, inputs);
  const same = hasSucceeded(vm)
    ? 'It is, and would be left as it is.'
    : `It is. Its state is ${state}: the end of that would be waited for.`;
  const besides = addedIdentities.length > 0 ? [logAddedByOthers(addedIdentities)] : [];
  return [checkDrift(id, asked, differences, plan, [same, ...besides].join(' '))];
}
