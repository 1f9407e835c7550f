import type { VirtualMachine } from '@azure/arm-compute';
import type { ManagedIdentity } from '../access/resolve-access.ts';
import { findRoleAssignments } from '../access/role-assignments.ts';
import { apiVersions, identityType } from '../azure/api-versions.ts';
import { type Session, listAllPages, listGroup } from '../azure/arm-client.ts';
import { settle, undefinedIfForbidden, undefinedIfNotFound, valueOf } from '../azure/lookup.ts';
import { groupId, sameId } from '../azure/resource-id.ts';
import type { CleanupState } from '../deployment/cleanup-state.ts';
import { hasDeploymentTag } from '../deployment/ownership.ts';
import { resourceIds } from '../deployment/resources.ts';
import { shellCommand } from '../lib/escape.ts';
import { deleteResources } from './delete-resources.ts';
import {
  type DeletionContext,
  type DeletionResult,
  disksCreatedWith,
  isDeletable,
  isRunCommand,
  parseDeletableId,
  vmOfRunCommand,
  vmType,
} from './resource-types.ts';

/** Derived names, VM disks, identities, role assignments and what the run recorded, each only if its own tags agree. */
export async function deleteDeployment(given: DeletionContext, resourceGroup: string): Promise<DeletionResult> {
  const context = { listed: createGroupList(given.session, resourceGroup), ...given };
  const { session, claim, created = [] } = context;
  const { deployment } = claim;
  const ids = resourceIds(session.subscriptionId, resourceGroup, deployment);
  const identityList = `${groupId(session.subscriptionId, resourceGroup)}/providers/${identityType}`;
  const [found, listedIdentities, listedAssignments] = await Promise.all([
    undefinedIfNotFound(session.compute.virtualMachines.get(resourceGroup, deployment)),
    settle(() => findIdentities(context, identityList)),
    // Found now, while VM and identities exist: nothing refers to their assignments afterwards.
    settle(() => findRoleAssignments(session, resourceGroup, (tags) => hasDeploymentTag(tags, deployment))),
  ]);
  session.waiting.signal.throwIfAborted();
  const identities = valueOf(listedIdentities) ?? [];
  const assignments = valueOf(listedAssignments) ?? { ids: [], incomplete: [] };
  const vm = found && (await isDeletable(context, ids.vm, found.tags)) ? found : undefined;
  const principals = [vm?.identity?.principalId, ...identities.map((each) => each.principalId)];
  warnIfIncomplete(context, assignments, principals);
  const owned = [...Object.values(ids), ...disksCreatedWith(vm), ...identities.map(({ id }) => id)];
  const all = [...assignments.ids, ...owned, ...created];
  const assignmentsUnknown = 'error' in listedAssignments;
  const result = await deleteResources({ ...context, assignmentsUnknown, shown: assignments.ids }, all);
  const lists = [
    [identityList, listedIdentities],
    [assignmentList(session), listedAssignments],
  ] as const;
  const unlisted = lists.flatMap(([id, list]) => ('error' in list ? [{ id, error: list.error }] : []));
  const isDeleted = (id: string): boolean => result.deleted.some((other) => sameId(other, id));
  const kept = identities.filter(({ id }) => !isDeleted(id)).map(({ principalId }) => principalId);
  const late = isDeleted(ids.vm) ? await deleteLateAssignments(context, resourceGroup, kept) : undefined;
  return {
    ...result,
    deleted: [...result.deleted, ...(late?.deleted ?? [])],
    failed: [...unlisted, ...result.failed, ...(late?.failed ?? [])],
  };
}

export function assignmentList({ subscriptionId }: Session): string {
  return `/subscriptions/${subscriptionId}/providers/Microsoft.Authorization/roleAssignments`;
}

/**
 * Those that another run has created since they were listed: nothing leads to them once the VM is gone.
 * @param kept principals of identities that stay, with what is assigned to them
 */
async function deleteLateAssignments(
  context: DeletionContext,
  resourceGroup: string,
  kept: readonly (string | undefined)[],
): Promise<Pick<DeletionResult, 'deleted' | 'failed'>> {
  const { session, log, claim, confirm } = context;
  const listed = await settle(() =>
    findRoleAssignments(
      session,
      resourceGroup,
      (tags, principalId) => hasDeploymentTag(tags, claim.deployment) && !kept.includes(principalId),
    ),
  );
  if ('error' in listed) return { deleted: [], failed: [{ id: assignmentList(session), error: listed.error }] };
  // Without what this run has created: a list that is late may show what is gone, which must not be waited for.
  const recreatedVm = resourceIds(session.subscriptionId, resourceGroup, claim.deployment).vm;
  return deleteResources({ session, log, claim, recreatedVm, ...(confirm && { confirm }) }, listed.value.ids);
}

/** Lists the group once. */
export function createGroupList(session: Session, resourceGroup: string): NonNullable<DeletionContext['listed']> {
  let list: Promise<readonly string[] | undefined> | undefined;
  const read = async () => (await undefinedIfForbidden(listGroup(session, resourceGroup)))?.map(({ id }) => id);
  return () => (list ??= read());
}

/**
 * With its disks and the role assignments of its system-assigned identity; the network stays.
 * @param vm as it was found, if it was: one that another run has created since stays, with its disks
 */
export async function deleteVmOfDeployment(
  context: DeletionContext,
  resourceGroup: string,
  vm: VirtualMachine | undefined,
): Promise<DeletionResult> {
  const { session, claim } = context;
  const { deployment } = claim;
  const ids = resourceIds(session.subscriptionId, resourceGroup, deployment);
  const principal = vm?.identity?.principalId;
  const assignments =
    principal &&
    (await findRoleAssignments(
      session,
      resourceGroup,
      (tags, id) => hasDeploymentTag(tags, deployment) && id === principal,
    ));
  if (assignments) warnIfIncomplete(context, assignments, [principal]);
  const all = [...(assignments ? assignments.ids : []), ids.vm, ids.osDisk, ...disksCreatedWith(vm)];
  return deleteResources({ ...context, vmId: vm ? vm.vmId : '' }, all);
}

/** Without the list, an assignment outside the visible scopes outlives its principal, and nothing leads to it then. */
function warnIfIncomplete(
  { log }: DeletionContext,
  { ids, incomplete }: Pick<Awaited<ReturnType<typeof findRoleAssignments>>, 'ids' | 'incomplete'>,
  principals: readonly (string | undefined)[],
): void {
  const holders = principals.filter((id) => id !== undefined);
  if (ids.length > 0 || incomplete.length === 0 || holders.length === 0) return;
  const commands = incomplete.flatMap((subscription) =>
    holders.map(
      (id) =>
        shellCommand`az role assignment list --subscription ${subscription} --all --assignee ${id} --output table`,
    ),
  );
  log.warning(
    `The app may not list the role assignments of subscription ${incomplete.join(', ')}, so those of the deleted identities may remain. An administrator can list and delete them:\n${commands.join('\n')}`,
  );
}

/** Identities that this deployment created. The workflow's author chose their names: only tags identify them. */
async function findIdentities({ session, claim }: DeletionContext, path: string) {
  const list = listAllPages<ManagedIdentity>(session.arm, path, apiVersions.identities);
  const identities = (await undefinedIfForbidden(list)) ?? [];
  return identities
    .filter(({ tags }) => hasDeploymentTag(tags, claim.deployment))
    .map(({ id, properties }) => ({ id, principalId: properties?.principalId }));
}

/** @param isFinal false if the post step will check again for resources that are not found now */
export async function rollback(
  context: Omit<DeletionContext, 'claim' | 'created' | 'pending'>,
  cleanupState: CleanupState,
  ids: readonly string[],
  isFinal: boolean,
): Promise<DeletionResult> {
  const { claim, entries } = cleanupState;
  const { created, pending, resourceGroup } = entries;
  const listed = createGroupList(context.session, resourceGroup);
  const result = await deleteResources(
    { ...context, claim, ...(isFinal && { created, pending, listed }), onDelete: cleanupState.markDeleting },
    (await includeVmDisks(context.session, ids)).toReversed(),
  );
  const isRecorded = (id: string): boolean => created.some((other) => sameId(other, id));
  const notFound = result.notFound.filter((id) => isFinal || !isRecorded(id));
  const gone = [...result.deleted, ...notFound];
  // Azure deletes run commands with their VM; one left in the state would make the post step sign in for nothing.
  const commands = ids.filter((id) => isRunCommand(id) && gone.some((vm) => sameId(vm, vmOfRunCommand(id))));
  for (const id of [...gone, ...commands]) cleanupState.markDeleted(id);
  return result;
}

/** Adds the disks that Azure has created for these VMs under names of its choice. */
export async function includeVmDisks(session: Session, ids: readonly string[]): Promise<readonly string[]> {
  const disks = await Promise.all(
    ids.map(async (id) => {
      const target = parseDeletableId(id);
      if (target?.type !== vmType) return [];
      const vm = await settle(() => session.compute.virtualMachines.get(target.resourceGroup, target.name));
      // If it could not be read, deleting the VM will fail for the same reason and report it.
      return disksCreatedWith(valueOf(vm));
    }),
  );
  return [...ids, ...disks.flat().filter((id) => !ids.some((known) => sameId(known, id)))];
}
