import type { NetworkInterface, NetworkSecurityGroup, PublicIPAddress, VirtualNetwork } from '@azure/arm-network';
import type { ResourceId } from '../azure/resource-id.ts';
import {
  type Common,
  type PlannedNetwork,
  type ResourceIds,
  type ResourceNames,
  type ResourcePlan,
  subnetName,
} from '../deployment/resources.ts';
import type { DeployInputs, InboundRule, NetworkChoice } from '../inputs/inputs.ts';
import { isPatched } from '../inputs/overrides.ts';

export function planNetwork(
  { network, overrides }: DeployInputs,
  names: ResourceNames,
  ids: ResourceIds,
  common: Common,
): PlannedNetwork {
  if (network.kind === 'given-nic') return { nic: { origin: 'given', ...network.nicId }, notices: [] };
  const made = <Body extends object>(part: 'nsg' | 'vnet' | 'publicIp' | 'nic', body: Body) =>
    ({ origin: 'made', id: ids[part], name: names[part], body: { ...common, ...body } }) as const;
  const given = (id: ResourceId) => ({ origin: 'given', ...id }) as const;
  const { subnet, nsg: nsgChoice, publicIp: ipChoice } = network;
  const nsg: ResourcePlan<NetworkSecurityGroup> =
    nsgChoice.kind === 'given'
      ? given(nsgChoice.id)
      : made('nsg', { securityRules: nsgChoice.inbound.map(securityRule) });
  const publicIp: ResourcePlan<PublicIPAddress> | undefined =
    ipChoice.kind === 'none'
      ? undefined
      : ipChoice.kind === 'given'
        ? given(ipChoice.id)
        : made('publicIp', publicIpProperties(ipChoice.dnsLabel));
  const vnet = subnet.kind === 'new' ? made('vnet', vnetProperties(ipChoice, subnet, nsg.id)) : undefined;
  const subnetId = subnet.kind === 'new' ? `${ids.vnet}/subnets/${subnetName}` : subnet.id.id;
  const isOutboundDefault = vnet && ipChoice.kind === 'none' && !isPatched(overrides.vnet, 'properties.subnets');
  return {
    nsg,
    vnet,
    subnetId,
    publicIp,
    nic: made('nic', nicProperties(network, nsg.id, subnetId, publicIp)),
    notices: isOutboundDefault
      ? [
          'The VM has no public IP, so the new subnet keeps default outbound access: without it, the guest could not ' +
            'download anything. To use a NAT gateway or firewall instead, turn it off with `overrides`.',
        ]
      : [],
  };
}

type NewNicChoice = Extract<NetworkChoice, { kind: 'new-nic' }>;

function vnetProperties(
  publicIp: NewNicChoice['publicIp'],
  { addressPrefix, subnetPrefix }: Extract<NewNicChoice['subnet'], { kind: 'new' }>,
  nsgId: string,
): VirtualNetwork {
  // Set explicitly: the default changed to "off" with api-version 2025-07-01 of Microsoft.Network.
  const defaultOutboundAccess = publicIp.kind === 'none';
  return {
    addressSpace: { addressPrefixes: [addressPrefix] },
    // On the subnet and on the NIC: policies may require either.
    subnets: [
      { name: subnetName, addressPrefix: subnetPrefix, networkSecurityGroup: { id: nsgId }, defaultOutboundAccess },
    ],
  };
}

function publicIpProperties(domainNameLabel: string | undefined): PublicIPAddress {
  return {
    // Basic was retired on 2025-09-30. Without zones it is zone-redundant and fits a VM in any zone.
    sku: { name: 'Standard' },
    publicIPAllocationMethod: 'Static',
    publicIPAddressVersion: 'IPv4',
    idleTimeoutInMinutes: 4,
    dnsSettings: domainNameLabel ? { domainNameLabel } : undefined,
  };
}

function nicProperties(
  { acceleratedNetworking, privateIpAddress }: NewNicChoice,
  nsgId: string,
  subnetId: string,
  publicIp: ResourcePlan<PublicIPAddress> | undefined,
): NetworkInterface {
  // An address given by ID outlives the VM; ours is deleted with the network interface.
  const publicIPAddress = publicIp && {
    id: publicIp.id,
    deleteOption: publicIp.origin === 'made' ? 'Delete' : 'Detach',
  };
  return {
    networkSecurityGroup: { id: nsgId },
    enableAcceleratedNetworking: acceleratedNetworking,
    ipConfigurations: [
      {
        name: 'ipconfig1',
        primary: true,
        privateIPAddressVersion: 'IPv4',
        privateIPAllocationMethod: privateIpAddress ? 'Static' : 'Dynamic',
        privateIPAddress: privateIpAddress,
        subnet: { id: subnetId },
        publicIPAddress,
      },
    ],
  };
}

/** Azure allows priorities 100 to 4096. Starting at 1000 in steps of ten leaves room for rules of others. */
function securityRule(rule: InboundRule, index: number, { length }: readonly InboundRule[]) {
  const ports = rule.fromPort === rule.toPort ? `${rule.fromPort}` : `${rule.fromPort}-${rule.toPort}`;
  const anyPort = rule.fromPort === 0 && rule.toPort === 65535;
  const priority = 1000 + index * (length > 300 ? 3 : 10);
  return {
    name: `allow-${anyPort ? 'any' : ports}-${rule.protocol === '*' ? 'any' : rule.protocol.toLowerCase()}-${priority}`,
    priority,
    direction: 'Inbound',
    access: 'Allow',
    protocol: rule.protocol,
    sourceAddressPrefix: rule.source,
    sourcePortRange: '*',
    destinationAddressPrefix: '*',
    destinationPortRange: anyPort ? '*' : ports,
  };
}

/** Whether a rule has a name that `securityRule` generates. Rules with other names were added by others. */
export function isGeneratedRule({ name }: { readonly name?: string }): boolean {
  return /^allow-(any|\d+(-\d+)?)-(any|tcp|udp)-[1-4]\d{3}$/i.test(name ?? '');
}

const adminPorts = { SSH: 22, RDP: 3389 };

const anySource = new Set(['*', '0.0.0.0/0', '::/0', 'internet', 'any']);

export function openPortWarnings({ network }: DeployInputs): string[] {
  if (network.kind === 'given-nic' || network.nsg.kind === 'given') return [];
  const open = network.nsg.inbound.filter(
    ({ protocol, source }) => protocol !== 'Udp' && anySource.has(source.toLowerCase()),
  );
  return open.flatMap(({ fromPort, toPort }) => {
    const ports = Object.entries(adminPorts).filter(([, port]) => fromPort <= port && port <= toPort);
    return ports.map(
      ([name, port]) =>
        `\`allow-inbound\` opens port ${port} (${name}) to the whole internet. Allow only the addresses that need it, e.g. \`${port} from 203.0.113.0/24\`.`,
    );
  });
}
