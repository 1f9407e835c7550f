import type { VirtualMachine } from '@azure/arm-compute';
import { hasSucceeded, provisioningStateOf, valueOf } from '../../azure/lookup.ts';
import { resourceIds, resourceNames, resourceTitles } from '../../deployment/resources.ts';
import { assertOwned, classifyOwnership } from '../../deployment/ownership.ts';
import { type Difference, compareNetwork, compareTags, driftFix } from '../../plan/drift.ts';
import { addedIdentitiesNotice, assertNoOrphanedDisk, assertRecreatable, compareVm } from '../../plan/vm-drift.ts';
import { isFailedState } from '../../vm/vm-status.ts';
import { type Finding, type RuleContext, refusedRead } from '../facts.ts';
import { checkSizes } from './sizes.ts';

function checkNames(context: RuleContext): Finding[] {
  const { inputs, run, facts, group, ask } = context;
  const names = resourceNames(inputs.vmName);
  const ids = resourceIds(facts.subscriptionId, inputs.resourceGroup, inputs.vmName);
  const { vm } = facts.existing;
  const vmExists = vm && 'value' in vm ? vm.value !== undefined : undefined;
  return Object.entries({ ...facts.existing, osDisk: facts.osDisk }).map(([key, found]) => {
    const part = key as keyof typeof resourceTitles;
    const title = `${resourceTitles[part]} ${names[part]}`;
    const id = `name/${resourceTitles[part].replaceAll(' ', '-').toLowerCase()}`;
    const question = ask(id, `name of ${title}`, 'Microsoft.Compute/disks/read', group);
    if ('error' in found) {
      // `create` does not read the disk: Azure refuses a disk name that is taken.
      return part === 'osDisk' ? question.skipped(found.error) : refusedRead(context, question, ids[part], found.error);
    }
    if (!found.value) return question.ok('Free.');
    if (part === 'osDisk' && vmExists) return question.ok('Exists, with its VM.');
    try {
      assertOwned(title, { id: ids[part], tags: found.value.tags }, inputs.vmName, run);
      if (part === 'osDisk' && vmExists === false) assertNoOrphanedDisk(found.value, ids.osDisk, inputs);
      if (inputs.ifExists !== 'fail') return question.ok('Exists and belongs to this deployment.');
      return question.fault('Exists, and `if-exists: fail` refuses to use it.', [
        'To use what matches the inputs, set `if-exists: keep`; to replace a VM that differs, `if-exists: replace`.',
      ]);
    } catch (error) {
      return question.refused(error);
    }
  });
}

/** Compares network resources of this deployment with the inputs. Others are reported by `checkNames`. */
function checkNetwork({ inputs, run, facts, plan, ask }: RuleContext): Finding[] {
  const own = Object.entries(facts.existing).flatMap(([part, found]) =>
    part !== 'vm' &&
    'value' in found &&
    found.value &&
    classifyOwnership(found.value.tags, inputs.vmName, run) === 'ours'
      ? [[part, found.value] as const]
      : [],
  );
  if (own.length === 0) return [];
  const question = ask('rerun/network', `existing network of deployment ${plan.deployment}`);
  const { differences } = compareNetwork(Object.fromEntries(own), plan);
  if (differences.length === 0) return [question.ok('It matches the inputs and would not be changed.')];
  return [question.fault(describeDrift(differences), driftFix(plan, 'network', differences))];
}

function describeDrift(differences: readonly Difference[]): string {
  const list = differences.map(
    ({ property, actual, expected }) => `${property}: ${actual}, the inputs request ${expected}`,
  );
  return `It differs: ${list.join('; ')}.`;
}

function checkVm(context: RuleContext): Finding[] {
  const { inputs, run, facts } = context;
  const existing = valueOf(facts.existing.vm);
  if (!existing) return checkSizes(context);
  return classifyOwnership(existing.tags, inputs.vmName, run) === 'ours' ? checkRerun(context, existing) : [];
}

/** What `create` would do with an existing VM of this deployment: keep it, recreate it, or refuse. */
function checkRerun(context: RuleContext, vm: VirtualMachine): Finding[] {
  const { inputs, facts, plan, image, ask } = context;
  const question = ask('rerun', `existing VM ${plan.vm.name}`);
  const state = provisioningStateOf(vm);
  if (state === 'Deleting') {
    const answer = 'It is being deleted: `create` would wait for that and create it again.';
    return [question.ok(answer), ...checkSizes(context)];
  }
  if (isFailedState(vm) && facts.provisioningFailure) {
    const failure = facts.provisioningFailure;
    if ('error' in failure) return [refusedRead(context, question, plan.vm.id, failure.error)];
    try {
      assertRecreatable(vm, failure.value, inputs);
    } catch (error) {
      return [question.refused(error)];
    }
    const { fault } = failure.value.fault;
    const answer = `An earlier run failed to create or change it (${fault.code}): it would be deleted and created again.`;
    return [question.ok(answer), ...checkSizes(context)];
  }
  if (!image || valueOf(facts.image)?.unusable) return [];
  const { differences, addedIdentities, replacementReasons } = compareVm(vm, plan, image, inputs);
  if (replacementReasons.length > 0) {
    const answer = `${describeDrift(replacementReasons)} \`if-exists: replace\` would delete it with its disks and create it again.`;
    return [question.ok(answer), ...checkSizes(context)];
  }
  if (differences.length > 0) {
    return [question.fault(describeDrift(differences), driftFix(plan, 'vm', differences))];
  }
  const equal = hasSucceeded(vm)
    ? 'It matches the inputs and would not be changed.'
    : `It matches the inputs. It is ${state}: \`create\` would wait for that.`;
  const tags = compareTags(vm, plan).map(({ property, actual, expected }) => `${property} (${actual} → ${expected})`);
  const notices = [
    ...(addedIdentities.length > 0 ? [addedIdentitiesNotice(addedIdentities)] : []),
    ...(tags.length > 0 ? [`Only this would be updated: ${tags.join(', ')}.`] : []),
  ];
  return [question.ok([equal, ...notices].join(' '))];
}

export const existingRules = [checkNames, checkNetwork, checkVm];
