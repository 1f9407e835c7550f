/**
 * Baseline for the benchmark: creates the same VM as the action, written as the SDK's documentation suggests, with two
 * credentials, the auxiliary policy, parallel network requests and `pollUntilDone`. Reads a PlainJob from standard input.
 */
import { readFileSync } from 'node:fs';
import { ComputeManagementClient } from '@azure/arm-compute';
import { NetworkManagementClient } from '@azure/arm-network';
import { auxiliaryAuthenticationHeaderPolicy } from '@azure/core-rest-pipeline';
import { ClientSecretCredential } from '@azure/identity';

export interface PlainJob {
  readonly armEndpoint: string;
  readonly loginEndpoint: string;
  readonly audience: string;
  readonly tenantId: string;
  readonly imageTenantId: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly subscriptionId: string;
  readonly resourceGroup: string;
  readonly imageId: string;
  readonly windows: boolean;
  readonly sshPublicKey: string;
}

const job = JSON.parse(readFileSync(0, 'utf8')) as PlainJob;
const credentialFor = (tenantId: string) =>
  new ClientSecretCredential(tenantId, job.clientId, job.clientSecret, {
    authorityHost: job.loginEndpoint,
    disableInstanceDiscovery: true,
  });
const scopes = [`${job.audience}/.default`];
const options = { endpoint: job.armEndpoint, credentials: { scopes } };
const credential = credentialFor(job.tenantId);
const network = new NetworkManagementClient(credential, job.subscriptionId, options);
const compute = new ComputeManagementClient(credential, job.subscriptionId, {
  ...options,
  additionalPolicies: [
    {
      policy: auxiliaryAuthenticationHeaderPolicy({
        credentials: [credentialFor(job.imageTenantId)],
        scopes,
      }),
      position: 'perRetry',
    },
  ],
});

const location = 'westeurope';
const group = job.resourceGroup;
const [nsg, vnet, publicIp] = await Promise.all([
  network.networkSecurityGroups.createOrUpdate(group, 'plain-nsg', { location, securityRules: [] }).pollUntilDone(),
  network.virtualNetworks
    .createOrUpdate(group, 'plain-vnet', {
      location,
      addressSpace: { addressPrefixes: ['192.168.0.0/16'] },
      subnets: [{ name: 'default', addressPrefix: '192.168.1.0/24', defaultOutboundAccess: false }],
    })
    .pollUntilDone(),
  network.publicIPAddresses
    .createOrUpdate(group, 'plain-ip', {
      location,
      sku: { name: 'Standard' },
      publicIPAllocationMethod: 'Static',
      idleTimeoutInMinutes: 4,
    })
    .pollUntilDone(),
]);
const nic = await network.networkInterfaces
  .createOrUpdate(group, 'plain-nic', {
    location,
    networkSecurityGroup: { id: nsg.id ?? '' },
    ipConfigurations: [
      {
        name: 'ipconfig1',
        subnet: { id: vnet.subnets?.[0]?.id ?? '' },
        publicIPAddress: { id: publicIp.id ?? '' },
      },
    ],
  })
  .pollUntilDone();
await compute.virtualMachines
  .createOrUpdate(group, 'plain', {
    location,
    hardwareProfile: { vmSize: 'Standard_D2s_v5' },
    storageProfile: { imageReference: { id: job.imageId }, osDisk: { createOption: 'FromImage' } },
    osProfile: job.windows
      ? { computerName: 'plain', adminUsername: 'azureuser', adminPassword: 'Plain-Password-1' }
      : {
          computerName: 'plain',
          adminUsername: 'azureuser',
          linuxConfiguration: {
            disablePasswordAuthentication: true,
            ssh: {
              publicKeys: [{ path: '/home/azureuser/.ssh/authorized_keys', keyData: job.sshPublicKey }],
            },
          },
        },
    networkProfile: { networkInterfaces: [{ id: nic.id ?? '' }] },
  })
  .pollUntilDone();
