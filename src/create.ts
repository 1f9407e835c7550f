import type { Disk, VirtualMachine } from '@azure/arm-compute';
import { type AccessPlan, createAccessTasks, resolveAccess } from './access.ts';
import { adoptVm, updateTags, findExistingVm } from './adopt.ts';
import { undefinedIfNotFound, type Session } from './azure.ts';
import {
  generateSshKeyPair,
  resolveAdminCredentials,
  mayNeedSshKey,
  writePrivateKey,
} from './credentials.ts';
import { diagnoseFailure } from './diagnose.ts';
import { readResourceGroup, type ExistingResources, findExistingResources } from './facts.ts';
import { AzureError, withActivity, ActionError } from './failure.ts';
import { waitForAgent, runScript } from './guest.ts';
import { type ResolvedImage, resolveImage } from './image.ts';
import type { DeployInputs } from './inputs.ts';
import {
  type CleanupState,
  type CleanupStateData,
  createCleanupState,
  ownershipTags,
  type WorkflowRun,
  assertOwned,
} from './ledger.ts';
import { createVm } from './machine.ts';
import { createNetwork } from './network.ts';
import { resourceIds, createPlan, resourceNames, type Plan } from './plan.ts';
import { isOwnedBy, isRunCommand, rollback, reportDeletion, includeVmDisks } from './remove.ts';
import type { Reporter } from './report.ts';
import { compareNetwork, assertNoDrift, assertNoOrphanedDisk } from './rerun.ts';
import { resourceId } from './resource-id.ts';
import {
  capabilitiesFromName,
  capabilitiesFromSku,
  sizeRequirements,
  overridesAffectSize,
  incompatibilities,
  retirementDate,
  securityTypeIncompatibility,
} from './size.ts';
import { type DeploySession, openDeploySession, type SessionOptions } from './session.ts';
import { allSettledOrThrow, provisioningStateOf } from './waiting.ts';

export interface CreateContext extends Omit<SessionOptions, 'log' | 'patches'> {
  readonly report: Reporter;
  readonly run: WorkflowRun;
  /** Where a generated private key goes; the runner empties it after the job. */
  readonly temporaryFolder: string;
  readonly saveCleanupState: (entries: CleanupStateData) => void;
  /** Signal for clean-up after a failure; must not be the one that aborted the run. */
  readonly cleanupSignal: () => AbortSignal;
}

/**
 * Signs in to both tenants, picks the image, and makes the deployment: network, machine, and what the inputs ask for
 * besides. Ends with every ID in the outputs; on failure with what was created removed again, unless told to keep it.
 * @throws Failure, AzureError, or the signal's reason.
 */
export async function create(inputs: DeployInputs, context: CreateContext): Promise<void> {
  const { report, run, signal } = context;
  const patches = new Map<string, NonNullable<DeployInputs['overrides']['vm']>>();
  // Takes a moment of a thread of its own; started here, it is over before the image is known to be Linux.
  const keyPair = mayNeedSshKey(inputs)
    ? generateSshKeyPair(`${inputs.adminUsername}@${inputs.vmName}`)
    : undefined;
  const session = await report.stage('Sign in', () =>
    openDeploySession(inputs, { ...context, log: report.log, patches }),
  );
  const found = await report.stage('Look around', () => gatherPrerequisites(session, inputs, report));
  context.onContext({ location: found.location, imageId: found.image.referenceId });
  assertNamesFree(session, inputs, found, run);
  const existingVm = await findExistingVm(session, inputs, found.existing.vm, report);
  if (existingVm.kind === 'gone') await refreshExisting(session, inputs, found);
  else if (existingVm.kind !== 'none') found.existing = { ...found.existing, vm: existingVm.vm };
  const adopted = existingVm.kind === 'whole' ? existingVm.vm : undefined;
  const credentials = await resolveAdminCredentials(inputs, found.image, adopted, context, keyPair);
  const ownership = ownershipTags(run, inputs.vmName, inputs.cleanup, expiryDate(inputs));
  const plan = createPlan(inputs, found.image, {
    subscriptionId: session.subscriptionId,
    location: found.location,
    ownership,
    generated: credentials,
  });
  report.addFacts({ plan, image: found.image });
  for (const [id, patch] of plan.patches) patches.set(id, patch);
  for (const line of [...found.image.notices, ...plan.notices]) report.log.notice(line);
  for (const line of [...found.image.warnings, ...plan.warnings]) report.log.warning(line);
  // Looked at once more: what was waited for may have become somebody else's.
  assertNamesFree(session, inputs, found, run);
  const { differences, otherRules } = compareNetwork(found.existing, plan);
  assertNoDrift(plan, differences);
  report.addFacts({ otherRules });
  if (adopted) adoptVm(inputs, plan, found.image, adopted, report);
  else assertBootable(inputs, plan, found.image, report);
  report.addFacts({ adopted: adopted !== undefined });

  const cleanupState = createCleanupState(
    {
      deployment: plan.deployment,
      cleanup: inputs.cleanup,
      tenantId: session.tenantId,
      subscriptionId: session.subscriptionId,
      resourceGroup: plan.resourceGroup,
    },
    (entries, made) => {
      context.saveCleanupState(entries);
      report.outputCreated(made.filter((id) => !isRunCommand(id)));
    },
  );
  const deploymentContext = { session, cleanupState, run, clientId: inputs.clientId, log: report.log };
  const onBootLog = (bootLog: string): void => report.addFacts({ bootLog });
  const access = createAccessTasks(deploymentContext, plan, found.access);
  try {
    if (credentials.privateKey) {
      await writePrivateKey(context.temporaryFolder, credentials.privateKey, (path) => {
        cleanupState.keepPrivateKey(path);
        report.output('ssh-private-key-path', path);
      });
    }
    outputPlan(inputs, plan, found.image, session, report);
    if (!found.groupExists) {
      await report.stage('Resource group', () => createResourceGroup(session, plan, report));
    }
    // First of all, or a sweep would delete by the old run's end or expiry while this one goes on.
    const renewed = await updateTags(session, ownership, found.existing, access.adopted, report);
    const restoreNetwork = async (): Promise<void> => {
      found.existing = await findExistingResources(session, inputs, resourceNames(inputs.vmName));
    };
    const deleteVm = async (why: string): Promise<void> =>
      deleteFailedVm(session, plan, cleanupState, report, await access.cancelVmGrants(), why);
    // Another run was still deleting it.
    if (!renewed) await restoreNetwork();
    if (existingVm.kind === 'unplaced') {
      cleanupState.addPending(plan.vm.id);
      cleanupState.markAccepted(plan.vm.id);
      await report.stage('Failed machine', () =>
        deleteVm(`an earlier run could not place it (${existingVm.why.fault.code})`),
      );
      await restoreNetwork();
    }
    const network = () =>
      withActivity('building the network', () =>
        createNetwork(deploymentContext, plan, found.existing, (part) => {
          report.output('nic-id', part.nicId);
          report.output('nsg-id', part.nsgId);
          report.output('vnet-id', part.vnetId);
          report.output('subnet-id', part.subnetId);
          report.output('public-ip-id', part.publicIpId);
          report.output('public-ip-address', part.publicIpAddress);
          report.output('private-ip-address', part.privateIpAddress);
          report.output('fqdn', part.fqdn);
        }),
      );
    // Roles are granted from here on beside everything else; a new identity takes half a minute to be known to Entra.
    await report.stage(plan.identities.length > 0 ? 'Network and identities' : 'Network', () =>
      allSettledOrThrow([network(), access.createIdentities()]),
    );
    const vm =
      adopted ??
      (await report.stage('Virtual machine', () =>
        withActivity(`creating virtual machine ${plan.vm.name}`, () =>
          createVm(deploymentContext, plan, {
            until: inputs.waitFor === 'accepted' ? 'accepted' : 'provisioned',
            restoreNetwork: async () => {
              await restoreNetwork();
              await network();
            },
            deleteVm: () => deleteVm('a machine cannot change its zone'),
            fits: (sku) =>
              incompatibilities(capabilitiesFromSku(sku), found.image, sizeRequirements(inputs, found.image))
                .length === 0,
            onAttempt: ({ size }) => context.onContext({ vmSize: size }),
            onTaken: ({ size, zone }, { instanceId, principalId }) => {
              report.output('vm-size', size);
              report.output('zone', zone);
              report.output('vm-instance-id', instanceId);
              report.output('principal-id', principalId);
              if (inputs.identity.system) access.grantToVm(principalId);
            },
          }),
        ),
      ));
    outputVm(vm, plan, report);
    // One that Azure Policy has added is nobody's to be granted anything.
    if (inputs.identity.system) access.grantToVm(vm.identity?.principalId);
    if (inputs.roleAssignments.length > 0) await report.stage('Roles', access.waitUntilGranted);
    const { script } = inputs;
    if (script || inputs.waitFor === 'agent')
      await report.stage('VM agent', () => waitForAgent({ ...deploymentContext, onBootLog }, plan));
    if (script) {
      await report.stage('Script', () =>
        runScript(deploymentContext, plan, script, ({ exitCode, stdout, stderr }) => {
          report.output('script-exit-code', exitCode);
          report.output('script-stdout', stdout);
          report.output('script-stderr', stderr);
        }),
      );
    }
    cleanupState.markCompleted();
  } catch (error) {
    // The SDK's own AbortError says nothing; the signal's reason says who stopped the run. A signal that comes while a
    // failed run is cleaned up is not why it failed.
    const reason: unknown = signal.aborted ? signal.reason : error;
    if (!signal.aborted)
      await diagnoseFailure(error, { session, inputs, plan, report, onContext: context.onContext });
    await access.stop();
    await rollbackCreate(inputs, session, cleanupState, context);
    throw reason;
  }
}

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
async function gatherPrerequisites(
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
async function refreshExisting(session: Session, inputs: DeployInputs, found: Prerequisites): Promise<void> {
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

function expiryDate({ expiresAfterSeconds }: DeployInputs): Date | undefined {
  return expiresAfterSeconds === undefined ? undefined : new Date(Date.now() + expiresAfterSeconds * 1000);
}

/** Before the first write: is any name taken by something that is not this deployment's? */
function assertNamesFree(
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
    if (resource) assertOwned(`${what} ${resource.name ?? ''}`, id, resource.tags, inputs.vmName, run);
  }
  assertNoOrphanedDisk(osDisk, ids.osDisk, inputs);
}

/**
 * Before the first write: what Azure is certain to refuse, by what is known without another request. The first size is
 * tried first, and a refusal for such a reason ends the run; a later one may never be come to.
 */
function assertBootable(inputs: DeployInputs, plan: Plan, image: ResolvedImage, report: Reporter): void {
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

/** What is known before the first write. */
function outputPlan(
  inputs: DeployInputs,
  plan: Plan,
  image: ResolvedImage,
  session: Session,
  report: Reporter,
): void {
  report.output('subscription-id', session.subscriptionId);
  report.output('resource-group', plan.resourceGroup);
  report.output('location', plan.location);
  report.output('vm-name', inputs.vmName);
  report.output('vm-id', plan.vm.id);
  report.output('image-version-id', image.referenceId);
  report.output('image-version', image.version);
}

function outputVm(vm: VirtualMachine, plan: Plan, report: Reporter): void {
  const reference = vm.storageProfile?.imageReference;
  const versionId = reference?.id ?? reference?.sharedGalleryImageId ?? reference?.communityGalleryImageId;
  report.output('admin-username', vm.osProfile?.adminUsername);
  report.output('vm-instance-id', vm.vmId);
  report.output('vm-size', vm.hardwareProfile?.vmSize);
  report.output('zone', vm.zones?.[0]);
  report.output('os-disk-id', vm.storageProfile?.osDisk?.managedDisk?.id);
  report.output('principal-id', vm.identity?.principalId);
  if (versionId && /\/versions\//i.test(versionId)) {
    report.output('image-version-id', versionId);
    report.output('image-version', versionId.split('/').at(-1));
  }
  report.log.info(`Virtual machine ${plan.vm.name}: ${provisioningStateOf(vm)}.`);
  const size = vm.hardwareProfile?.vmSize ?? '';
  const end = retirementDate(size);
  if (end) {
    report.log.warning(
      `Azure retires ${size} on ${end}, and its capacity gets scarce before that. Give a newer one as \`vm-size\`: https://learn.microsoft.com/azure/virtual-machines/sizes/retirement/retired-sizes-list`,
    );
  }
}

async function createResourceGroup(session: Session, plan: Plan, report: Reporter): Promise<void> {
  const path = `/subscriptions/${session.subscriptionId}/resourceGroups/${plan.resourceGroup}`;
  report.log.info(
    `Creating resource group ${plan.resourceGroup} in ${plan.location}. It stays when the rest is deleted.`,
  );
  // Not tagged and not recorded: the group is the customer's, whoever made it, and is never deleted.
  await withActivity(`creating resource group ${plan.resourceGroup}`, () =>
    session.arm('PUT', path, '2021-04-01', { body: { location: plan.location } }),
  );
}

async function deleteFailedVm(
  session: Session,
  plan: Plan,
  cleanupState: CleanupState,
  report: Reporter,
  assignments: readonly string[],
  why: string,
): Promise<void> {
  const { id, osDiskName } = plan.vm;
  const diskId = resourceId(plan.subscriptionId, plan.resourceGroup, 'Microsoft.Compute/disks', osDiskName);
  report.log.info(`Removing the failed machine ${plan.vm.name}: ${why}.`);
  const context = { session, log: report.log, belongs: isOwnedBy(plan.deployment) };
  reportDeletion(await rollback(context, cleanupState, [id, diskId, ...assignments]), report);
}

/** After a failure: what this run created goes, unless it is to stay. */
async function rollbackCreate(
  inputs: DeployInputs,
  session: Session,
  cleanupState: CleanupState,
  context: CreateContext,
): Promise<void> {
  const { report } = context;
  const { created } = cleanupState.entries;
  const going = inputs.cleanup === 'never' ? created.filter(isRunCommand) : created;
  const staying = created.filter((id) => !going.includes(id));
  const own = session.withSignal(context.cleanupSignal());
  if (staying.length > 0) {
    const all = await includeVmDisks({ session: own }, staying);
    report.log.warning(`\`cleanup: never\`: left as they are:\n${all.join('\n')}`);
    report.addLeftovers(all.map((id) => ({ id, why: '`cleanup: never`' })));
  }
  if (going.length === 0) return;
  await report.stage('Clean up', async () => {
    // When the run was stopped there is no time to look twice; the post step does.
    const unanswered = context.signal.aborted ? {} : { unanswered: cleanupState.entries.pending };
    const removal = await rollback(
      {
        session: own,
        log: report.log,
        belongs: isOwnedBy(cleanupState.entries.deployment),
        ...unanswered,
      },
      cleanupState,
      going,
    );
    reportDeletion(removal, report);
  });
}
