/** What the simulated guest does: boots with a serial log, runs scripts, and takes the recorded time for it. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { recordedLatencies } from '../../simulator/engine/latencies.ts';
import { defaults } from '../../simulator/index.ts';
import type { Json } from '../../simulator/model/contract.ts';
import { settings } from '../../simulator/providers/compute/settings.ts';
import { type ComputeTestClient, createComputeTestClient } from '../support/compute-client.ts';

let client: ComputeTestClient;
beforeAll(async () => {
  client = await createComputeTestClient();
});
afterAll(() => client.sim.close());

test('return the serial log only under its signed URL', async () => {
  const id = client.vmId('serial');
  await client.finish(
    await client.send(
      'PUT',
      id,
      client.vmBody(client.addNic('serial-nic'), (body) => {
        body['properties'].diagnosticsProfile = { bootDiagnostics: { enabled: true } };
      }),
    ),
  );
  settings(client.world).serialLog = 'login: ';
  const reply = await client.send('POST', `${id}/retrieveBootDiagnosticsData`);
  const url = String(reply.body['serialConsoleLogBlobUri']);
  expect(await client.raw(url)).toMatchObject({ status: 200, body: 'login: ' });
  expect((await client.raw(url.slice(0, -1))).status).toBe(403);
});

test('run a script, show its output and delete it', async () => {
  const id = client.vmId('scripted');
  await client.finish(await client.send('PUT', id, client.vmBody(client.addNic('scripted-nic'))));
  settings(client.world).runScript = ({ protectedParameters }) => ({
    exitCode: 3,
    output: 'x'.repeat(5000),
    error: `secret has ${protectedParameters['SECRET']?.length}`,
    seconds: 200,
    progress: [{ at: 1, output: 'working' }],
  });
  const script = `${id}/runCommands/smoke`;
  const put = await client.send('PUT', script, {
    location: defaults.location,
    properties: {
      source: { script: 'exit 3' },
      asyncExecution: true,
      timeoutInSeconds: 600,
      protectedParameters: [{ name: 'SECRET', value: 'hidden' }],
    },
  });
  expect([put.status, put.body['properties'].provisioningState]).toEqual([201, 'Creating']);
  expect(JSON.stringify(put.body)).not.toContain('hidden');
  expect((await client.finish(put))['status']).toBe('Succeeded');
  const view = async (): Promise<Json> =>
    (await client.send('GET', `${script}?$expand=instanceView`)).body['properties'].instanceView;
  client.advance(3);
  expect(await view()).toMatchObject({ executionState: 'Running', output: 'working' });
  client.advance(220);
  const ended = await view();
  expect(ended).toMatchObject({ executionState: 'Failed', exitCode: 3, error: 'secret has 6' });
  expect(ended['output']).toHaveLength(4096);
  expect((await client.send('GET', script)).body['properties'].instanceView).toBeUndefined();
  await client.finish(await client.send('DELETE', script));
  expect((await client.send('GET', script)).status).toBe(404);
});

test('end a script after the recorded duration when none is set', async () => {
  const { sim, ...other } = await createComputeTestClient(0.001);
  try {
    const id = other.vmId('timed');
    await other.finish(await other.send('PUT', id, other.vmBody(other.addNic('timed-nic'))));
    other.advance(60);
    const script = `${id}/runCommands/timed`;
    const put = await other.send('PUT', script, {
      location: defaults.location,
      properties: { source: { script: 'true' } },
    });
    const end = await other.finish(put);
    // Between two moments of simulated time; they are written in whole milliseconds.
    const lasted = (view: Json): number =>
      Math.round((Date.parse(view['endTime']) - Date.parse(view['startTime'])) / 1000);
    const median = recordedLatencies['runCommand']?.median ?? 0;
    expect(lasted(end)).toBe(median);
    const { instanceView } = (await other.send('GET', `${script}?$expand=instanceView`)).body['properties'];
    // The rest is the way to the agent.
    expect(lasted(instanceView)).toBe(median - 3);
  } finally {
    await sim.close();
  }
});

test('use every recorded duration', () => {
  const folder = new URL('../../simulator/', import.meta.url);
  const sources = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && name !== 'latencies.ts')
    .map((name) => readFileSync(new URL(name.replaceAll('\\', '/'), folder), 'utf8'));
  const unused = Object.keys(recordedLatencies).filter((name) => !sources.some((text) => text.includes(`'${name}'`)));
  expect(unused).toEqual([]);
});
