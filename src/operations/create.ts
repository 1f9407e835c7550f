import type { VirtualMachine } from '@azure/arm-compute';
import { apiVersions } from '../azure/api-versions.ts';
import { createAccessTasks } from '../access/role-assignments.ts';
import { type SessionOptions, openDeploySession } from '../auth/session.ts';
import { provisioningStateOf } from '../azure/provisioning-state.ts';
import { resourceId } from '../azure/resource-id.ts';
import type { Session } from '../azure/arm-client.ts';
import { rollback } from '../cleanup/delete-resources.ts';
import { includeVmDisks } from '../cleanup/detach-unowned.ts';
import { isRunCommand } from '../cleanup/resource-types.ts';
import { type CleanupState, type CleanupStateData, createCleanupState } from '../deployment/cleanup-state.ts';
import { findExistingResources, resourceNames } from '../deployment/resources.ts';
import { type Tags, hasDeploymentTag, ownershipTags } from '../deployment/ownership.ts';
import type { Plan } from '../deployment/plan.ts';
import { withActivity } from '../errors/action-error.ts';
import type { ResolvedImage } from '../image/image.ts';
import type { DeployInputs } from '../inputs/inputs.ts';
import { allSettledOrThrow } from '../lib/abort.ts';
import { generateSshKeyPair } from '../lib/ssh-key.ts';
import { createNetwork } from '../network/create-network.ts';
import { createPlan } from '../plan/create-plan.ts';
import { assertNoDrift } from '../plan/drift.ts';
import { compareNetwork } from '../plan/network-drift.ts';
import type { WorkflowRun } from '../runner/github-context.ts';
import { type Reporter, reportDeletion } from '../summary/reporter.ts';
import { mayNeedSshKey, resolveAdminCredentials, writePrivateKey } from '../vm/admin-credentials.ts';
import { waitForAgent } from '../vm/agent.ts';
import { createVm } from '../vm/create-vm.ts';
import { runScript } from '../vm/run-command.ts';
import { capabilitiesFromSku, incompatibilities, retirementDate, sizeRequirements } from '../vm/sizes.ts';
import { adoptVm, findExistingVm, updateTags } from './adopt-existing.ts';
import { diagnoseFailure } from './diagnose-failure.ts';
import {
  assertBootable,
  assertNamesFree,
  expiryDate,
  gatherPrerequisites,
  refreshExisting,
} from './preflight.ts';

interface CreateContext extends Omit<SessionOptions, 'log' | 'patches'> {
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
    session.arm('PUT', path, apiVersions.resourceGroups, { body: { location: plan.location } }),
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
  const context = {
    session,
    log: report.log,
    isOwned: (tags: Tags) => hasDeploymentTag(tags, plan.deployment),
  };
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
    const all = await includeVmDisks(own, staying);
    report.log.warning(`\`cleanup: never\`: left as they are:\n${all.join('\n')}`);
    report.addLeftovers(all.map((id) => ({ id, why: '`cleanup: never`' })));
  }
  if (going.length === 0) return;
  await report.stage('Clean up', async () => {
    // When the run was stopped there is no time to look twice; the post step does.
    const pending = context.signal.aborted ? {} : { pending: cleanupState.entries.pending };
    const removal = await rollback(
      {
        session: own,
        log: report.log,
        isOwned: (tags) => hasDeploymentTag(tags, cleanupState.entries.deployment),
        ...pending,
      },
      cleanupState,
      going,
    );
    reportDeletion(removal, report);
  });
}
