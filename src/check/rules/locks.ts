import { resourceId, sameId } from '../../azure/resource-id.ts';
import { assignedScope } from '../../error-catalog/role-commands.ts';
import { quoteForShell } from '../../lib/escape.ts';
import {
  type Finding,
  type RuleContext,
  type SubscriptionFacts,
  faultFinding,
  okFinding,
  unknownFromError,
  warnFinding,
} from '../facts.ts';

/** A group that is yet to be made has no locks and no deny assignments. */
export function isNamespaceMissing(group: SubscriptionFacts['group']): boolean {
  return 'value' in group && !group.value.exists;
}

export function checkLocks(context: RuleContext): Finding[] {
  const {
    facts: { inputs },
    subscriptionFacts,
    known,
  } = context;
  if (isNamespaceMissing(subscriptionFacts.group)) return [];
  const id = 'locks';
  const group = `/subscriptions/${subscriptionFacts.subscriptionId}/resourceGroups/${inputs.resourceGroup}`;
  const asked = `locks on resource group ${inputs.resourceGroup}`;
  if ('error' in subscriptionFacts.locks) {
    const right = { action: 'Microsoft.Authorization/locks/read', scope: group };
    return [unknownFromError(id, asked, subscriptionFacts.locks.error, right, known)];
  }
  if (subscriptionFacts.locks.value.length === 0) return [okFinding(id, asked, 'None.')];
  const own = ownIds(context);
  const used = [...own, ...subscriptionFacts.given.map((one) => one.id)];
  const findings = subscriptionFacts.locks.value.flatMap((lock): Finding[] => {
    const scope = assignedScope(lock.id);
    const readOnly = lock.properties.level === 'ReadOnly';
    // What is given is never deleted, so that only a ReadOnly lock on it is in the way.
    const touched = readOnly ? used : own;
    if (!touched.some((one) => isWithinScope(one, scope) || isWithinScope(scope, one))) return [];
    const whole = isWithinScope(group, scope);
    const where = whole ? '' : ` on ${scope}`;
    const who = 'an Owner or User Access Administrator there';
    const fix = ['Take the lock away:', `az lock delete --ids ${quoteForShell(lock.id)}`];
    if (readOnly) {
      const effect = whole ? 'nothing can be created' : 'it can neither be changed nor joined';
      return [faultFinding(id, asked, `Lock "${lock.name}"${where} is ReadOnly: ${effect}.`, who, fix)];
    }
    const what = whole ? 'nothing' : 'not all';
    return [
      inputs.cleanup === 'never'
        ? okFinding(id, asked, `Lock "${lock.name}"${where} forbids deleting only; \`cleanup\` is \`never\`.`)
        : warnFinding(
            id,
            asked,
            `Lock "${lock.name}"${where} forbids deleting, so that ${what} can be cleaned up.`,
            who,
            fix,
          ),
    ];
  });
  return findings.length > 0 ? findings : [okFinding(id, asked, 'None that concerns the deployment.')];
}

/** IDs of what the deployment consists of, whether it is there or not. */
function ownIds({ plan, subscriptionFacts }: RuleContext): readonly string[] {
  const { nic, nsg, publicIp, vnet, vm, identities } = plan;
  const made = [nic, nsg, publicIp].flatMap((part) => (part?.origin === 'made' ? [part.id] : []));
  const { vm: found } = subscriptionFacts.existing;
  const { osDisk, dataDisks = [] } =
    (found && 'value' in found ? found.value?.storageProfile : undefined) ?? {};
  const disks = [osDisk, ...dataDisks].flatMap((disk) => disk?.managedDisk?.id ?? []);
  const planned = resourceId(
    plan.subscriptionId,
    plan.resourceGroup,
    'Microsoft.Compute/disks',
    vm.osDiskName,
  );
  return [vm.id, planned, ...disks, ...made, ...(vnet ? [vnet.id] : []), ...identities.map((one) => one.id)];
}

/** Whether an ID is a scope or lies below it: a lock goes for all that is below its own. */
function isWithinScope(id: string, scope: string): boolean {
  return sameId(id, scope) || id.toLowerCase().startsWith(`${scope.toLowerCase()}/`);
}
