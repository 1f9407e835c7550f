import { apiVersions } from '../azure/api-versions.ts';
import { listAllPages, type Session } from '../azure/arm-client.ts';
import { undefinedIfNotFound } from '../azure/lookup.ts';
import { sameId } from '../azure/resource-id.ts';
import { deleteDeployment } from '../cleanup/delete-deployment.ts';
import { type DeletionResult, isOwnedBy, readTags } from '../cleanup/resource-types.ts';
import { resourceIds, resourceNames } from '../deployment/names.ts';
import { deploymentTag, tagValue } from '../deployment/ownership.ts';
import { ActionError } from '../errors/action-error.ts';
import { formatError } from '../errors/format-error.ts';
import type { SweepInputs } from '../inputs/inputs.ts';
import type { WorkflowRun } from '../runner/github-context.ts';
import { type Reporter, reportDeletion } from '../summary/reporter.ts';

type SweepTags = Readonly<Record<string, string>> | undefined;

/** Why a deployment goes, or why it stays. */
type ExpiryDecision =
  | { readonly isExpired: true; readonly reason: string }
  | { readonly isExpired: false; readonly reason: string };

/** What GitHub says of a workflow run; `unknown` when it does not let us see it. */
export type WorkflowRunStatus = 'ended' | 'running' | 'unknown';

/**
 * Is a deployment over? Expired, or made to be cleaned up by a run that has ended without doing so: its runner was lost.
 * Whatever cannot be decided stays.
 */
export function decideExpiry(
  tags: SweepTags,
  now: Date,
  here: Pick<WorkflowRun, 'serverUrl' | 'repository'>,
  runState: WorkflowRunStatus | undefined,
): ExpiryDecision {
  const expiresOn = tagValue(tags, 'expires-on');
  if (expiresOn !== undefined) {
    const expiry = Date.parse(expiresOn);
    if (Number.isNaN(expiry))
      return { isExpired: false, reason: `its expires-on is not a date: ${expiresOn}` };
    if (expiry <= now.getTime()) return { isExpired: true, reason: `it expired on ${expiresOn}` };
  }
  const until = expiresOn === undefined ? 'it has no expiry' : `it expires on ${expiresOn}`;
  if (tagValue(tags, 'cleanup') !== 'always') return { isExpired: false, reason: until };
  if (!isFromRepository(tags, here)) {
    return { isExpired: false, reason: `${until}, and its run belongs to another repository or server` };
  }
  const run = `run ${tagValue(tags, 'github-run-id')}`;
  if (runState === 'ended') return { isExpired: true, reason: `${run} has ended and was to delete it` };
  return {
    isExpired: false,
    reason:
      runState === 'running'
        ? `${run} is still going`
        : `${until}, and whether ${run} has ended cannot be seen`,
  };
}

function isFromRepository(
  tags: SweepTags,
  { serverUrl, repository }: Pick<WorkflowRun, 'serverUrl' | 'repository'>,
): boolean {
  return (
    tagValue(tags, 'github-server-url')?.toLowerCase() === serverUrl.toLowerCase() &&
    tagValue(tags, 'github-repository')?.toLowerCase() === repository.toLowerCase()
  );
}

interface SweepContext {
  readonly session: Session;
  readonly report: Reporter;
  readonly run: WorkflowRun;
  /** Asks GitHub; absent without a `github-token`. */
  readonly runState?: (runId: string) => Promise<WorkflowRunStatus>;
}

/** Finds every deployment of this action in the resource group and deletes those that are over. */
export async function sweep({ resourceGroup }: SweepInputs, context: SweepContext): Promise<void> {
  const { session, report, run } = context;
  const judged = async (tags: SweepTags): Promise<ExpiryDecision> => {
    const verdict = decideExpiry(tags, new Date(), run, undefined);
    const runId = tagValue(tags, 'github-run-id');
    if (
      verdict.isExpired ||
      !context.runState ||
      !runId ||
      tagValue(tags, 'cleanup') !== 'always' ||
      !isFromRepository(tags, run)
    ) {
      return verdict;
    }
    return decideExpiry(tags, new Date(), run, await context.runState(runId));
  };
  const removal = {
    deleted: [] as string[],
    notFound: [] as string[],
    notOwned: [] as string[],
    failed: [] as DeletionResult['failed'][number][],
  };
  const sweepOne = async (deployment: string, parts: readonly DeploymentResource[]): Promise<void> => {
    const verdicts = await Promise.all(parts.map(({ tags }) => judged(tags)));
    // One part that stays keeps all: a run that takes the deployment over renews the tags one by one.
    const verdict = verdicts.find(({ isExpired }) => !isExpired) ?? verdicts[0];
    if (!verdict) return;
    report.log.info(`${deployment}: ${verdict.isExpired ? 'to be deleted' : 'kept'}, ${verdict.reason}.`);
    if (!verdict.isExpired) return;
    // Tags and run are looked at again right before each single deletion: a rerun may have adopted it in between.
    const isOurs = isOwnedBy(deployment);
    const belongs = async (own: SweepTags): Promise<boolean> => isOurs(own) && (await judged(own)).isExpired;
    try {
      const gone = await deleteDeployment({ session, log: report.log, belongs }, resourceGroup, deployment);
      removal.deleted.push(...gone.deleted);
      removal.notOwned.push(...gone.notOwned);
      removal.failed.push(...gone.failed);
    } catch (error) {
      // The others go on: half of a deployment is worse than all of it.
      if (session.waiting.signal.aborted) throw error;
      const { vm } = resourceIds(session.subscriptionId, resourceGroup, resourceNames(deployment));
      removal.failed.push({ id: vm, error });
    }
  };
  const deployments = [...(await findDeployments(session, resourceGroup))];
  for (let at = 0; at < deployments.length; at += runConcurrently) {
    await Promise.all(
      deployments.slice(at, at + runConcurrently).map(([deployment, parts]) => sweepOne(deployment, parts)),
    );
  }
  reportDeletion(removal, report);
  if (removal.deleted.length === 0) report.log.info('Nothing had to be swept.');
  const [first] = removal.failed;
  if (first) throw new ActionError('sweeping', { cause: first.error });
}

/** Deployments that are deleted at the same time; Resource Manager allows 200 deletions, then 10 a second. */
const runConcurrently = 10;

interface DeploymentResource {
  readonly id: string;
  readonly tags: SweepTags;
}

/**
 * Deployments with those of their parts that bear a derived name (or are an identity, whose name is the author's): what
 * merely carries copied tags decides nothing. The filtered list gives IDs alone (and late), so each resource is asked for
 * its own tags.
 */
async function findDeployments(
  session: Session,
  resourceGroup: string,
): Promise<ReadonlyMap<string, readonly DeploymentResource[]>> {
  const listed = await listAllPages<{ id: string }>(
    session.arm,
    `/subscriptions/${session.subscriptionId}/resourceGroups/${resourceGroup}/resources`,
    apiVersions.resources,
    { $filter: `tagName eq '${deploymentTag}'` },
  );
  const found = await Promise.all(
    listed.map(async ({ id }) => ({ id, tags: await undefinedIfNotFound(readTags(session, id)) })),
  );
  const deployments = new Map<string, DeploymentResource[]>();
  const spelling = new Map<string, string>();
  for (const part of found) {
    const name = tagValue(part.tags, deploymentTag);
    if (!name) continue;
    const deployment = spelling.get(name.toLowerCase()) ?? name;
    spelling.set(name.toLowerCase(), deployment);
    const derived = Object.values(
      resourceIds(session.subscriptionId, resourceGroup, resourceNames(deployment)),
    );
    const isPart =
      derived.some((id) => sameId(id, part.id)) || /\/userAssignedIdentities\/[^/]+$/i.test(part.id);
    if (isPart) deployments.set(deployment, [...(deployments.get(deployment) ?? []), part]);
  }
  return deployments;
}

/**
 * Reads run states with the job's token. @actions/github costs 75 ms of start time, so it is loaded here alone.
 * @returns a reader that never throws: a run that cannot be seen is `unknown`.
 */
export function createRunStatusReader(
  token: string,
  repository: string,
  report: Reporter,
): (runId: string) => Promise<WorkflowRunStatus> {
  const octokit = import('@actions/github').then(({ getOctokit }) => getOctokit(token));
  const [owner = '', repo = ''] = repository.split('/');
  return async (runId) => {
    try {
      const { data } = await (await octokit).rest.actions.getWorkflowRun({
        owner,
        repo,
        run_id: Number(runId),
      });
      return data.status === 'completed' ? 'ended' : 'running';
    } catch (error) {
      report.log.info(`GitHub does not tell of run ${runId}: ${formatError(error).join(' ')}`);
      return 'unknown';
    }
  };
}
