/** Facts of a run that created a VM from the newest version of an image. */
import { parseImageReference } from '../../src/azure/resource-id.ts';
import type { ResolvedImage } from '../../src/image/image.ts';
import type { DeployInputs } from '../../src/inputs/inputs.ts';
import { createPlan } from '../../src/plan/create-plan.ts';
import type { SummaryFacts } from '../../src/summary/summary-facts.ts';
import { definitionId, deployInputs, group, linuxImage, newNetwork, subscriptionId } from './values.ts';

export const network = `${group}/providers/Microsoft.Network`;

export function summaryFacts(changed: Partial<DeployInputs> = {}, more: Partial<SummaryFacts> = {}): SummaryFacts {
  const image = parseImageReference(definitionId);
  if (!image) throw new Error('not an image');
  const requested: DeployInputs = {
    ...deployInputs,
    clientId: '33333333-3333-4333-8333-333333333333',
    credential: { kind: 'secret', secret: 'the-client-secret' },
    tenantId: 'customer.example',
    imageTenantId: 'images.example',
    image,
    adminPassword: 'the-password',
    network: {
      ...newNetwork,
      nsg: {
        kind: 'new',
        inbound: [{ fromPort: 22, toPort: 22, protocol: 'Tcp', source: '203.0.113.0/24' }],
      },
    },
    ...changed,
  };
  const linux: ResolvedImage = { ...linuxImage, generation: 'V2', securityType: 'TrustedLaunch' };
  const imageFacts = more.image ?? linux;
  return {
    operation: 'create',
    requested,
    portal: 'https://portal.azure.com',
    subscriptionId,
    image: imageFacts,
    plan: createPlan(requested, imageFacts, {
      subscriptionId,
      location: 'westeurope',
      ownership: { 'cross-tenant-vm': 'vm1' },
      generated: { password: 'the-generated-password' },
    }),
    adopted: false,
    outputs: {
      'vm-id': `${group}/providers/Microsoft.Compute/virtualMachines/vm1`,
      'vm-size': 'Standard_D2s_v5',
      'image-version': '1.2.3',
      'image-version-id': `${definitionId}/versions/1.2.3`,
      'nic-id': `${network}/networkInterfaces/vm1-nic`,
      'nsg-id': `${network}/networkSecurityGroups/vm1-nsg`,
      'vnet-id': `${network}/virtualNetworks/vm1-vnet`,
      'public-ip-id': `${network}/publicIPAddresses/vm1-ip`,
      'public-ip-address': '198.51.100.7',
      'private-ip-address': '192.168.1.4',
      'admin-username': 'azureuser',
      created: JSON.stringify([
        `${network}/networkSecurityGroups/vm1-nsg`,
        `${network}/virtualNetworks/vm1-vnet`,
        `${network}/publicIPAddresses/vm1-ip`,
        `${network}/networkInterfaces/vm1-nic`,
      ]),
    },
    stages: [
      { title: 'Sign in', from: 0, to: 900, failed: false },
      { title: 'Network', from: 900, to: 15_900, failed: false },
    ],
    left: [],
    ...more,
  };
}
