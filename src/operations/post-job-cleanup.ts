import type { Session } from '../azure/arm-client.ts';
import { deleteDeployment } from '../cleanup/delete-deployment.ts';
import { deleteResources } from '../cleanup/delete-resources.ts';
import { includeVmDisks } from '../cleanup/detach-unowned.ts';
import { isRunCommand } from '../cleanup/resource-types.ts';
import { type CleanupStateData, claimOf } from '../deployment/cleanup-state.ts';
import { type Reporter, reportDeletion } from '../summary/reporter.ts';
import { runDelete } from './delete.ts';

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

/**
 * Whether the create failed because another job created a resource of the same name at the same moment. Calls of a reusable
 * workflow share all tags, so the deployment may be the other job's: only what this run created is deleted.
 */
function hasNameClash({ completed, notCreated }: CleanupStateData): boolean {
  return !completed && notCreated.some((id) => !/\/roleAssignments\//i.test(id));
}

/**
 * The post step's cleanup. Finishes a `delete` that was cancelled. After a `create` with `cleanup: always` it deletes the
 * resources of the deployment whose tags name this run (a later run may have adopted it), otherwise what this run created.
 */
export async function runPostJobCleanup(session: Session, state: CleanupStateData, report: Reporter): Promise<void> {
  const { operation, deployment, cleanup, resourceGroup, pending, run } = state;
  if (operation === 'delete') {
    await runDelete(session, { resourceGroup, vmName: deployment }, run, report);
    return;
  }
  const created = resourcesToDelete(state);
  const context = { session, log: report.log, claim: claimOf(state), created, pending };
  reportDeletion(
    cleanup === 'always' && !hasNameClash(state)
      ? await deleteDeployment(context, resourceGroup)
      : await deleteResources(context, (await includeVmDisks(session, created)).toReversed()),
    report,
  );
}
