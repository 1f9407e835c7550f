import { findRoleAssignments } from '../access/find-role-assignments.ts';
import { apiVersions, identityType } from '../azure/api-versions.ts';
import { listAllPages } from '../azure/arm-client.ts';
import { undefinedIfForbidden, undefinedIfNotFound } from '../azure/lookup.ts';
import { type Tags, hasDeploymentTag } from '../deployment/ownership.ts';
import { resourceIds, resourceNames } from '../deployment/resources.ts';
import { deleteResources } from './delete-resources.ts';
import { attachedDisks } from './detach-unowned.ts';
import type { DeletionContext, DeletionResult } from './resource-types.ts';

/**
 * Deletes a whole deployment: the resources with derived names, the disks of its VM, its identities and their role
 * assignments, each only if its own tags agree. Copied tags on other resources are ignored.
 * @param created further resources that the run has recorded.
 */
export async function deleteDeployment(
  context: DeletionContext,
  resourceGroup: string,
  deployment: string,
  created: readonly string[] = [],
): Promise<DeletionResult> {
  const { session, log } = context;
  const ids = resourceIds(session.subscriptionId, resourceGroup, resourceNames(deployment));
  const [found, identities] = await Promise.all([
    undefinedIfNotFound(session.compute.virtualMachines.get(resourceGroup, deployment)),
    findIdentities(context, resourceGroup, deployment),
  ]);
  const vm = found && (await context.isOwned(found.tags, ids.vm)) ? found : undefined;
  const disks = attachedDisks(vm).flatMap(({ id, createdWithVm }) => (createdWithVm ? [id] : []));
  const principals = [
    vm?.identity?.principalId,
    ...Object.values(vm?.identity?.userAssignedIdentities ?? {}).map(({ principalId }) => principalId),
    ...identities.map(({ properties }) => properties.principalId),
  ].filter((principalId) => principalId !== undefined);
  // Found now, while VM and identities exist: nothing refers to their assignments afterwards.
  const assignments = await findRoleAssignments(
    { session, log, resourceGroup, principals: [...new Set(principals)] },
    deployment,
  );
  // An assignment's owner follows from its principal; its description may still name the run that was adopted.
  const isOwned: DeletionContext['isOwned'] = (tags, id) =>
    assignments.includes(id) ? hasDeploymentTag(tags, deployment) : context.isOwned(tags, id);
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
    ...created,
  ];
  const unique = new Map(all.map((id) => [id.toLowerCase(), id]));
  return deleteResources({ ...context, isOwned }, [...unique.values()]);
}

interface OwnedIdentity {
  readonly id: string;
  readonly tags?: Tags;
  readonly properties: { readonly principalId?: string };
}

/** Identities that this deployment created. The workflow's author chose their names, so only their tags identify them. */
async function findIdentities(
  { session, isOwned }: DeletionContext,
  resourceGroup: string,
  deployment: string,
): Promise<readonly OwnedIdentity[]> {
  const path = `/subscriptions/${session.subscriptionId}/resourceGroups/${resourceGroup}/providers/${identityType}`;
  const all =
    (await undefinedIfForbidden(listAllPages<OwnedIdentity>(session.arm, path, apiVersions.identities))) ??
    [];
  const owned = await Promise.all(
    all.map(async ({ tags, id }) => hasDeploymentTag(tags, deployment) && (await isOwned(tags, id))),
  );
  return all.filter((_, index) => owned[index]);
}
