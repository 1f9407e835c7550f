import type { Disk, VirtualMachine } from '@azure/arm-compute';
import { type AccessPlan, resolveAccess } from '../access/resolve-access.ts';
import type { DeploySession } from '../auth/session.ts';
import { listGroup, type Session } from '../azure/arm-client.ts';
import { recheckDelays, undefinedIfDenied, undefinedIfNotFound } from '../azure/lookup.ts';
import { normaliseRegion, sameId } from '../azure/resource-id.ts';
import { readResourceGroup } from '../azure/subscriptions.ts';
import {
  type ExistingResources,
  type Part,
  existingResourceQueries,
  findExistingResources,
  networkParts,
  resourceIds,
  resourceNames,
  resourceTitles,
  type Plan,
} from '../deployment/resources.ts';
import { assertOwned, ownershipTags } from '../deployment/ownership.ts';
import { ActionError, withActivity } from '../errors/errors.ts';
import { type ResolvedImage, resolveImage } from '../image/image.ts';
import type { DeployInputs } from '../inputs/inputs.ts';
import { delay } from '../lib/abort.ts';
import type { SshKeyPair } from '../lib/ssh-key.ts';
import { createPlan } from '../plan/create-plan.ts';
import { type Difference, assertNoDrift, compareNetwork } from '../plan/drift.ts';
import { assertNoOrphanedDisk } from '../plan/vm-drift.ts';
import type { WorkflowRun } from '../runner/environment.ts';
import type { Reporter } from '../summary/reporter.ts';
import { resolveAdminCredentials } from '../vm/admin-credentials.ts';
import {
  capabilitiesFromName,
  incompatibilities,
  overridesAffectSize,
  securityTypeIncompatibility,
  sizeRequirements,
} from '../vm/sizes.ts';
import { readVm } from '../vm/vm-status.ts';
import {
  type DeployContext,
  type ExistingVm,
  assertDeploymentAbsent,
  findExistingVm,
  findReplacementReasons,
} from './adopt-existing.ts';
import { lostCredentialWarnings } from './report-vm.ts';

interface Prerequisites {
  readonly location: string;
  readonly groupExists: boolean;
  readonly image: ResolvedImage;
  readonly access: AccessPlan;
  readonly existing: ExistingResources;
  /** A disk with the derived name that belongs to no VM. */
  readonly osDisk: Disk | undefined;
}

export interface Preparation extends Omit<Prerequisites, 'location'> {
  readonly existingVm: ExistingVm;
  /** How the existing VM differs from the inputs, if it is to be replaced. */
  readonly replacement: readonly Difference[] | undefined;
  readonly credentials: Awaited<ReturnType<typeof resolveAdminCredentials>>;
  readonly plan: Plan;
}

/** Sends no write. @throws ActionError if Azure is certain to refuse the deployment, or if what exists differs. */
export async function prepareDeployment(
  session: DeploySession,
  inputs: DeployInputs,
  context: DeployContext & { mask: (secret: string) => void; keyPair: Promise<SshKeyPair> | undefined },
): Promise<Preparation> {
  const { report, run } = context;
  const first = await report.stage('Preflight', () => gatherPrerequisites(session, inputs, report));
  context.onContext({ location: first.location, imageId: first.image.referenceId });
  assertNamesFree(session, inputs, first, run);
  if (inputs.ifExists === 'fail') assertDeploymentAbsent(first.existing, inputs);
  const existingVm = await findExistingVm(session, inputs, first.existing.vm, report);
  const found = await updateFindings(session, inputs, first, existingVm);
  // Again: waiting may have changed what exists.
  if (found !== first) assertNamesFree(session, inputs, found, run);
  const { expiresAfterSeconds } = inputs;
  const expiry = expiresAfterSeconds === undefined ? undefined : new Date(Date.now() + expiresAfterSeconds * 1000);
  const ownership = ownershipTags(run, inputs.vmName, inputs.cleanup, expiry);
  const planFor = async (adopted: VirtualMachine | undefined) => {
    const credentials = await resolveAdminCredentials(inputs, found.image, adopted, context.keyPair);
    const target = { subscriptionId: session.subscriptionId, location: found.location };
    const plan = createPlan(inputs, found.image, { ...target, ownership, generated: credentials });
    return { credentials, plan };
  };
  const isExisting = existingVm.kind === 'adoptable' || existingVm.kind === 'failed';
  let planned = await planFor(isExisting ? existingVm.vm : undefined);
  report.output('admin-username', planned.credentials.adminUsername);
  const { differences, otherRules } = compareNetwork(found.existing, planned.plan);
  if (!isExisting) assertNoDrift(planned.plan, 'network', differences);
  const adoption = { session, inputs, plan: planned.plan, image: found.image, report, run };
  const replacement = isExisting ? findReplacementReasons(adoption, existingVm, differences) : undefined;
  if (replacement) planned = await planFor(undefined);
  const { credentials, plan } = planned;
  const adopted = isExisting && !replacement;
  report.addFacts({ plan, image: found.image, adopted, otherRules, replacement });
  report.output('admin-username', credentials.adminUsername);
  if (credentials.password) context.mask(credentials.password);
  const lostCredentials = { notices: [], warnings: lostCredentialWarnings(inputs, credentials, plan) };
  for (const { notices, warnings } of [credentials, lostCredentials, found.image, plan]) {
    for (const line of notices) report.log.notice(line);
    for (const line of warnings) report.log.warning(line);
  }
  if (!adopted) assertBootable(inputs, plan, found.image, report);
  return { ...found, ...planned, existingVm, replacement };
}

async function gatherPrerequisites(
  session: DeploySession,
  inputs: DeployInputs,
  report: Reporter,
): Promise<Prerequisites> {
  let hasWaited = false;
  const onWaiting = (line: string): void => {
    hasWaited = true;
    report.log.info(line);
  };
  const lookUp = () => {
    const target = findTarget(session, inputs);
    const [region, existing] = [target.then(({ location }) => location), target.then((found) => found.existing)];
    // `found` reports the failure; nothing may be awaiting these yet.
    for (const part of [region, existing]) part.catch(() => undefined);
    return { found: Promise.all([target, resolveAccess(session, inputs, existing)]), region };
  };
  const { found, region } = lookUp();
  const image = withActivity(`reading image ${inputs.image.id}`, () =>
    resolveImage({ ...session, signal: session.waiting.signal, onWaiting }, inputs, region),
  );
  const reads = Promise.all([found, image]);
  const [first, resolved] = await reads.catch(async (error: unknown) => {
    // A subscription of another tenant explains every other refusal.
    await session.verifySubscription();
    throw error;
  });
  // What was looked up before the wait may have changed since.
  const [target, access] = hasWaited ? await lookUp().found : first;
  const { version, osType, osState, architecture, generation } = resolved;
  report.log.info(
    `Image version ${version}: ${osType}, ${osState}, ${architecture}${generation ? `, generation ${generation}` : ''}. Region: ${target.location}.`,
  );
  // The last read before the first write: what is free then must not be taken by anybody in between.
  const parts = target.existing.vm ? { osDisk: undefined } : await findDeploymentWithoutVm(session, inputs);
  return { ...target, ...parts, image: resolved, access };
}

const lookFor = <T>(read: () => Promise<T>) => withActivity('looking for existing resources', read);

/** If the VM exists, group and subscription need not be read. */
async function findTarget(
  session: DeploySession,
  inputs: DeployInputs,
): Promise<Pick<Prerequisites, 'location' | 'groupExists' | 'existing'>> {
  const readGroup = () =>
    withActivity(`reading resource group ${inputs.resourceGroup}`, () => readResourceGroup(session, inputs));
  const readExistingVm = () => undefinedIfNotFound(readVm(session, { ...inputs, vm: { name: inputs.vmName } }));
  const vm = await lookFor(readExistingVm).catch(async (error: unknown) => {
    await readGroup();
    throw error;
  });
  if (vm) {
    const existing = { vm, ...(await lookFor(() => findExistingResources(session, inputs, networkParts))) };
    return { location: inputs.location ?? normaliseRegion(vm.location), groupExists: true, existing };
  }
  const [group] = await Promise.all([readGroup(), session.verifySubscription()]);
  return { location: group.location, groupExists: group.exists, existing: {} };
}

/** One list of the group shows which names are taken, and only those are read. */
async function findDeploymentWithoutVm(session: Session, inputs: DeployInputs) {
  const taken = await lookFor(() => listTakenNames(session, inputs));
  const existing = await lookFor(() => findListedResources(session, inputs, taken));
  return { existing, osDisk: taken.includes('osDisk') ? await findOsDisk(session, inputs) : undefined };
}

async function listTakenNames(session: Session, inputs: DeployInputs): Promise<readonly Part[]> {
  const ids = resourceIds(session.subscriptionId, inputs.resourceGroup, inputs.vmName);
  const listed = (await undefinedIfNotFound(listGroup(session, inputs.resourceGroup))) ?? [];
  return (Object.keys(ids) as Part[]).filter((part) => listed.some(({ id }) => sameId(id, ids[part])));
}

/** Reads again for up to 30 s what the group lists and a GET does not find: a PUT would overwrite it. */
async function findListedResources(
  session: Session,
  inputs: DeployInputs,
  listed: readonly Part[],
): Promise<ExistingResources> {
  const queries = existingResourceQueries(session, inputs);
  const delays = [...recheckDelays];
  for (let taken = listed; ; taken = await listTakenNames(session, inputs)) {
    const parts = networkParts.filter((part) => queries[part] && taken.includes(part));
    const found = await findExistingResources(session, inputs, parts);
    const missing = parts.find((part) => !found[part]);
    if (missing === undefined) return found;
    const seconds = delays.shift();
    if (seconds === undefined) {
      const id = resourceIds(session.subscriptionId, inputs.resourceGroup, inputs.vmName)[missing];
      throw new ActionError('looking for existing resources', {
        message: `${id} is listed in its resource group, but Azure does not find it when it is read.`,
        reason:
          'Azure shows a creation or a deletion late. A write could change a resource that exists. Nothing was created.',
        fix: ['Run the job again in a few minutes, or set a different `vm-name`.'],
      });
    }
    await delay(seconds, session.waiting.signal);
  }
}

/** What exists after another run's operation on the VM was waited for. */
async function updateFindings(
  session: Session,
  inputs: DeployInputs,
  found: Prerequisites,
  existingVm: ExistingVm,
): Promise<Prerequisites> {
  if (existingVm.kind === 'absent') return found;
  if (existingVm.kind !== 'deleted') return { ...found, existing: { ...found.existing, vm: existingVm.vm } };
  const existing = await findExistingResources(session, inputs);
  return { ...found, existing, osDisk: await findOsDisk(session, inputs) };
}

/** Creating a VM needs no permission to read disks; Azure itself refuses a name that is taken. */
function findOsDisk({ compute }: Session, { vmName, resourceGroup }: DeployInputs): Promise<Disk | undefined> {
  const { osDisk } = resourceNames(vmName);
  return undefinedIfDenied(undefinedIfNotFound(compute.disks.get(resourceGroup, osDisk)));
}

/** @throws ActionError if a derived name is taken by a resource that does not belong to this deployment. */
function assertNamesFree(
  session: Session,
  inputs: DeployInputs,
  { existing, osDisk }: Prerequisites,
  run: WorkflowRun,
): void {
  const ids = resourceIds(session.subscriptionId, inputs.resourceGroup, inputs.vmName);
  for (const [part, resource] of Object.entries({ ...existing, osDisk })) {
    if (!resource) continue;
    const key = part as Part;
    const what = `${resourceTitles[key]} ${resource.name ?? ''}`;
    assertOwned(what, { id: ids[key], tags: resource.tags }, inputs.vmName, run);
  }
  // With `replace`, a disk that an interrupted run left is deleted with the VM that it belonged to.
  assertNoOrphanedDisk(osDisk, ids.osDisk, inputs);
}

/** As far as that is known without a request. Only the first size fails the run: a later one may never be tried. */
function assertBootable(inputs: DeployInputs, plan: Plan, image: ResolvedImage, { log }: Reporter): void {
  if (overridesAffectSize(inputs)) return;
  const requirements = sizeRequirements(inputs, image);
  const security = securityTypeIncompatibility(image, requirements.securityType);
  const [first = [], ...later] = [...new Set(plan.vm.attempts.map(({ size }) => size))].map((size) =>
    incompatibilities(capabilitiesFromName(size), image, requirements).map((why) => `Size ${size} ${why}.`),
  );
  for (const line of later.flat()) log.warning(line);
  if (!security && first.length === 0) return;
  throw new ActionError('checking the image against the inputs', {
    message: [...(security ? [security] : []), ...first].join('\n'),
    reason: 'Azure would refuse this VM after its network had been created. Nothing was created.',
    fix: [
      ...(first.length > 0 ? ['Set `vm-size` to a size that the image boots on.'] : []),
      ...(security ? ['Remove `security-type`, or use an image that allows it.'] : []),
      '`operation: check` finds everything else that Azure could refuse.',
    ],
  });
}
