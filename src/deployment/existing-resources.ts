import type { VirtualMachine } from '@azure/arm-compute';
import type {
  NetworkInterface,
  NetworkSecurityGroup,
  PublicIPAddress,
  VirtualNetwork,
} from '@azure/arm-network';
import { undefinedIfNotFound } from '../azure/lookup.ts';
import type { Session } from '../azure/arm-client.ts';
import type { DeployInputs } from '../inputs/inputs.ts';
import type { ResourceNames } from './names.ts';

/** What exists under the names of a deployment. Undefined: nothing, or not looked for because it will not be made. */
export interface ExistingResources {
  readonly vm?: VirtualMachine;
  readonly nsg?: NetworkSecurityGroup;
  readonly vnet?: VirtualNetwork;
  readonly publicIp?: PublicIPAddress;
  readonly nic?: NetworkInterface;
}

/** One look-up for each part that the deployment would make. */
type ExistingResourceQueries = {
  readonly [Part in keyof ExistingResources]?: () => Promise<ExistingResources[Part]>;
};

/** What `survey` asks, part by part. */
export function existingResourceQueries(
  { compute, network }: Pick<Session, 'compute' | 'network'>,
  { resourceGroup, network: choice }: Pick<DeployInputs, 'resourceGroup' | 'network'>,
  names: ResourceNames,
): ExistingResourceQueries {
  const at = [resourceGroup] as const;
  const makes = choice.kind === 'new-nic' ? choice : undefined;
  return {
    vm: () => undefinedIfNotFound(compute.virtualMachines.get(...at, names.vm)),
    ...(makes?.nsg.kind === 'new'
      ? { nsg: () => undefinedIfNotFound(network.networkSecurityGroups.get(...at, names.nsg)) }
      : {}),
    ...(makes?.subnet.kind === 'new'
      ? { vnet: () => undefinedIfNotFound(network.virtualNetworks.get(...at, names.vnet)) }
      : {}),
    ...(makes?.publicIp.kind === 'new'
      ? { publicIp: () => undefinedIfNotFound(network.publicIPAddresses.get(...at, names.publicIp)) }
      : {}),
    ...(makes ? { nic: () => undefinedIfNotFound(network.networkInterfaces.get(...at, names.nic)) } : {}),
  };
}

/** Looks up, side by side, everything that a deployment of these names would make. Sends no write. */
export async function findExistingResources(
  ...about: Parameters<typeof existingResourceQueries>
): Promise<ExistingResources> {
  const found = await Promise.all(
    Object.entries(existingResourceQueries(...about)).map(
      async ([part, lookUp]) => [part, await lookUp()] as const,
    ),
  );
  return Object.fromEntries(found.filter(([, resource]) => resource !== undefined));
}
