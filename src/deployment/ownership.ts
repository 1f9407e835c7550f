/** Who owns a resource: the tags that say so, and the rules that read them. */

import { ActionError } from '../errors/action-error.ts';
import type { CleanupPolicy } from '../inputs/inputs.ts';
import type { WorkflowRun } from '../runner/github-context.ts';

/** Name of the tag that holds the deployment's name. */
export const deploymentTag = 'cross-tenant-vm';

export type Tags = Readonly<Record<string, string>> | undefined;

/** The tags of every resource that this action creates. `sweep` and `delete` find a deployment by them alone. */
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
    ...(expiresOn && { 'expires-on': `${expiresOn.toISOString().slice(0, 19)}Z` }),
  };
  // Azure rejects values of more than 256 characters; a workflow's name can be that long.
  return Object.fromEntries(Object.entries(tags).map(([name, value]) => [name, value.slice(0, 256)]));
}

/** The tag's value. Azure compares tag names regardless of case and may return them in another case. */
export function tagValue(tags: Tags, name: string): string | undefined {
  return Object.entries(tags ?? {}).find(([key]) => key.toLowerCase() === name)?.[1];
}

const describedTags = [
  deploymentTag,
  'github-server-url',
  'github-repository',
  'github-run-id',
  'github-run-attempt',
  'github-job',
];

/** Ownership tags as text, for resources that have a description but no tags: role assignments. */
export function tagsToDescription(tags: Readonly<Record<string, string>>): string {
  const escaped = (value: string): string => value.replaceAll('%', '%25').replaceAll(';', '%3B');
  return describedTags
    .flatMap((name) => {
      const value = tagValue(tags, name);
      return value === undefined ? [] : [`${name}=${escaped(value)}`];
    })
    .join('; ');
}

/** Reads the text that `tagsToDescription` wrote; undefined for any other text. */
export function tagsFromDescription(description: string | null | undefined): Tags {
  if (!description?.startsWith(`${deploymentTag}=`)) return undefined;
  const unescaped = (value: string): string => value.replaceAll('%3B', ';').replaceAll('%25', '%');
  return Object.fromEntries(
    description.split('; ').flatMap((part) => {
      const at = part.indexOf('=');
      return at > 0 ? [[part.slice(0, at), unescaped(part.slice(at + 1))]] : [];
    }),
  );
}

/** Compares regardless of case, as Azure does with resource names. */
export function hasDeploymentTag(tags: Tags, deployment: string): boolean {
  return tagValue(tags, deploymentTag)?.toLowerCase() === deployment.toLowerCase();
}

/** Whether the tags name this job of this run, in any attempt. */
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

/** `other-job`: same deployment name, but another job of this run. Adopting it would let each job delete the other's VM. */
export function classifyOwnership(
  tags: Tags,
  deployment: string,
  run: Pick<WorkflowRun, 'runId' | 'job'>,
): 'ours' | 'foreign' | 'other-job' {
  if (!hasDeploymentTag(tags, deployment)) return 'foreign';
  const sameRun = tagValue(tags, 'github-run-id') === run.runId;
  return sameRun && tagValue(tags, 'github-job') !== run.job ? 'other-job' : 'ours';
}

/** @throws ActionError unless the resource belongs to this deployment and was not created by another job of this run. */
export function assertOwned(
  what: string,
  resource: { readonly id: string; readonly tags?: Tags },
  deployment: string,
  run: Pick<WorkflowRun, 'runId' | 'job'>,
): void {
  const { id, tags } = resource;
  const owner = classifyOwnership(tags, deployment, run);
  if (owner === 'ours') return;
  const other = tagValue(tags, deploymentTag);
  const reason =
    owner === 'other-job'
      ? `was created by job "${tagValue(tags, 'github-job')}" of this workflow run`
      : other === undefined
        ? 'was not created by this action'
        : `belongs to deployment "${other}"`;
  throw new ActionError(`creating ${what}`, {
    message: `${what} already exists and ${reason}. Existing resources are never overwritten.`,
    explanation: {
      cause: `Deployment name "${deployment}" results in a resource name that is already in use: ${id}`,
      who: "the workflow's author",
      fix: [
        'Set a different `vm-name`: all other resource names derive from it.',
        owner === 'foreign'
          ? 'To use the existing resource instead, pass its ID as `subnet-id`, `network-security-group-id`, `public-ip` or `nic-id`.'
          : 'Each job and matrix leg of a run needs its own name; the default of `vm-name` provides one.',
      ],
    },
  });
}
