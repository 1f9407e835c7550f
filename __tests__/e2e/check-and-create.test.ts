import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { defaults, principals, type Simulator, startSimulator, type World } from '../../simulator/index.ts';
import { addDefinition, addVersion } from '../../simulator/providers/compute/galleries.ts';
import { settings } from '../../simulator/providers/compute/settings.ts';
import { networkSettings } from '../../simulator/providers/network/usages.ts';
import { addRegistry } from '../../simulator/providers/registry.ts';
import { policyAssignments } from '../../simulator/world/policies.ts';
import type { Finding } from '../../src/check/facts.ts';
import { catalogue } from '../../src/error-catalog/explain.ts';
import { defaultInputs, runAction } from '../support/harness.ts';
import { addStranger } from '../support/lifecycle.ts';

const subscription = `/subscriptions/${defaults.subscriptionId}`;
const group = `${subscription}/resourceGroups/${defaults.resourceGroup}`;
const networkGroup = `${subscription}/resourceGroups/network-rg`;
const subnetId = `${networkGroup}/providers/Microsoft.Network/virtualNetworks/hub/subnets/apps`;
const registryId = `${networkGroup}/providers/Microsoft.ContainerRegistry/registries/pictures`;

const gallery = defaults.imageId('x').replace(/\/images\/x$/, '');

interface Scenario {
  readonly name: string;
  /** Code of Azure's refusal; `none` if the action refuses it; left out if create succeeds. */
  readonly refusal?: string;
  /** The entries of the catalogue that explain the refusal, separated by commas. */
  readonly entry?: string;
  readonly world?: (world: World) => void;
  readonly inputs?: Readonly<Record<string, string>>;
  readonly fault?: Parameters<Simulator['faults']['add']>[0];
  /** Inputs of a run before, which leaves a deployment. */
  readonly earlier?: Readonly<Record<string, string>>;
  /** The finding that predicts the refusal; `skipped` if the app may not read what decides, `not predicted` if nothing does. */
  readonly finding?: string;
  /** Without permission to read the subscription. */
  readonly groupOnly?: true;
}

function addExisting(world: World, id: string, properties: object): void {
  const [, type = '', name = ''] = /\/providers\/([^/]+\/[^/]+)\/([^/]+)$/.exec(id) ?? [];
  world.resources.put({ id, type, body: { id, name, type, location: defaults.location, properties } });
}

/** Replaces Contributor by a role that lacks one action. */
function revokeAction(world: World, action: string): void {
  world.revoke(defaults.clientId, group);
  const { actions, notActions } = world.role('Contributor') ?? { actions: [], notActions: [] };
  world.addRole({
    id: '11111111-2222-4333-8444-555555555555',
    name: 'Almost Contributor',
    custom: true,
    actions,
    notActions: [...notActions, action],
  });
  world.grant(defaults.clientId, 'Almost Contributor', group);
}

/** An assignment of a policy on the resource group whose effect is deny. */
function deny(denies: (resource: any) => boolean) {
  return (world: World): void => {
    policyAssignments(world).push({ name: 'p1', displayName: 'Policy 1', scope: group, denies });
  };
}

function addHub(world: World, role?: string): void {
  world.addGroup(defaults.subscriptionId, 'network-rg', defaults.location);
  const id = `${networkGroup}/providers/Microsoft.Network/virtualNetworks/hub`;
  const properties = { provisioningState: 'Succeeded', addressPrefix: '10.1.0.0/29' };
  addExisting(world, id, {
    provisioningState: 'Succeeded',
    addressSpace: { addressPrefixes: ['10.1.0.0/16'] },
    subnets: [{ name: 'apps', id: `${id}/subnets/apps`, properties }],
  });
  if (role) world.grant(defaults.clientId, role, networkGroup);
}

const front = `${networkGroup}/providers/Microsoft.Network/publicIPAddresses/front`;

const useNic = (world: World, name: string, address: string, more: object = {}): void => {
  addExisting(world, `${networkGroup}/providers/Microsoft.Network/networkInterfaces/${name}`, {
    provisioningState: 'Succeeded',
    ipConfigurations: [
      {
        name: 'primary',
        id: `${networkGroup}/providers/Microsoft.Network/networkInterfaces/${name}/ipConfigurations/primary`,
        properties: {
          provisioningState: 'Succeeded',
          privateIPAddress: address,
          privateIPAllocationMethod: 'Dynamic',
          subnet: { id: subnetId },
          primary: true,
          ...more,
        },
      },
    ],
  });
};

const fullCoreQuota = (world: World): void => {
  settings(world).quota['cores'] = { limit: 10, used: 10 };
};

const scenarios: readonly Scenario[] = [
  { name: 'everything in order' },
  { name: 'permissions on the group only', groupOnly: true },
  {
    name: 'an auxiliary tenant without consent',
    refusal: 'AADSTS700016',
    inputs: { 'auxiliary-tenant-ids': defaults.otherTenantId },
    entry: 'app-not-in-tenant',
    finding: `sign-in/auxiliary/${defaults.otherTenantId}`,
  },
  {
    name: 'an image tenant without consent',
    refusal: 'AADSTS700016',
    world: (world) => world.uninstallApp(defaults.clientId, defaults.imageTenantId),
    finding: 'sign-in/image-tenant',
  },
  {
    name: 'no role at all',
    refusal: 'AuthorizationFailed',
    world: (world) => {
      world.revoke(defaults.clientId, group);
      world.revoke(defaults.clientId, subscription);
    },
    entry: 'group-denied',
    finding: 'resource-group',
  },
  {
    name: 'a missing permission on the group',
    refusal: 'AuthorizationFailed',
    world: (world) => revokeAction(world, 'Microsoft.Network/publicIPAddresses/write'),
    entry: 'denied',
    finding: 'rights/resource-group',
  },
  {
    name: 'an unregistered resource provider',
    refusal: 'MissingSubscriptionRegistration',
    world: (world) => world.subscriptions.get(defaults.subscriptionId)?.providers.delete('microsoft.managedidentity'),
    inputs: { identity: 'puller' },
    entry: 'provider-not-registered',
    finding: 'provider/Microsoft.ManagedIdentity',
  },
  {
    name: 'an image version that does not exist',
    refusal: 'NotFound',
    inputs: { 'image-id': defaults.imageId('linux', '9.9.9') },
    entry: 'image-not-found',
    finding: 'image',
  },
  {
    name: 'an image version that is not replicated',
    refusal: 'GalleryImageNotFound',
    world: (world) => addVersion(world, defaults.imageId('linux'), '3.0.0', { regions: ['North Europe'] }),
    inputs: { 'image-id': defaults.imageId('linux', '3.0.0') },
    entry: 'image-not-in-region',
    finding: 'image',
  },
  {
    name: 'Marketplace terms that are not accepted',
    refusal: 'MarketplacePurchaseEligibilityFailed',
    inputs: { 'image-id': defaults.imageId('linux-plan') },
    entry: 'terms-not-accepted,marketplace-not-eligible',
    finding: 'terms',
  },
  {
    name: 'a subnet that the app may not join',
    refusal: 'LinkedAuthorizationFailed',
    world: (world) => addHub(world),
    inputs: { 'subnet-id': subnetId },
    entry: 'linked-scope-denied',
    finding: 'rights/subnet',
  },
  {
    name: 'a subnet that does not exist',
    refusal: 'InvalidResourceReference',
    world: (world) => addHub(world, 'Network Contributor'),
    inputs: { 'subnet-id': subnetId.replace('apps', 'none') },
    entry: 'reference-not-found',
    finding: 'given/subnet',
  },
  {
    name: 'a private address that is in use',
    refusal: 'PrivateIPAddressInUse',
    world: (world) => {
      addHub(world, 'Network Contributor');
      useNic(world, 'other', '10.1.0.5');
    },
    inputs: { 'subnet-id': subnetId, 'private-ip-address': '10.1.0.5' },
    entry: 'private-ip-taken',
    finding: 'private-ip-address',
  },
  {
    name: 'a private address outside the subnet',
    refusal: 'PrivateIPAddressNotInSubnet',
    world: (world) => addHub(world, 'Network Contributor'),
    inputs: { 'subnet-id': subnetId, 'private-ip-address': '10.2.0.5' },
    entry: 'private-ip-outside',
    finding: 'given/subnet',
  },
  {
    name: 'a private address that Azure reserves',
    refusal: 'PrivateIPAddressInReservedRange',
    world: (world) => addHub(world, 'Network Contributor'),
    inputs: { 'subnet-id': subnetId, 'private-ip-address': '10.1.0.2' },
    finding: 'given/subnet',
  },
  {
    name: 'a subnet without a free address',
    refusal: 'SubnetIsFull',
    world: (world) => {
      addHub(world, 'Network Contributor');
      for (const last of [4, 5, 6]) useNic(world, `other${last}`, `10.1.0.${last}`);
    },
    inputs: { 'subnet-id': subnetId },
    entry: 'subnet-full',
    finding: 'given/subnet',
  },
  {
    name: 'a role that the app may not grant',
    refusal: 'AuthorizationFailed',
    world: (world) => {
      addHub(world, 'Reader');
      addRegistry(world, { subscription: defaults.subscriptionId, group: 'network-rg', name: 'pictures' });
    },
    inputs: { identity: 'system', 'role-assignments': `AcrPull on ${registryId}` },
    entry: 'role-grant-denied',
    finding: 'role-assignment/1',
  },
  {
    name: 'a name that another resource has',
    refusal: 'none: the action refuses it',
    world: (world) =>
      addExisting(world, `${group}/providers/Microsoft.Network/networkSecurityGroups/vm1-nsg`, {
        securityRules: [],
      }),
    finding: 'name/network-security-group',
  },
  {
    name: 'a size that is restricted',
    refusal: 'SkuNotAvailable',
    world: (world) =>
      settings(world).restrictions.push({
        location: 'westeurope',
        size: 'Standard_D2as_v5',
        reasonCode: 'NotAvailableForSubscription',
      }),
    inputs: { 'vm-size': 'Standard_D2as_v5' },
    entry: 'size-not-available',
    finding: 'size/Standard_D2as_v5',
  },
  {
    name: 'a size of another architecture',
    refusal: 'BadRequest',
    inputs: { 'vm-size': 'Standard_D2ps_v5' },
    entry: 'architecture',
    finding: 'size/Standard_D2ps_v5',
  },
  {
    name: 'a size that does not exist',
    refusal: 'InvalidParameter',
    inputs: { 'vm-size': 'Standard_Z9_v9' },
    entry: 'size-unknown',
    finding: 'size/Standard_Z9_v9',
  },
  {
    name: 'an OS disk that is smaller than that of the image',
    refusal: 'OperationNotAllowed',
    inputs: { 'os-disk-size-gb': '20' },
    entry: 'disk-too-small',
    finding: 'input/os-disk-size-gb',
  },
  {
    name: 'a security type that the image does not allow',
    refusal: 'BadRequest',
    inputs: { 'security-type': 'ConfidentialVM' },
    finding: 'security-type',
  },
  { name: 'a full core quota', refusal: 'QuotaExceeded', world: fullCoreQuota, entry: 'quota', finding: 'quota/cores' },
  {
    name: 'a full core quota that the app may not read',
    refusal: 'QuotaExceeded',
    world: fullCoreQuota,
    groupOnly: true,
    finding: 'skipped',
  },
  {
    name: 'a full public IP quota',
    refusal: 'PublicIPCountLimitReached',
    world: (world) => {
      networkSettings(world).limits['PublicIPAddresses'] = 0;
    },
    entry: 'public-ip-quota',
    finding: 'quota/public-ip',
  },
  {
    name: 'a DNS label that is taken',
    refusal: 'DnsRecordInUse',
    world: (world) => {
      addHub(world);
      addExisting(world, `${networkGroup}/providers/Microsoft.Network/publicIPAddresses/other`, {
        provisioningState: 'Succeeded',
        publicIPAddressVersion: 'IPv4',
        dnsSettings: { domainNameLabel: 'shop', fqdn: 'shop.westeurope.cloudapp.azure.com' },
      });
    },
    inputs: { 'dns-label': 'shop' },
    entry: 'dns-label-taken',
    finding: 'name/dns-label',
  },
  {
    name: 'a ReadOnly lock',
    refusal: 'ScopeLocked',
    world: (world) => world.addLock(group, 'ReadOnly', 'frozen'),
    entry: 'locked',
    finding: 'locks',
  },
  {
    name: 'a shortage of capacity',
    refusal: 'AllocationFailed',
    world: (world) => settings(world).shortages.push({ code: 'AllocationFailed', at: 'operation' }),
    finding: 'not predicted',
  },
  {
    name: 'a guest that does not start',
    refusal: 'OSProvisioningTimedOut',
    world: (world) =>
      settings(world).provisioning.push({
        failure: { code: 'OSProvisioningTimedOut', message: '' },
        afterSeconds: 30,
      }),
    finding: 'not predicted',
  },
  {
    name: 'a policy that denies public IPs',
    refusal: 'RequestDisallowedByPolicy',
    world: deny(({ type }) => type === 'Microsoft.Network/publicIPAddresses'),
    entry: 'policy',
    finding: 'policy/vm1-ip',
  },
  {
    name: 'a policy that denies the size, which the app may not have evaluated',
    refusal: 'RequestDisallowedByPolicy',
    world: (world) => {
      deny(({ properties }) => properties.hardwareProfile?.vmSize === 'Standard_D2s_v5')(world);
      revokeAction(world, 'Microsoft.PolicyInsights/checkPolicyRestrictions/read');
    },
    groupOnly: true,
    finding: 'skipped',
  },
  {
    name: 'a policy that denies the region',
    refusal: 'RequestDisallowedByPolicy',
    world: deny(({ location }) => location === 'westeurope'),
    finding: 'policy/vm1',
  },
  {
    name: 'a policy that denies subnets without a network security group',
    world: deny(
      ({ type, properties }) =>
        type === 'Microsoft.Network/virtualNetworks' &&
        properties.subnets.some((subnet: any) => !subnet.properties.networkSecurityGroup?.id),
    ),
  },
  {
    name: 'a policy that denies subnets without a network security group, which an override removes',
    refusal: 'RequestDisallowedByPolicy',
    world: deny(
      ({ type, properties }) =>
        type === 'Microsoft.Network/virtualNetworks' &&
        properties.subnets.some((subnet: any) => !subnet.properties.networkSecurityGroup?.id),
    ),
    inputs: {
      overrides: JSON.stringify({
        vnet: { properties: { subnets: [{ name: 'default', properties: { addressPrefix: '192.168.1.0/24' } }] } },
      }),
    },
    finding: 'policy/vm1-vnet',
  },
  {
    name: 'a resource group that is being deleted',
    refusal: 'ResourceGroupBeingDeleted',
    world: (world) => {
      const found = [...world.groups.values()].find(({ name }) => name === defaults.resourceGroup);
      if (found) found.provisioningState = 'Deleting';
    },
    entry: 'group-being-deleted',
    finding: 'resource-group',
  },
  {
    name: 'an existing VM that differs',
    refusal: 'none: the action refuses it',
    earlier: {},
    inputs: { 'vm-size': 'Standard_D4s_v5' },
    entry: 'vm-differs',
    finding: 'rerun',
  },
  {
    name: 'a subscription of another tenant',
    refusal: 'InvalidAuthenticationTokenTenant',
    inputs: { 'subscription-id': defaults.imageSubscriptionId },
    entry: 'token-of-wrong-tenant',
    finding: 'subscription',
  },
  {
    name: 'a token without a service principal',
    refusal: 'InvalidAuthenticationToken',
    fault: {
      match: { host: 'arm', path: /\/subscriptions\//, times: Number.POSITIVE_INFINITY },
      effect: {
        status: 401,
        code: 'InvalidAuthenticationToken',
        message:
          "The received access token is not valid: at least one of the claims 'puid' or 'altsecid' or 'oid' should be present.",
      },
    },
    entry: 'token-without-principal',
    finding: 'subscription',
  },
  {
    name: 'swapped tenants',
    refusal: 'InvalidAuthenticationTokenTenant',
    inputs: { 'tenant-id': defaults.imageTenantId, 'image-tenant-id': defaults.tenantId },
    entry: 'tenants-swapped',
    finding: 'subscription',
  },
  {
    name: 'an image of another tenant than image-tenant-id',
    refusal: 'LinkedAuthorizationFailed',
    inputs: { 'image-tenant-id': defaults.tenantId },
    entry: 'image-tenant-not-linked',
    finding: 'image',
  },
  {
    name: 'an identity of another tenant',
    refusal: 'LinkedAuthorizationFailed',
    inputs: {
      identity: `/subscriptions/${defaults.otherSubscriptionId}/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/puller`,
    },
    entry: 'other-tenant-not-linked',
    finding: 'given/identity/puller',
  },
  {
    name: 'an image that the app may not read',
    refusal: 'AuthorizationFailed',
    world: (world) => world.revoke(principals.image, `/subscriptions/${defaults.imageSubscriptionId}`),
    entry: 'image-denied',
    finding: 'image',
  },
  {
    name: 'a role that does not exist',
    refusal: 'RoleDefinitionDoesNotExist',
    inputs: { identity: 'system', 'role-assignments': `No Such Role on ${group}` },
    entry: 'role-not-found',
    finding: 'role-assignment/1',
  },
  {
    name: 'an identity that does not exist',
    refusal: 'FailedIdentityOperation',
    inputs: { identity: `${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/gone` },
    entry: 'identity-not-found',
    finding: 'given/identity/gone',
  },
  {
    name: 'a resource group that does not exist',
    refusal: 'ResourceGroupNotFound',
    inputs: { 'resource-group': 'absent' },
    entry: 'group-not-found',
    finding: 'resource-group',
  },
  {
    name: 'a deployment in another region',
    refusal: 'InvalidResourceLocation',
    earlier: {},
    inputs: { location: 'northeurope' },
    entry: 'resource-elsewhere',
    finding: 'rerun/network',
  },
  {
    name: 'a subscription that does not exist',
    refusal: 'SubscriptionNotFound',
    inputs: { 'subscription-id': '99999999-0000-4000-8000-000000000009' },
    entry: 'subscription-not-found',
    finding: 'subscription',
  },
  {
    name: 'a disabled subscription',
    refusal: 'ReadOnlyDisabledSubscription',
    world: (world) => {
      const own = world.subscriptions.get(defaults.subscriptionId);
      if (own) own.state = 'Disabled';
    },
    entry: 'subscription-disabled',
    finding: 'subscription',
  },
  {
    name: 'an image definition without versions',
    refusal: 'NotFound',
    world: (world) => addDefinition(world, gallery, 'empty', { osType: 'Linux' }),
    inputs: { 'image-id': defaults.imageId('empty') },
    entry: 'image-no-latest',
    finding: 'image',
  },
  {
    name: 'an image version that is being created',
    refusal: 'Conflict',
    inputs: { 'image-id': defaults.imageId('linux-creating', '1.0.0') },
    entry: 'image-being-created',
    finding: 'image',
  },
  {
    name: 'an image that requires Trusted Launch',
    refusal: 'BadRequest',
    inputs: { 'image-id': defaults.imageId('linux-trusted'), 'security-type': 'Standard' },
    entry: 'image-security-type',
    finding: 'security-type',
  },
  {
    name: 'an image without Trusted Launch',
    refusal: 'BadRequest',
    world: (world) =>
      addVersion(world, addDefinition(world, gallery, 'plain', { osType: 'Linux' }), '1.0.0', {
        regions: ['West Europe'],
      }),
    inputs: { 'image-id': defaults.imageId('plain'), 'security-type': 'TrustedLaunch' },
    entry: 'trusted-launch-image',
    finding: 'security-type',
  },
  {
    name: 'an image of generation 1 with Trusted Launch',
    refusal: 'BadRequest',
    inputs: { 'image-id': defaults.imageId('linux-gen1'), 'security-type': 'TrustedLaunch' },
    entry: 'uefi-on-generation-1',
    finding: 'security-type',
  },
  {
    name: 'a size of another generation',
    refusal: 'BadRequest',
    inputs: { 'vm-size': 'Standard_D1_v2' },
    entry: 'hypervisor-generation',
    finding: 'size/Standard_D1_v2',
  },
  {
    name: 'an existing VM in another zone',
    refusal: 'ResourceAvailabilityZonesCannotBeModified',
    earlier: { zone: '1' },
    inputs: { zone: '2' },
    entry: 'zones-differ',
    finding: 'rerun',
  },
  {
    name: 'a disk that has the name of the OS disk',
    refusal: 'ConflictingUserInput',
    world: (world) => addStranger(world, `${group}/providers/Microsoft.Compute/disks/vm1-osdisk`),
    entry: 'disk-name-taken',
    finding: 'name/disk',
  },
  {
    name: 'more data disks than the size takes',
    refusal: 'OperationNotAllowed',
    inputs: { 'data-disk-sizes-gb': '4,4,4,4,4' },
    entry: 'too-many-data-disks',
    finding: 'size/Standard_D2s_v5',
  },
  {
    name: 'a size for confidential VMs only',
    refusal: 'BadRequest',
    inputs: { 'vm-size': 'Standard_DC2as_v5' },
    entry: 'size-and-security-type',
    finding: 'size/Standard_DC2as_v5',
  },
  {
    name: 'a size with NVMe disks only',
    refusal: 'InvalidParameter',
    inputs: { 'image-id': defaults.imageId('linux-data-disks'), 'vm-size': 'Standard_D2s_v6' },
    entry: 'disk-controller',
    finding: 'size/Standard_D2s_v6',
  },
  {
    name: 'a size without accelerated networking',
    refusal: 'VMSizeIsNotPermittedToEnableAcceleratedNetworking',
    inputs: { 'vm-size': 'Standard_B2s', 'accelerated-networking': 'true' },
    entry: 'accelerated-networking',
    finding: 'size/Standard_B2s',
  },
  {
    name: 'a subscription without encryption at host',
    refusal: 'InvalidParameter',
    inputs: { 'encryption-at-host': 'true' },
    entry: 'encryption-at-host',
    finding: 'encryption-at-host',
  },
  {
    name: 'a zone that does not offer the size',
    refusal: 'InvalidAvailabilityZone',
    inputs: { 'image-id': defaults.imageId('linux-gen1'), 'vm-size': 'Standard_A1_v2', zone: '1' },
    entry: 'zone-not-in-region',
    finding: 'size/Standard_A1_v2',
  },
  {
    name: 'a full Spot quota',
    refusal: 'OperationNotAllowed',
    world: (world) => {
      settings(world).quota['lowPriorityCores'] = { limit: 0 };
    },
    inputs: { spot: 'true' },
    entry: 'spot-quota',
    finding: 'quota/lowPriorityCores',
  },
  {
    name: 'a full Spot quota when Spot is only preferred',
    world: (world) => {
      settings(world).quota['lowPriorityCores'] = { limit: 0 };
    },
    inputs: { spot: 'prefer' },
  },
  {
    name: 'a Spot price above max-price',
    refusal: 'OperationNotAllowed',
    world: (world) => {
      settings(world).spotPrices['Standard_D2s_v5'] = 0.05;
    },
    inputs: { spot: 'true', 'max-price': '0.04' },
    entry: 'spot-price',
    finding: 'spot-price',
  },
  {
    name: 'a Spot price below max-price',
    world: (world) => {
      settings(world).spotPrices['Standard_D2s_v5'] = 0.03;
    },
    inputs: { spot: 'true', 'max-price': '0.04' },
  },
  {
    name: 'a Spot price that Azure does not publish',
    inputs: { spot: 'true', 'max-price': '0.04' },
  },
  {
    name: 'a region without the size',
    refusal: 'LocationNotAvailableForResourceType',
    inputs: { location: 'mars' },
    entry: 'region-not-offered',
    finding: 'size/Standard_D2s_v5',
  },
  {
    name: 'a public IP that is in use',
    refusal: 'PublicIPAddressInUse',
    world: (world) => {
      addHub(world, 'Network Contributor');
      addExisting(world, front, {
        provisioningState: 'Succeeded',
        publicIPAddressVersion: 'IPv4',
        ipAddress: '203.0.113.7',
      });
      useNic(world, 'other', '10.1.0.5', { publicIPAddress: { id: front } });
    },
    inputs: { 'public-ip': front },
    entry: 'public-ip-taken',
    finding: 'given/public-ip',
  },
  ...catalogue
    .filter(({ says }) => /^AADSTS\d+:/.test(says))
    .map(({ id, title, says }) => ({
      name: `a sign-in that Entra refuses: ${title}`,
      refusal: says.split(':')[0] ?? '',
      fault: {
        match: { host: 'entra' as const, method: 'POST', times: Number.POSITIVE_INFINITY },
        effect: { status: 401, body: { error: 'invalid_client', error_description: says } },
      },
      entry: id,
      finding: 'sign-in/tenant',
    })),
  { name: 'an existing VM that matches', earlier: {} },
];

async function runScenario({ world, fault, inputs, earlier, groupOnly }: Scenario) {
  const sim: Simulator = await startSimulator({
    timeScale: 0.02,
    world: (created) => {
      if (!groupOnly) created.grant(defaults.clientId, 'Reader', subscription);
      world?.(created);
    },
  });
  if (fault) sim.faults.add(fault);
  try {
    const common = { ...defaultInputs(sim), 'vm-name': 'vm1', 'ssh-public-key': key };
    if (earlier) await runAction({ sim, inputs: { ...common, ...earlier }, phases: ['main'] });
    const check = await runAction({
      sim,
      inputs: { ...common, ...inputs, operation: 'check' },
      phases: ['main'],
    });
    const create = await runAction({ sim, inputs: { ...common, ...inputs }, phases: ['main'] });
    const findings = JSON.parse(check.outputs['findings'] ?? '[]') as readonly Finding[];
    return { check, create, findings };
  } finally {
    await sim.close();
  }
}

const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD0NLGbY4HbU8Z1ahbDX4n8Y0WqYnVtfL9XWq8m2cB someone@example.org';

/** Rows of docs/check.md: the refusal, and what predicts it. */
const documented = readFileSync('docs/check.md', 'utf8')
  .split('\n')
  .flatMap((line) => {
    const [, title, , check] = line.split(' | ').length === 3 ? (/^\| (.+) \| (.+) \| (.+) \|$/.exec(line) ?? []) : [];
    return title && check && title !== 'Refusal' ? [{ title, check }] : [];
  });

test('docs/check.md has a row for each refusal of the catalogue', () => {
  expect(documented.map(({ title }) => title)).toEqual(catalogue.map(({ title }) => title));
  const texts = documented.map(({ check }) => check.replaceAll(/`[a-z-]+(\/[\w…-]+)*`(, )?/g, ''));
  expect(
    texts.filter((text) => !/^(not predicted: .+|before any request|the first request fails|)$/.test(text)),
  ).toEqual([]);
});

test('each refusal that docs/check.md predicts has a scenario with that finding, and no other has', () => {
  const tested = new Map(scenarios.flatMap(({ entry, finding }) => entry?.split(',').map((id) => [id, finding]) ?? []));
  for (const [index, { check }] of documented.entries()) {
    const id = catalogue[index]?.id ?? '';
    const patterns = [...check.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name.replace('…', '.+'));
    if (/^(not|before|the first)/.test(check)) expect([id, tested.get(id)]).toEqual([id, undefined]);
    else expect(`${id}: ${tested.get(id)}`).toMatch(new RegExp(`: (${patterns.join('|')})$`));
  }
});

describe('check and create agree', () => {
  test.each(scenarios.map((scenario) => [scenario.name, scenario] as const))('on %s', async (_, scenario) => {
    const { check, create, findings } = await runScenario(scenario);
    const faults = findings.filter(({ level }) => level === 'fault').map(({ id }) => id);
    const isSkipped = findings.some(({ level }) => level === 'unknown');
    const isPredicted = scenario.finding !== 'skipped' && scenario.finding !== 'not predicted';
    if (scenario.finding === undefined || !isPredicted) expect(faults).toEqual([]);
    else expect(faults).toContain(scenario.finding);
    expect(create.exitCode).toBe(scenario.refusal === undefined ? 0 : 1);
    if (scenario.finding === 'not predicted') expect(check.exitCode).toBe(0);
    else if (!isSkipped || check.exitCode === 1) expect(check.exitCode).toBe(create.exitCode);
    else expect(check.summary).toContain('skipped');
  });

  test('on a size name without its prefix, before any request', async () => {
    const { check, create } = await runScenario({ name: '', inputs: { 'vm-size': 'D2s_v5' } });
    expect([check.exitCode, create.exitCode]).toEqual([1, 1]);
    for (const { stdout } of [check, create]) expect(stdout).toContain('did you mean Standard_D2s_v5?');
  });
});
