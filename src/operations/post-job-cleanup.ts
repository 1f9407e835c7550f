import { sameId } from '../azure/resource-id.ts';
import type { Session } from '../azure/arm-client.ts';
import { deleteDeployment } from '../cleanup/delete-deployment.ts';
import { deleteResources } from '../cleanup/delete-resources.ts';
import { includeVmDisks } from '../cleanup/detach-unowned.ts';
import { type DeletionContext, isRunCommand } from '../cleanup/resource-types.ts';
import type { CleanupStateData } from '../deployment/cleanup-state.ts';
import { hasDeploymentTag, hasRunTags } from '../deployment/ownership.ts';
import type { WorkflowRun } from '../runner/github-context.ts';
import { type Reporter, reportDeletion } from '../summary/reporter.ts';

/** What the post step deletes of what the main step recorded: everything, or only what the run itself needed. */
export function resourcesToDelete({ completed, cleanup, created }: CleanupStateData): readonly string[] {
  const isKept = cleanup === 'never' || (completed && cleanup !== 'always');
  return isKept ? created.filter(isRunCommand) : created;
}

/** Whether the post step has anything to do; with `cleanup: always` it looks for the deployment in any case. */
export function needsCleanup(entries: CleanupStateData): boolean {
  return entries.cleanup === 'always' || resourcesToDelete(entries).length > 0;
}

/**
 * The post step's cleanup. With `cleanup: always` it deletes those resources of the deployment whose tags name this run
 * (a later run may have adopted it); otherwise only what this run created.
 */
export async function runPostJobCleanup(
  session: Session,
  entries: CleanupStateData,
  run: WorkflowRun,
  report: Reporter,
): Promise<void> {
  const { deployment, cleanup, resourceGroup, pending } = entries;
  const created = resourcesToDelete(entries);
  const context: DeletionContext = {
    session,
    log: report.log,
    isOwned: (tags, id) =>
      hasDeploymentTag(tags, deployment) &&
      (created.some((known) => sameId(known, id)) || hasRunTags(tags, run)),
    pending,
  };
  reportDeletion(
    cleanup === 'always'
      ? await deleteDeployment(context, resourceGroup, deployment, created)
      : await deleteResources(context, (await includeVmDisks(session, created)).toReversed()),
    report,
  );
}
