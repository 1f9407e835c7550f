/** Schemas of the Network API (api-version 2026-01-01, from the SDK's serializers). */
import type { ObjectSchema } from '../../http/body-schema.ts';

const reference: ObjectSchema = {
  type: 'SubResource',
  members: { id: 'string' },
};

/** An edge zone; stored but otherwise not modelled. */
const extendedLocation: ObjectSchema = {
  type: 'ExtendedLocation',
  members: { name: 'string', type: 'string' },
};

const top = {
  id: 'readonly',
  name: 'readonly',
  type: 'readonly',
  etag: 'readonly',
  location: 'string',
  tags: 'any',
} as const;

const child = { id: 'readonly', name: 'string', type: 'readonly', etag: 'readonly' } as const;

export const securityRuleSchema: ObjectSchema = {
  type: 'SecurityRule',
  members: {
    ...child,
    properties: {
      type: 'SecurityRulePropertiesFormat',
      members: {
        description: 'string',
        protocol: 'string',
        sourcePortRange: 'string',
        destinationPortRange: 'string',
        sourceAddressPrefix: 'string',
        sourceAddressPrefixes: ['string'],
        sourceApplicationSecurityGroups: 'unmodelled',
        destinationAddressPrefix: 'string',
        destinationAddressPrefixes: ['string'],
        destinationApplicationSecurityGroups: 'unmodelled',
        sourcePortRanges: ['string'],
        destinationPortRanges: ['string'],
        access: 'string',
        priority: 'integer',
        direction: 'string',
        provisioningState: 'readonly',
      },
    },
  },
};

export const securityGroupSchema: ObjectSchema = {
  type: 'NetworkSecurityGroup',
  members: {
    ...top,
    properties: {
      type: 'NetworkSecurityGroupPropertiesFormat',
      members: {
        flushConnection: 'unmodelled',
        securityRules: [securityRuleSchema],
        defaultSecurityRules: 'readonly',
        networkInterfaces: 'readonly',
        subnets: 'readonly',
        flowLogs: 'readonly',
        resourceGuid: 'readonly',
        provisioningState: 'readonly',
      },
    },
  },
};

export const subnetSchema: ObjectSchema = {
  type: 'Subnet',
  members: {
    ...child,
    properties: {
      type: 'SubnetPropertiesFormat',
      members: {
        addressPrefix: 'string',
        addressPrefixes: ['string'],
        networkSecurityGroup: reference,
        routeTable: 'unmodelled',
        natGateway: 'unmodelled',
        serviceEndpoints: 'unmodelled',
        serviceEndpointPolicies: 'unmodelled',
        ipAllocations: 'unmodelled',
        delegations: 'unmodelled',
        privateEndpointNetworkPolicies: 'string',
        privateLinkServiceNetworkPolicies: 'string',
        applicationGatewayIPConfigurations: 'unmodelled',
        sharingScope: 'unmodelled',
        defaultOutboundAccess: 'boolean',
        ipamPoolPrefixAllocations: 'unmodelled',
        serviceGateway: 'unmodelled',
        privateEndpoints: 'readonly',
        ipConfigurations: 'readonly',
        ipConfigurationProfiles: 'readonly',
        resourceNavigationLinks: 'readonly',
        serviceAssociationLinks: 'readonly',
        purpose: 'readonly',
        provisioningState: 'readonly',
      },
    },
  },
};

export const virtualNetworkSchema: ObjectSchema = {
  type: 'VirtualNetwork',
  members: {
    ...top,
    extendedLocation,
    properties: {
      type: 'VirtualNetworkPropertiesFormat',
      members: {
        addressSpace: {
          type: 'AddressSpace',
          members: { addressPrefixes: ['string'], ipamPoolPrefixAllocations: 'unmodelled' },
        },
        dhcpOptions: { type: 'DhcpOptions', members: { dnsServers: ['string'] } },
        flowTimeoutInMinutes: 'unmodelled',
        subnets: [subnetSchema],
        virtualNetworkPeerings: 'unmodelled',
        enableDdosProtection: 'boolean',
        enableVmProtection: 'boolean',
        ddosProtectionPlan: 'unmodelled',
        bgpCommunities: 'unmodelled',
        encryption: 'unmodelled',
        ipAllocations: 'unmodelled',
        privateEndpointVNetPolicies: 'string',
        summarizedGatewayPrefixes: 'unmodelled',
        resourceGuid: 'readonly',
        provisioningState: 'readonly',
        flowLogs: 'readonly',
        defaultPublicNatGateway: 'readonly',
      },
    },
  },
};

export const publicIpSchema: ObjectSchema = {
  type: 'PublicIpAddress',
  members: {
    ...top,
    extendedLocation,
    sku: { type: 'PublicIpAddressSku', members: { name: 'string', tier: 'string' } },
    zones: ['string'],
    properties: {
      type: 'PublicIpAddressPropertiesFormat',
      members: {
        publicIPAllocationMethod: 'string',
        publicIPAddressVersion: 'string',
        dnsSettings: {
          type: 'PublicIpAddressDnsSettings',
          members: {
            domainNameLabel: 'string',
            domainNameLabelScope: 'unmodelled',
            fqdn: 'readonly',
            reverseFqdn: 'unmodelled',
          },
        },
        ddosSettings: {
          type: 'DdosSettings',
          members: {
            protectionMode: 'string',
            ddosCustomPolicy: 'unmodelled',
            ddosProtectionPlan: 'unmodelled',
          },
        },
        ipTags: 'unmodelled',
        ipAddress: 'readonly',
        publicIPPrefix: 'unmodelled',
        idleTimeoutInMinutes: 'integer',
        servicePublicIPAddress: 'unmodelled',
        natGateway: 'unmodelled',
        migrationPhase: 'unmodelled',
        linkedPublicIPAddress: 'unmodelled',
        deleteOption: { oneOf: ['Delete', 'Detach'] },
        ipConfiguration: 'readonly',
        resourceGuid: 'readonly',
        provisioningState: 'readonly',
      },
    },
  },
};

const ipConfigurationSchema: ObjectSchema = {
  type: 'NetworkInterfaceIpConfiguration',
  members: {
    ...child,
    properties: {
      type: 'NetworkInterfaceIpConfigurationPropertiesFormat',
      members: {
        gatewayLoadBalancer: 'unmodelled',
        virtualNetworkTaps: 'unmodelled',
        applicationGatewayBackendAddressPools: 'unmodelled',
        loadBalancerBackendAddressPools: 'unmodelled',
        loadBalancerInboundNatRules: 'unmodelled',
        privateIPAddress: 'string',
        privateIPAddressPrefixLength: 'unmodelled',
        privateIPAllocationMethod: 'string',
        privateIPAddressVersion: 'string',
        subnet: { type: 'Subnet', members: { ...subnetSchema.members, id: 'string' } },
        primary: 'boolean',
        publicIPAddress: { type: 'PublicIpAddress', members: { ...publicIpSchema.members, id: 'string' } },
        applicationSecurityGroups: [
          { type: 'ApplicationSecurityGroup', members: { ...top, id: 'string', properties: 'any' } },
        ],
        provisioningState: 'readonly',
        privateLinkConnectionProperties: 'readonly',
      },
    },
  },
};

export const interfaceSchema: ObjectSchema = {
  type: 'NetworkInterface',
  members: {
    ...top,
    kind: 'readonly',
    extendedLocation,
    properties: {
      type: 'NetworkInterfacePropertiesFormat',
      members: {
        networkSecurityGroup: {
          type: 'NetworkSecurityGroup',
          members: { ...securityGroupSchema.members, id: 'string' },
        },
        ipConfigurations: [ipConfigurationSchema],
        dnsSettings: {
          type: 'NetworkInterfaceDnsSettings',
          members: {
            dnsServers: ['string'],
            internalDnsNameLabel: 'string',
            appliedDnsServers: 'readonly',
            internalFqdn: 'readonly',
            internalDomainNameSuffix: 'readonly',
          },
        },
        enableAcceleratedNetworking: 'boolean',
        disableTcpStateTracking: 'boolean',
        enableIPForwarding: 'boolean',
        workloadType: 'unmodelled',
        nicType: 'string',
        privateLinkService: 'unmodelled',
        migrationPhase: 'unmodelled',
        auxiliaryMode: 'string',
        auxiliarySku: 'string',
        virtualMachine: 'readonly',
        privateEndpoint: 'readonly',
        tapConfigurations: 'readonly',
        macAddress: 'readonly',
        primary: 'readonly',
        vnetEncryptionSupported: 'readonly',
        defaultOutboundConnectivityEnabled: 'readonly',
        hostedWorkloads: 'readonly',
        dscpConfiguration: 'readonly',
        allowPort25Out: 'readonly',
        resourceGuid: 'readonly',
        provisioningState: 'readonly',
      },
    },
  },
};

export const tagsSchema: ObjectSchema = { type: 'TagsObject', members: { tags: 'any' } };
