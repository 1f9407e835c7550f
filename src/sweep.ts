import { listAll, orUndefined, type Session } from './azure.ts';
import { describe, Failure } from './failure.ts';
import type { SweepInputs } from './inputs.ts';
import { deploymentTag, type Run, tagValue } from './ledger.ts';
import { idsOf, namesOf } from './plan.ts';
import { belongsTo, type Removal, removeDeployment, tagsOf, tellRemoval } from './remove.ts';
import type { Report } from './report.ts';
import { sameId } from './resource-id.ts';

type Tags = Readonly<Record<string, string>> | undefined;

/** Why a deployment goes, or why it stays. */
export type Verdict =
  | { readonly over: true; readonly why: string }
  | { readonly over: false; readonly why: string };

/** What GitHub says of a workflow run; `unknown` when it does not let us see it. */
export type RunState = 'ended' | 'running' | 'unknown';

/**
 * Is a deployment over? Expired, or made to be cleaned up by a run that has ended without doing so: its runner was lost.
 * Whatever cannot be decided stays.
 */
export function judgeTags(
  tags: Tags,
  now: Date,
  here: Pick<Run, 'serverUrl' | 'repository'>,
  runState: RunState | undefined,
): Verdict {
  const expiresOn = tagValue(tags, 'expires-on');
  if (expiresOn !== undefined) {
    const expiry = Date.parse(expiresOn);
    if (Number.isNaN(expiry)) return { over: false, why: `its expires-on is not a date: ${expiresOn}` };
    if (expiry <= now.getTime()) return { over: true, why: `it expired on ${expiresOn}` };
  }
  const until = expiresOn === undefined ? 'it has no expiry' : `it expires on ${expiresOn}`;
  if (tagValue(tags, 'cleanup') !== 'always') return { over: false, why: until };
  if (!isOfRepository(tags, here)) {
    return { over: false, why: `${until}, and its run belongs to another repository or server` };
  }
  const run = `run ${tagValue(tags, 'github-run-id')}`;
  if (runState === 'ended') return { over: true, why: `${run} has ended and was to delete it` };
  return {
    over: false,
    why:
      runState === 'running'
        ? `${run} is still going`
        : `${until}, and whether ${run} has ended cannot be seen`,
  };
}

function isOfRepository(
  tags: Tags,
  { serverUrl, repository }: Pick<Run, 'serverUrl' | 'repository'>,
): boolean {
  return (
    tagValue(tags, 'github-server-url')?.toLowerCase() === serverUrl.toLowerCase() &&
    tagValue(tags, 'github-repository')?.toLowerCase() === repository.toLowerCase()
  );
}

export interface SweepDesk {
  readonly session: Session;
  readonly report: Report;
  readonly run: Run;
  /** Asks GitHub; absent without a `github-token`. */
  readonly runState?: (runId: string) => Promise<RunState>;
}

/** Finds every deployment of this action in the resource group and deletes those that are over. */
export async function sweep({ resourceGroup }: SweepInputs, desk: SweepDesk): Promise<void> {
  const { session, report, run } = desk;
  const judged = async (tags: Tags): Promise<Verdict> => {
    const verdict = judgeTags(tags, new Date(), run, undefined);
    const runId = tagValue(tags, 'github-run-id');
    if (
      verdict.over ||
      !desk.runState ||
      !runId ||
      tagValue(tags, 'cleanup') !== 'always' ||
      !isOfRepository(tags, run)
    ) {
      return verdict;
    }
    return judgeTags(tags, new Date(), run, await desk.runState(runId));
  };
  const removal = {
    deleted: [] as string[],
    absent: [] as string[],
    foreign: [] as string[],
    failed: [] as Removal['failed'][number][],
  };
  const sweepOne = async (deployment: string, parts: readonly Part[]): Promise<void> => {
    const verdicts = await Promise.all(parts.map(({ tags }) => judged(tags)));
    // One part that stays keeps all: a run that takes the deployment over renews the tags one by one.
    const verdict = verdicts.find(({ over }) => !over) ?? verdicts[0];
    if (!verdict) return;
    report.log.info(`${deployment}: ${verdict.over ? 'to be deleted' : 'kept'}, ${verdict.why}.`);
    if (!verdict.over) return;
    // Tags and run are looked at again right before each single deletion: a rerun may have adopted it in between.
    const isOurs = belongsTo(deployment);
    const belongs = async (own: Tags): Promise<boolean> => isOurs(own) && (await judged(own)).over;
    try {
      const gone = await removeDeployment({ session, log: report.log, belongs }, resourceGroup, deployment);
      removal.deleted.push(...gone.deleted);
      removal.foreign.push(...gone.foreign);
      removal.failed.push(...gone.failed);
    } catch (error) {
      // The others go on: half of a deployment is worse than all of it.
      if (session.waiting.signal.aborted) throw error;
      const { machine } = idsOf(session.subscriptionId, resourceGroup, namesOf(deployment));
      removal.failed.push({ id: machine, error });
    }
  };
  const deployments = [...(await findDeployments(session, resourceGroup))];
  for (let at = 0; at < deployments.length; at += sideBySide) {
    await Promise.all(
      deployments.slice(at, at + sideBySide).map(([deployment, parts]) => sweepOne(deployment, parts)),
    );
  }
  tellRemoval(removal, report);
  if (removal.deleted.length === 0) report.log.info('Nothing had to be swept.');
  const [first] = removal.failed;
  if (first) throw new Failure('sweeping', { cause: first.error });
}

/** Deployments that are deleted at the same time; Resource Manager allows 200 deletions, then 10 a second. */
const sideBySide = 10;

interface Part {
  readonly id: string;
  readonly tags: Tags;
}

/**
 * Deployments with those of their parts that bear a derived name (or are an identity, whose name is the author's): what
 * merely carries copied tags decides nothing. The filtered list gives IDs alone (and late), so each resource is asked for
 * its own tags.
 */
async function findDeployments(
  session: Session,
  resourceGroup: string,
): Promise<ReadonlyMap<string, readonly Part[]>> {
  const listed = await listAll<{ id: string }>(
    session.arm,
    `/subscriptions/${session.subscriptionId}/resourceGroups/${resourceGroup}/resources`,
    '2021-04-01',
    { $filter: `tagName eq '${deploymentTag}'` },
  );
  const found = await Promise.all(
    listed.map(async ({ id }) => ({ id, tags: await orUndefined(tagsOf(session, id)) })),
  );
  const deployments = new Map<string, Part[]>();
  const spelling = new Map<string, string>();
  for (const part of found) {
    const name = tagValue(part.tags, deploymentTag);
    if (!name) continue;
    const deployment = spelling.get(name.toLowerCase()) ?? name;
    spelling.set(name.toLowerCase(), deployment);
    const derived = Object.values(idsOf(session.subscriptionId, resourceGroup, namesOf(deployment)));
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
export function runStateReader(
  token: string,
  repository: string,
  report: Report,
): (runId: string) => Promise<RunState> {
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
      report.log.info(`GitHub does not tell of run ${runId}: ${describe(error).join(' ')}`);
      return 'unknown';
    }
  };
}
