/** Client for tests of the compute providers: raw requests with both tokens. */
import { defaults, type Simulator, startSimulator, type World } from '../../simulator/index.ts';
import type { Json } from '../../simulator/model/contract.ts';
import { connect, type Reply } from './simulator-client.ts';

interface SendOptions {
  readonly headers?: Record<string, string>;
  readonly apiVersion?: string;
  /** Tenant of the primary token; default: that of the subscription in the path. */
  readonly as?: 'image' | 'deploy';
  /** Sends the image tenant's token as auxiliary token. Default true for the deploy tenant. */
  readonly auxiliary?: boolean;
}

/** Default api-versions: the newest that the simulator supports. */
const newestApiVersions: readonly (readonly [type: RegExp, apiVersion: string])[] = [
  [/\/Microsoft\.Authorization\/locks/i, '2020-05-01'],
  [/\/Microsoft\.Authorization\//i, '2022-04-01'],
  [/\/Microsoft\.ManagedIdentity\//i, '2024-11-30'],
  [/\/Microsoft\.ContainerRegistry\//i, '2025-11-01'],
  [/\/Microsoft\.Network\//i, '2026-01-01'],
  [/\/Microsoft\.Compute\/(?:galleries|locations\/[^/]+\/\w+Galleries)/i, '2025-12-03'],
  [/\/Microsoft\.Compute\/disks/i, '2026-03-02'],
  [/\/Microsoft\.Compute\/skus/i, '2021-07-01'],
  [/\/Microsoft\.Compute\//i, '2026-04-01'],
  [/\/resourceGroups\/[^/?]+(?:\?|$)/i, '2025-04-01'],
];

export interface ComputeTestClient {
  readonly sim: Simulator;
  readonly world: World;
  readonly group: string;
  send(method: string, path: string, body?: unknown, how?: SendOptions): Promise<Reply>;
  /** Without any token. */
  raw(url: string, headers?: Record<string, string>): Promise<Reply>;
  /** Polls an operation to its end and returns the body of the last poll. */
  finish(reply: Reply): Promise<Json>;
  /** Adds a network interface and returns its ID. */
  addNic(name: string, location?: string): string;
  /** Body of a Linux VM with that NIC; `change` edits it. */
  vmBody(nic: string, change?: (body: Json) => void): Json;
  vmId(name: string): string;
  /** Skips simulated seconds. */
  advance(seconds: number): void;
}

export async function createComputeTestClient(
  timeScale = 0.005,
  world?: (world: World) => void,
): Promise<ComputeTestClient> {
  const sim = await startSimulator({ timeScale, world });
  const client = await connect(sim);
  const token = async (tenant: string): Promise<string> => String((await client.token(tenant)).body.access_token);
  const tokens = { image: await token(defaults.imageTenantId), deploy: await token(defaults.tenantId) };
  const { group } = client;

  const testClient: ComputeTestClient = {
    sim,
    world: sim.world,
    group,
    send: async (method, path, body, how = {}) => {
      const as =
        how.as ?? (path.includes(defaults.imageSubscriptionId) && !path.includes('/locations/') ? 'image' : 'deploy');
      const url = path.startsWith('https:')
        ? path
        : `${sim.armEndpoint}${encodeURI(path)}${path.includes('?') ? '&' : '?'}api-version=${how.apiVersion ?? newestApiVersions.find(([type]) => type.test(path))?.[1]}`;
      const headers = {
        authorization: `Bearer ${tokens[as]}`,
        ...(as === 'deploy' && how.auxiliary !== false
          ? { 'x-ms-authorization-auxiliary': `Bearer ${tokens.image}` }
          : {}),
        ...how.headers,
      };
      const reply = await client.send(method, url, { headers, body });
      return { ...reply, body: reply.body ?? {} };
    },
    raw: (url, headers = {}) => client.send('GET', url, { headers }),
    finish: async (reply) => {
      const url = reply.headers['azure-asyncoperation'];
      if (url === undefined) throw new Error(`no operation: ${reply.status} ${JSON.stringify(reply.body)}`);
      for (;;) {
        const poll = await testClient.send('GET', url);
        if (poll.body['status'] !== 'InProgress') return poll.body;
        testClient.advance(5);
      }
    },
    addNic: (name, location = defaults.location) => {
      const id = `${group}/providers/Microsoft.Network/networkInterfaces/${name}`;
      sim.world.resources.put({
        id,
        type: 'Microsoft.Network/networkInterfaces',
        body: {
          id,
          name,
          type: 'Microsoft.Network/networkInterfaces',
          location,
          properties: { provisioningState: 'Succeeded', ipConfigurations: [] },
        },
      });
      return id;
    },
    vmBody: (nic, change) => {
      const body: Json = {
        location: defaults.location,
        properties: {
          hardwareProfile: { vmSize: 'Standard_D2s_v5' },
          storageProfile: {
            imageReference: { id: defaults.imageId('linux', '1.10.0') },
            osDisk: { createOption: 'FromImage', deleteOption: 'Delete' },
          },
          osProfile: { computerName: 'vm', adminUsername: 'azureuser', adminPassword: 'Correct-Horse-1' },
          networkProfile: { networkInterfaces: [{ id: nic, properties: { deleteOption: 'Delete' } }] },
        },
      };
      change?.(body);
      return body;
    },
    vmId: (name) => `${group}/providers/Microsoft.Compute/virtualMachines/${name}`,
    advance: (seconds) => sim.world.clock.advance(seconds),
  };
  return testClient;
}
