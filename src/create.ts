import type { VirtualMachine } from '@azure/arm-compute';
import { type AccessSurvey, openAccess, surveyAccess } from './access.ts';
import type { Session } from './azure.ts';
import { generatePassword, generateSshKeyPair, type SshKeyPair, writePrivateKey } from './credentials.ts';
import { readResourceGroup, type Survey, survey } from './facts.ts';
import { during, Failure } from './failure.ts';
import { awaitAgent, runScript } from './guest.ts';
import { type ImageFacts, readImage } from './image.ts';
import { adminFaults, type DeployInputs } from './inputs.ts';
import {
  type Ledger,
  type LedgerEntries,
  openLedger,
  ownershipTags,
  type Run,
  refuseForeign,
} from './ledger.ts';
import { createMachine, settleMachine } from './machine.ts';
import { buildNetwork } from './network.ts';
import { idsOf, makePlan, namesOf, type Plan } from './plan.ts';
import { belongsTo, isTemporary, rollBack, tellRemoval } from './remove.ts';
import type { Report } from './report.ts';
import { compare, refuseDifferent } from './rerun.ts';
import { resourceId } from './resource-id.ts';
import { abilitiesOfName, demandsOf, isReshaped, misfits, securityMisfit } from './size.ts';
import { type DeploySession, openDeploySession, type SessionOptions } from './session.ts';
import { allSettledOrThrow } from './waiting.ts';

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
  const credentials = await makeCredentials(inputs, found.image, found.existing, desk, keyPair);
  const plan = makePlan(inputs, found.image, {
    subscriptionId: session.subscriptionId,
    location: found.location,
    ownership: ownershipTags(run, inputs.vmName, inputs.cleanup, expiry(inputs)),
    generated: credentials,
  });
  for (const [id, patch] of plan.patches) patches.set(id, patch);
  for (const line of [...found.image.notices, ...plan.notices]) report.log.notice(line);
  for (const line of [...found.image.warnings, ...plan.warnings]) report.log.warning(line);
  refuseWhatIsForeign(plan, found.existing, run);
  const adopted = await adoptable(session, plan, found.existing.machine);
  if (adopted) adoptMachine(inputs, plan, found.image, adopted, report);
  else refuseWhatCannotBoot(inputs, plan, found.image, report);

  const created = new Set<string>();
  const ledger = openLedger(
    {
      deployment: plan.deployment,
      cleanup: inputs.cleanup,
      tenantId: session.tenantId,
      subscriptionId: session.subscriptionId,
      resourceGroup: plan.resourceGroup,
    },
    (entries) => {
      desk.saveLedger(entries);
      // What was created stays told when clean-up has struck it from the ledger again.
      for (const id of entries.created) if (!isTemporary(id)) created.add(id);
      report.outputList('created', [...created]);
    },
  );
  const site = { session, ledger, run, clientId: inputs.clientId, log: report.log };
  const access = openAccess(site, plan, found.access);
  try {
    if (credentials.privateKey) {
      const path = await writePrivateKey(desk.temporaryFolder, credentials.privateKey);
      ledger.keepPrivateKey(path);
      report.output('ssh-private-key-path', path);
    }
    outputPlan(inputs, plan, found.image, session, report);
    if (!found.groupExists) {
      await report.stage('Resource group', () => createResourceGroup(session, plan, report));
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
            ...(found.existing.machine ? { existing: found.existing.machine } : {}),
            until: inputs.waitFor === 'accepted' ? 'accepted' : 'provisioned',
            restoreNetwork: async () => {
              found.existing = await survey(session, inputs, namesOf(inputs.vmName));
              await network();
            },
            removeMachine: async () =>
              removeFailedMachine(session, plan, ledger, report, await access.dropMachine()),
            onPrincipal: (principalId) => {
              report.output('principal-id', principalId);
              access.grantToMachine(principalId);
            },
          }),
        ),
      ));
    outputMachine(machine, plan, report);
    access.grantToMachine(machine.identity?.principalId);
    await renewTags(session, plan, found.existing, access.adopted);
    if (inputs.roleAssignments.length > 0) await report.stage('Roles', access.granted);
    const { script } = inputs;
    if (script || inputs.waitFor === 'agent') await report.stage('VM agent', () => awaitAgent(site, plan));
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
    await access.stop();
    await undo(inputs, session, ledger, desk);
    // The SDK's own AbortError says nothing; the signal's reason says who stopped the run.
    throw signal.aborted ? signal.reason : error;
  }
}

interface Found {
  readonly location: string;
  readonly groupExists: boolean;
  readonly image: ImageFacts;
  readonly access: AccessSurvey;
  existing: Survey;
}

/** All that has to be known before the plan, asked side by side. */
async function lookAround(session: DeploySession, inputs: DeployInputs, report: Report): Promise<Found> {
  const group = during(`reading resource group ${inputs.resourceGroup}`, () =>
    readResourceGroup(session, inputs),
  );
  const region = group.then(({ location }) => location);
  const existing = during('looking for what exists already', () =>
    survey(session, inputs, namesOf(inputs.vmName)),
  );
  const [{ location, exists }, image, access] = await Promise.all([
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
    existing,
  ]);
  report.log.info(
    `Image version ${image.version}: ${image.osType}, ${image.osState}, ${image.architecture}${image.generation ? `, generation ${image.generation}` : ''}. Region: ${location}.`,
  );
  return { location, groupExists: exists, image, access, existing: await existing };
}

interface Credentials {
  readonly sshPublicKey?: string;
  readonly privateKey?: string;
  readonly password?: string;
}

/** Makes what a generalized image needs and the inputs do not give. */
async function makeCredentials(
  inputs: DeployInputs,
  image: ImageFacts,
  existing: Survey,
  desk: CreateDesk,
  keyPair: Promise<SshKeyPair> | undefined,
): Promise<Credentials> {
  const { report } = desk;
  if (image.osState === 'Specialized') {
    if (inputs.adminPassword || inputs.sshPublicKeys.length > 0 || inputs.computerName || inputs.customData) {
      report.log.warning(
        'The image is specialized: it keeps the accounts, keys and host name it was made with, so `admin-password`, `ssh-public-key`, `computer-name` and `custom-data` have no effect.',
      );
    }
    return {};
  }
  const faults = adminFaults(inputs, image.osType);
  if (faults.length > 0) {
    throw new Failure(`checking the admin account against Azure's rules for ${image.osType}`, {
      message: faults.map(({ input, message }) => `- ${input}: ${message}`).join('\n'),
      explanation: {
        cause: `Which rules apply is known only now: the image is a ${image.osType} image.`,
        who: "the workflow's author",
        fix: ['Change these inputs.'],
      },
    });
  }
  report.output('admin-username', inputs.adminUsername);
  const hasLogin =
    inputs.adminPassword !== undefined || (image.osType === 'Linux' && inputs.sshPublicKeys.length > 0);
  if (hasLogin) return {};
  if (existing.machine) {
    if (image.osType === 'Linux') {
      report.log.warning(
        'The machine exists already. The key that an earlier run generated is gone with its job, so `ssh-private-key-path` stays empty.',
      );
    }
    return {};
  }
  if (image.osType === 'Windows') {
    const password = generatePassword();
    desk.mask(password);
    report.log.notice(
      'A random admin password was generated. It is not put out anywhere; reset it in Azure to sign in.',
    );
    return { password };
  }
  const pair = await keyPair;
  return pair ? { sshPublicKey: pair.publicKey, privateKey: pair.privateKey } : {};
}

function mayNeedKey({ adminPassword, sshPublicKeys, osType }: DeployInputs): boolean {
  return adminPassword === undefined && sshPublicKeys.length === 0 && osType !== 'Windows';
}

function expiry({ expiresAfterSeconds }: DeployInputs): Date | undefined {
  return expiresAfterSeconds === undefined ? undefined : new Date(Date.now() + expiresAfterSeconds * 1000);
}

/** Before the first write: is any name taken by something that is not this deployment's? */
function refuseWhatIsForeign(plan: Plan, existing: Survey, run: Run): void {
  const ids = idsOf(plan.subscriptionId, plan.resourceGroup, namesOf(plan.deployment));
  const looked = [
    ['virtual machine', ids.machine, existing.machine],
    ['network interface', ids.nic, existing.nic],
    ['network security group', ids.nsg, existing.nsg],
    ['virtual network', ids.vnet, existing.vnet],
    ['public IP', ids.publicIp, existing.publicIp],
  ] as const;
  for (const [what, id, resource] of looked) {
    if (resource) refuseForeign(`${what} ${resource.name ?? ''}`, id, resource.tags, plan.deployment, run);
  }
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

/** The machine that is there, if it is whole. One that an interrupted run left half-made is waited for first. */
async function adoptable(
  session: Session,
  plan: Plan,
  machine: VirtualMachine | undefined,
): Promise<VirtualMachine | undefined> {
  if (!machine || machine.provisioningState === 'Failed') return undefined;
  return machine.provisioningState === 'Succeeded' ? machine : settleMachine(session, plan);
}

function adoptMachine(
  inputs: DeployInputs,
  plan: Plan,
  image: ImageFacts,
  machine: VirtualMachine,
  report: Report,
): void {
  const comparison = compare(machine, plan, image, inputs);
  refuseDifferent(plan, comparison);
  report.log.notice(
    `Virtual machine ${plan.machine.name} of this deployment exists already and is as asked for: left as it is.`,
  );
  if (comparison.keptVersion) {
    report.log.notice(
      `It was made from image version ${comparison.keptVersion}, and keeps it; the newest one is ${image.version}. To get that, delete the deployment first.`,
    );
  }
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
  report.output('vm-instance-id', machine.vmId);
  report.output('vm-size', machine.hardwareProfile?.vmSize);
  report.output('zone', machine.zones?.[0]);
  report.output('os-disk-id', machine.storageProfile?.osDisk?.managedDisk?.id);
  report.output('principal-id', machine.identity?.principalId);
  if (versionId && /\/versions\//i.test(versionId)) {
    report.output('image-version-id', versionId);
    report.output('image-version', versionId.split('/').at(-1));
  }
  report.log.info(`Virtual machine ${plan.machine.name}: ${machine.provisioningState}.`);
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

/** What an earlier run made gets this run's tags: otherwise `sweep` would delete by the old run's end or expiry. */
async function renewTags(
  session: Session,
  plan: Plan,
  existing: Survey,
  identities: readonly string[],
): Promise<void> {
  const ids = Object.values(existing).flatMap((resource: { id?: string } | undefined) => resource?.id ?? []);
  const disk = existing.machine?.storageProfile?.osDisk?.managedDisk?.id;
  await during("renewing the deployment's tags", () =>
    Promise.all(
      [...ids, ...(disk ? [disk] : []), ...identities].map((id) =>
        session.arm('PATCH', `${id}/providers/Microsoft.Resources/tags/default`, '2021-04-01', {
          body: { operation: 'Merge', properties: { tags: plan.tags } },
        }),
      ),
    ),
  );
}

async function removeFailedMachine(
  session: Session,
  plan: Plan,
  ledger: Ledger,
  report: Report,
  assignments: readonly string[],
): Promise<void> {
  const { id, osDiskName } = plan.machine;
  const diskId = resourceId(plan.subscriptionId, plan.resourceGroup, 'Microsoft.Compute/disks', osDiskName);
  report.log.info(`Removing the failed machine ${plan.machine.name}: a machine cannot change its zone.`);
  const desk = { session, log: report.log, belongs: belongsTo(plan.deployment) };
  tellRemoval(await rollBack(desk, ledger, [id, diskId, ...assignments]), report);
}

/** After a failure: what this run created goes, unless it is to stay. */
async function undo(inputs: DeployInputs, session: Session, ledger: Ledger, desk: CreateDesk): Promise<void> {
  const { report } = desk;
  const { created } = ledger.entries;
  const going = inputs.cleanup === 'never' ? created.filter(isTemporary) : created;
  const staying = created.filter((id) => !going.includes(id));
  if (staying.length > 0) {
    report.log.warning(`\`cleanup: never\`: left as they are:\n${staying.join('\n')}`);
  }
  if (going.length === 0) return;
  await report.stage('Clean up', async () => {
    const removal = await rollBack(
      {
        session: session.under(desk.cleanupSignal()),
        log: report.log,
        belongs: belongsTo(ledger.entries.deployment),
      },
      ledger,
      going,
    );
    tellRemoval(removal, report);
  });
}
