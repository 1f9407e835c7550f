import { ActionError } from '../errors/action-error.ts';
import type { CleanupPolicy } from '../inputs/inputs.ts';
import type { WorkflowRun } from '../runner/github-context.ts';

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

export type Tags = Readonly<Record<string, string>> | undefined;

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

type Ownership = 'ours' | 'foreign' | 'other-job';

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
