import type { VirtualMachine } from '@azure/arm-compute';
import { createAccessTasks } from '../access/role-assignments.ts';
import { type DeploySession, type SessionOptions, openDeploySession } from '../auth/session.ts';
import { apiVersions } from '../azure/api-versions.ts';
import type { Session } from '../azure/arm-client.ts';
import { groupId, sameId } from '../azure/resource-id.ts';
import { deleteVmOfDeployment, includeVmDisks, rollback } from '../cleanup/delete-deployment.ts';
import { isRunCommand } from '../cleanup/resource-types.ts';
import { type CleanupStateData, type RunContext, createCleanupState } from '../deployment/cleanup-state.ts';
import { type ExistingResources, findExistingResources } from '../deployment/resources.ts';
import { repositoryClaim } from '../deployment/ownership.ts';
import { ActionError, withActivity } from '../errors/errors.ts';
import type { DeployInputs } from '../inputs/inputs.ts';
import { allSettledOrThrow } from '../lib/abort.ts';
import { countOf } from '../lib/escape.ts';
import type { MergePatch } from '../lib/json.ts';
import { generateSshKeyPair } from '../lib/ssh-key.ts';
import { createNetwork } from '../network/create-network.ts';
import { reportDeletion } from '../summary/reporter.ts';
import { mayNeedSshKey, writePrivateKey } from '../vm/admin-credentials.ts';
import { createVm } from '../vm/create-vm.ts';
import { runScript } from '../vm/run-command.ts';
import { waitForAgent } from '../vm/vm-status.ts';
import { type DeployContext, existingIds, updateTags } from './adopt-existing.ts';
import { diagnoseFailure, warnIfVmIsMissing } from './diagnose-failure.ts';
import { outputExisting, outputVm, warnAboutChanges, outputSshConnection } from './report-vm.ts';
import { type Preparation, prepareDeployment } from './preflight.ts';

interface CreateContext extends DeployContext, Omit<SessionOptions, 'log' | 'patches'> {
  readonly saveCleanupState: (entries: CleanupStateData) => void;
  /** Signal for cleanup after a failure; must not be the one that aborted the run. */
  readonly cleanupSignal: () => AbortSignal;
}

/** Every ID is an output as soon as it is known. After a failure, what this run created is deleted, as `cleanup` says. */
export async function create(inputs: DeployInputs, context: CreateContext): Promise<'created' | 'kept' | 'replaced'> {
  const { report } = context;
  // Generated in its own thread, so it is ready before the image is known to be Linux.
  const keyPair = mayNeedSshKey(inputs) ? generateSshKeyPair(`${inputs.adminUsername}@${inputs.vmName}`) : undefined;
  const patches = new Map<string, MergePatch>();
  const session = await report.stage('Sign in', () =>
    openDeploySession(inputs, { ...context, log: report.log, patches }),
  );
  const preparation = await prepareDeployment(session, inputs, { ...context, keyPair });
  for (const [id, patch] of preparation.plan.patches) patches.set(id, patch);
  const deployment = startDeployment(session, inputs, context, preparation);
  try {
    await createDeployment(deployment);
    deployment.cleanupState.markCompleted();
    if (preparation.replacement) return 'replaced';
    return preparation.existingVm.kind === 'adoptable' ? 'kept' : 'created';
  } catch (error) {
    throw await cleanUpAfterFailure(deployment, error);
  }
}

interface Deployment extends Omit<Preparation, 'access'>, CreateContext, RunContext {
  readonly session: DeploySession;
  readonly inputs: DeployInputs;
  readonly access: ReturnType<typeof createAccessTasks>;
}

function startDeployment(
  session: DeploySession,
  inputs: DeployInputs,
  context: CreateContext,
  preparation: Preparation,
): Deployment {
  const { report, run } = context;
  const { log } = report;
  const { tenantId, subscriptionId } = session;
  const target = { ...inputs, operation: 'create', tenantId, subscriptionId } as const;
  const cleanupState = createCleanupState(target, run, (entries, created, recreated) => {
    context.saveCleanupState(entries);
    if (recreated) report.removeDeleted(recreated);
    report.outputCreated(created.filter((id) => !isRunCommand(id)));
  });
  const tasks = { session, cleanupState, run, clientId: inputs.clientId, log };
  const access = createAccessTasks(tasks, preparation.plan, preparation.access);
  return { ...context, ...preparation, session, inputs, log, cleanupState, access };
}

async function createDeployment(deployment: Deployment): Promise<void> {
  const { inputs, plan, report, access, existingVm, replacement } = deployment;
  await storePrivateKey(deployment);
  outputPlan(deployment);
  const kept = existingVm.kind === 'adoptable' && !replacement ? existingVm.vm : undefined;
  if (kept) {
    outputExisting(deployment.existing, report);
    outputVm(kept, plan, report);
  }
  if (!deployment.groupExists) {
    await report.stage('Resource group', () => createResourceGroup(deployment));
  }
  const existing = await takeOverExisting(deployment);
  // From here on, role assignments are created in the background: Entra ID takes half a minute to know a new identity.
  const [network] = await report.stage(plan.identities.length > 0 ? 'Network and identities' : 'Network', () =>
    allSettledOrThrow([createOrKeepNetwork(deployment, existing), access.createIdentities()]),
  );
  const vm =
    kept ??
    (await report.stage('Virtual machine', () =>
      withActivity(`creating virtual machine ${plan.vm.name}`, () => createPlannedVm(deployment)),
    ));
  if (!kept) {
    outputVm(vm, plan, report);
    warnAboutChanges(deployment, vm, network);
  }
  // Azure Policy may have added a system-assigned identity that the inputs do not request: it gets no roles.
  if (inputs.identity.system) access.grantToVm(vm.identity?.principalId);
  if (inputs.roleAssignments.length > 0) await report.stage('Role assignments', access.waitUntilGranted);
  await runInGuest(deployment);
  await outputSshConnection(deployment);
}

async function storePrivateKey(deployment: Deployment): Promise<void> {
  const { credentials, temporaryFolder, cleanupState, report } = deployment;
  if (!credentials.privateKey) return;
  await writePrivateKey(temporaryFolder, credentials.privateKey, (path) => {
    cleanupState.keepPrivateKey(path);
    report.output('ssh-private-key-path', path);
  });
}

async function createResourceGroup({ session, plan, log }: Deployment): Promise<void> {
  const path = groupId(session.subscriptionId, plan.resourceGroup);
  log.info(`Creating resource group ${plan.resourceGroup} in ${plan.location}. It is never deleted.`);
  // Neither tagged nor recorded: the group belongs to the customer, regardless of who created it.
  await withActivity(`creating resource group ${plan.resourceGroup}`, () =>
    session.arm('PUT', path, apiVersions.resourceGroups, { body: { location: plan.location } }),
  );
}

/** Updates the tags of existing resources, deletes a VM that never started, and returns what exists then. */
async function takeOverExisting(deployment: Deployment): Promise<ExistingResources> {
  const { session, inputs, access, report, existing, existingVm } = deployment;
  // First, because a sweep goes by the run and expiry in the tags, which are still those of the earlier run.
  const isComplete = await updateTags(deployment, existing, access.adopted);
  const isFailed = existingVm.kind === 'never-started';
  if (isFailed || deployment.replacement || (deployment.osDisk && !existing.vm)) {
    await report.stage(isFailed ? 'Failed VM' : 'Delete old VM', () => deleteOldVm(deployment));
  } else if (isComplete) return existing;
  // If it is incomplete, another run was deleting some of it.
  return findExistingResources(session, inputs);
}

/** With `if-exists: replace`, or if Azure never started it. The network stays. */
async function deleteOldVm(deployment: Deployment): Promise<void> {
  const { session, plan, report, log, run, existing, existingVm, replacement = [] } = deployment;
  const { name } = plan.vm;
  if (existingVm.kind === 'never-started') {
    const { code } = existingVm.reason.fault;
    log.info(`Deleting the failed VM ${name}: Azure could not start it in an earlier run (${code}).`);
  }
  for (const { property, actual, expected } of replacement) {
    log.info(`Replacing ${name}: ${property} ${actual} → ${expected}`);
  }
  const claim = repositoryClaim(plan.deployment, run);
  const result = await deleteVmOfDeployment({ session, log, claim }, plan.resourceGroup, existing.vm);
  reportDeletion(result, report);
  const activity = `replacing virtual machine ${name}`;
  const [failed] = result.failed;
  if (failed) throw new ActionError(activity, { cause: failed.error });
  const [kept] = result.notOwned;
  if (kept) throw new ActionError(activity, { message: `Another run has replaced or taken over ${kept} since.` });
}

function createOrKeepNetwork(deployment: Deployment, existing: ExistingResources): Promise<ExistingResources> {
  const { plan, report } = deployment;
  return withActivity('creating the network', () => createNetwork(deployment, plan, existing, report.outputAll));
}

function createPlannedVm(deployment: Deployment): Promise<VirtualMachine> {
  const { session, inputs, onContext, report, access } = deployment;
  return createVm({
    ...deployment,
    until: inputs.waitFor === 'accepted' ? 'accepted' : 'provisioned',
    restoreNetwork: async () => createOrKeepNetwork(deployment, await findExistingResources(session, inputs)),
    deleteVm: () => deleteFailedVm(deployment, 'a VM cannot change its zone or priority'),
    onAttempt: ({ size }) => onContext({ vmSize: size }),
    onAccepted: ({ size, zone, spot }, { instanceId, principalId }) => {
      report.outputAll({ 'vm-size': size, zone, spot: `${spot === true}` });
      report.outputAll({ 'vm-instance-id': instanceId, 'principal-id': principalId });
      if (inputs.identity.system) access.grantToVm(principalId);
    },
  });
}

async function runInGuest(deployment: Deployment): Promise<void> {
  const { plan, report, session, log } = deployment;
  const { script, waitFor } = deployment.inputs;
  if (!script && waitFor !== 'agent') return;
  const guest = { session, log, onBootLog: (bootLog: string) => report.addFacts({ bootLog }) };
  await report.stage('VM agent', () => waitForAgent(guest, plan));
  if (!script) return;
  await report.stage('Script', () => runScript(deployment, plan, script, report.outputAll));
}

function outputPlan({ image, inputs, plan, report, session }: Deployment): void {
  report.outputAll({
    'subscription-id': session.subscriptionId,
    'resource-group': plan.resourceGroup,
    location: plan.location,
    'vm-name': inputs.vmName,
    'vm-id': plan.vm.id,
    'image-version-id': image.referenceId,
    'image-version': image.version,
  });
}

async function deleteFailedVm(deployment: Deployment, reason: string): Promise<void> {
  const { session, plan, cleanupState, report, log, access } = deployment;
  const { id, name, osDisk } = plan.vm;
  const assignments = await access.cancelVmGrants();
  const { created } = cleanupState.entries;
  // They go with it and are created again; what an earlier run has created stays.
  const parts = [plan.nic.id, plan.publicIp?.id ?? ''];
  const network = parts.filter((part) => created.some((other) => sameId(other, part)));
  log.info(`Deleting the failed VM ${name}: ${reason}.`);
  reportDeletion(
    await rollback({ session, log }, cleanupState, [id, osDisk.id, ...network, ...assignments], true),
    report,
  );
}

/** Diagnoses the failure, stops what runs in the background, and rolls back. @returns the error to report. */
async function cleanUpAfterFailure(deployment: Deployment, error: unknown): Promise<unknown> {
  const { signal, access, existing, cleanupState, report } = deployment;
  // The SDK's AbortError has no reason; a signal that arrives during cleanup is not the reason either.
  const reason: unknown = signal.aborted ? signal.reason : error;
  if (!signal.aborted) await diagnoseFailure(error, deployment);
  await access.stop();
  const cleanupSession = deployment.session.withSignal(deployment.cleanupSignal());
  await rollbackCreate(deployment, cleanupSession);
  if (deployment.replacement) await warnIfVmIsMissing(cleanupSession, deployment.plan, deployment.log);
  // Outputs name only what exists: not what this run has deleted again or never came to create.
  report.clearOutputsExcept([...cleanupState.entries.created, ...existingIds(existing)]);
  return reason;
}

/** Deletes what this run created, except with `cleanup: never`; its run commands are always deleted. */
async function rollbackCreate(deployment: Deployment, session: Session): Promise<void> {
  const { inputs, plan, cleanupState, signal, report, onContext } = deployment;
  const { created } = cleanupState.entries;
  const toDelete = inputs.cleanup === 'never' ? created.filter(isRunCommand) : created;
  const toKeep = created.filter((id) => !toDelete.includes(id));
  if (toKeep.length > 0) {
    const ids = await includeVmDisks(session, toKeep);
    report.log.warning(`Keeping ${countOf(ids.length, 'resource')} (\`cleanup: never\`):\n${ids.join('\n')}`);
    report.addLeftovers(ids.map((id) => ({ id, why: '`cleanup: never`' })));
  }
  if (toDelete.length === 0) return;
  await report.stage('Clean up', async () => {
    // A stopped run has no time to look for late resources; the post step does.
    const isFinal = !signal.aborted;
    const result = await rollback({ session, log: report.log }, cleanupState, toDelete, isFinal);
    reportDeletion(result, report);
    if ([...result.deleted, ...result.notFound].some((id) => sameId(id, plan.vm.id))) onContext({ isVmDeleted: true });
  });
}
