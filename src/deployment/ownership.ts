/** Who owns a resource: the tags that say so, and the rules that read them. */

import { sameId } from '../azure/resource-id.ts';
import { ActionError } from '../errors/errors.ts';
import type { CleanupPolicy } from '../inputs/inputs.ts';
import type { WorkflowRun } from '../runner/environment.ts';

export const deploymentTag = 'cross-tenant-vm';

export const identityTags = {
  serverUrl: 'github-server-url',
  repository: 'github-repository',
  runId: 'github-run-id',
  runAttempt: 'github-run-attempt',
  job: 'github-job',
  action: 'github-action',
} as const;

export type RunIdentity = Pick<WorkflowRun, keyof typeof identityTags>;

/** Without the other values of a run: the state for the post step holds IDs only. */
export function runIdentityOf({ serverUrl, repository, runId, runAttempt, job, action }: RunIdentity): RunIdentity {
  return { serverUrl, repository, runId, runAttempt, job, action };
}

export type RepositoryIdentity = Pick<WorkflowRun, 'serverUrl' | 'repository'>;

export type Tags = Readonly<Record<string, string>> | undefined;

export interface TaggedResource {
  readonly id?: string;
  readonly tags?: Tags;
}

/** Azure's limit, which a workflow's name can exceed. */
const maxTagValue = 256;

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
    ...Object.fromEntries(Object.entries(identityTags).map(([field, tag]) => [tag, run[field as keyof RunIdentity]])),
    'github-workflow': run.workflow,
    'github-sha': run.sha,
    'github-actor': run.actor,
    ...(expiresOn && { 'expires-on': `${expiresOn.toISOString().slice(0, 19)}Z` }),
  };
  return Object.fromEntries(Object.entries(tags).map(([name, value]) => [name, value.slice(0, maxTagValue)]));
}

/** The tag's value. Azure compares tag names regardless of case and may return them in another case. */
export function tagValue(tags: Tags, name: string): string | undefined {
  return Object.entries(tags ?? {}).find(([key]) => key.toLowerCase() === name.toLowerCase())?.[1];
}

/** In descriptions: the ID of the deployment's resource group. A role assignment belongs to its scope, often in another one. */
export const groupTag = 'resource-group';

const describedTags = [deploymentTag, 'cleanup', ...Object.values(identityTags), 'expires-on', groupTag];

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

/** Whether the tags name this owner: one step of one attempt, or with fewer fields, all runs that agree in them. */
function hasIdentityTags(tags: Tags, identity: Partial<RunIdentity>): boolean {
  return Object.entries(identityTags).every(([field, tag]) => {
    const expected = identity[field as keyof RunIdentity];
    return expected === undefined || tagValue(tags, tag) === expected.slice(0, maxTagValue);
  });
}

export function isFromRepository(tags: Tags, { serverUrl, repository }: RepositoryIdentity): boolean {
  return hasIdentityTags(tags, { serverUrl, repository });
}

/** What a run may delete. The candidates are its recorded resources or the deployment's derived names. */
export interface DeletionClaim {
  readonly deployment: string;
  /** Rollback and post step: the step that created the resources. `delete` and `sweep`: the repository. */
  readonly owner: RunIdentity | RepositoryIdentity;
  /** Resources that existed when the run tried to create them: their tags may name the run, but they are not its own. */
  readonly notCreated?: readonly string[];
}

/** For `delete`, `sweep` and `if-exists: replace`: what any run of the repository created. */
export function repositoryClaim(deployment: string, { serverUrl, repository }: RepositoryIdentity): DeletionClaim {
  return { deployment, owner: { serverUrl, repository } };
}

/** For what goes with its holder, such as the disks of a VM: a run that adopts the deployment updates their tags one by one. */
export function holderClaim({ deployment, owner, notCreated }: DeletionClaim): DeletionClaim {
  return { ...repositoryClaim(deployment, owner), notCreated };
}

/** Whether a resource may be deleted. Rollback, cleanup of a failed VM, post step, `delete` and `sweep` all ask this. */
export function mayDelete({ deployment, owner, notCreated = [] }: DeletionClaim, id: string, tags: Tags): boolean {
  return (
    hasDeploymentTag(tags, deployment) && hasIdentityTags(tags, owner) && !notCreated.some((other) => sameId(other, id))
  );
}

/** A role assignment follows its holder: a run that adopts a deployment cannot change the description. */
export function mayDeleteAssignment(
  claim: DeletionClaim,
  id: string,
  tags: Tags,
  isHolderOurs: boolean | undefined,
): boolean {
  if (isHolderOurs === false) return false;
  return mayDelete(isHolderOurs ? repositoryClaim(claim.deployment, claim.owner) : claim, id, tags);
}

/** `other-job`: same deployment name, but another job of this run. Adopting it would let each job delete the other's VM. */
export function classifyOwnership(tags: Tags, deployment: string, run: RunIdentity) {
  if (!hasDeploymentTag(tags, deployment)) return 'foreign';
  if (!isFromRepository(tags, run)) return 'other-repository';
  const { runId, job } = run;
  return hasIdentityTags(tags, { runId }) && !hasIdentityTags(tags, { job }) ? 'other-job' : 'ours';
}

/** @throws ActionError unless the resource belongs to this deployment and was not created by another job of this run. */
export function assertOwned(
  what: string,
  { id, tags }: { readonly id: string; readonly tags?: Tags },
  deployment: string,
  run: RunIdentity,
): void {
  const owner = classifyOwnership(tags, deployment, run);
  if (owner === 'ours') return;
  const other = tagValue(tags, deploymentTag);
  const repository = [tagValue(tags, identityTags.serverUrl), tagValue(tags, identityTags.repository)];
  const reasons = {
    'other-job': `was created by job "${tagValue(tags, identityTags.job)}" of this workflow run`,
    'other-repository': `belongs to another repository (${repository.filter(Boolean).join('/') || 'unknown'})`,
    foreign: other === undefined ? 'was not created by this action' : `belongs to deployment "${other}"`,
  };
  // No input takes the ID of a VM or disk.
  const isNetwork = /\/Microsoft\.Network\//i.test(id);
  const useExisting =
    'To use the existing resource instead, pass its ID as `subnet-id`, `network-security-group-id`, `public-ip` or `nic-id`.';
  const nameEachJob = 'Each job and matrix leg of a run needs its own name; the default of `vm-name` provides one.';
  throw new ActionError(`creating ${what}`, {
    message: `${what} already exists and ${reasons[owner]}. Existing resources are never overwritten.`,
    reason: `Deployment name "${deployment}" results in a resource name that is already in use: ${id}`,
    fix: [
      'Set a different `vm-name`: all other resource names derive from it.',
      ...(owner === 'other-job' ? [nameEachJob] : []),
      ...(owner !== 'other-job' && isNetwork ? [useExisting] : []),
    ],
  });
}
