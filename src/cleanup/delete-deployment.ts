import { apiVersions } from '../azure/api-versions.ts';
import { findRoleAssignments } from '../access/find-role-assignments.ts';
import { listAllPages } from '../azure/arm-client.ts';
import { undefinedIfForbidden, undefinedIfNotFound } from '../azure/lookup.ts';
import { resourceIds, resourceNames } from '../deployment/names.ts';
import { hasDeploymentTag } from '../deployment/ownership.ts';
import { deleteResources } from './delete-resources.ts';
import { attachedDisks } from './detach-unowned.ts';
import { type DeletionContext, type DeletionResult, isOwnedBy } from './resource-types.ts';

/**
 * Deletes a whole deployment: what bears one of its derived names, the disks of its machine, its identities and what they
 * were granted, as far as their own tags or marks agree. Copied tags under other names are left alone.
 */
export async function deleteDeployment(
  context: DeletionContext,
  resourceGroup: string,
  deployment: string,
  besides: readonly string[] = [],
): Promise<DeletionResult> {
  const { session } = context;
  const ids = resourceIds(session.subscriptionId, resourceGroup, resourceNames(deployment));
  const [found, identities] = await Promise.all([
    undefinedIfNotFound(session.compute.virtualMachines.get(resourceGroup, deployment)),
    findIdentities(context, resourceGroup, deployment),
  ]);
  const vm = found && (await context.belongs(found.tags, ids.vm)) ? found : undefined;
  const disks = attachedDisks(vm).flatMap(({ id, made }) => (made ? [id] : []));
  const principals = [
    vm?.identity?.principalId,
    ...Object.values(vm?.identity?.userAssignedIdentities ?? {}).map(({ principalId }) => principalId),
    ...identities.map(({ properties }) => properties.principalId),
  ].filter((principalId) => principalId !== undefined);
  // Asked while machine and identities are still there: nothing leads to their assignments afterwards.
  const assignments = await findRoleAssignments(
    { session, log: context.log, resourceGroup, principals: [...new Set(principals)] },
    deployment,
  );
  // Of these, whose they are has been settled with their principal; a mark may still name the run that was adopted.
  const belongs: DeletionContext['belongs'] = (tags, id) =>
    assignments.includes(id) ? isOwnedBy(deployment)(tags) : context.belongs(tags, id);
  const all = [
    ...assignments,
    ids.vm,
    ids.osDisk,
    ...disks,
    ids.nic,
    ids.publicIp,
    ids.nsg,
    ids.vnet,
    ...identities.map(({ id }) => id),
    ...besides,
  ];
  const once = new Map(all.map((id) => [id.toLowerCase(), id]));
  return deleteResources({ ...context, belongs }, [...once.values()]);
}

interface OwnedIdentity {
  readonly id: string;
  readonly tags?: Record<string, string>;
  readonly properties: { readonly principalId?: string };
}

/** Identities of the group that this deployment made: their names are the author's, so their tags tell. */
async function findIdentities(
  { session, belongs }: DeletionContext,
  resourceGroup: string,
  deployment: string,
): Promise<readonly OwnedIdentity[]> {
  const path = `/subscriptions/${session.subscriptionId}/resourceGroups/${resourceGroup}/providers/Microsoft.ManagedIdentity/userAssignedIdentities`;
  const all = await undefinedIfForbidden(
    listAllPages<OwnedIdentity>(session.arm, path, apiVersions.identities),
  );
  const own = await Promise.all(
    (all ?? []).map(async ({ tags, id }) => hasDeploymentTag(tags, deployment) && (await belongs(tags, id))),
  );
  return (all ?? []).filter((_, index) => own[index]);
}
