/** What tables of values start from: the least that a Linux machine from one version of an image takes. */
import type { ResolvedImage } from '../../src/image/image.ts';
import type { DeployInputs, NetworkChoice } from '../../src/inputs/inputs.ts';
import type { WorkflowRun } from '../../src/runner/environment.ts';

export const subscriptionId = '11111111-1111-4111-8111-111111111111';
export const group = `/subscriptions/${subscriptionId}/resourceGroups/rg`;
export const imageSubscriptionId = '22222222-2222-4222-8222-222222222222';
export const definitionId = `/subscriptions/${imageSubscriptionId}/resourceGroups/g/providers/Microsoft.Compute/galleries/images/images/linux`;

/** One step of a workflow run. */
export const workflowRun: WorkflowRun = {
  serverUrl: 'https://github.com',
  repository: 'owner/repo',
  runId: '42',
  runAttempt: '1',
  job: 'deploy',
  action: 'vm',
  workflow: 'Release',
  sha: 'abc',
  actor: 'someone',
};
export const versionId = `${definitionId}/versions/1.2.3`;

export type NewNic = Extract<NetworkChoice, { kind: 'new-nic' }>;

export const newNetwork: NewNic = {
  kind: 'new-nic',
  subnet: { kind: 'new', addressPrefix: '192.168.0.0/16', subnetPrefix: '192.168.1.0/24' },
  nsg: { kind: 'new', inbound: [] },
  publicIp: { kind: 'new' },
  acceleratedNetworking: false,
};

export const deployInputs: DeployInputs = {
  operation: 'create',
  clientId: 'app',
  credential: { kind: 'secret', secret: 's' },
  tenantId: 'deploy-tenant',
  environment: { kind: 'known', name: 'azurecloud' },
  resourceGroup: 'rg',
  timeoutMinutes: 60,
  summary: true,
  cleanup: 'on-failure',
  ifExists: 'keep',
  dataDiskSizesGb: [],
  encryptionAtHost: false,
  waitFor: 'provisioned',
  imageTenantId: 'image-tenant',
  auxiliaryTenantIds: [],
  tags: {},
  image: {
    kind: 'version',
    id: versionId,
    subscriptionId: imageSubscriptionId,
    resourceGroup: 'g',
    gallery: 'images',
    definition: 'linux',
    version: '1.2.3',
  },
  imageWaitMinutes: 0,
  vmName: 'vm1',
  sizes: [],
  zones: [],
  adminUsername: 'azureuser',
  sshPublicKeys: [],
  identity: { system: false, given: [], named: [] },
  roleAssignments: [],
  overrides: {},
  network: newNetwork,
};

export const linuxImage: ResolvedImage = {
  reference: { id: versionId },
  referenceId: versionId,
  version: '1.2.3',
  osType: 'Linux',
  osState: 'Generalized',
  architecture: 'x64',
  securityType: 'Standard',
  dataDiskLuns: [],
  notices: [],
  warnings: [],
};
