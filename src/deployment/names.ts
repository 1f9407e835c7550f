import { createHash } from 'node:crypto';
import { resourceId } from '../azure/resource-id.ts';

export interface ResourceNames {
  readonly vm: string;
  readonly nsg: string;
  readonly vnet: string;
  readonly publicIp: string;
  readonly nic: string;
  readonly osDisk: string;
}

/** Name of the subnet in a virtual network that this action makes. */
export const subnetName = 'default';

/**
 * Names of everything that a deployment makes, from the machine's name alone: known before anything is asked or sent.
 * Network names allow fewer characters and other lengths than a machine's
 * (https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules).
 */
export function resourceNames(vmName: string): ResourceNames {
  return {
    vm: vmName,
    nsg: derivedName(vmName, '-nsg', 80),
    vnet: derivedName(vmName, '-vnet', 64),
    publicIp: derivedName(vmName, '-ip', 80),
    nic: derivedName(vmName, '-nic', 80),
    osDisk: derivedName(vmName, '-osdisk', 80),
  };
}

function derivedName(vmName: string, suffix: string, longest: number): string {
  const allowed = vmName.replace(/[^A-Za-z0-9_.-]/g, '-').replace(/^[^A-Za-z0-9]/, 'x');
  if (allowed === vmName && allowed.length + suffix.length <= longest) return allowed + suffix;
  // Cut or changed names could collide; six digits of a hash of the whole name keep them apart.
  const mark = `-${createHash('sha256').update(vmName.toLowerCase()).digest('hex').slice(0, 6)}`;
  return allowed.slice(0, longest - suffix.length - mark.length) + mark + suffix;
}

/** IDs under which the parts of a deployment are looked up, whether or not they are to be made. */
export function resourceIds(subscriptionId: string, resourceGroup: string, names: ResourceNames) {
  const id = (type: string, name: string): string => resourceId(subscriptionId, resourceGroup, type, name);
  return {
    vm: id('Microsoft.Compute/virtualMachines', names.vm),
    nsg: id('Microsoft.Network/networkSecurityGroups', names.nsg),
    vnet: id('Microsoft.Network/virtualNetworks', names.vnet),
    publicIp: id('Microsoft.Network/publicIPAddresses', names.publicIp),
    nic: id('Microsoft.Network/networkInterfaces', names.nic),
    osDisk: id('Microsoft.Compute/disks', names.osDisk),
  } as const;
}

export type ResourceIds = ReturnType<typeof resourceIds>;
