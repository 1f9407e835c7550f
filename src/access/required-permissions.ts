/** Permissions by purpose: `check` compares them with the app's, and the documented roles are made of them. */

import { identityType } from '../azure/api-versions.ts';
import type { DeployInputs } from '../inputs/inputs.ts';

export interface PermissionRow {
  /** Completes "… is needed for": `creating the virtual machine`. */
  readonly why: string;
  /** Azure rejects the deployment without these. */
  readonly actions: readonly string[];
  readonly cleanup?: readonly string[];
  /** Not required, but useful for operating the VM, so custom roles include them. */
  readonly optional?: readonly string[];
}

const permissionsOf =
  (provider: string) =>
  (type: string, ...verbs: readonly string[]) =>
    verbs.map((verb) => `${provider}/${type}/${verb}`);
const compute = permissionsOf('Microsoft.Compute');
const network = permissionsOf('Microsoft.Network');
const authorization = permissionsOf('Microsoft.Authorization');
const resources = permissionsOf('Microsoft.Resources');

export const grantAction = 'Microsoft.Authorization/roleAssignments/write';

/** Creating and deleting a resource to which others refer. */
function newResource(why: string, type: string, join = 'join/action') {
  return { why, actions: ['read', 'write', join].map((verb) => `${type}/${verb}`), cleanup: [`${type}/delete`] };
}

/** Every resource that another one refers to needs a join action, whether it is new or exists. */
export const permissionTable = {
  image: {
    why: 'reading the image and creating a VM from it',
    actions: compute('galleries/images', 'read', 'versions/read'),
  },
  machine: {
    why: 'creating the virtual machine',
    actions: [
      // The resources of a deployment are found by one listing of the group, in `create`, `sweep` and `list` alike.
      ...resources('subscriptions/resourceGroups', 'read', 'resources/read'),
      ...compute('virtualMachines', 'read', 'write'),
      ...compute('disks', 'write'),
    ],
    cleanup: [...compute('virtualMachines', 'delete'), ...compute('disks', 'read', 'delete')],
    optional: [
      ...compute('virtualMachines', 'retrieveBootDiagnosticsData/action'),
      ...compute('locations', 'operations/read'),
      ...network('locations', 'operations/read', 'operationResults/read'),
    ],
  },
  'new resource group': {
    why: 'creating the resource group',
    actions: resources('subscriptions/resourceGroups', 'read', 'write'),
  },
  'new interface': newResource('creating the network interface', 'Microsoft.Network/networkInterfaces'),
  'new network': newResource(
    'creating the virtual network',
    'Microsoft.Network/virtualNetworks',
    'subnets/join/action',
  ),
  'new security group': newResource('creating the network security group', 'Microsoft.Network/networkSecurityGroups'),
  'new public IP': newResource('creating the public IP', 'Microsoft.Network/publicIPAddresses'),
  'given subnet': {
    why: 'attaching the network interface to the subnet',
    actions: network('virtualNetworks/subnets', 'join/action'),
    optional: network('virtualNetworks/subnets', 'read'),
  },
  'given security group': {
    why: 'associating the network interface with the network security group',
    actions: network('networkSecurityGroups', 'join/action'),
    optional: network('networkSecurityGroups', 'read'),
  },
  'given public IP': {
    why: 'associating the public IP with the network interface',
    actions: network('publicIPAddresses', 'read', 'join/action'),
  },
  'given interface': {
    why: 'attaching the VM to the network interface',
    actions: network('networkInterfaces', 'read', 'join/action'),
  },
  'new identity': newResource(
    'creating the user-assigned identity and assigning it to the VM',
    identityType,
    'assign/action',
  ),
  'given identity': {
    why: 'assigning the user-assigned identity to the VM',
    actions: [`${identityType}/assign/action`],
  },
  'given identity with roles': {
    why: 'reading the principal that roles are assigned to',
    actions: [`${identityType}/read`],
  },
  'role assignment': {
    why: "assigning the role to the VM's identities",
    actions: [grantAction],
    cleanup: authorization('roleAssignments', 'delete'),
    optional: [...authorization('roleAssignments', 'read'), ...authorization('roleDefinitions', 'read')],
  },
  'find role assignments': {
    why: 'finding role assignments outside the resource group, to delete them with the VM',
    actions: authorization('roleAssignments', 'read'),
  },
  agent: { why: 'waiting for the VM agent', actions: compute('virtualMachines', 'instanceView/read') },
  script: {
    why: 'running the script in the VM and deleting it afterwards',
    actions: compute('virtualMachines/runCommands', 'read', 'write', 'delete'),
  },
  'names of the deployment': {
    why: 'looking for the other resources that a deployment of this name may have, to list or delete it',
    actions: [...network('virtualNetworks', 'read'), ...network('publicIPAddresses', 'read')],
  },
  rerun: { why: 'updating the tags of an existing deployment', actions: resources('tags', 'write') },
  'check the group': {
    why: 'checking permissions, locks, deny assignments and policies in advance',
    actions: [
      'Microsoft.Authorization/permissions/read',
      'Microsoft.Authorization/locks/read',
      'Microsoft.Authorization/denyAssignments/read',
      'Microsoft.PolicyInsights/checkPolicyRestrictions/read',
    ],
  },
  'check the subscription': {
    why: 'checking sizes, quotas, Spot prices, registration and Marketplace terms in advance',
    actions: [
      'Microsoft.Compute/skus/read',
      'Microsoft.Compute/locations/usages/read',
      'Microsoft.Network/locations/usages/read',
      'Microsoft.Network/locations/checkDnsNameAvailability/read',
      'Microsoft.Resources/subscriptions/providers/read',
      'Microsoft.Features/providers/features/read',
      'Microsoft.ResourceGraph/resources/read',
      'Microsoft.MarketplaceOrdering/offertypes/publishers/offers/plans/agreements/read',
    ],
  },
} as const satisfies Readonly<Record<string, PermissionRow>>;

export type Feature = keyof typeof permissionTable;

interface RequiredPermission {
  /** Stable, for findings: `rights/resource-group`. */
  readonly id: string;
  readonly scope: string;
  readonly actions: readonly string[];
  /** Completes "needed for". */
  readonly why: string;
  /** `fault`: the deployment fails; `warning`: only its cleanup or a rerun does. */
  readonly ifMissing: 'fault' | 'warning';
}

interface PermissionContext {
  readonly subscriptionId: string;
  /** If false, it is created first, so its permissions must come from the subscription. */
  readonly groupExists: boolean;
}

/**
 * Merged by ID and scope; permissions on resources still to be created are those on their group. Without what `check` tries
 * itself: reading the image, assigning roles and its own questions.
 */
export function requiredPermissions(inputs: DeployInputs, context: PermissionContext): RequiredPermission[] {
  const needs = featuresInUse(inputs, context).flatMap(({ feature, scope, id }): RequiredPermission[] => {
    const { actions, why, cleanup = [] }: PermissionRow = permissionTable[feature];
    const need = { id, scope, actions, why, ifMissing: feature === 'rerun' ? 'warning' : 'fault' } as const;
    if (inputs.cleanup === 'never' || cleanup.length === 0) return [need];
    const deletion = { id: 'rights/clean-up', why: 'deleting what was created', ifMissing: 'warning' } as const;
    return [need, { ...deletion, scope, actions: cleanup }];
  });
  return [...Map.groupBy(needs, ({ id, scope }) => `${id} ${scope}`).values()].flatMap((same) => {
    const actions = [...new Set(same.flatMap((need) => need.actions))];
    const why = [...new Set(same.map((need) => need.why))].join('; ');
    return same.slice(0, 1).map((need) => ({ ...need, actions, why }));
  });
}

function featuresInUse(inputs: DeployInputs, { subscriptionId, groupExists }: PermissionContext) {
  const subscription = `/subscriptions/${subscriptionId}`;
  const group = groupExists ? `${subscription}/resourceGroups/${inputs.resourceGroup}` : subscription;
  const { network, identity, roleAssignments, script, waitFor } = inputs;
  const uses: { feature: Feature; scope: string; id: string }[] = [];
  const add = (feature: Feature, scope = group, id = 'rights/resource-group') => uses.push({ feature, scope, id });
  if (!groupExists) add('new resource group', subscription, 'rights/new-resource-group');
  add('machine');
  if (network.kind === 'given-nic') add('given interface', network.nicId.id, 'rights/network-interface');
  else {
    const { subnet, nsg, publicIp } = network;
    add('new interface');
    if (subnet.kind === 'new') add('new network');
    else add('given subnet', subnet.id.id, 'rights/subnet');
    if (nsg.kind === 'new') add('new security group');
    else add('given security group', nsg.id.id, 'rights/network-security-group');
    if (publicIp.kind === 'new') add('new public IP');
    if (publicIp.kind === 'given') add('given public IP', publicIp.id.id, 'rights/public-ip');
  }
  if (identity.named.length > 0) add('new identity');
  for (const { id, name } of identity.given) {
    add('given identity', id, `rights/identity/${name}`);
    if (roleAssignments.length > 0) add('given identity with roles', id, `rights/identity/${name}`);
  }
  if (script ?? waitFor === 'agent') add('agent');
  if (script) add('script');
  add('rerun', group, 'rights/rerun');
  return uses;
}

/** One entry of Azure's list of what the caller may do on a scope: one per role that reaches it. */
export interface Permission {
  readonly actions?: readonly string[];
  readonly notActions?: readonly string[];
  readonly condition?: string | null;
}

/** Whether an entry of such a list, or of a deny assignment, names the action. */
export function coversAction({ actions = [], notActions = [] }: Permission, action: string): boolean {
  const matches = (pattern: string) => actionMatches(pattern, action);
  return actions.some(matches) && !notActions.some(matches);
}

/**
 * Each role grants by itself: what one takes out with notActions, another may still grant. `conditional`: only a role with
 * a condition grants it, and nobody but Azure evaluates conditions.
 */
export function evaluatePermissions(permissions: readonly Permission[], action: string) {
  const granting = permissions.filter((permission) => coversAction(permission, action));
  if (granting.some(({ condition }) => !condition)) return 'allowed';
  return granting.length > 0 ? 'conditional' : 'denied';
}

/** Whether a pattern of a role covers an action: `*` stands for anything, letters in any case. */
function actionMatches(pattern: string, action: string): boolean {
  const literal = (text: string) => text.replaceAll(/[.+?^${}()|[\]\\]/g, String.raw`\$&`);
  // Between slashes it stands for nothing as well: `userAssignedIdentities/*/assign/action` of Managed Identity Operator
  // grants `userAssignedIdentities/assign/action`.
  const expression = pattern
    .split('/*/')
    .map((part) => part.split('*').map(literal).join('.*'))
    .join('/(?:.*/)?');
  return new RegExp(`^${expression}$`, 'i').test(action);
}
