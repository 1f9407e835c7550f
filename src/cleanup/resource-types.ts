import type { OperationState, PollerLike } from '@azure/core-lro';
import type { RoleAssignment } from '../access/find-role-assignments.ts';
import { apiVersions } from '../azure/api-versions.ts';
import { type ResourceId, parseResourceId } from '../azure/resource-id.ts';
import type { Session } from '../azure/arm-client.ts';
import { hasDeploymentTag, tagsFromDescription } from '../deployment/ownership.ts';

/** What became of the resources that were to be deleted. */
export interface DeletionResult {
  readonly deleted: readonly string[];
  /** Looked for and not there. */
  readonly notFound: readonly string[];
  /** Left alone because its own tag does not say that it is the deployment's. */
  readonly notOwned: readonly string[];
  readonly failed: readonly { readonly id: string; readonly error: unknown }[];
}

type ReadTags = Readonly<Record<string, string>> | undefined;

export interface ResourceType {
  readonly label: string;
  /** Types whose deletion must have ended before this one can begin. */
  readonly after: readonly string[];
  readonly tags: (session: Session, id: ResourceId) => Promise<ReadTags>;
  readonly remove: (
    session: Session,
    id: ResourceId,
  ) => PollerLike<OperationState<void>, void> | Promise<void>;
}

const assignmentType = 'microsoft.authorization/roleassignments';

export const commandType = 'microsoft.compute/virtualmachines/runcommands';

export const vmType = 'microsoft.compute/virtualmachines';

const nicType = 'microsoft.network/networkinterfaces';

const identityType = 'microsoft.managedidentity/userassignedidentities';

/**
 * The only types that are ever deleted, each with what has to go before it. A machine holds its interface and disks, an
 * interface its address, security group and subnet; Azure refuses the other way round. Role assignments go before the
 * identity that holds them: afterwards they would stay for ever, as those of an unknown principal.
 */
export const resourceTypes: Readonly<Record<string, ResourceType>> = {
  [assignmentType]: {
    label: 'role assignment',
    after: [],
    tags: async ({ arm }, { id }) =>
      tagsFromDescription(
        (await arm<RoleAssignment>('GET', id, apiVersions.roleAssignments)).properties.description,
      ),
    remove: ({ arm }, { id }) => arm('DELETE', id, apiVersions.roleAssignments),
  },
  [commandType]: {
    label: 'run command',
    after: [],
    tags: async ({ compute }, { resourceGroup, names: [vm = ''], name }) =>
      (await compute.virtualMachineRunCommands.getByVirtualMachine(resourceGroup, vm, name)).tags,
    remove: ({ compute, waiting }, { resourceGroup, names: [vm = ''], name }) =>
      compute.virtualMachineRunCommands.delete(resourceGroup, vm, name, { abortSignal: waiting.signal }),
  },
  [vmType]: {
    label: 'virtual machine',
    after: [assignmentType],
    tags: async ({ compute }, { resourceGroup, name }) =>
      (await compute.virtualMachines.get(resourceGroup, name)).tags,
    // Forced: the disks go too, so there is nothing to shut down in good order for.
    remove: ({ compute, waiting }, { resourceGroup, name }) =>
      compute.virtualMachines.delete(resourceGroup, name, {
        forceDeletion: true,
        abortSignal: waiting.signal,
      }),
  },
  'microsoft.compute/disks': {
    label: 'disk',
    after: [vmType],
    tags: async ({ compute }, { resourceGroup, name }) => (await compute.disks.get(resourceGroup, name)).tags,
    remove: ({ compute, waiting }, { resourceGroup, name }) =>
      compute.disks.delete(resourceGroup, name, { abortSignal: waiting.signal }),
  },
  [nicType]: {
    label: 'network interface',
    after: [vmType],
    tags: async ({ network }, { resourceGroup, name }) =>
      (await network.networkInterfaces.get(resourceGroup, name)).tags,
    remove: ({ network, waiting }, { resourceGroup, name }) =>
      network.networkInterfaces.delete(resourceGroup, name, { abortSignal: waiting.signal }),
  },
  'microsoft.network/publicipaddresses': {
    label: 'public IP',
    after: [vmType, nicType],
    tags: async ({ network }, { resourceGroup, name }) =>
      (await network.publicIPAddresses.get(resourceGroup, name)).tags,
    remove: ({ network, waiting }, { resourceGroup, name }) =>
      network.publicIPAddresses.delete(resourceGroup, name, { abortSignal: waiting.signal }),
  },
  'microsoft.network/networksecuritygroups': {
    label: 'network security group',
    after: [vmType, nicType],
    tags: async ({ network }, { resourceGroup, name }) =>
      (await network.networkSecurityGroups.get(resourceGroup, name)).tags,
    remove: ({ network, waiting }, { resourceGroup, name }) =>
      network.networkSecurityGroups.delete(resourceGroup, name, { abortSignal: waiting.signal }),
  },
  'microsoft.network/virtualnetworks': {
    label: 'virtual network',
    after: [vmType, nicType],
    tags: async ({ network }, { resourceGroup, name }) =>
      (await network.virtualNetworks.get(resourceGroup, name)).tags,
    remove: ({ network, waiting }, { resourceGroup, name }) =>
      network.virtualNetworks.delete(resourceGroup, name, { abortSignal: waiting.signal }),
  },
  [identityType]: {
    label: 'user-assigned identity',
    after: [assignmentType, vmType],
    tags: async ({ arm }, { id }) =>
      (await arm<{ tags?: Record<string, string> }>('GET', id, apiVersions.identities)).tags,
    remove: ({ arm }, { id }) => arm('DELETE', id, apiVersions.identities),
  },
};

/** Parses the ID of what may be deleted. Role assignments hang on any other resource and have no group of their own. */
export function deletionTarget(id: string): ResourceId | undefined {
  const name = /\/providers\/Microsoft\.Authorization\/roleAssignments\/([^/]+)$/i.exec(id)?.[1];
  return name
    ? { id, subscriptionId: '', resourceGroup: '', type: assignmentType, names: [name], name }
    : parseResourceId(id);
}

/** What a deployment needs only while its run goes on: it goes whatever `cleanup` says. */
export function isRunCommand(id: string): boolean {
  return deletionTarget(id)?.type === commandType;
}

/** ID of the VM that a run command belongs to. */
export function machineOf(commandId: string): string {
  return commandId.replace(/\/[^/]+\/[^/]+$/, '');
}

/**
 * A resource's own tags, read from the resource itself; of a role assignment the mark in its description.
 * @throws AzureError with status 404 where it is gone; also for types that this action does not make.
 */
export async function readTags(session: Session, id: string): Promise<ReadTags> {
  const target = deletionTarget(id);
  return target && resourceTypes[target.type]?.tags(session, target);
}

export interface DeletionContext {
  readonly session: Session;
  readonly log: { info(line: string): void; warning(line: string): void };
  /** Read on each resource right before its deletion: does it belong to what is being removed? */
  readonly belongs: (tags: ReadTags, id: string) => boolean | Promise<boolean>;
  /** IDs whose PUT was never answered: not there yet does not mean that they will not come. */
  readonly unanswered?: readonly string[];
}

/** Does the resource carry the deployment's own tag? */
export const isOwnedBy =
  (deployment: string) =>
  (tags: ReadTags): boolean =>
    hasDeploymentTag(tags, deployment);
