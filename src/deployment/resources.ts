/** The resources of a deployment: their names and IDs, which of them exist, and what `create` will send. */

import type { VirtualMachine } from '@azure/arm-compute';
import type { NetworkInterface, NetworkSecurityGroup, PublicIPAddress, VirtualNetwork } from '@azure/arm-network';
import { hash } from 'node:crypto';
import { undefinedIfNotFound } from '../azure/lookup.ts';
import { type ResourceId, resourceId, sameId } from '../azure/resource-id.ts';
import type { Session } from '../azure/arm-client.ts';
import type { DeployInputs } from '../inputs/inputs.ts';
import { omitUndefined, type MergePatch } from '../lib/json.ts';
import { type TaggedResource, deploymentTag, tagValue } from './ownership.ts';

export type ResourceNames = ReturnType<typeof resourceNames>;
export type ResourceIds = ReturnType<typeof resourceIds>;
export type Part = keyof ResourceNames;

export const resourceTitles = {
  vm: 'virtual machine',
  nic: 'network interface',
  nsg: 'network security group',
  vnet: 'virtual network',
  publicIp: 'public IP',
  osDisk: 'disk',
} as const satisfies ResourceNames;

export const subnetName = 'default';

/**
 * Networks have at most 64 characters, the others 80: a VM name has 64. Part of a hash keeps shortened names distinct.
 * https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
 */
export function resourceNames(vmName: string) {
  const isLong = `${vmName}-vnet`.length > 64;
  const shortened = `${vmName.slice(0, 52)}-${hash('sha256', vmName.toLowerCase()).slice(0, 6)}`;
  return {
    vm: vmName,
    nsg: `${vmName}-nsg`,
    vnet: `${isLong ? shortened : vmName}-vnet`,
    publicIp: `${vmName}-ip`,
    nic: `${vmName}-nic`,
    osDisk: `${vmName}-osdisk`,
  };
}

export function resourceIds(subscriptionId: string, resourceGroup: string, vmName: string) {
  const names = resourceNames(vmName);
  const id = (type: string, name: string): string => resourceId(subscriptionId, resourceGroup, type, name);
  return {
    vm: id('Microsoft.Compute/virtualMachines', names.vm),
    nsg: id('Microsoft.Network/networkSecurityGroups', names.nsg),
    vnet: id('Microsoft.Network/virtualNetworks', names.vnet),
    publicIp: id('Microsoft.Network/publicIPAddresses', names.publicIp),
    nic: id('Microsoft.Network/networkInterfaces', names.nic),
    osDisk: id('Microsoft.Compute/disks', names.osDisk),
  };
}

export type ListedResource = TaggedResource & { readonly id: string };

/** By the tags; copied tags on resources with other names do not make them part of a deployment. */
export function groupDeployments(
  { subscriptionId }: Session,
  resourceGroup: string,
  all: readonly ListedResource[],
  isNamedByInput: (id: string) => boolean = () => false,
) {
  const byName = Map.groupBy(all, ({ tags }) => tagValue(tags, deploymentTag)?.toLowerCase() ?? '');
  byName.delete('');
  return [...byName.values()]
    .map((tagged) => {
      const name = tagValue(tagged[0]?.tags, deploymentTag) ?? '';
      const ids = resourceIds(subscriptionId, resourceGroup, name);
      const isPart = ({ id }: ListedResource): boolean =>
        isNamedByInput(id) || Object.values(ids).some((derived) => sameId(derived, id));
      return { name, vmId: ids.vm, resources: tagged.filter(isPart) };
    })
    .filter(({ resources }) => resources.length > 0);
}

/** Resources that exist. Undefined: it does not exist, or the deployment does not create one. */
export interface ExistingResources {
  readonly vm?: VirtualMachine;
  readonly nsg?: NetworkSecurityGroup;
  readonly vnet?: VirtualNetwork;
  readonly publicIp?: PublicIPAddress;
  readonly nic?: NetworkInterface;
}

export function existingResourceQueries(
  { compute, network }: Session,
  { resourceGroup, vmName, network: choice }: DeployInputs,
) {
  const names = resourceNames(vmName);
  const newNic = choice.kind === 'new-nic' ? choice : undefined;
  const queryIf = <T>(needed: boolean, get: () => Promise<T>) =>
    needed ? () => undefinedIfNotFound(get()) : undefined;
  return omitUndefined({
    vm: queryIf(true, () => compute.virtualMachines.get(resourceGroup, names.vm)),
    nsg: queryIf(newNic?.nsg.kind === 'new', () => network.networkSecurityGroups.get(resourceGroup, names.nsg)),
    vnet: queryIf(newNic?.subnet.kind === 'new', () => network.virtualNetworks.get(resourceGroup, names.vnet)),
    publicIp: queryIf(newNic?.publicIp.kind === 'new', () =>
      network.publicIPAddresses.get(resourceGroup, names.publicIp),
    ),
    nic: queryIf(newNic !== undefined, () => network.networkInterfaces.get(resourceGroup, names.nic)),
  });
}

export const networkParts = ['nsg', 'vnet', 'publicIp', 'nic'] as const;

/** Looks up in parallel what a deployment would create; with `parts`, only these. */
export async function findExistingResources(
  session: Session,
  inputs: DeployInputs,
  parts: readonly (keyof ExistingResources)[] = ['vm', ...networkParts],
): Promise<ExistingResources> {
  const queries = existingResourceQueries(session, inputs);
  const found = await Promise.all(parts.map(async (part) => [part, await queries[part]?.()] as const));
  return Object.fromEntries(found.filter(([, resource]) => resource !== undefined));
}

/** Azure may leave out the mark of the only one. */
export function findPrimary<T extends { primary?: boolean }>(all: readonly T[] = []): T | undefined {
  return all.find(({ primary }) => primary) ?? all[0];
}

interface PlannedResource<Body> {
  readonly id: string;
  readonly name: string;
  readonly body: Body;
}

/** A resource to create, or an existing one that is only referred to. */
export type ResourcePlan<Body> =
  | ({ readonly origin: 'made' } & PlannedResource<Body>)
  | ({ readonly origin: 'given' } & ResourceId);

export interface Placement {
  readonly size: string;
  readonly zone?: string;
  readonly spot?: true;
  /** Retry without Trusted Launch, which the image supports but the size does not. */
  readonly withoutTrustedLaunch?: true;
}

export interface Common {
  readonly location: string;
  readonly tags: Readonly<Record<string, string>>;
}

export interface PlannedNetwork {
  readonly nsg?: ResourcePlan<NetworkSecurityGroup>;
  readonly vnet?: PlannedResource<VirtualNetwork>;
  readonly subnetId?: string;
  readonly publicIp?: ResourcePlan<PublicIPAddress>;
  readonly nic: ResourcePlan<NetworkInterface>;
  readonly notices: readonly string[];
}

export interface Plan extends Common, PlannedNetwork {
  readonly deployment: string;
  readonly subscriptionId: string;
  readonly resourceGroup: string;
  readonly vm: {
    readonly id: string;
    readonly name: string;
    readonly osDisk: { readonly id: string; readonly name: string };
    readonly osType: 'Linux' | 'Windows';
    readonly attempts: readonly Placement[];
    /** Whether a size without Trusted Launch may be retried without it. */
    readonly plainWillDo: boolean;
    readonly body: (attempt: Placement) => VirtualMachine;
  };
  readonly identities: readonly { readonly id: string; readonly name: string }[];
  /** Merge patches by lower-cased ID of the resource whose PUT they change. */
  readonly patches: ReadonlyMap<string, MergePatch>;
  readonly warnings: readonly string[];
}
