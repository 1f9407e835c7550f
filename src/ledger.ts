import { retryDelaySeconds, retryMessage } from './azure.ts';
import { AzureError, ActionError } from './failure.ts';
import type { CleanupPolicy } from './inputs.ts';
import { sameId } from './resource-id.ts';
import { hasSucceeded, isTerminalState, delayWithProgress, type PollOptions, pollUntil } from './waiting.ts';

/** The workflow run that this step belongs to, as GitHub's environment names it. */
export interface WorkflowRun {
  readonly serverUrl: string;
  readonly repository: string;
  readonly runId: string;
  readonly runAttempt: string;
  readonly job: string;
  readonly workflow: string;
  readonly sha: string;
  readonly actor: string;
}

/** Name of the tag that says which deployment a resource belongs to. */
export const deploymentTag = 'cross-tenant-vm';

/**
 * The tags that make everything findable again by name, by expiry and by run. They are what is left of a run whose
 * runner died.
 */
export function ownershipTags(
  run: WorkflowRun,
  deployment: string,
  cleanup: CleanupPolicy,
  expiresOn?: Date,
): Readonly<Record<string, string>> {
  const tags = {
    [deploymentTag]: deployment,
    cleanup,
    'github-server-url': run.serverUrl,
    'github-repository': run.repository,
    'github-run-id': run.runId,
    'github-run-attempt': run.runAttempt,
    'github-job': run.job,
    'github-workflow': run.workflow,
    'github-sha': run.sha,
    'github-actor': run.actor,
    ...(expiresOn ? { 'expires-on': `${expiresOn.toISOString().slice(0, 19)}Z` } : {}),
  };
  // Azure refuses values over 256 characters; only a workflow's name gets that long.
  return Object.fromEntries(Object.entries(tags).map(([name, value]) => [name, value.slice(0, 256)]));
}

type Tags = Readonly<Record<string, string>> | undefined;

/** A tag's value; Azure compares tag names without case and may give them back in another one. */
export function tagValue(tags: Tags, name: string): string | undefined {
  const entry = Object.entries(tags ?? {}).find(([key]) => key.toLowerCase() === name);
  return entry?.[1];
}

const describedTags = [
  deploymentTag,
  'github-server-url',
  'github-repository',
  'github-run-id',
  'github-run-attempt',
  'github-job',
];

/** The ownership tags as one line of text, for what has a description but no tags: role assignments. */
export function tagsToDescription(tags: Readonly<Record<string, string>>): string {
  const escaped = (value: string): string => value.replaceAll('%', '%25').replaceAll(';', '%3B');
  return describedTags
    .flatMap((name) => {
      const value = tagValue(tags, name);
      return value === undefined ? [] : [`${name}=${escaped(value)}`];
    })
    .join('; ');
}

/** The tags in a description that `markOf` wrote; undefined for any other text. */
export function tagsFromDescription(description: string | null | undefined): Tags {
  if (!description?.startsWith(`${deploymentTag}=`)) return undefined;
  const plain = (value: string): string => value.replaceAll('%3B', ';').replaceAll('%25', '%');
  return Object.fromEntries(
    description.split('; ').flatMap((part) => {
      const at = part.indexOf('=');
      return at > 0 ? [[part.slice(0, at), plain(part.slice(at + 1))]] : [];
    }),
  );
}

/** Do the tags name this deployment? Azure tells names of machines apart without case, and so does this. */
export function hasDeploymentTag(tags: Tags, deployment: string): boolean {
  return tagValue(tags, deploymentTag)?.toLowerCase() === deployment.toLowerCase();
}

/** Do the tags name this very job of this run, in whichever attempt? */
export function hasRunTags(
  tags: Tags,
  run: Pick<WorkflowRun, 'serverUrl' | 'repository' | 'runId' | 'job'>,
): boolean {
  return (
    tagValue(tags, 'github-run-id') === run.runId &&
    tagValue(tags, 'github-job') === run.job &&
    tagValue(tags, 'github-repository') === run.repository &&
    tagValue(tags, 'github-server-url') === run.serverUrl
  );
}

export type Ownership = 'ours' | 'foreign' | 'other-job';

/**
 * Whose resource is it? Ours is what carries this deployment's name. Two jobs of one run that chose the same name would
 * delete each other's machine, so the other job's is not adopted.
 */
export function classifyOwnership(
  tags: Tags,
  deployment: string,
  run: Pick<WorkflowRun, 'runId' | 'job'>,
): Ownership {
  if (!hasDeploymentTag(tags, deployment)) return 'foreign';
  const sameRun = tagValue(tags, 'github-run-id') === run.runId;
  return sameRun && tagValue(tags, 'github-job') !== run.job ? 'other-job' : 'ours';
}

/** What the post step needs to undo a run. IDs only: the state file is readable by every step of the job. */
export interface CleanupStateData {
  readonly deployment: string;
  readonly cleanup: CleanupPolicy;
  /** GUID; the post step signs in to this tenant alone. */
  readonly tenantId: string;
  readonly subscriptionId: string;
  readonly resourceGroup: string;
  /** Full IDs in the order of their PUTs. Written before each PUT, so that a lost answer is covered too. */
  readonly created: readonly string[];
  /** Those of them whose PUT was not answered yet: they may come into being after clean-up has looked for them. */
  readonly pending: readonly string[];
  /** True once `create` has ended well: then only `cleanup: always` undoes it. */
  readonly completed: boolean;
  readonly privateKeyPath?: string;
}

export interface CleanupState {
  readonly entries: CleanupStateData;
  /** To be called before the PUT. */
  addPending(id: string): void;
  /** To be called when Azure has answered the PUT. */
  markAccepted(id: string): void;
  /** To be called when it is known to be gone. */
  markDeleted(id: string): void;
  /** To be called when the PUT was refused and has left nothing. */
  discard(id: string): void;
  /**
   * To be called when all of it turns out to be another job's as much: then nothing of it is this one's to delete, nor
   * what is still on its way.
   */
  disown(): void;
  keepPrivateKey(path: string): void;
  markCompleted(): void;
}

/**
 * Opens the ledger of a run. `save` persists it and is called at once and at every change; it also gets everything that
 * was made, including what is gone again.
 */
export function createCleanupState(
  start: Omit<CleanupStateData, 'created' | 'pending' | 'completed'>,
  save: (entries: CleanupStateData, made: readonly string[]) => void,
): CleanupState {
  let entries: CleanupStateData = { ...start, created: [], pending: [], completed: false };
  let made: readonly string[] = [];
  let disowned = false;
  const change = (next: Partial<CleanupStateData>): void => {
    entries = { ...entries, ...next };
    save(entries, made);
  };
  const without = (ids: readonly string[], id: string) => ids.filter((known) => !sameId(known, id));
  const drop = (id: string): void =>
    change({ created: without(entries.created, id), pending: without(entries.pending, id) });
  change({});
  return {
    get entries() {
      return entries;
    },
    addPending(id) {
      if (disowned) return;
      const has = (ids: readonly string[]): boolean => ids.some((known) => sameId(known, id));
      if (has(entries.created) && has(entries.pending)) return;
      if (!has(made)) made = [...made, id];
      change({
        created: has(entries.created) ? entries.created : [...entries.created, id],
        pending: has(entries.pending) ? entries.pending : [...entries.pending, id],
      });
    },
    markAccepted: (id) => change({ pending: without(entries.pending, id) }),
    markDeleted: drop,
    discard(id) {
      made = without(made, id);
      drop(id);
    },
    disown() {
      disowned = true;
      made = [];
      change({ created: [], pending: [], cleanup: 'never' });
    },
    keepPrivateKey: (privateKeyPath) => change({ privateKeyPath }),
    markCompleted: () => change({ completed: true }),
  };
}

interface ExistingResource {
  readonly tags?: Tags;
  readonly provisioningState?: string;
}

export interface ResourceCreation<T extends ExistingResource> {
  /** What it is, for people: `network interface vm1-nic`. */
  readonly what: string;
  readonly id: string;
  /** What was found under this ID right before. */
  readonly existing: T | undefined;
  /** Sends the PUT and waits for its end; calls `answered` as soon as Azure has taken it. */
  readonly put: (answered: () => void) => Promise<T>;
  readonly reread: () => Promise<T | undefined>;
}

interface CreationContext {
  readonly cleanupState: CleanupState;
  readonly run: WorkflowRun;
  readonly waiting: PollOptions;
  readonly log: { info(line: string): void };
}

/**
 * Makes sure that one resource of the deployment is there: refuse what is not ours, record, PUT. What is ours and whole
 * is left as it is; what an interrupted run left half-made is waited for or made again. A PUT that met a passing fault is
 * sent again only after looking once more: its first try may have been carried out, or somebody was faster.
 * @throws Failure when something of that name belongs to someone else: nothing that exists is ever overwritten.
 */
export async function createIfMissing<T extends ExistingResource>(
  { cleanupState, run, waiting, log }: CreationContext,
  { what, id, existing, put, reread }: ResourceCreation<T>,
): Promise<T> {
  let found = existing;
  for (let tries = 0; ; tries++) {
    if (found) assertOwned(what, id, found.tags, cleanupState.entries.deployment, run);
    if (found && !isTerminalState(found)) {
      const settled = await pollUntil(what, 'network', waiting, async () => {
        const now = await reread();
        return now && !isTerminalState(now) ? undefined : { now };
      });
      found = settled.now;
      if (found) assertOwned(what, id, found.tags, cleanupState.entries.deployment, run);
    }
    if (found && hasSucceeded(found)) return found;
    // A Failed remnant of an earlier run is PUT over, but stays that run's: only what was absent is recorded as created.
    if (!found) cleanupState.addPending(id);
    try {
      return await put(() => cleanupState.markAccepted(id));
    } catch (error) {
      if (waiting.signal.aborted || !(error instanceof AzureError)) throw error;
      const seconds = retryDelaySeconds(error.fault, tries);
      if (seconds === undefined) {
        if (error.fault.status >= 400 && !(await reread())) cleanupState.discard(id);
        throw error;
      }
      log.info(`${what}: ${retryMessage(error.fault, seconds)}`);
      await delayWithProgress(seconds, waiting.signal, log.info);
      found = await reread();
    }
  }
}

/** @throws Failure unless the tags say that the resource belongs to this deployment (and not to another job's). */
export function assertOwned(
  what: string,
  id: string,
  tags: Tags,
  deployment: string,
  run: Pick<WorkflowRun, 'runId' | 'job'>,
): void {
  const owner = classifyOwnership(tags, deployment, run);
  if (owner === 'ours') return;
  const other = tagValue(tags, deploymentTag);
  const whose =
    owner === 'other-job'
      ? `it was made by job "${tagValue(tags, 'github-job')}" of this same workflow run`
      : other === undefined
        ? 'this action did not make it'
        : `it belongs to deployment "${other}"`;
  throw new ActionError(`creating ${what}`, {
    message: `${what} exists already and ${whose}. Nothing that exists is overwritten.`,
    explanation: {
      cause: `The deployment's name "${deployment}" leads to a resource name that is taken: ${id}`,
      who: "the workflow's author",
      fix: [
        'Give another `vm-name`: all other names derive from it.',
        ...(owner === 'foreign'
          ? [
              'To use what exists instead, name it: `subnet-id`, `network-security-group-id`, `public-ip` or `nic-id` take full resource IDs.',
            ]
          : [
              'Jobs and matrix legs of one run need names of their own; the default of `vm-name` sees to that.',
            ]),
      ],
    },
  });
}
