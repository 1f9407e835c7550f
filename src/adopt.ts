/** What an earlier run of this deployment left: the machine as it stands, taking it over, and the tags that say so. */
import type { VirtualMachine } from '@azure/arm-compute';
import { orUndefined, type Session } from './azure.ts';
import type { Survey } from './facts.ts';
import { AzureError, during } from './failure.ts';
import type { ImageFacts } from './image.ts';
import type { DeployInputs } from './inputs.ts';
import { deploymentTag, tagValue } from './ledger.ts';
import { lookInto, settleMachine } from './machine.ts';
import type { Plan } from './plan.ts';
import { belongsTo, tagsOf } from './remove.ts';
import type { Report } from './report.ts';
import { compare, hasFailed, refuseDifferent, refuseFailed, tellAdded } from './rerun.ts';
import { allSettledOrThrow, hasSucceeded } from './waiting.ts';

/** The machine of this deployment, at rest. */
export type Standing =
  | { readonly kind: 'none' }
  /** Somebody was deleting it. */
  | { readonly kind: 'gone' }
  /** Taken over as it is. */
  | { readonly kind: 'whole'; readonly machine: VirtualMachine }
  /** Azure never placed it, so there is nothing in it that could be lost: made anew. */
  | { readonly kind: 'unplaced'; readonly machine: VirtualMachine; readonly why: AzureError };

/**
 * What stands under the machine's name. One that another run is still making or deleting is waited for.
 * @throws Failure when it failed after it had run: its disk may hold data.
 */
export async function standingMachine(
  session: Session,
  inputs: DeployInputs,
  machine: VirtualMachine | undefined,
  report: Report,
): Promise<Standing> {
  if (!machine) return { kind: 'none' };
  if (hasSucceeded(machine)) return { kind: 'whole', machine };
  const { resourceGroup, vmName } = inputs;
  const place = { resourceGroup, machine: { name: vmName } };
  const settled = hasFailed(machine)
    ? machine
    : await report.stage('What an earlier run began', () => settleMachine(session, place));
  if (!settled) return { kind: 'gone' };
  if (hasSucceeded(settled)) return { kind: 'whole', machine: settled };
  const fate = await lookInto(session, place);
  refuseFailed(settled, fate, inputs);
  return { kind: 'unplaced', machine: settled, why: fate.fault };
}

/** @throws Failure where it is not what the inputs ask for: nothing that exists is changed. */
export function adoptMachine(
  inputs: DeployInputs,
  plan: Plan,
  image: ImageFacts,
  machine: VirtualMachine,
  report: Report,
): void {
  const comparison = compare(machine, plan, image, inputs);
  refuseDifferent(plan, comparison.differences);
  report.log.notice(
    `Virtual machine ${plan.machine.name} of this deployment exists already and is as asked for: left as it is.`,
  );
  if (comparison.addedIdentities.length > 0) report.log.notice(tellAdded(comparison.addedIdentities));
  if (comparison.keptVersion) {
    report.log.notice(
      `It was made from image version ${comparison.keptVersion}, and keeps it; the newest one is ${image.version}. To get that, delete the deployment first.`,
    );
  }
}

/** api-versions for changing a resource itself, where the app may not write tags alone. */
const tagApis = [
  [/\/Microsoft\.Compute\/virtualMachines\//i, '2024-07-01'],
  [/\/Microsoft\.Compute\/disks\//i, '2024-03-02'],
  [/\/Microsoft\.Network\//i, '2024-05-01'],
  [/\/Microsoft\.ManagedIdentity\//i, '2024-11-30'],
] as const;

/**
 * What an earlier run made gets this run's tags: the only write of a rerun. The author's own tags stay as they are.
 * Writing tags is a right of its own; where only the resource may be written, that will do too
 * (https://learn.microsoft.com/azure/azure-resource-manager/management/tag-resources).
 * @returns false when some of it was gone by now.
 */
export async function renewTags(
  session: Session,
  ownership: Readonly<Record<string, string>>,
  existing: Survey,
  identities: readonly string[],
  report: Report,
): Promise<boolean> {
  const parts: { id?: string }[] = Object.values(existing);
  const { osDisk, dataDisks = [] } = existing.machine?.storageProfile ?? {};
  const disks = [osDisk, ...dataDisks.filter(({ createOption }) => createOption !== 'Attach')];
  const ids = [
    ...parts.map(({ id }) => id),
    ...disks.map((disk) => disk?.managedDisk?.id),
    ...identities,
  ].filter((id) => id !== undefined);
  if (ids.length === 0) return true;
  const write = (id: string, operation: 'Merge' | 'Delete', tags: Readonly<Record<string, string>>) =>
    session.arm('PATCH', `${id}/providers/Microsoft.Resources/tags/default`, '2021-04-01', {
      body: { operation, properties: { tags } },
    });
  const renew = async (id: string): Promise<void> => {
    const before = await readableTags(session, id);
    // What lost our tag in the last second is somebody else's.
    if (!belongsTo(ownership[deploymentTag] ?? '')(before)) return;
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
    during("renewing the deployment's tags", () =>
      allSettledOrThrow(ids.map((id) => orUndefined(renew(id).then(() => true)))),
    ),
  );
  return !isThere.includes(undefined);
}

/** Undefined also where they may not be read: a role that makes machines need not read disks, and that tag stays as it is. */
async function readableTags(session: Session, id: string): ReturnType<typeof tagsOf> {
  try {
    return await tagsOf(session, id);
  } catch (error) {
    if (error instanceof AzureError && error.fault.status === 403) return undefined;
    throw error;
  }
}
