import type { OperationState, PollerLike } from '@azure/core-lro';
import type { RoleAssignment } from '../access/find-role-assignments.ts';
import { apiVersions, identityType } from '../azure/api-versions.ts';
import { type ResourceId, parseResourceId } from '../azure/resource-id.ts';
import type { Session } from '../azure/arm-client.ts';
import { type Tags, tagsFromDescription } from '../deployment/ownership.ts';

export interface ResourceType {
  readonly label: string;
  /** Types that must be deleted before this one. */
  readonly after: readonly string[];
  readonly readTags: (session: Session, id: ResourceId) => Promise<Tags>;
  readonly delete: (session: Session, id: ResourceId) => DeleteOperation;
}

type DeleteOperation = PollerLike<OperationState<void>, void> | Promise<void>;

/** What the SDK's operation groups have in common. */
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
  readTags: async (session, { resourceGroup, name }) => (await group(session).get(resourceGroup, name)).tags,
  delete: (session, { resourceGroup, name }) =>
    group(session).delete(resourceGroup, name, { ...options, abortSignal: session.waiting.signal }),
});

export const vmType = 'microsoft.compute/virtualmachines';
const assignmentType = 'microsoft.authorization/roleassignments';
const commandType = `${vmType}/runcommands`;
const nicType = 'microsoft.network/networkinterfaces';

/**
 * The only types that are ever deleted. Azure refuses to delete what a VM or NIC still uses. Role assignments are deleted
 * before the identity that holds them: afterwards they would remain as those of an unknown principal.
 */
export const resourceTypes: Readonly<Record<string, ResourceType>> = {
  [assignmentType]: {
    label: 'role assignment',
    after: [],
    readTags: async ({ arm }, { id }) =>
      tagsFromDescription(
        (await arm<RoleAssignment>('GET', id, apiVersions.roleAssignments)).properties.description,
      ),
    delete: ({ arm }, { id }) => arm('DELETE', id, apiVersions.roleAssignments),
  },
  [commandType]: {
    label: 'run command',
    after: [],
    readTags: async ({ compute }, { resourceGroup, names: [vm = ''], name }) =>
      (await compute.virtualMachineRunCommands.getByVirtualMachine(resourceGroup, vm, name)).tags,
    delete: ({ compute, waiting }, { resourceGroup, names: [vm = ''], name }) =>
      compute.virtualMachineRunCommands.delete(resourceGroup, vm, name, { abortSignal: waiting.signal }),
  },
  // Forced: the disks are deleted as well, so a clean shutdown would only cost time.
  [vmType]: sdkType('virtual machine', [assignmentType], ({ compute }) => compute.virtualMachines, {
    forceDeletion: true,
  }),
  'microsoft.compute/disks': sdkType('disk', [vmType], ({ compute }) => compute.disks),
  [nicType]: sdkType('network interface', [vmType], ({ network }) => network.networkInterfaces),
  'microsoft.network/publicipaddresses': sdkType(
    'public IP',
    [vmType, nicType],
    ({ network }) => network.publicIPAddresses,
  ),
  'microsoft.network/networksecuritygroups': sdkType(
    'network security group',
    [vmType, nicType],
    ({ network }) => network.networkSecurityGroups,
  ),
  'microsoft.network/virtualnetworks': sdkType(
    'virtual network',
    [vmType, nicType],
    ({ network }) => network.virtualNetworks,
  ),
  [identityType.toLowerCase()]: {
    label: 'user-assigned identity',
    after: [assignmentType, vmType],
    readTags: async ({ arm }, { id }) => (await arm<{ tags?: Tags }>('GET', id, apiVersions.identities)).tags,
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

/** Run commands are needed only while the run lasts, so they are deleted whatever the `cleanup` input says. */
export function isRunCommand(id: string): boolean {
  return parseDeletableId(id)?.type === commandType;
}

/** ID of the VM that a run command belongs to. */
export function vmOfRunCommand(commandId: string): string {
  return commandId.replace(/\/[^/]+\/[^/]+$/, '');
}

/**
 * Reads a resource's own tags; for a role assignment, the tags in its description.
 * @throws AzureError with status 404 if it does not exist.
 */
export async function readTags(session: Session, id: string): Promise<Tags> {
  const target = parseDeletableId(id);
  return target && resourceTypes[target.type]?.readTags(session, target);
}

export interface DeletionContext {
  readonly session: Session;
  readonly log: { info(line: string): void; warning(line: string): void };
  /** Decides on each resource right before its deletion. */
  readonly isOwned: (tags: Tags, id: string) => boolean | Promise<boolean>;
  /** IDs without a response to their PUT: they may still appear. */
  readonly pending?: readonly string[];
}

export interface DeletionResult {
  readonly deleted: readonly string[];
  readonly notFound: readonly string[];
  /** Kept because their own tags do not name the deployment. */
  readonly notOwned: readonly string[];
  readonly failed: readonly { readonly id: string; readonly error: unknown }[];
}
