import type { NetworkSecurityGroup, PublicIPAddress, VirtualNetwork } from '@azure/arm-network';
import { type ResourceIds, type ResourceNames, subnetName } from '../deployment/resources.ts';
import type { Common, PlannedNetwork, PlannedResource, ResourcePlan } from '../deployment/plan.ts';
import type { DeployInputs, InboundRule } from '../inputs/inputs.ts';
import { isPatched } from '../inputs/overrides.ts';

export function planNetwork(
  { network, overrides }: DeployInputs,
  names: ResourceNames,
  ids: ResourceIds,
  common: Common,
): PlannedNetwork {
  if (network.kind === 'given-nic') return { nic: { origin: 'given', id: network.nicId.id }, notices: [] };
  const notices: string[] = [];
  const publicIp = network.publicIp;
  let vnet: PlannedResource<VirtualNetwork> | undefined;
  let subnetId: string;
  if (network.subnet.kind === 'given') {
    subnetId = network.subnet.id.id;
  } else {
    subnetId = `${ids.vnet}/subnets/${subnetName}`;
    // From Network's api-version 2025-07-01 on, a subnet that says nothing has no way out; older ones had one. So it is said.
    const defaultOutboundAccess = publicIp.kind === 'none';
    const saidByOverrides = isPatched(overrides.vnet, 'properties.subnets');
    if (defaultOutboundAccess && !saidByOverrides) {
      notices.push(
        'The machine gets no public IP, so the new subnet keeps default outbound access on: without it nothing could ' +
          'be downloaded from inside. To use a NAT gateway or firewall instead, switch it off with `overrides`.',
      );
    }
    vnet = {
      id: ids.vnet,
      name: names.vnet,
      body: {
        ...common,
        addressSpace: { addressPrefixes: [network.subnet.addressPrefix] },
        subnets: [{ name: subnetName, addressPrefix: network.subnet.subnetPrefix, defaultOutboundAccess }],
      },
    };
  }
  const nsg: ResourcePlan<NetworkSecurityGroup> =
    network.nsg.kind === 'given'
      ? { origin: 'given', id: network.nsg.id.id }
      : {
          origin: 'made',
          id: ids.nsg,
          name: names.nsg,
          body: { ...common, securityRules: network.nsg.inbound.map(securityRule) },
        };
  const ip: ResourcePlan<PublicIPAddress> | undefined =
    publicIp.kind === 'none'
      ? undefined
      : publicIp.kind === 'given'
        ? { origin: 'given', id: publicIp.id.id }
        : {
            origin: 'made',
            id: ids.publicIp,
            name: names.publicIp,
            body: {
              ...common,
              // Basic is retired since 2025-09-30. No zones: zone-redundant, so it fits a machine in any zone.
              sku: { name: 'Standard' },
              publicIPAllocationMethod: 'Static',
              publicIPAddressVersion: 'IPv4',
              idleTimeoutInMinutes: 4,
              ...(publicIp.dnsLabel ? { dnsSettings: { domainNameLabel: publicIp.dnsLabel } } : {}),
            },
          };
  return {
    nsg,
    ...(vnet ? { vnet } : {}),
    subnetId,
    ...(ip ? { publicIp: ip } : {}),
    nic: {
      origin: 'made',
      id: ids.nic,
      name: names.nic,
      body: {
        ...common,
        networkSecurityGroup: { id: nsg.id },
        enableAcceleratedNetworking: network.acceleratedNetworking,
        ipConfigurations: [
          {
            name: 'ipconfig1',
            primary: true,
            privateIPAddressVersion: 'IPv4',
            ...(network.privateIpAddress
              ? { privateIPAllocationMethod: 'Static', privateIPAddress: network.privateIpAddress }
              : { privateIPAllocationMethod: 'Dynamic' }),
            subnet: { id: subnetId },
            // An address that was given by ID outlives the machine; ours goes along with the interface.
            ...(ip
              ? { publicIPAddress: { id: ip.id, deleteOption: ip.origin === 'made' ? 'Delete' : 'Detach' } }
              : {}),
          },
        ],
      },
    },
    notices,
  };
}

/**
 * Azure takes priorities 100 to 4096, and 1000 rules; from 1000 on in steps of ten there is room for others before and
 * between.
 */
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

/** Whether `securityRule` could have given that name. Rules of others in our group are theirs. */
export function isGeneratedRule({ name }: { readonly name?: string }): boolean {
  return /^allow-(any|\d+(-\d+)?)-(any|tcp|udp)-[1-4]\d{3}$/i.test(name ?? '');
}

const adminPorts = [
  [22, 'SSH'],
  [3389, 'RDP'],
] as const;

const anySource = new Set(['*', '0.0.0.0/0', '::/0', 'internet', 'any']);

export function openPortWarnings({ network }: DeployInputs): string[] {
  if (network.kind === 'given-nic' || network.nsg.kind === 'given') return [];
  return network.nsg.inbound
    .filter((rule) => rule.protocol !== 'Udp' && anySource.has(rule.source.toLowerCase()))
    .flatMap((rule) =>
      adminPorts
        .filter(([port]) => rule.fromPort <= port && port <= rule.toPort)
        .map(
          ([port, name]) =>
            `\`allow-inbound\` opens port ${port} (${name}) to the whole internet. Name the addresses that need it instead, e.g. \`${port} from 203.0.113.0/24\`.`,
        ),
    );
}
