import { findRoleAssignments } from '../access/role-assignments.ts';
import { listGroup, type Session } from '../azure/arm-client.ts';
import { createHttpGet } from '../azure/http.ts';
import { listedButMissing, recheckDelays, settle, undefinedIfNotFound, valueOf } from '../azure/lookup.ts';
import { invalidResponseMessage } from '../azure/policies/responses.ts';
import { assignmentList, deleteDeployment } from '../cleanup/delete-deployment.ts';
import { type DeletionResult, readTags } from '../cleanup/resource-types.ts';
import { type ListedResource, groupDeployments } from '../deployment/resources.ts';
import {
  type Tags,
  deploymentTag,
  groupTag,
  hasDeploymentTag,
  isFromRepository,
  repositoryClaim,
  tagValue,
} from '../deployment/ownership.ts';
import { ActionError } from '../errors/errors.ts';
import { formatError } from '../errors/format-error.ts';
import { describeResponse } from '../errors/parse-error-response.ts';
import type { SweepInputs } from '../inputs/inputs.ts';
import { delay, mapLimited } from '../lib/abort.ts';
import { countOf } from '../lib/escape.ts';
import { asObject, asString, parseJson } from '../lib/json.ts';
import { createGarbageCollector } from '../lib/memory.ts';
import type { WorkflowRun } from '../runner/environment.ts';
import { type Reporter, reportDeletion } from '../summary/reporter.ts';

interface ExpiryDecision {
  readonly isExpired: boolean;
  readonly reason: string;
  /** Kept only because the status of its run is not known. */
  readonly isUndecided?: boolean;
}

/** `unknown`: GitHub does not show the run to this token. */
type WorkflowRunStatus = 'ended' | 'running' | 'unknown';

/** It has expired, or its run has ended without its cleanup (lost runner). Keeps what cannot be decided. */
export function decideExpiry(
  tags: Tags,
  now: Date,
  here: WorkflowRun,
  status: WorkflowRunStatus | undefined,
): ExpiryDecision {
  const expiresOn = tagValue(tags, 'expires-on');
  const keep = (reason: string): ExpiryDecision => ({ isExpired: false, reason });
  if (expiresOn !== undefined) {
    const expiry = Date.parse(expiresOn);
    if (Number.isNaN(expiry)) return keep(`its expires-on is not a date: ${expiresOn}`);
    if (expiry <= now.getTime()) return { isExpired: true, reason: `it expired on ${expiresOn}` };
  }
  const until = expiresOn === undefined ? 'it has no expiry' : `it expires on ${expiresOn}`;
  if (tagValue(tags, 'cleanup') !== 'always') return keep(until);
  if (!isFromRepository(tags, here)) return keep(`${until}, and its run belongs to another repository or server`);
  const run = `run ${tagValue(tags, 'github-run-id')}`;
  if (status === 'ended') return { isExpired: true, reason: `${run} has ended without deleting it` };
  if (status === 'running') return keep(`${run} is in progress`);
  return { ...keep(`${until}, and the status of ${run} is not known`), isUndecided: true };
}

interface SweepContext {
  readonly session: Session;
  readonly resourceGroup: string;
  readonly report: Reporter;
  readonly run: WorkflowRun;
  /** Asks GitHub; undefined without a `github-token`. */
  readonly runState: ((runId: string) => Promise<WorkflowRunStatus>) | undefined;
}

type FoundDeployment = Pick<ReturnType<typeof groupDeployments>[number], 'name' | 'resources'>;

/** A deployment has up to eight resources that are read or deleted at the same time. */
const maxConcurrentDeployments = 2;
const maxConcurrentReads = 16;

export async function sweep(
  { resourceGroup, githubToken }: SweepInputs,
  given: Pick<SweepContext, 'session' | 'report' | 'run'>,
): Promise<void> {
  const { report, run } = given;
  const runState = githubToken ? createRunStatusReader(githubToken, run.repository, report) : undefined;
  const context = { ...given, resourceGroup, runState };
  const undecided: string[] = [];
  const found = await findDeployments(context);
  const orphans = await settle(() => findOrphans(context, found));
  const deployments = [...found, ...(valueOf(orphans) ?? [])];
  const collectGarbage = createGarbageCollector();
  const results = await mapLimited(deployments, maxConcurrentDeployments, async (deployment) => {
    const decision = await decideDeployment(context, deployment);
    if (decision.isUndecided) undecided.push(mainIdOf(deployment));
    const result = await sweepOne(context, deployment, decision);
    if (decision.isExpired) collectGarbage();
    return result;
  });
  const deleted = results.flatMap((result) => result.deleted);
  const unlisted = 'error' in orphans ? [{ id: assignmentList(given.session), error: orphans.error }] : [];
  const failed = [...unlisted, ...results.flatMap((result) => result.failed)];
  const notOwned = results.flatMap((result) => result.notOwned);
  reportDeletion({ deleted, notFound: [], notOwned, failed }, report);
  if (deleted.length + failed.length + notOwned.length === 0) report.log.info('No deployment had to be deleted.');
  reportUndecided(context, undecided);
  const [first] = failed;
  if (first) throw new ActionError('sweeping', { cause: first.error });
}

/** One warning for all deployments that are kept because GitHub did not tell whether their run has ended. */
function reportUndecided({ report, runState }: SweepContext, ids: readonly string[]): void {
  if (ids.length === 0) return;
  const why = 'whether its workflow run has ended is not known';
  report.addLeftovers(ids.map((id) => ({ id, why })));
  report.log.warning(
    [
      `Kept ${countOf(ids.length, 'deployment')}, because ${runState ? 'GitHub did not show' : 'there is no `github-token` to read'} whether the workflow run has ended:`,
      ...ids,
      runState
        ? 'Grant the job `permissions: actions: read`. If the run was deleted, use `operation: delete`.'
        : 'Set `github-token`. To sweep without it, create deployments with `expires-after`.',
    ].join('\n'),
  );
}

/** The VM, or else another resource that exists. */
function mainIdOf({ resources }: FoundDeployment): string {
  const vm = resources.find(({ id }) => /\/virtualMachines\/[^/]+$/i.test(id));
  return (vm ?? resources[0])?.id ?? '';
}

async function sweepOne(
  context: SweepContext,
  deployment: FoundDeployment,
  decision: ExpiryDecision,
): Promise<DeletionResult> {
  const { session, resourceGroup, report } = context;
  const { name, resources } = deployment;
  const nothing: DeletionResult = { deleted: [], notFound: [], notOwned: [], failed: [] };
  report.log.info(`${name}: ${decision.isExpired ? 'deleting' : 'keeping'}, ${decision.reason}.`);
  if (!decision.isExpired) return nothing;
  // Decided again right before each deletion: a run may have adopted the deployment since.
  const confirm = async (tags: Tags): Promise<boolean> => (await decide(context, tags)).isExpired;
  const claim = repositoryClaim(name, context.run);
  try {
    const listed = async () => resources.map(({ id }) => id);
    return await deleteDeployment({ session, log: report.log, claim, confirm, listed }, resourceGroup);
  } catch (error) {
    // Goes on with the other deployments.
    if (session.waiting.signal.aborted) throw error;
    return { ...nothing, failed: [{ id: mainIdOf(deployment), error }] };
  }
}

async function decide({ run, runState }: SweepContext, tags: Tags): Promise<ExpiryDecision> {
  const decision = decideExpiry(tags, new Date(), run, undefined);
  const runId = tagValue(tags, 'github-run-id');
  if (!decision.isUndecided || !runState || !runId) return decision;
  return decideExpiry(tags, new Date(), run, await runState(runId));
}

/** One resource that is kept keeps all: a run that adopts the deployment updates the tags one by one. */
async function decideDeployment(context: SweepContext, { resources }: FoundDeployment): Promise<ExpiryDecision> {
  const decisions = await Promise.all(resources.map(({ tags }) => decide(context, tags)));
  return decisions.reduce((first, next) => (first.isExpired && !next.isExpired ? next : first));
}

/** The list shows 1,000 resources with their tags, but late: what has expired by it is read. Filtered by tag, it omits them. */
async function findDeployments(context: SweepContext): Promise<FoundDeployment[]> {
  const { session, resourceGroup, report } = context;
  const group = (resources: readonly ListedResource[]) =>
    groupDeployments(session, resourceGroup, resources, (id) => /\/userAssignedIdentities\/[^/]+$/i.test(id));
  const listed = group(await listGroup(session, resourceGroup));
  const decided = await mapLimited(listed, maxConcurrentDeployments, async (deployment) => {
    const { isExpired } = await decideDeployment(context, deployment);
    return deployment.resources.map((resource) => ({ ...resource, isExpired }));
  });
  const found: ListedResource[] = decided.flat().filter(({ isExpired }) => !isExpired);
  let missing = decided.flat().filter(({ isExpired }) => isExpired);
  // Either the list is late, or the read is.
  for (const seconds of [0, ...recheckDelays]) {
    if (missing.length === 0) break;
    if (seconds > 0) report.log.info(`${missing.length} listed resources not found; checking again in ${seconds} s.`);
    await delay(seconds, session.waiting.signal);
    const read = await mapLimited(missing, maxConcurrentReads, ({ id }) =>
      undefinedIfNotFound(readTags(session, id).then((tags) => ({ id, tags }))),
    );
    found.push(...read.filter((each) => each !== undefined));
    missing = missing.filter((_, index) => !read[index]);
  }
  if (missing.length > 0) report.log.warning(missing.map(({ id }) => listedButMissing(id)).join('\n'));
  return group(found);
}

/** Role assignments of which nothing else remains: a run that was killed early had assigned them to an existing identity. */
async function findOrphans(
  { session, resourceGroup, run }: SweepContext,
  found: readonly FoundDeployment[],
): Promise<FoundDeployment[]> {
  const isFound = (tags: Tags): boolean => found.some(({ name }) => hasDeploymentTag(tags, name));
  const isOrphan = (tags: Tags): boolean =>
    tagValue(tags, groupTag) !== undefined && isFromRepository(tags, run) && !isFound(tags);
  const { assignments } = await findRoleAssignments(session, resourceGroup, isOrphan);
  const byName = Map.groupBy(assignments, ({ tags }) => tagValue(tags, deploymentTag)?.toLowerCase() ?? '');
  return [...byName].map(([name, resources]) => ({ name, resources }));
}

/**
 * Each run is read once: a later attempt that adopts a deployment changes its tags. Never throws. @actions/github knows the
 * server and the request; it costs 75 ms of start time, so it is loaded only here. It neither retries nor expects answers
 * that are not GitHub's, so the client of sign-in sends the request.
 */
function createRunStatusReader(token: string, repository: string, { log }: Reporter) {
  const github = async () => (await import('@actions/github')).getOctokit(token).rest;
  const get = createHttpGet({ log, token });
  const [owner = '', repo = ''] = repository.split('/');
  const read = async (runId: string): Promise<WorkflowRunStatus> => {
    let reason: string;
    try {
      const { url } = (await github()).actions.getWorkflowRun.endpoint({ owner, repo, run_id: Number(runId) });
      const { status, body } = await get(url);
      const answer = asObject(parseJson(body));
      const runStatus = asString(answer['status']);
      if (status === 200 && runStatus) return runStatus === 'completed' ? 'ended' : 'running';
      const message = invalidResponseMessage(body) ?? asString(answer['message']);
      reason = message ? `${status} ${message}` : describeResponse({ url, status, bodyText: body });
    } catch (error) {
      reason = formatError(error).join(' ');
    }
    log.info(`Status of run ${runId} not available: ${reason}`);
    return 'unknown';
  };
  const statuses = new Map<string, Promise<WorkflowRunStatus>>();
  return (runId: string) => {
    const status = statuses.get(runId) ?? read(runId);
    statuses.set(runId, status);
    return status;
  };
}
