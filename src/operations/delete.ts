import type { Session } from '../azure/arm-client.ts';
import { createGroupList, deleteDeployment, includeVmDisks } from '../cleanup/delete-deployment.ts';
import { type RepositoryIdentity, repositoryClaim } from '../deployment/ownership.ts';
import { ActionError } from '../errors/errors.ts';
import type { DeleteInputs } from '../inputs/inputs.ts';
import { type Reporter, reportDeletion } from '../summary/reporter.ts';
import { deleteResources } from '../cleanup/delete-resources.ts';
import { isRunCommand } from '../cleanup/resource-types.ts';
import { type CleanupStateData, claimOf } from '../deployment/cleanup-state.ts';

/** `operation: delete`. Finding nothing is a warning: a cleanup job must not fail because there is nothing left to do. */
export async function runDelete(
  session: Session,
  { resourceGroup, vmName }: Pick<DeleteInputs, 'resourceGroup' | 'vmName'>,
  run: RepositoryIdentity,
  report: Reporter,
): Promise<void> {
  const claim = repositoryClaim(vmName, run);
  const result = await deleteDeployment({ session, log: report.log, claim }, resourceGroup);
  reportDeletion(result, report);
  if (result.deleted.length + result.failed.length + result.notOwned.length === 0) {
    report.log.warning(
      `No resources of deployment "${vmName}" found in resource group ${resourceGroup} (subscription ${session.subscriptionId}). Checked:\n${result.notFound.join('\n')}`,
    );
  }
  const [first] = result.failed;
  if (first) throw new ActionError(`deleting deployment ${vmName}`, { cause: first.error });
}

/** What the post step deletes of what the main step recorded: everything, or only what the run itself needed. */
export function resourcesToDelete({ completed, cleanup, created }: CleanupStateData): readonly string[] {
  const isKept = cleanup === 'never' || (completed && cleanup !== 'always');
  return isKept ? created.filter(isRunCommand) : created;
}

/** Whether the post step has anything to do; with `cleanup: always` it looks for the deployment in any case. */
export function needsCleanup(state: CleanupStateData): boolean {
  if (state.operation === 'delete') return !state.completed;
  return state.cleanup === 'always' || resourcesToDelete(state).length > 0;
}

/** Of a `create` with `cleanup: always`, the resources whose tags name this run: a later run may have adopted some. */
export async function runPostJobCleanup(session: Session, state: CleanupStateData, report: Reporter): Promise<void> {
  const { operation, deployment, cleanup, resourceGroup, completed, pending, deleting, notCreated, run } = state;
  if (operation === 'delete') {
    await runDelete(session, { resourceGroup, vmName: deployment }, run, report);
    return;
  }
  const created = resourcesToDelete(state);
  const listed = createGroupList(session, resourceGroup);
  const context = { session, log: report.log, claim: claimOf(state), created, pending, deleting, listed };
  // Calls of a reusable workflow share all tags: then only what this run created is deleted.
  const hasNameClash = !completed && notCreated.some((id) => !/\/roleAssignments\//i.test(id));
  const result =
    cleanup === 'always' && !hasNameClash
      ? await deleteDeployment(context, resourceGroup)
      : await deleteResources(context, (await includeVmDisks(session, created)).toReversed());
  if (result.deleted.length + result.failed.length + result.notOwned.length === 0)
    report.log.info('Nothing was left to delete.');
  reportDeletion(result, report);
}
