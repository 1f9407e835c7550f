/** The simulator's answers held against recorded ones: same status, headers present, same shape of the body. */
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { defaults, type Simulator, startSimulator } from '../../simulator/index.ts';
import { type Body, type Client, connect, type Reply } from '../support/simulator-client.ts';

interface Recorded {
  readonly method: string;
  readonly path: string;
  readonly requestBody?: Body;
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: Body;
}

function recording(name: string): Recorded[] {
  const file = new URL(`../fixtures/recordings/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(file, 'utf8')).exchanges;
}

let simulator: Simulator;
let client: Client;

beforeEach(async () => {
  simulator = await startSimulator({ timeScale: 0.002 });
  // The recordings work in groups and regions of their own.
  const { world } = simulator;
  world.grant(defaults.clientId, 'Contributor', `/subscriptions/${defaults.subscriptionId}`);
  client = await connect(simulator);
});

afterEach(async () => {
  await simulator.close();
});

/** A recorded path or body in this world's subscription. */
function here(text: string): string {
  return text.replaceAll('00000000-0000-0000-0000-000000000000', defaults.subscriptionId);
}

function send(recorded: Recorded): Promise<Reply> {
  const body = recorded.requestBody && JSON.parse(here(JSON.stringify(recorded.requestBody)));
  return client.arm(recorded.method, here(recorded.path), body);
}

function makeGroup(path: string, location: string, tags?: Record<string, string>): void {
  const name = /resourceGroups\/([^/?]+)/i.exec(path)?.[1] ?? '';
  simulator.world.addGroup(defaults.subscriptionId, name, location, tags);
}

/** Names of members, recursively; lists by their first element. */
function shape(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? [] : [shape(value[0])];
  if (typeof value !== 'object' || value === null) return typeof value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, inner]) => [name, shape(inner)]),
  );
}

function expectHeaders(reply: Reply, recorded: Recorded): void {
  for (const name of Object.keys(recorded.headers)) {
    expect(Object.keys(reply.headers)).toContain(name.toLowerCase());
  }
}

/** An empty 204 has no content type, even if the recording has one. */
function expectHeadersBesidesType(reply: Reply, recorded: Recorded): void {
  const { 'Content-Type': _type, ...headers } = recorded.headers;
  expectHeaders(reply, { ...recorded, headers });
}

/** Poll URLs are compared without what differs in each run. */
function pollForm(url: string): string {
  return url
    .replace(/^https:\/\/[^/]+/, '')
    .replace(/subscriptions\/[0-9a-f-]{36}/, 'subscriptions/S')
    .replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, 'ID')
    .replace(/([?&])(t|c|s|h|p|api-version)=[^&]*/g, '$1$2=');
}

describe.each([
  ['nsg-put-poll', 'eastus2'],
  ['vnet-put-poll', 'eastus2'],
  ['public-ip-standard-static-put-delete', 'westus'],
])('%s', (name, location) => {
  test('the same statuses, headers and shapes', async () => {
    const exchanges = recording(name);
    const target = exchanges.find((one) => one.method === 'PUT')?.path ?? '';
    makeGroup(target, location, exchanges.find((one) => /^[^?]*resourcegroups\/[^/?]+\?/i.test(one.path))?.body.tags);
    let started: Reply | undefined;
    for (const recorded of exchanges) {
      const isPoll = /\/operations\//.test(recorded.path);
      if (isPoll && recorded.body.status === 'InProgress') continue;
      const reply = isPoll && started ? await client.settle(started) : await send(recorded);
      if (recorded.method !== 'GET') started = reply;
      expect({ path: recorded.path, status: reply.status }).toEqual({
        path: recorded.path,
        status: recorded.status,
      });
      expectHeaders(reply, recorded);
      expect(shape(reply.body ?? null)).toEqual(shape(recorded.body));
      for (const header of ['Azure-AsyncOperation', 'Location']) {
        const wanted = recorded.headers[header];
        if (wanted === undefined) continue;
        expect(pollForm(reply.headers[header.toLowerCase()] ?? '')).toBe(pollForm(wanted));
      }
    }
  });
});

test('nic-put-delete: 201 that is Succeeded at once, 200 with a poll, DELETE 202 with both URLs and a 204 result', async () => {
  const exchanges = recording('nic-put-delete');
  const first = exchanges[0] as Recorded;
  makeGroup(first.path, 'eastus2');
  const group = /^.*resourceGroups\/[^/]+/.exec(here(first.path))?.[0] ?? '';
  const vnet = await client.arm(
    'PUT',
    `${group}/providers/Microsoft.Network/virtualNetworks/myvnet?api-version=2022-11-01`,
    {
      location: 'eastus2',
      properties: {
        addressSpace: { addressPrefixes: ['10.0.0.0/16'] },
        subnets: [{ name: 'mysubnet', properties: { addressPrefix: '10.0.0.0/24' } }],
      },
    },
  );
  await client.settle(vnet);

  const made = await send(first);
  expect(made.status).toBe(201);
  expectHeaders(made, first);
  expect(made.headers['azure-asyncoperation']).toBeUndefined();
  expect(shape(made.body)).toEqual(shape(first.body));
  expect(made.body.properties.ipConfigurations[0].properties.privateIPAddress).toBe('10.0.0.4');

  const path = here(first.path);
  const body = { ...first.requestBody, tags: { foo: 'doo' } };
  const again = await client.arm('PUT', path, JSON.parse(here(JSON.stringify(body))));
  expect(again.status).toBe(200);
  expectHeaders(again, exchanges[1] as Recorded);
  await client.settle(again);

  const recordedDelete = exchanges.find((one) => one.method === 'DELETE') as Recorded;
  const gone = await client.arm('DELETE', path);
  expect(gone.status).toBe(recordedDelete.status);
  expectHeaders(gone, recordedDelete);
  expect(pollForm(gone.headers['location'] ?? '')).toBe(pollForm(recordedDelete.headers['Location'] ?? ''));
  expect((await client.settle(gone)).body).toEqual({ status: 'Succeeded' });
  const recordedResult = exchanges.at(-1) as Recorded;
  const result = await client.arm('GET', gone.headers['location'] ?? '');
  expect(result.status).toBe(recordedResult.status);
  expectHeadersBesidesType(result, recordedResult);
});

test('delete-in-use: the refusals word for word', async () => {
  const exchanges = recording('delete-in-use-nsg-pip-subnet')
    .filter((one) => one.status === 400)
    .slice(0, 3);
  const path = exchanges[0]?.path ?? '';
  makeGroup(path, 'southcentralus');
  const group = /^.*resourceGroups\/[^/]+/.exec(here(path))?.[0] ?? '';
  const network = `${group}/providers/Microsoft.Network`;
  const version = '?api-version=2021-02-01';
  const location = 'southcentralus';
  const name = 'cli-test-vm000002';
  const parts: Record<string, Body> = {
    [`networkSecurityGroups/${name}NSG`]: { location },
    [`publicIPAddresses/${name}PublicIP`]: {
      location,
      sku: { name: 'Standard' },
      properties: { publicIPAllocationMethod: 'Static' },
    },
    [`virtualNetworks/${name}VNET`]: {
      location,
      properties: {
        addressSpace: { addressPrefixes: ['10.0.0.0/16'] },
        subnets: [{ name: `${name}Subnet`, properties: { addressPrefix: '10.0.0.0/24' } }],
      },
    },
  };
  await Promise.all(
    Object.entries(parts).map(async ([what, body]) => {
      await client.settle(await client.arm('PUT', `${network}/${what}${version}`, body));
    }),
  );
  const nic = await client.arm('PUT', `${network}/networkInterfaces/${name}VMNic${version}`, {
    location,
    properties: {
      networkSecurityGroup: { id: `${network}/networkSecurityGroups/${name}NSG` },
      ipConfigurations: [
        {
          name: `ipconfig${name}`,
          properties: {
            subnet: { id: `${network}/virtualNetworks/${name}VNET/subnets/${name}Subnet` },
            publicIPAddress: { id: `${network}/publicIPAddresses/${name}PublicIP` },
          },
        },
      ],
    },
  });
  expect(nic.status).toBe(201);
  for (const recorded of exchanges) {
    const reply = await send(recorded);
    expect(reply.status).toBe(400);
    expectHeadersBesidesType(reply, recorded);
    expect(JSON.stringify(reply.body)).toBe(here(JSON.stringify(recorded.body)));
  }
});

test('vm-linux-put-full-lifecycle: group 201, 404 of the network, group deletion with its polls', async () => {
  const exchanges = recording('vm-linux-put-full-lifecycle');
  const [put, get, missing] = exchanges as [Recorded, Recorded, Recorded];
  for (const recorded of [put, get, missing]) {
    const reply = await send(recorded);
    expect(reply.status).toBe(recorded.status);
    expectHeaders(reply, recorded);
    expect(JSON.stringify(reply.body)).toBe(here(JSON.stringify(recorded.body)));
  }
  const remove = exchanges.find(
    (one) => one.method === 'DELETE' && one.headers['Location']?.includes('operationresults'),
  );
  if (!remove) throw new Error('the recording has no group deletion');
  // Long enough for the first poll to arrive before the deletion ends, however slow the machine is.
  simulator.world.latencies['groupDelete'] = 20_000;
  const reply = await send(remove);
  expect(reply.status).toBe(202);
  expectHeaders(reply, remove);
  const poll = await client.arm('GET', reply.headers['location'] ?? '');
  expect(poll.status).toBe(202);
  expect(Object.keys(poll.headers)).toEqual(expect.arrayContaining(['location', 'retry-after']));
  delete simulator.world.latencies['groupDelete'];
  simulator.world.clock.advance(20_000);
  expect((await client.settle(reply)).status).toBe(200);
  const [afterwards] = exchanges.slice(-3) as [Recorded];
  const gone = await send(afterwards);
  expect(gone.status).toBe(404);
  expect(gone.body).toEqual(afterwards.body);
  expect(gone.headers['x-ms-failure-cause']).toBe('gateway');
});

test('missing-subscription-registration: 409 with details', async () => {
  const recorded = recording('missing-subscription-registration-409').find((one) => one.status === 409) as Recorded;
  const subscription = simulator.world.subscriptions.get(defaults.subscriptionId);
  subscription?.providers.set('microsoft.network', 'NotRegistered');
  const path = `${client.group}/providers/Microsoft.Network/networkSecurityGroups/a?api-version=2026-01-01`;
  const reply = await client.arm('PUT', path, { location: 'westeurope' });
  expect(reply.status).toBe(409);
  expectHeaders(reply, recorded);
  expect(JSON.stringify(reply.body)).toBe(
    JSON.stringify(recorded.body).replaceAll('Microsoft.RecoveryServices', 'Microsoft.Network'),
  );
  const register = await client.arm(
    'POST',
    `/subscriptions/${defaults.subscriptionId}/providers/Microsoft.Network/register?api-version=2022-09-01`,
  );
  expect(register.status).toBe(200);
  expect(register.body.registrationState).toBe('Registering');
  subscription?.providers.set('microsoft.network', 'Registered');
});

test('scope-locked: 409 names scope and locks', async () => {
  const recorded = recording('scope-locked-409')[0] as Recorded;
  const group = `/subscriptions/${defaults.subscriptionId}/resourceGroups/locked`;
  simulator.world.addGroup(defaults.subscriptionId, 'locked', 'westeurope');
  simulator.world.addLock(`${group}/providers/Microsoft.Network/virtualNetworks/v`, 'ReadOnly');
  const reply = await client.arm('DELETE', `${group}?api-version=2022-09-01`);
  expect(reply.status).toBe(recorded.status);
  expectHeaders(reply, recorded);
  expect(reply.body.error.message).toBe(
    `The scope '${group}' cannot perform delete operation because following scope(s) are locked: '${group}/providers/Microsoft.Network/virtualNetworks/v'. Please remove the lock and try again.`,
  );
});

test('retryable-error-429: a second write while the first one runs', async () => {
  const recorded = recording('retryable-error-429-network')[0] as Recorded;
  const path = `${client.group}/providers/Microsoft.Network/networkSecurityGroups/busy?api-version=2026-01-01`;
  simulator.world.latencies['nsgPut'] = 500;
  await client.arm('PUT', path, { location: 'westeurope' });
  const reply = await client.arm('PUT', path, { location: 'westeurope' });
  delete simulator.world.latencies['nsgPut'];
  expect(reply.status).toBe(429);
  expectHeaders(reply, recorded);
  expect(shape(reply.body)).toEqual(shape(recorded.body));
  expect(reply.body.error.details[0].message).toMatch(
    /^Operation PutNetworkSecurityGroupOperation \(.*\) is updating resource .*\. The call can be retried in \d+ seconds\.$/,
  );
});

test('usages-network: the entries that are modelled have the recorded shape', async () => {
  const recorded = recording('usages-network')[0] as Recorded;
  const reply = await send(recorded);
  expect(reply.status).toBe(200);
  expect(shape(reply.body)).toEqual(shape({ value: [recorded.body.value[0]] }));
});
