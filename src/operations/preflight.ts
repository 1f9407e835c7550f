import type { Disk } from '@azure/arm-compute';
import { type AccessPlan, resolveAccess } from '../access/resolve-access.ts';
import type { DeploySession } from '../auth/session.ts';
import { undefinedIfNotFound } from '../azure/lookup.ts';
import type { Session } from '../azure/arm-client.ts';
import { readResourceGroup } from '../azure/subscriptions.ts';
import {
  type ExistingResources,
  findExistingResources,
  resourceIds,
  resourceNames,
} from '../deployment/resources.ts';
import { assertOwned } from '../deployment/ownership.ts';
import type { Plan } from '../deployment/plan.ts';
import { ActionError, withActivity } from '../errors/action-error.ts';
import { AzureError } from '../errors/azure-error.ts';
import type { ResolvedImage } from '../image/image.ts';
import { resolveImage } from '../image/image.ts';
import type { DeployInputs } from '../inputs/inputs.ts';
import { assertNoOrphanedDisk } from '../plan/vm-drift.ts';
import type { WorkflowRun } from '../runner/github-context.ts';
import type { Reporter } from '../summary/reporter.ts';
import {
  capabilitiesFromName,
  incompatibilities,
  overridesAffectSize,
  securityTypeIncompatibility,
  sizeRequirements,
} from '../vm/sizes.ts';

interface Prerequisites {
  readonly location: string;
  readonly groupExists: boolean;
  readonly image: ResolvedImage;
  readonly access: AccessPlan;
  existing: ExistingResources;
  /** A disk of the derived name; a machine's own while that is there. */
  osDisk: Disk | undefined;
}

/** All that has to be known before the plan, asked side by side. */
export async function gatherPrerequisites(
  session: DeploySession,
  inputs: DeployInputs,
  report: Reporter,
): Promise<Prerequisites> {
  const group = withActivity(`reading resource group ${inputs.resourceGroup}`, () =>
    readResourceGroup(session, inputs),
  );
  const region = group.then(({ location }) => location);
  // Told by `group`: who reads the image may not have come to ask for the region yet.
  region.catch(() => undefined);
  const existing = withActivity('looking for what exists already', () =>
    findExistingResources(session, inputs, resourceNames(inputs.vmName)),
  );
  const asked = Promise.all([
    group,
    withActivity(`reading image ${inputs.image.id}`, () =>
      resolveImage(
        {
          imageCompute: session.imageCompute,
          compute: session.compute,
          signal: session.waiting.signal,
          onWaiting: report.log.info,
        },
        inputs,
        region,
      ),
    ),
    resolveAccess(session, inputs, existing),
    findOsDisk(session, inputs),
    existing,
    session.subscriptionVerified,
  ]);
  const [{ location, exists }, image, access, osDisk, found] = await asked.catch(async (error: unknown) => {
    // A subscription of another tenant is the reason for whatever else was refused.
    await session.subscriptionVerified;
    throw error;
  });
  report.log.info(
    `Image version ${image.version}: ${image.osType}, ${image.osState}, ${image.architecture}${image.generation ? `, generation ${image.generation}` : ''}. Region: ${location}.`,
  );
  return { location, groupExists: exists, image, access, existing: found, osDisk };
}

/** What was under way when it was looked for has gone, and what went along with it. */
export async function refreshExisting(
  session: Session,
  inputs: DeployInputs,
  found: Prerequisites,
): Promise<void> {
  found.existing = await findExistingResources(session, inputs, resourceNames(inputs.vmName));
  found.osDisk = await findOsDisk(session, inputs);
}

async function findOsDisk({ compute }: Session, inputs: DeployInputs): Promise<Disk | undefined> {
  const { osDisk } = resourceNames(inputs.vmName);
  try {
    return await undefinedIfNotFound(compute.disks.get(inputs.resourceGroup, osDisk));
  } catch (error) {
    // A role that may make machines need not read disks; Azure itself refuses a name that is taken.
    if (error instanceof AzureError && error.fault.status === 403) return undefined;
    throw error;
  }
}

export function expiryDate({ expiresAfterSeconds }: DeployInputs): Date | undefined {
  return expiresAfterSeconds === undefined ? undefined : new Date(Date.now() + expiresAfterSeconds * 1000);
}

/** Before the first write: is any name taken by something that is not this deployment's? */
export function assertNamesFree(
  session: Session,
  inputs: DeployInputs,
  found: Prerequisites,
  run: WorkflowRun,
): void {
  const ids = resourceIds(session.subscriptionId, inputs.resourceGroup, resourceNames(inputs.vmName));
  const { existing } = found;
  const osDisk = existing.vm ? undefined : found.osDisk;
  const looked = [
    ['virtual machine', ids.vm, existing.vm],
    ['network interface', ids.nic, existing.nic],
    ['network security group', ids.nsg, existing.nsg],
    ['virtual network', ids.vnet, existing.vnet],
    ['public IP', ids.publicIp, existing.publicIp],
    ['disk', ids.osDisk, osDisk],
  ] as const;
  for (const [what, id, resource] of looked) {
    if (resource)
      assertOwned(`${what} ${resource.name ?? ''}`, { id, tags: resource.tags }, inputs.vmName, run);
  }
  assertNoOrphanedDisk(osDisk, ids.osDisk, inputs);
}

/**
 * Before the first write: what Azure is certain to refuse, by what is known without another request. The first size is
 * tried first, and a refusal for such a reason ends the run; a later one may never be come to.
 */
export function assertBootable(
  inputs: DeployInputs,
  plan: Plan,
  image: ResolvedImage,
  report: Reporter,
): void {
  if (overridesAffectSize(inputs)) return;
  const demands = sizeRequirements(inputs, image);
  const security = securityTypeIncompatibility(image, demands.securityType);
  const [first, ...later] = [...new Set(plan.vm.attempts.map(({ size }) => size))].map((size) =>
    incompatibilities(capabilitiesFromName(size), image, demands).map((why) => `Size ${size} ${why}.`),
  );
  for (const line of later.flat()) report.log.warning(line);
  const faults = [...(security ? [security] : []), ...(first ?? [])];
  if (faults.length === 0) return;
  throw new ActionError('checking the image against the inputs', {
    message: faults.join('\n'),
    explanation: {
      cause: 'Azure would refuse this machine, after its network had been made. Nothing was created.',
      who: "the workflow's author",
      fix: [
        ...(first && first.length > 0 ? ['Give a size in `vm-size` that the image boots on.'] : []),
        ...(security ? ['Leave `security-type` out, or use an image that allows it.'] : []),
        '`operation: check` asks Azure for everything else that could be refused.',
      ],
    },
  });
}
