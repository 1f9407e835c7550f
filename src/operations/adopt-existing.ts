import type { VirtualMachine } from '@azure/arm-compute';
import type { DeploySession } from '../auth/session.ts';
import { apiVersions } from '../azure/api-versions.ts';
import type { Session } from '../azure/arm-client.ts';
import { isNotFound, hasSucceeded, undefinedIfDenied } from '../azure/lookup.ts';
import { disksCreatedWith, readTags } from '../cleanup/resource-types.ts';
import type { ExistingResources, Plan } from '../deployment/resources.ts';
import { type TaggedResource, type Tags, classifyOwnership, tagValue } from '../deployment/ownership.ts';
import { type ErrorContext, ActionError, AzureError, withActivity } from '../errors/errors.ts';
import type { ResolvedImage } from '../image/image.ts';
import type { DeployInputs } from '../inputs/inputs.ts';
import { allSettledOrThrow, delay } from '../lib/abort.ts';
import { countOf } from '../lib/escape.ts';
import { type Difference, assertNoDrift, compareTags, requestedTags } from '../plan/drift.ts';
import { addedIdentitiesNotice, assertRecreatable, compareVm } from '../plan/vm-drift.ts';
import type { WorkflowRun } from '../runner/environment.ts';
import type { Reporter } from '../summary/reporter.ts';
import { isFailedState, readProvisioningFailure, waitForTerminalState } from '../vm/vm-status.ts';

/** The VM of this deployment, in a terminal state. */
export type ExistingVm =
  | { readonly kind: 'absent' }
  /** Another run was deleting it. */
  | { readonly kind: 'deleted' }
  | { readonly kind: 'adoptable'; readonly vm: VirtualMachine }
  /** It failed after it had run. Only `if-exists: replace` goes on with it. */
  | { readonly kind: 'failed'; readonly vm: VirtualMachine }
  /** Azure never started it, so it holds no data and is created again. */
  | { readonly kind: 'never-started'; readonly vm: VirtualMachine; readonly reason: AzureError };

/** Waits for another run's operation. @throws ActionError if it failed after it had run. */
export async function findExistingVm(
  session: Session,
  inputs: DeployInputs,
  vm: VirtualMachine | undefined,
  report: Reporter,
): Promise<ExistingVm> {
  if (!vm) return { kind: 'absent' };
  if (hasSucceeded(vm)) return { kind: 'adoptable', vm };
  const location = { resourceGroup: inputs.resourceGroup, vm: { name: inputs.vmName } };
  const final = isFailedState(vm)
    ? vm
    : await report.stage('Wait for another run', () => waitForTerminalState(session, location));
  if (!final) return { kind: 'deleted' };
  if (hasSucceeded(final)) return { kind: 'adoptable', vm: final };
  const failure = await readProvisioningFailure(session, location);
  assertRecreatable(final, failure, inputs);
  if (failure.hasRun) return { kind: 'failed', vm: final };
  return { kind: 'never-started', vm: final, reason: failure.fault };
}

/** What every stage of a create uses. */
export interface DeployContext {
  readonly report: Reporter;
  readonly run: WorkflowRun;
  /** Folder of a generated private key; the runner empties it after the job. */
  readonly temporaryFolder: string;
  readonly onContext: (context: Partial<ErrorContext>) => void;
}

export interface PlannedDeployment extends Pick<DeployContext, 'report' | 'run'> {
  readonly session: DeploySession;
  readonly inputs: DeployInputs;
  readonly plan: Plan;
  readonly image: ResolvedImage;
}

/** @returns why it has to be replaced, or undefined. @throws ActionError if it differs and is to be kept. */
export function findReplacementReasons(
  { inputs, plan, image, report: { log } }: PlannedDeployment,
  existing: Extract<ExistingVm, { kind: 'adoptable' | 'failed' }>,
  ofNetwork: readonly Difference[],
): readonly Difference[] | undefined {
  const { differences, addedIdentities, keptVersion, replacementReasons } = compareVm(existing.vm, plan, image, inputs);
  // A replacement of the VM would not change the network.
  if (ofNetwork.length > 0) assertNoDrift(plan, 'network', [...ofNetwork, ...differences]);
  if (replacementReasons.length > 0) return replacementReasons;
  assertNoDrift(plan, 'vm', differences);
  log.notice(`Virtual machine ${plan.vm.name} of this deployment exists and matches the inputs: it is kept.`);
  if (addedIdentities.length > 0) log.notice(addedIdentitiesNotice(addedIdentities));
  if (keptVersion) {
    log.warning(
      `The VM was created from image version ${keptVersion} and keeps it; the newest one is ${image.version}. To deploy that, set \`if-exists: replace\`.`,
    );
  }
  return undefined;
}

/** @throws ActionError if any resource of the deployment exists. */
export function assertDeploymentAbsent(existing: ExistingResources, { vmName }: DeployInputs): void {
  const ids = existingIds(existing);
  if (ids.length === 0) return;
  throw new ActionError(`creating deployment ${vmName}`, {
    message: `Deployment ${vmName} already exists:\n${ids.join('\n')}`,
    reason: '`if-exists: fail` refuses to use or replace an existing deployment. Nothing was changed.',
    fix: [
      'To use it if it matches the inputs, set `if-exists: keep`; to replace a VM that differs, `if-exists: replace`.',
      `To delete it first, run this action with \`operation: delete\` and \`vm-name: ${vmName}\`.`,
    ],
  });
}

/** API versions for changing a resource itself, for apps that may not write tags alone. */
const resourceApiVersions = [
  [/\/Microsoft\.Compute\/virtualMachines\//i, apiVersions.virtualMachines],
  [/\/Microsoft\.Compute\/disks\//i, apiVersions.disks],
  [/\/Microsoft\.Network\//i, apiVersions.network],
  [/\/Microsoft\.ManagedIdentity\//i, apiVersions.identities],
] as const;

/**
 * The only write of a rerun, and none if the tags are right. Those of the VM are written last: if they are right, so are
 * those of its disks, which are not read again. @returns false if some of the resources no longer exist.
 */
export async function updateTags(
  deployment: PlannedDeployment,
  { vm, ...network }: ExistingResources,
  identities: readonly TaggedResource[],
): Promise<boolean> {
  const { plan, report } = deployment;
  const isOutdated = (resource: TaggedResource) => tagWrites(resource, plan).length > 0;
  const others: readonly TaggedResource[] = [...Object.values(network), ...identities];
  const outdated = others.filter(isOutdated).flatMap(({ id }) => id ?? []);
  const [first, last] = vm?.id && isOutdated(vm) ? [[...outdated, ...disksCreatedWith(vm)], [vm.id]] : [outdated, []];
  if (first.length + last.length === 0) return true;
  const changes = [...others, ...(vm ? [vm] : [])].flatMap((resource) => compareTags(resource, plan));
  const lines = changes.map(({ property, actual, expected }) => `Updating ${property}: ${actual} → ${expected}`);
  for (const line of new Set(lines)) report.log.info(line);
  const update = (ids: readonly string[]) => allSettledOrThrow(ids.map((id) => updateOrKeepTags(deployment, id)));
  const results = await report.stage('Tags', () =>
    withActivity('updating the tags of the deployment', async () => [
      ...(await update(first)),
      ...(await update(last)),
    ]),
  );
  const kept = results.filter((result) => typeof result === 'object');
  if (kept.length > 0) warnAboutKeptTags(kept, report);
  return !results.includes('not found');
}

/** Bodies of the requests that give the resource the tags of this run; none if it has them. */
function tagWrites({ id = '', tags }: TaggedResource, plan: Plan) {
  const requested = requestedTags(plan, id);
  const isCurrent = Object.entries(requested).every(([name, value]) => tagValue(tags, name) === value);
  // An expiry that this run does not request must not delete the deployment.
  const oldExpiry = plan.tags['expires-on'] === undefined ? tagValue(tags, 'expires-on') : undefined;
  return [
    ...(isCurrent ? [] : [{ operation: 'Merge', properties: { tags: requested } }]),
    ...(oldExpiry === undefined ? [] : [{ operation: 'Delete', properties: { tags: { 'expires-on': oldExpiry } } }]),
  ];
}

/** Of locks, policies, missing permissions and resources that reject the tags. */
const refusedStatuses: ReadonlySet<number> = new Set([400, 403, 409]);

/** A refused update does not fail the run: the deployment exists and matches the inputs. */
async function updateOrKeepTags(deployment: PlannedDeployment, id: string) {
  const { session } = deployment;
  // Seconds between attempts while another operation changes the resource.
  const conflictDelays = [1, 2, 4, 8, 15];
  for (;;) {
    let tags: Tags;
    try {
      // Creating a VM needs no permission to read disks; their tags stay as they are.
      tags = await undefinedIfDenied(readTags(session, id));
      await updateTagsOf(deployment, id, tags);
      return 'updated';
    } catch (error) {
      if (isNotFound(error)) return 'not found';
      if (!(error instanceof AzureError) || !refusedStatuses.has(error.fault.status)) throw error;
      const isConflict = error.fault.status === 409 && error.fault.code !== 'ScopeLocked';
      const seconds = isConflict ? conflictDelays.shift() : undefined;
      if (seconds === undefined) return { id, tags, reason: error };
      await delay(seconds, session.waiting.signal);
    }
  }
}

type KeptTags = Exclude<Awaited<ReturnType<typeof updateOrKeepTags>>, string>;

/** `sweep` decides by the tags, so it goes by those of the earlier run. */
function warnAboutKeptTags(kept: readonly KeptTags[], { log }: Reporter): void {
  const lines = kept.map(({ id, tags, reason }) => {
    const existing = ['github-run-id', 'cleanup', 'expires-on'].flatMap((name) => {
      const value = tagValue(tags, name);
      return value === undefined ? [] : [`${name}=${value}`];
    });
    return `- ${id} keeps ${existing.join(', ')} (${reason.message})`;
  });
  log.warning(
    `Azure refused to update the tags of ${countOf(kept.length, 'resource')}. \`sweep\` goes by the existing ones:\n${lines.join('\n')}`,
  );
}

/** IDs of the resources and of the disks that were created with the VM. */
export function existingIds(existing: ExistingResources): readonly string[] {
  const resources: readonly TaggedResource[] = Object.values(existing);
  return [...resources.flatMap(({ id }) => id ?? []), ...disksCreatedWith(existing.vm)];
}

/**
 * Tags are a resource type with its own permission; write permission on the resource itself is enough too
 * (https://learn.microsoft.com/azure/azure-resource-manager/management/tag-resources).
 */
async function updateTagsOf({ session, plan, run }: PlannedDeployment, id: string, before: Tags): Promise<void> {
  // A resource whose tags have changed since it was found may belong to someone else.
  if (classifyOwnership(before, plan.deployment, run) !== 'ours') return;
  const path = `${id}/providers/Microsoft.Resources/tags/default`;
  try {
    for (const body of tagWrites({ id, tags: before }, plan)) {
      await session.arm('PATCH', path, apiVersions.tags, { body });
    }
  } catch (error) {
    const apiVersion = resourceApiVersions.find(([type]) => type.test(id))?.[1];
    if (!(error instanceof AzureError) || error.fault.status !== 403 || !apiVersion) throw error;
    const requested = requestedTags(plan, id);
    const replaced = new Set([...Object.keys(requested), 'expires-on'].map((name) => name.toLowerCase()));
    const others = Object.entries(before ?? {}).filter(([name]) => !replaced.has(name.toLowerCase()));
    await session.arm('PATCH', id, apiVersion, { body: { tags: { ...Object.fromEntries(others), ...requested } } });
  }
}
