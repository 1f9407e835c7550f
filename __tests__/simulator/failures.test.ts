/** Each named failure, as a client of the simulator sees it. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { idTokenEnvironment } from '../../simulator/github/github.ts';
import { applyFailure, defaults, failureDescriptions, startSimulator } from '../../simulator/index.ts';
import type { Json } from '../../simulator/model/contract.ts';
import { exitCodeOf } from '../../simulator/providers/compute/settings.ts';
import { type ComputeTestClient, createComputeTestClient } from '../support/compute-client.ts';
import { connect, type Reply } from '../support/simulator-client.ts';

let close = async (): Promise<void> => {};
afterEach(async () => {
  await close();
});

async function start(failure: string | undefined): Promise<ComputeTestClient> {
  const client = await createComputeTestClient(0.0005, (world) => {
    if (failure !== undefined) applyFailure(world, failure);
  });
  close = () => client.sim.close();
  return client;
}

function putVm(client: ComputeTestClient): Promise<Reply> {
  return client.send('PUT', client.vmId('vm1'), client.vmBody(client.addNic('vm1-nic')));
}

async function runScript(client: ComputeTestClient, script: string): Promise<Json> {
  await client.finish(await putVm(client));
  const id = `${client.vmId('vm1')}/runCommands/script`;
  const properties = { source: { script } };
  await client.finish(await client.send('PUT', id, { location: defaults.location, properties }));
  const { body } = await client.send('GET', `${id}?$expand=instanceView`);
  return body.properties.instanceView;
}

const rejectedPuts = [
  ['no-image-permission', 403, 'LinkedAuthorizationFailed'],
  ['no-deploy-permission', 403, 'AuthorizationFailed'],
  ['provider-not-registered', 409, 'MissingSubscriptionRegistration'],
  ['subscription-disabled', 409, 'ReadOnlyDisabledSubscription'],
  ['read-only-lock', 409, 'ScopeLocked'],
  ['quota-exceeded', 409, 'OperationNotAllowed'],
  ['size-not-available', 409, 'SkuNotAvailable'],
  ['throttled', 429, 'TooManyRequests'],
  ['server-error', 503, 'ServiceUnavailable'],
] as const;

const failedOperations = [
  ['allocation-failed', 'AllocationFailed'],
  ['provisioning-timeout', 'OSProvisioningTimedOut'],
] as const;

const rejectedSignIns = [
  ['secret-expired', 7000222],
  ['no-consent', 700016],
] as const;

const others = [
  'subject-mismatch',
  'no-id-token',
  'delete-lock',
  'public-ip-quota-exceeded',
  'agent-not-ready',
  'script-fails',
  'connection-reset',
];

describe('failures by name', () => {
  test('have a test each', () => {
    const tested = [...rejectedPuts, ...failedOperations, ...rejectedSignIns].map(([name]) => name);
    expect([...tested, ...others].toSorted()).toEqual([...failureDescriptions.keys()].toSorted());
  });

  test.each(rejectedPuts)('%s rejects the PUT of a VM with %i %s', async (name, status, code) => {
    const reply = await putVm(await start(name));
    expect([reply.status, reply.body.error.code]).toEqual([status, code]);
  });

  test.each(failedOperations)('%s fails the creation of a VM with %s', async (name, code) => {
    const client = await start(name);
    const poll = await client.finish(await putVm(client));
    expect([poll['status'], poll['error'].code]).toEqual(['Failed', code]);
    expect(poll['error'].message).not.toBe('');
  });

  test.each(rejectedSignIns)('%s rejects the sign-in with AADSTS%i', async (name, code) => {
    const sim = await startSimulator({ world: (world) => applyFailure(world, name) });
    close = () => sim.close();
    const { body } = await (await connect(sim)).token(defaults.tenantId);
    expect(body.error_codes).toEqual([code]);
  });

  test('no-id-token and subject-mismatch break the sign-in with an ID token', async () => {
    const sim = await startSimulator({ world: (world) => applyFailure(world, 'subject-mismatch') });
    close = () => sim.close();
    const client = await connect(sim);
    const { ACTIONS_ID_TOKEN_REQUEST_URL: url = '', ACTIONS_ID_TOKEN_REQUEST_TOKEN: requestToken = '' } =
      idTokenEnvironment(sim.world, sim.githubEndpoint);
    const requestIdToken = (): Promise<Reply> =>
      client.send('GET', `${url}&audience=api://AzureADTokenExchange`, {
        headers: { authorization: `Bearer ${requestToken}` },
      });
    const { body } = await client.token(defaults.tenantId, {
      client_secret: '',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: (await requestIdToken()).body.value,
    });
    expect(body.error_codes).toEqual([700213]);
    applyFailure(sim.world, 'no-id-token');
    expect((await requestIdToken()).status).toBe(500);
  });

  test('delete-lock lets a VM be created and rejects its deletion', async () => {
    const client = await start('delete-lock');
    expect((await client.finish(await putVm(client)))['status']).toBe('Succeeded');
    const reply = await client.send('DELETE', client.vmId('vm1'));
    expect([reply.status, reply.body.error.code]).toEqual([409, 'ScopeLocked']);
  });

  test('public-ip-quota-exceeded rejects the PUT of a public IP', async () => {
    const client = await start('public-ip-quota-exceeded');
    const id = `${client.group}/providers/Microsoft.Network/publicIPAddresses/ip1`;
    const reply = await client.send('PUT', id, {
      location: defaults.location,
      sku: { name: 'Standard' },
      properties: { publicIPAllocationMethod: 'Static' },
    });
    expect([reply.status, reply.body.error.code]).toEqual([400, 'PublicIPCountLimitReached']);
  });

  test('agent-not-ready fails a run command after its 90 minutes', async () => {
    const client = await start('agent-not-ready');
    const view = await runScript(client, 'true');
    expect(view['executionState']).toBe('Pending');
    expect(client.world.operations.all().at(-1)?.error?.code).toBe('VMAgentStatusCommunicationError');
  });

  test('script-fails ends every script with exit code 1', async () => {
    const view = await runScript(await start('script-fails'), 'true');
    expect([view['executionState'], view['exitCode']]).toEqual(['Failed', 1]);
  });

  test('connection-reset creates the VM without answering', async () => {
    const client = await start('connection-reset');
    await expect(putVm(client)).rejects.toThrow(/hang up|ECONNRESET/);
    expect(client.world.resources.has(client.vmId('vm1'))).toBe(true);
  });

  test('an unknown name is an error that lists the known ones', async () => {
    const { world } = await start(undefined);
    expect(() => applyFailure(world, 'toString')).toThrow(/unknown failure 'toString'.*quota-exceeded/);
  });
});

describe('a script', () => {
  test('ends with the exit code in its text', async () => {
    const view = await runScript(await start(undefined), 'echo checking\nexit 3\n');
    expect([view['executionState'], view['exitCode']]).toEqual(['Failed', 3]);
  });

  test.each([
    ['exit 3', 3],
    ['exit 0\nexit 3', 0],
    ['echo failed; exit 4  # gives up', 4],
    ['#!/bin/bash\r\nexit 5;\r\n', 5],
    ['exit 257', 1],
    ['', 0],
    ['# exit 3', 0],
    ['echo "exit 3"', 0],
    ['echo exit 3', 0],
    ['test -f /ok || { echo missing; exit 1; }', 0],
    ['if true; then exit 1; fi', 0],
    ['if true\nthen\n  exit 1\nfi', 0],
    ['systemctl is-active app || exit 1', 0],
  ])('exit code of %j is %i', (script, code) => {
    expect(exitCodeOf(script)).toBe(code);
  });
});
