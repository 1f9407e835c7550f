/** What an earlier run of this deployment left: the machine as it stands, taking it over, and the tags that say so. */

import type { VirtualMachine } from '@azure/arm-compute';
import { apiVersions } from '../azure/api-versions.ts';
import { undefinedIfNotFound } from '../azure/lookup.ts';
import { hasSucceeded } from '../azure/provisioning-state.ts';
import type { Session } from '../azure/arm-client.ts';
import { readTags } from '../cleanup/resource-types.ts';
import type { ExistingResources } from '../deployment/resources.ts';
import { deploymentTag, hasDeploymentTag, tagValue } from '../deployment/ownership.ts';
import type { Plan } from '../deployment/plan.ts';
import { withActivity } from '../errors/action-error.ts';
import { AzureError } from '../errors/azure-error.ts';
import type { ResolvedImage } from '../image/image.ts';
import type { DeployInputs } from '../inputs/inputs.ts';
import { allSettledOrThrow } from '../lib/abort.ts';
import { assertNoDrift } from '../plan/drift.ts';
import { assertRecreatable, compareVm, addedIdentitiesNotice } from '../plan/vm-drift.ts';
import type { Reporter } from '../summary/reporter.ts';
import { isFailedState, readProvisioningFailure, waitForTerminalState } from '../vm/vm-status.ts';

/** The machine of this deployment, at rest. */
type ExistingVm =
  | { readonly kind: 'none' }
  /** Somebody was deleting it. */
  | { readonly kind: 'gone' }
  /** Taken over as it is. */
  | { readonly kind: 'whole'; readonly vm: VirtualMachine }
  /** Azure never placed it, so there is nothing in it that could be lost: made anew. */
  | { readonly kind: 'unplaced'; readonly vm: VirtualMachine; readonly why: AzureError };

/**
 * What stands under the machine's name. One that another run is still making or deleting is waited for.
 * @throws Failure when it failed after it had run: its disk may hold data.
 */
export async function findExistingVm(
  session: Session,
  inputs: DeployInputs,
  vm: VirtualMachine | undefined,
  report: Reporter,
): Promise<ExistingVm> {
  if (!vm) return { kind: 'none' };
  if (hasSucceeded(vm)) return { kind: 'whole', vm };
  const { resourceGroup, vmName } = inputs;
  const place = { resourceGroup, vm: { name: vmName } };
  const settled = isFailedState(vm)
    ? vm
    : await report.stage('What an earlier run began', () => waitForTerminalState(session, place));
  if (!settled) return { kind: 'gone' };
  if (hasSucceeded(settled)) return { kind: 'whole', vm: settled };
  const fate = await readProvisioningFailure(session, place);
  assertRecreatable(settled, fate, inputs);
  return { kind: 'unplaced', vm: settled, why: fate.fault };
}

/** @throws Failure where it is not what the inputs ask for: nothing that exists is changed. */
export function adoptVm(
  inputs: DeployInputs,
  plan: Plan,
  image: ResolvedImage,
  vm: VirtualMachine,
  report: Reporter,
): void {
  const comparison = compareVm(vm, plan, image, inputs);
  assertNoDrift(plan, comparison.differences);
  report.log.notice(
    `Virtual machine ${plan.vm.name} of this deployment exists already and is as asked for: left as it is.`,
  );
  if (comparison.addedIdentities.length > 0)
    report.log.notice(addedIdentitiesNotice(comparison.addedIdentities));
  if (comparison.keptVersion) {
    report.log.notice(
      `It was made from image version ${comparison.keptVersion}, and keeps it; the newest one is ${image.version}. To get that, delete the deployment first.`,
    );
  }
}

/** api-versions for changing a resource itself, where the app may not write tags alone. */
const tagApis = [
  [/\/Microsoft\.Compute\/virtualMachines\//i, apiVersions.virtualMachines],
  [/\/Microsoft\.Compute\/disks\//i, apiVersions.disks],
  [/\/Microsoft\.Network\//i, apiVersions.network],
  [/\/Microsoft\.ManagedIdentity\//i, apiVersions.identities],
] as const;

/**
 * What an earlier run made gets this run's tags: the only write of a rerun. The author's own tags stay as they are.
 * Writing tags is a right of its own; where only the resource may be written, that will do too
 * (https://learn.microsoft.com/azure/azure-resource-manager/management/tag-resources).
 * @returns false when some of it was gone by now.
 */
export async function updateTags(
  session: Session,
  ownership: Readonly<Record<string, string>>,
  existing: ExistingResources,
  identities: readonly string[],
  report: Reporter,
): Promise<boolean> {
  const parts: { id?: string }[] = Object.values(existing);
  const { osDisk, dataDisks = [] } = existing.vm?.storageProfile ?? {};
  const disks = [osDisk, ...dataDisks.filter(({ createOption }) => createOption !== 'Attach')];
  const ids = [
    ...parts.map(({ id }) => id),
    ...disks.map((disk) => disk?.managedDisk?.id),
    ...identities,
  ].filter((id) => id !== undefined);
  if (ids.length === 0) return true;
  const write = (id: string, operation: 'Merge' | 'Delete', tags: Readonly<Record<string, string>>) =>
    session.arm('PATCH', `${id}/providers/Microsoft.Resources/tags/default`, apiVersions.tags, {
      body: { operation, properties: { tags } },
    });
  const renew = async (id: string): Promise<void> => {
    const before = await readableTags(session, id);
    // What lost our tag in the last second is somebody else's.
    if (!hasDeploymentTag(before, ownership[deploymentTag] ?? '')) return;
    const oldExpiry = ownership['expires-on'] ? undefined : tagValue(before, 'expires-on');
    try {
      await write(id, 'Merge', ownership);
      // Otherwise the machine would end by a term that nobody asked for this time.
      if (oldExpiry !== undefined) await write(id, 'Delete', { 'expires-on': oldExpiry });
    } catch (error) {
      const api = tagApis.find(([type]) => type.test(id))?.[1];
      if (!(error instanceof AzureError) || error.fault.status !== 403 || !api) throw error;
      const replaced = new Set([...Object.keys(ownership), 'expires-on']);
      const kept = Object.entries(before ?? {}).filter(([name]) => !replaced.has(name.toLowerCase()));
      await session.arm('PATCH', id, api, { body: { tags: { ...Object.fromEntries(kept), ...ownership } } });
    }
  };
  const isThere = await report.stage('Tags', () =>
    withActivity("renewing the deployment's tags", () =>
      allSettledOrThrow(ids.map((id) => undefinedIfNotFound(renew(id).then(() => true)))),
    ),
  );
  return !isThere.includes(undefined);
}

/** Undefined also where they may not be read: a role that makes machines need not read disks, and that tag stays as it is. */
async function readableTags(session: Session, id: string): ReturnType<typeof readTags> {
  try {
    return await readTags(session, id);
  } catch (error) {
    if (error instanceof AzureError && error.fault.status === 403) return undefined;
    throw error;
  }
}
