import type { Disk, VirtualMachine } from '@azure/arm-compute';
import { type AccessSurvey, openAccess, surveyAccess } from './access.ts';
import { adoptMachine, renewTags, standingMachine } from './adopt.ts';
import { orUndefined, type Session } from './azure.ts';
import { generateSshKeyPair, makeCredentials, mayNeedKey, writePrivateKey } from './credentials.ts';
import { lookCloser } from './diagnose.ts';
import { readResourceGroup, type Survey, survey } from './facts.ts';
import { AzureError, during, Failure } from './failure.ts';
import { awaitAgent, runScript } from './guest.ts';
import { type ImageFacts, readImage } from './image.ts';
import type { DeployInputs } from './inputs.ts';
import {
  type Ledger,
  type LedgerEntries,
  openLedger,
  ownershipTags,
  type Run,
  refuseForeign,
} from './ledger.ts';
import { createMachine } from './machine.ts';
import { buildNetwork } from './network.ts';
import { idsOf, makePlan, namesOf, type Plan } from './plan.ts';
import { belongsTo, isTemporary, rollBack, tellRemoval, withDisks } from './remove.ts';
import type { Report } from './report.ts';
import { compareNetwork, refuseDifferent, refuseStrayDisk } from './rerun.ts';
import { resourceId } from './resource-id.ts';
import {
  abilitiesOfName,
  abilitiesOfSku,
  demandsOf,
  isReshaped,
  misfits,
  retirementOf,
  securityMisfit,
} from './size.ts';
import { type DeploySession, openDeploySession, type SessionOptions } from './session.ts';
import { allSettledOrThrow, provisioningStateOf } from './waiting.ts';

export interface CreateDesk extends Omit<SessionOptions, 'log' | 'patches'> {
  readonly report: Report;
  readonly run: Run;
  /** Where a generated private key goes; the runner empties it after the job. */
  readonly temporaryFolder: string;
  readonly saveLedger: (entries: LedgerEntries) => void;
  /** Signal for clean-up after a failure; must not be the one that aborted the run. */
  readonly cleanupSignal: () => AbortSignal;
}

/**
 * Signs in to both tenants, picks the image, and makes the deployment: network, machine, and what the inputs ask for
 * besides. Ends with every ID in the outputs; on failure with what was created removed again, unless told to keep it.
 * @throws Failure, AzureError, or the signal's reason.
 */
export async function create(inputs: DeployInputs, desk: CreateDesk): Promise<void> {
  const { report, run, signal } = desk;
  const patches = new Map<string, NonNullable<DeployInputs['overrides']['vm']>>();
  // Takes a moment of a thread of its own; started here, it is over before the image is known to be Linux.
  const keyPair = mayNeedKey(inputs)
    ? generateSshKeyPair(`${inputs.adminUsername}@${inputs.vmName}`)
    : undefined;
  const session = await report.stage('Sign in', () =>
    openDeploySession(inputs, { ...desk, log: report.log, patches }),
  );
  const found = await report.stage('Look around', () => lookAround(session, inputs, report));
  desk.learn({ location: found.location, imageId: found.image.referenceId });
  refuseWhatIsForeign(session, inputs, found, run);
  const standing = await standingMachine(session, inputs, found.existing.machine, report);
  if (standing.kind === 'gone') await lookAgain(session, inputs, found);
  else if (standing.kind !== 'none') found.existing = { ...found.existing, machine: standing.machine };
  const adopted = standing.kind === 'whole' ? standing.machine : undefined;
  const credentials = await makeCredentials(inputs, found.image, adopted, desk, keyPair);
  const ownership = ownershipTags(run, inputs.vmName, inputs.cleanup, expiry(inputs));
  const plan = makePlan(inputs, found.image, {
    subscriptionId: session.subscriptionId,
    location: found.location,
    ownership,
    generated: credentials,
  });
  report.know({ plan, image: found.image });
  for (const [id, patch] of plan.patches) patches.set(id, patch);
  for (const line of [...found.image.notices, ...plan.notices]) report.log.notice(line);
  for (const line of [...found.image.warnings, ...plan.warnings]) report.log.warning(line);
  // Looked at once more: what was waited for may have become somebody else's.
  refuseWhatIsForeign(session, inputs, found, run);
  const { differences, otherRules } = compareNetwork(found.existing, plan);
  refuseDifferent(plan, differences);
  report.know({ otherRules });
  if (adopted) adoptMachine(inputs, plan, found.image, adopted, report);
  else refuseWhatCannotBoot(inputs, plan, found.image, report);
  report.know({ adopted: adopted !== undefined });

  const ledger = openLedger(
    {
      deployment: plan.deployment,
      cleanup: inputs.cleanup,
      tenantId: session.tenantId,
      subscriptionId: session.subscriptionId,
      resourceGroup: plan.resourceGroup,
    },
    (entries, made) => {
      desk.saveLedger(entries);
      report.outputCreated(made.filter((id) => !isTemporary(id)));
    },
  );
  const site = { session, ledger, run, clientId: inputs.clientId, log: report.log };
  const onBootLog = (bootLog: string): void => report.know({ bootLog });
  const access = openAccess(site, plan, found.access);
  try {
    if (credentials.privateKey) {
      await writePrivateKey(desk.temporaryFolder, credentials.privateKey, (path) => {
        ledger.keepPrivateKey(path);
        report.output('ssh-private-key-path', path);
      });
    }
    outputPlan(inputs, plan, found.image, session, report);
    if (!found.groupExists) {
      await report.stage('Resource group', () => createResourceGroup(session, plan, report));
    }
    // First of all, or a sweep would delete by the old run's end or expiry while this one goes on.
    const renewed = await renewTags(session, ownership, found.existing, access.adopted, report);
    const restoreNetwork = async (): Promise<void> => {
      found.existing = await survey(session, inputs, namesOf(inputs.vmName));
    };
    const removeMachine = async (why: string): Promise<void> =>
      removeFailedMachine(session, plan, ledger, report, await access.dropMachine(), why);
    // Another run was still deleting it.
    if (!renewed) await restoreNetwork();
    if (standing.kind === 'unplaced') {
      ledger.record(plan.machine.id);
      ledger.answered(plan.machine.id);
      await report.stage('Failed machine', () =>
        removeMachine(`an earlier run could not place it (${standing.why.fault.code})`),
      );
      await restoreNetwork();
    }
    const network = () =>
      during('building the network', () =>
        buildNetwork(site, plan, found.existing, (part) => {
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
      allSettledOrThrow([network(), access.bringIdentities()]),
    );
    const machine =
      adopted ??
      (await report.stage('Virtual machine', () =>
        during(`creating virtual machine ${plan.machine.name}`, () =>
          createMachine(site, plan, {
            until: inputs.waitFor === 'accepted' ? 'accepted' : 'provisioned',
            restoreNetwork: async () => {
              await restoreNetwork();
              await network();
            },
            removeMachine: () => removeMachine('a machine cannot change its zone'),
            fits: (sku) =>
              misfits(abilitiesOfSku(sku), found.image, demandsOf(inputs, found.image)).length === 0,
            onAttempt: ({ size }) => desk.learn({ vmSize: size }),
            onTaken: ({ size, zone }, { instanceId, principalId }) => {
              report.output('vm-size', size);
              report.output('zone', zone);
              report.output('vm-instance-id', instanceId);
              report.output('principal-id', principalId);
              if (inputs.identity.system) access.grantToMachine(principalId);
            },
          }),
        ),
      ));
    outputMachine(machine, plan, report);
    // One that Azure Policy has added is nobody's to be granted anything.
    if (inputs.identity.system) access.grantToMachine(machine.identity?.principalId);
    if (inputs.roleAssignments.length > 0) await report.stage('Roles', access.granted);
    const { script } = inputs;
    if (script || inputs.waitFor === 'agent')
      await report.stage('VM agent', () => awaitAgent({ ...site, onBootLog }, plan));
    if (script) {
      await report.stage('Script', () =>
        runScript(site, plan, script, ({ exitCode, stdout, stderr }) => {
          report.output('script-exit-code', exitCode);
          report.output('script-stdout', stdout);
          report.output('script-stderr', stderr);
        }),
      );
    }
    ledger.complete();
  } catch (error) {
    // The SDK's own AbortError says nothing; the signal's reason says who stopped the run. A signal that comes while a
    // failed run is cleaned up is not why it failed.
    const reason: unknown = signal.aborted ? signal.reason : error;
    if (!signal.aborted) await lookCloser(error, { session, inputs, plan, report, learn: desk.learn });
    await access.stop();
    await undo(inputs, session, ledger, desk);
    throw reason;
  }
}

interface Found {
  readonly location: string;
  readonly groupExists: boolean;
  readonly image: ImageFacts;
  readonly access: AccessSurvey;
  existing: Survey;
  /** A disk of the derived name; a machine's own while that is there. */
  osDisk: Disk | undefined;
}

/** All that has to be known before the plan, asked side by side. */
async function lookAround(session: DeploySession, inputs: DeployInputs, report: Report): Promise<Found> {
  const group = during(`reading resource group ${inputs.resourceGroup}`, () =>
    readResourceGroup(session, inputs),
  );
  const region = group.then(({ location }) => location);
  // Told by `group`: who reads the image may not have come to ask for the region yet.
  region.catch(() => undefined);
  const existing = during('looking for what exists already', () =>
    survey(session, inputs, namesOf(inputs.vmName)),
  );
  const asked = Promise.all([
    group,
    during(`reading image ${inputs.image.id}`, () =>
      readImage(
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
    surveyAccess(session, inputs, existing),
    lookForDisk(session, inputs),
    existing,
    session.subscriptionChecked,
  ]);
  const [{ location, exists }, image, access, osDisk, found] = await asked.catch(async (error: unknown) => {
    // A subscription of another tenant is the reason for whatever else was refused.
    await session.subscriptionChecked;
    throw error;
  });
  report.log.info(
    `Image version ${image.version}: ${image.osType}, ${image.osState}, ${image.architecture}${image.generation ? `, generation ${image.generation}` : ''}. Region: ${location}.`,
  );
  return { location, groupExists: exists, image, access, existing: found, osDisk };
}

/** What was under way when it was looked for has gone, and what went along with it. */
async function lookAgain(session: Session, inputs: DeployInputs, found: Found): Promise<void> {
  found.existing = await survey(session, inputs, namesOf(inputs.vmName));
  found.osDisk = await lookForDisk(session, inputs);
}

async function lookForDisk({ compute }: Session, inputs: DeployInputs): Promise<Disk | undefined> {
  const { osDisk } = namesOf(inputs.vmName);
  try {
    return await orUndefined(compute.disks.get(inputs.resourceGroup, osDisk));
  } catch (error) {
    // A role that may make machines need not read disks; Azure itself refuses a name that is taken.
    if (error instanceof AzureError && error.fault.status === 403) return undefined;
    throw error;
  }
}

function expiry({ expiresAfterSeconds }: DeployInputs): Date | undefined {
  return expiresAfterSeconds === undefined ? undefined : new Date(Date.now() + expiresAfterSeconds * 1000);
}

/** Before the first write: is any name taken by something that is not this deployment's? */
function refuseWhatIsForeign(session: Session, inputs: DeployInputs, found: Found, run: Run): void {
  const ids = idsOf(session.subscriptionId, inputs.resourceGroup, namesOf(inputs.vmName));
  const { existing } = found;
  const osDisk = existing.machine ? undefined : found.osDisk;
  const looked = [
    ['virtual machine', ids.machine, existing.machine],
    ['network interface', ids.nic, existing.nic],
    ['network security group', ids.nsg, existing.nsg],
    ['virtual network', ids.vnet, existing.vnet],
    ['public IP', ids.publicIp, existing.publicIp],
    ['disk', ids.osDisk, osDisk],
  ] as const;
  for (const [what, id, resource] of looked) {
    if (resource) refuseForeign(`${what} ${resource.name ?? ''}`, id, resource.tags, inputs.vmName, run);
  }
  refuseStrayDisk(osDisk, ids.osDisk, inputs);
}

/**
 * Before the first write: what Azure is certain to refuse, by what is known without another request. The first size is
 * tried first, and a refusal for such a reason ends the run; a later one may never be come to.
 */
function refuseWhatCannotBoot(inputs: DeployInputs, plan: Plan, image: ImageFacts, report: Report): void {
  if (isReshaped(inputs)) return;
  const demands = demandsOf(inputs, image);
  const security = securityMisfit(image, demands.securityType);
  const [first, ...later] = [...new Set(plan.machine.attempts.map(({ size }) => size))].map((size) =>
    misfits(abilitiesOfName(size), image, demands).map((why) => `Size ${size} ${why}.`),
  );
  for (const line of later.flat()) report.log.warning(line);
  const faults = [...(security ? [security] : []), ...(first ?? [])];
  if (faults.length === 0) return;
  throw new Failure('checking the image against the inputs', {
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
  image: ImageFacts,
  session: Session,
  report: Report,
): void {
  report.output('subscription-id', session.subscriptionId);
  report.output('resource-group', plan.resourceGroup);
  report.output('location', plan.location);
  report.output('vm-name', inputs.vmName);
  report.output('vm-id', plan.machine.id);
  report.output('image-version-id', image.referenceId);
  report.output('image-version', image.version);
}

function outputMachine(machine: VirtualMachine, plan: Plan, report: Report): void {
  const reference = machine.storageProfile?.imageReference;
  const versionId = reference?.id ?? reference?.sharedGalleryImageId ?? reference?.communityGalleryImageId;
  report.output('admin-username', machine.osProfile?.adminUsername);
  report.output('vm-instance-id', machine.vmId);
  report.output('vm-size', machine.hardwareProfile?.vmSize);
  report.output('zone', machine.zones?.[0]);
  report.output('os-disk-id', machine.storageProfile?.osDisk?.managedDisk?.id);
  report.output('principal-id', machine.identity?.principalId);
  if (versionId && /\/versions\//i.test(versionId)) {
    report.output('image-version-id', versionId);
    report.output('image-version', versionId.split('/').at(-1));
  }
  report.log.info(`Virtual machine ${plan.machine.name}: ${provisioningStateOf(machine)}.`);
  const size = machine.hardwareProfile?.vmSize ?? '';
  const end = retirementOf(size);
  if (end) {
    report.log.warning(
      `Azure retires ${size} on ${end}, and its capacity gets scarce before that. Give a newer one as \`vm-size\`: https://learn.microsoft.com/azure/virtual-machines/sizes/retirement/retired-sizes-list`,
    );
  }
}

async function createResourceGroup(session: Session, plan: Plan, report: Report): Promise<void> {
  const path = `/subscriptions/${session.subscriptionId}/resourceGroups/${plan.resourceGroup}`;
  report.log.info(
    `Creating resource group ${plan.resourceGroup} in ${plan.location}. It stays when the rest is deleted.`,
  );
  // Not tagged and not recorded: the group is the customer's, whoever made it, and is never deleted.
  await during(`creating resource group ${plan.resourceGroup}`, () =>
    session.arm('PUT', path, '2021-04-01', { body: { location: plan.location } }),
  );
}

async function removeFailedMachine(
  session: Session,
  plan: Plan,
  ledger: Ledger,
  report: Report,
  assignments: readonly string[],
  why: string,
): Promise<void> {
  const { id, osDiskName } = plan.machine;
  const diskId = resourceId(plan.subscriptionId, plan.resourceGroup, 'Microsoft.Compute/disks', osDiskName);
  report.log.info(`Removing the failed machine ${plan.machine.name}: ${why}.`);
  const desk = { session, log: report.log, belongs: belongsTo(plan.deployment) };
  tellRemoval(await rollBack(desk, ledger, [id, diskId, ...assignments]), report);
}

/** After a failure: what this run created goes, unless it is to stay. */
async function undo(inputs: DeployInputs, session: Session, ledger: Ledger, desk: CreateDesk): Promise<void> {
  const { report } = desk;
  const { created } = ledger.entries;
  const going = inputs.cleanup === 'never' ? created.filter(isTemporary) : created;
  const staying = created.filter((id) => !going.includes(id));
  const own = session.under(desk.cleanupSignal());
  if (staying.length > 0) {
    const all = await withDisks({ session: own }, staying);
    report.log.warning(`\`cleanup: never\`: left as they are:\n${all.join('\n')}`);
    report.leave(all.map((id) => ({ id, why: '`cleanup: never`' })));
  }
  if (going.length === 0) return;
  await report.stage('Clean up', async () => {
    // When the run was stopped there is no time to look twice; the post step does.
    const unanswered = desk.signal.aborted ? {} : { unanswered: ledger.entries.unanswered };
    const removal = await rollBack(
      {
        session: own,
        log: report.log,
        belongs: belongsTo(ledger.entries.deployment),
        ...unanswered,
      },
      ledger,
      going,
    );
    tellRemoval(removal, report);
  });
}
