import { apiVersions } from '../azure/api-versions.ts';
import type { Session } from '../azure/arm-client.ts';
import { type Result, settle, undefinedIfNotFound } from '../azure/lookup.ts';
import type { ResourceId } from '../azure/resource-id.ts';
import type { DeployInputs } from '../inputs/inputs.ts';
import { omitUndefined } from '../lib/json.ts';
import type { ReferencedProperties, ReferencedResource } from './facts.ts';

/** Reads the resources that the inputs name by ID. */
export function collectReferenced(session: Session, inputs: DeployInputs): Promise<ReferencedResource[]> {
  return Promise.all(referencedIds(inputs).map((reference) => readReferenced(session, reference)));
}

type ReferencedId = Pick<ReferencedResource, 'kind'> & { readonly id: ResourceId };

function referencedIds({ network, identity }: DeployInputs): ReferencedId[] {
  const identities = identity.given.map((id): ReferencedId => ({ kind: 'identity', id }));
  if (network.kind === 'given-nic') return [{ kind: 'network interface', id: network.nicId }, ...identities];
  const { subnet, nsg, publicIp } = network;
  return [
    ...(subnet.kind === 'given' ? [{ kind: 'subnet', id: subnet.id } as const] : []),
    ...(nsg.kind === 'given' ? [{ kind: 'network security group', id: nsg.id } as const] : []),
    ...(publicIp.kind === 'given' ? [{ kind: 'public IP', id: publicIp.id } as const] : []),
    ...identities,
  ];
}

async function readReferenced(session: Session, { kind, id }: ReferencedId): Promise<ReferencedResource> {
  const found = await settle(() =>
    kind === 'subnet'
      ? readReferencedSubnet(session, id)
      : undefinedIfNotFound(readReferencedResource(session, kind, id.id)),
  );
  return { kind, id: id.id, found };
}

interface ReferencedBody {
  readonly location?: string;
  readonly zones?: readonly string[];
  readonly properties?: {
    readonly virtualMachine?: { readonly id: string };
    readonly ipConfiguration?: { readonly id: string };
    readonly subnets?: readonly SubnetBody[];
  };
}

interface SubnetBody {
  readonly name: string;
  readonly properties?: {
    readonly addressPrefix?: string;
    readonly addressPrefixes?: readonly string[];
    readonly ipConfigurations?: readonly unknown[];
  };
}

async function readReferencedResource(
  { arm }: Session,
  kind: ReferencedResource['kind'],
  id: string,
): Promise<ReferencedProperties> {
  const api = apiVersions[kind === 'identity' ? 'identities' : 'network'];
  const { location, zones, properties } = await arm<ReferencedBody>('GET', id, api);
  return omitUndefined({
    location,
    zones,
    usedBy: properties?.virtualMachine?.id ?? properties?.ipConfiguration?.id,
  });
}

/** Only the virtual network has a region. An app that may join the subnet may not be able to read the network. */
async function readReferencedSubnet(
  { arm }: Session,
  { id, name }: ResourceId,
): Promise<ReferencedProperties | undefined> {
  const vnet = await settle(() => undefinedIfNotFound(arm<ReferencedBody>('GET', vnetIdOf(id), apiVersions.network)));
  if ('value' in vnet) {
    const found = vnet.value?.properties?.subnets?.find((subnet) => subnet.name.toLowerCase() === name.toLowerCase());
    return found && omitUndefined({ location: vnet.value?.location, ...addressesOf(found) });
  }
  const subnet = await settle(() => undefinedIfNotFound(arm<SubnetBody>('GET', id, apiVersions.network)));
  if ('error' in subnet) throw vnet.error;
  return subnet.value && addressesOf(subnet.value);
}

function vnetIdOf(subnetId: string): string {
  return subnetId.replace(/\/subnets\/[^/]+$/i, '');
}

function addressesOf({ properties = {} }: SubnetBody): ReferencedProperties {
  const { addressPrefix, addressPrefixes = [], ipConfigurations = [] } = properties;
  const prefixes = [...(addressPrefix ? [addressPrefix] : []), ...addressPrefixes];
  return { prefixes, usedAddresses: ipConfigurations.length };
}

/** https://learn.microsoft.com/rest/api/virtualnetwork/virtual-networks/check-ip-address-availability */
export function readAddressAvailability(
  { arm }: Session,
  { network }: DeployInputs,
): Promise<Result<boolean>> | undefined {
  if (network.kind !== 'new-nic' || network.subnet.kind !== 'given' || !network.privateIpAddress) return undefined;
  const path = `${vnetIdOf(network.subnet.id.id)}/CheckIPAddressAvailability`;
  const query = { ipAddress: network.privateIpAddress };
  return settle(async () => {
    const { available } = await arm<{ available?: boolean }>('GET', path, apiVersions.network, { query });
    return available === true;
  });
}
