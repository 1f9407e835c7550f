import type { VirtualMachine } from '@azure/arm-compute';
import type { NetworkInterface } from '@azure/arm-network';
import type { OperationState, PollerLike } from '@azure/core-lro';
import type { ManagedIdentity } from '../access/resolve-access.ts';
import type { RoleAssignment } from '../access/role-assignments.ts';
import { apiVersions, identityType } from '../azure/api-versions.ts';
import type { Session } from '../azure/arm-client.ts';
import { type ResourceId, parseResourceId, sameId } from '../azure/resource-id.ts';
import { type DeletionClaim, type Tags, holderClaim, mayDelete, tagsFromDescription } from '../deployment/ownership.ts';
import { recheckDelays, undefinedIfDenied, undefinedIfForbidden, undefinedIfNotFound } from '../azure/lookup.ts';
import { pollUntilDone } from '../azure/polling.ts';
import { ActionError, AzureError, isClientError } from '../errors/errors.ts';
import { delay } from '../lib/abort.ts';

export interface ResourceType {
  readonly label: string;
  readonly after: readonly string[];
  readonly read: (session: Session, id: ResourceId) => Promise<ResourceFacts>;
  readonly delete: (session: Session, id: ResourceId) => DeleteOperation;
}

export interface ResourceFacts {
  /** Of a role assignment: the tags in its description. */
  readonly tags: Tags;
  /** Of an identity or VM: its own principal. Of a role assignment: the principal that it is assigned to. */
  readonly principalId?: string | undefined;
  readonly vm?: VirtualMachine;
  /** Public IPs that Azure may delete with a network interface. */
  readonly addresses?: readonly string[];
}

type DeleteOperation = PollerLike<OperationState<void>, void> | Promise<void>;

interface OperationGroup {
  get(resourceGroup: string, name: string): Promise<{ tags?: Record<string, string> }>;
  delete(resourceGroup: string, name: string, options: object): DeleteOperation;
}

const sdkType = (
  label: string,
  after: readonly string[],
  group: (session: Session) => OperationGroup,
  options: object = {},
): ResourceType => ({
  label,
  after,
  read: async (session, { resourceGroup, name }) => {
    const { tags } = await group(session).get(resourceGroup, name);
    return { tags };
  },
  delete: (session, { resourceGroup, name }) =>
    group(session).delete(resourceGroup, name, { ...options, abortSignal: session.waiting.signal }),
});

export const vmType = 'microsoft.compute/virtualmachines';
export const diskType = 'microsoft.compute/disks';
export const assignmentType = 'microsoft.authorization/roleassignments';
const commandType = `${vmType}/runcommands`;
const nicType = 'microsoft.network/networkinterfaces';
const vnetType = 'microsoft.network/virtualnetworks';

/** The only types that are ever deleted. A role assignment left behind would be one of an unknown principal. */
export const resourceTypes: Readonly<Record<string, ResourceType>> = {
  [assignmentType]: {
    label: 'role assignment',
    after: [],
    read: async ({ arm }, { id }) => {
      const { properties } = await arm<RoleAssignment>('GET', id, apiVersions.roleAssignments);
      return { tags: tagsFromDescription(properties.description), principalId: properties.principalId };
    },
    delete: ({ arm }, { id }) => arm('DELETE', id, apiVersions.roleAssignments),
  },
  [commandType]: {
    label: 'run command',
    after: [],
    read: async ({ compute }, { resourceGroup, names: [vm = ''], name }) => ({
      tags: (await compute.virtualMachineRunCommands.getByVirtualMachine(resourceGroup, vm, name)).tags,
    }),
    delete: ({ compute, waiting }, { resourceGroup, names: [vm = ''], name }) =>
      compute.virtualMachineRunCommands.delete(resourceGroup, vm, name, { abortSignal: waiting.signal }),
  },
  [vmType]: {
    // Forced: the disks are deleted as well, so a clean shutdown would only cost time.
    ...sdkType('virtual machine', [assignmentType], ({ compute }) => compute.virtualMachines, { forceDeletion: true }),
    read: async ({ compute }, { resourceGroup, name }) => {
      const vm = await compute.virtualMachines.get(resourceGroup, name);
      return { tags: vm.tags, principalId: vm.identity?.principalId, vm };
    },
  },
  [diskType]: sdkType('disk', [vmType], ({ compute }) => compute.disks),
  [nicType]: {
    ...sdkType('network interface', [vmType], ({ network }) => network.networkInterfaces),
    read: async ({ network }, { resourceGroup, name }) => {
      const nic = await network.networkInterfaces.get(resourceGroup, name);
      return { tags: nic.tags, addresses: addressesDeletedWith(nic) };
    },
  },
  'microsoft.network/publicipaddresses': sdkType(
    'public IP',
    [vmType, nicType],
    ({ network }) => network.publicIPAddresses,
  ),
  [vnetType]: sdkType('virtual network', [vmType, nicType], ({ network }) => network.virtualNetworks),
  'microsoft.network/networksecuritygroups': sdkType(
    'network security group',
    [vmType, nicType, vnetType],
    ({ network }) => network.networkSecurityGroups,
  ),
  [identityType.toLowerCase()]: {
    label: 'user-assigned identity',
    after: [assignmentType, vmType],
    read: async ({ arm }, { id }) => {
      const { tags, properties } = await arm<ManagedIdentity>('GET', id, apiVersions.identities);
      return { tags, principalId: properties?.principalId };
    },
    delete: ({ arm }, { id }) => arm('DELETE', id, apiVersions.identities),
  },
};

/** Parses the ID of a resource that may be deleted. Role assignments extend any resource and have no group of their own. */
export function parseDeletableId(id: string): ResourceId | undefined {
  const name = /\/providers\/Microsoft\.Authorization\/roleAssignments\/([^/]+)$/i.exec(id)?.[1];
  return name
    ? { id, subscriptionId: '', resourceGroup: '', type: assignmentType, names: [name], name }
    : parseResourceId(id);
}

/** Run commands are needed only while the run lasts, so they are deleted with every value of `cleanup`. */
export function isRunCommand(id: string): boolean {
  return parseDeletableId(id)?.type === commandType;
}

export function vmOfRunCommand(commandId: string): string {
  return commandId.replace(/\/[^/]+\/[^/]+$/, '');
}

/** For a role assignment, the tags in its description. @throws AzureError with status 404 if it does not exist. */
export async function readTags(session: Session, id: string): Promise<Tags> {
  return (await readFacts(session, id))?.tags;
}

async function readFacts(session: Session, id: string): Promise<ResourceFacts | undefined> {
  const target = parseDeletableId(id);
  return target && resourceTypes[target.type]?.read(session, target);
}

export interface DeletionContext {
  readonly session: Session;
  readonly log: { info(line: string): void; warning(line: string): void };
  readonly claim: DeletionClaim;
  /** Role assignments could not be listed: what may hold some is kept. */
  readonly assignmentsUnknown?: boolean;
  /** A further condition on the tags, evaluated right before each deletion. Role assignments follow their holder. */
  readonly confirm?: (tags: Tags) => Promise<boolean>;
  /** IDs whose PUT was sent: a 404 can mean that Azure is late, and is checked again. */
  readonly created?: readonly string[];
  /** Those of them without a response: they may never appear. */
  readonly pending?: readonly string[];
  /** Those of them that the main step was deleting: they are missing because they are gone. */
  readonly deleting?: readonly string[];
  /** Called before each DELETE with all that it deletes. */
  readonly onDelete?: (ids: readonly string[]) => void;
  /** IDs that a list has just shown. */
  readonly shown?: readonly string[];
  /** IDs that the group's list shows; undefined without permission to list. */
  readonly listed?: () => Promise<readonly string[] | undefined>;
  /** Azure's GUID of the only VM that may be deleted: another run may have created one of the same name since. */
  readonly vmId?: string | undefined;
  /** ID of a deleted VM: if one exists again, another run has created it, and the role assignments are its own. */
  readonly recreatedVm?: string;
}

/** Asks the owner of the question, `mayDelete`, and the caller's further condition. */
export async function isDeletable(context: DeletionContext, id: string, tags: Tags): Promise<boolean> {
  const { claim, confirm } = context;
  return mayDelete(claim, id, tags) && (confirm === undefined || (await confirm(tags)));
}

/** Whether the VM and the identities may be deleted, by principal in lower case; '' for the VM without one. */
export type Holders = ReadonlyMap<string, boolean>;

export async function readHolders(context: DeletionContext, targets: readonly { id: ResourceId }[]): Promise<Holders> {
  const holders = new Map<string, boolean>();
  const { session, recreatedVm } = context;
  if (recreatedVm && (await undefinedIfForbidden(readFacts(session, recreatedVm)))) holders.set('', false);
  const candidates = targets.filter(({ id }) => id.type === vmType || id.type === identityType.toLowerCase());
  await Promise.all(
    candidates.map(async ({ id: { id, type } }) => {
      const found = await undefinedIfForbidden(readFacts(session, id));
      if (!found) return;
      const { tags, principalId } = found;
      const isOurs = await isDeletable(context, id, tags);
      if (principalId) holders.set(principalId.toLowerCase(), isOurs);
      if (type === vmType) holders.set('', isOurs);
    }),
  );
  return holders;
}

/** Whether its holder may be deleted, or else the VM; undefined if neither was found or may be read. */
export function holderOf({ principalId = '' }: ResourceFacts, holders: Holders): boolean | undefined {
  return holders.get(principalId.toLowerCase()) ?? holders.get('');
}

/** Whether something else has deleted it: the list of the group does not show it or, of a role assignment, the rest. */
export async function isUnlisted(
  listed: DeletionContext['listed'],
  { id, type }: ResourceId,
  created: readonly string[],
): Promise<boolean> {
  const isAssignment = (other: string): boolean => parseDeletableId(other)?.type === assignmentType;
  const missing = type === assignmentType ? created.filter((other) => !isAssignment(other)) : [id];
  const ids = missing.length > 0 ? await listed?.() : undefined;
  return ids !== undefined && !ids.some((one) => missing.some((other) => sameId(other, one)));
}

export interface DeletionResult {
  readonly deleted: readonly string[];
  readonly notFound: readonly string[];
  /** Kept because their own tags do not name the deployment. */
  readonly notOwned: readonly string[];
  readonly failed: readonly { readonly id: string; readonly error: unknown }[];
}

export type VmParts = Awaited<ReturnType<typeof detachUnowned>>;

/**
 * Azure also deletes resources with the delete option `Delete`, regardless of tags: others' get `Detach`. A NIC and its
 * addresses go with the VM only if they are to be deleted themselves: tags do not tell who created what a run has adopted.
 */
export async function detachUnowned(context: DeletionContext, vm: VirtualMachine, isTarget: (id: string) => boolean) {
  const { compute, waiting } = context.session;
  const { disks, nics } = partsDeletedWith(vm);
  const ofVm = { ...context, claim: holderClaim(context.claim) };
  const parts = await Promise.all([
    ...disks.map(({ id, createOption }) =>
      createOption === 'Attach' ? checkPart(context, id, isTarget) : checkPart(ofVm, id, () => true),
    ),
    ...nics.map(({ id }) => checkPart(context, id, isTarget)),
  ]);
  const ours = parts.filter(({ isOurs }) => isOurs);
  const unowned = new Set(parts.flatMap(({ id, isOurs }) => (isOurs ? [] : [id])));
  let updateError: AzureError | undefined;
  if (unowned.size > 0) {
    const { resourceGroup = '', name = '' } = { ...parseResourceId(vm.id ?? '') };
    context.log.info(`Setting the delete option Detach on resources that outlive ${name}: ${[...unowned].join(', ')}`);
    const update = compute.virtualMachines.update(resourceGroup, name, detachingBody(vm, unowned));
    try {
      await pollUntilDone(`virtual machine ${name}`, 'vm-update', waiting, update);
    } catch (error) {
      if (waiting.signal.aborted || !(error instanceof AzureError) || isClientError(error)) throw error;
      // Azure may have set it although the update of a VM that it cannot place has failed: the next read tells.
      updateError = error;
    }
  }
  return {
    /** Why the update failed. */
    updateError,
    /** IDs that Azure deletes with the VM. */
    deletedWithVm: ours.flatMap(({ id, addresses }) => [id, ...addresses]),
    /** IDs of what is attached, but was not found. */
    missing: parts.flatMap((part) => part.missing),
    /** Whether the VM has or had disks, also if they are kept. */
    hasDisks: attachedDisks(vm).length > 0,
    /** Reads them again. */
    areStillOurs: async () => !(await Promise.all(ours.map((part) => part.isLost()))).includes(true),
    /** False if something else has been attached since, or is not detached. */
    covers: (later: VirtualMachine) =>
      Object.values(partsDeletedWith(later))
        .flat()
        .every(({ id }) => ours.some((part) => sameId(part.id, id))),
  };
}

/** What is to outlive a VM is still deleted with it: the read may be late, or something else was attached. */
export function createUndetachedWait({ session }: DeletionContext, what: string) {
  const delays = [...recheckDelays];
  return async (vmParts: VmParts | undefined): Promise<void> => {
    if (!vmParts) return;
    const seconds = delays.shift();
    if (vmParts.updateError !== undefined) throw vmParts.updateError;
    if (seconds === undefined) {
      const message = 'Azure does not set the delete option Detach on a resource that is not to be deleted with it.';
      throw new ActionError(`deleting ${what}`, { message, fix: ['Detach the resource from the VM.'] });
    }
    await delay(seconds, session.waiting.signal);
  };
}

const isDeletedWithVm = ({ deleteOption }: { deleteOption?: string | undefined }): boolean => deleteOption === 'Delete';

function partsDeletedWith(vm: VirtualMachine) {
  const nics = vm.networkProfile?.networkInterfaces ?? [];
  return {
    disks: attachedDisks(vm).filter(isDeletedWithVm),
    nics: nics.filter(isDeletedWithVm).map(({ id = '' }) => ({ id })),
  };
}

function detachingBody(vm: VirtualMachine, unowned: ReadonlySet<string>) {
  const detachIfUnowned = <T extends { deleteOption?: string }>(reference: T, id = ''): T =>
    unowned.has(id) ? { ...reference, deleteOption: 'Detach' } : reference;
  const { osDisk, dataDisks } = vm.storageProfile ?? {};
  const isOsDiskUnowned = unowned.has(osDisk?.managedDisk?.id ?? '');
  const networkInterfaces = vm.networkProfile?.networkInterfaces?.map((nic) => detachIfUnowned(nic, nic.id));
  return {
    networkProfile: { networkInterfaces },
    storageProfile: {
      osDisk: osDisk && isOsDiskUnowned ? { ...osDisk, deleteOption: 'Detach' } : undefined,
      dataDisks: dataDisks?.map((disk) => detachIfUnowned(disk, disk.managedDisk?.id)),
    },
  };
}

async function checkPart(context: DeletionContext, id: string, isTarget: (id: string) => boolean) {
  const found = isTarget(id) ? await readPart(context, id) : undefined;
  const addresses = found?.addresses ?? [];
  const parts = [found, ...(await Promise.all(addresses.map((address) => readPart(context, address))))];
  return {
    id,
    addresses,
    missing: [id, ...addresses].filter((_, index) => !parts[index]),
    // It is attached, so Azure is late to show a part that is missing. Detached, it is read again before its own deletion.
    isOurs: addresses.every(isTarget) && parts.every((part) => part?.isOurs),
    // After the DELETE of the VM, its parts are missing because they are gone.
    isLost: async () => {
      const now = await Promise.all([id, ...addresses].map((part) => readPart(context, part)));
      const isKnown = (address: string): boolean => addresses.some((known) => sameId(known, address));
      return now.some((part) => part && !(part.isOurs && part.addresses.every(isKnown)));
    },
  };
}

function addressesDeletedWith({ ipConfigurations = [] }: NetworkInterface): readonly string[] {
  return ipConfigurations.flatMap(({ publicIPAddress }) =>
    publicIPAddress?.id && isDeletedWithVm(publicIPAddress) ? [publicIPAddress.id] : [],
  );
}

/** Undefined: missing. */
async function readPart(context: DeletionContext, id: string) {
  const reading = undefinedIfNotFound(readFacts(context.session, id)).then((facts) => ({ facts }));
  const isNic = parseResourceId(id)?.type === nicType;
  // A role that can delete VMs but not read disks: rely on the delete option, which our PUT has set.
  const answer = await (isNic ? reading : undefinedIfDenied(reading));
  if (!answer) return { isOurs: true, addresses: [] };
  const { facts } = answer;
  return facts && { isOurs: await isDeletable(context, id, facts.tags), addresses: facts.addresses ?? [] };
}

function attachedDisks(vm: VirtualMachine | undefined) {
  const { osDisk, dataDisks = [] } = vm?.storageProfile ?? {};
  return [...(osDisk ? [osDisk] : []), ...dataDisks].flatMap(({ managedDisk, createOption, deleteOption }) =>
    managedDisk?.id ? [{ id: managedDisk.id, createOption, deleteOption }] : [],
  );
}

/** Without those that existed before the VM. */
export function disksCreatedWith(vm: VirtualMachine | undefined): readonly string[] {
  return attachedDisks(vm).flatMap(({ id, createOption }) => (createOption === 'Attach' ? [] : [id]));
}
