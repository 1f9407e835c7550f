/**
 * Every form in which Azure reports a long-running operation, and links to other hosts in its answers.
 * https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations
 */
import { expect, test } from '@jest/globals';
import { settings } from '../../simulator/providers/compute/settings.ts';
import { defaults, type Simulator } from '../../simulator/index.ts';
import type { FaultEffect, FaultMatch } from '../../simulator/engine/faults.ts';
import { assertNoSecrets } from '../support/harness.ts';
import {
  act,
  actWithPost,
  errorOf,
  expectAllGone,
  partsOf,
  snapshot,
  startWorld,
  warningsOf,
} from '../support/lifecycle.ts';

const vm1 = partsOf('vm1');
const main = { phases: ['main'] } as const;
const every = Number.POSITIVE_INFINITY;
const styles = ['async', 'location', 'both', 'none'] as const;
const put = (name: string): FaultMatch => ({ method: 'PUT', path: new RegExp(`/${name}\\?`) });

// In every other test the VM has an `Azure-AsyncOperation`.
test.each([
  ['location', 1],
  ['none', 3],
] as const)('creates and deletes with each form of operation (VM: %s)', async (_, offset) => {
  const sim = await startWorld();
  const before = snapshot(sim);
  sim.world.latencies['nicPut'] = 1;
  for (const [index, name] of ['vm1', 'vm1-nsg', 'vm1-vnet', 'vm1-ip', 'vm1-nic'].entries()) {
    const operationStyle = styles[(index + offset) % styles.length] ?? 'async';
    sim.faults.add({ match: put(name), effect: { operationStyle } });
    sim.faults.add({ match: { ...put(name), method: 'DELETE' }, effect: { operationStyle } });
  }
  // The VM is still Creating after its operation has succeeded.
  const changeAnswer = (body: { properties: { provisioningState: string; vmId?: string } }): void => {
    body.properties.provisioningState = 'Creating';
    delete body.properties.vmId;
  };
  const creating = [2, 3].map((nth) =>
    sim.faults.add({ match: { method: 'GET', path: /virtualMachines\/vm1\?/, nth }, effect: { changeAnswer } }),
  );
  // A front end does not know the operation yet.
  const late = sim.faults.add({
    match: { phase: 'poll', path: /Microsoft\.Compute/ },
    effect: { status: 404, code: 'NotFound', message: 'The entity was not found.' },
  });
  const run = await actWithPost(sim, { cleanup: 'always' });
  expect([errorOf(run), run.exitCode, run.post?.exitCode]).toEqual(['', 0, 0]);
  // Retries would hide that the answer to a poll is taken for an invalid one. After a DELETE, the resource is read.
  const retries = `${run.stdout}${run.post?.stdout}`.match(/InvalidResponse; retrying/g) ?? [];
  expect(retries.length).toBeLessThanOrEqual(late.applied);
  expect(creating.map(({ applied }) => applied)).toEqual([1, 1]);
  expect(run.outputs['public-ip-address']).not.toBe('');
  expect(run.outputs['vm-instance-id']).toMatch(/^[0-9a-f-]{36}$/);
  expectAllGone(sim, before);
});

test('reads what was deleted when its operation is not known any more', async () => {
  const sim = await startWorld();
  const before = snapshot(sim);
  const created = await act(sim, { cleanup: 'always' }, main);
  const polls = sim.faults.add({
    match: { phase: 'poll', times: every },
    effect: { status: 404, code: 'NotFound', message: 'The entity was not found.' },
  });
  const post = await act(sim, { cleanup: 'always' }, { phases: ['post'], state: created.state });
  expect([errorOf(created), post.exitCode, warningsOf(post)]).toEqual(['', 0, '']);
  expect(polls.applied).toBeGreaterThan(0);
  expect(post.stdout).not.toContain('InvalidResponse');
  expectAllGone(sim, before);
});

const failure = { code: 'OSProvisioningClientError', message: 'OS provisioning failed: no disk.' };
const pollEnds = (status: number, body: unknown): FaultEffect => ({ status, body });

test.each<[string, (sim: Simulator) => void, string]>([
  [
    'HTTP 409 with a body at its Location',
    (sim) => {
      sim.faults.add({ match: put('vm1'), effect: { operationFails: failure } });
      sim.faults.add({ match: put('vm1'), effect: { operationStyle: 'location' } });
    },
    failure.message,
  ],
  [
    'HTTP 500 with Failed and a body',
    (sim) =>
      sim.faults.add({
        match: { phase: 'poll', path: /Microsoft\.Compute/ },
        effect: pollEnds(500, { status: 'Failed', error: failure }),
      }),
    failure.message,
  ],
  [
    'a Failed resource and no poll URL',
    (sim) => {
      settings(sim.world).shortages.push({ code: 'AllocationFailed', at: 'operation' });
      sim.faults.add({ match: put('vm1'), effect: { operationStyle: 'none' } });
    },
    'AllocationFailed',
  ],
])('reports the reason and deletes everything when the VM ends with %s', async (_, prepare, text) => {
  const sim = await startWorld();
  const before = snapshot(sim);
  prepare(sim);
  const run = await act(sim, {}, main);
  expect(run.exitCode).toBe(1);
  expect(errorOf(run)).toContain(text);
  expect(errorOf(run)).not.toContain('long-running operation');
  expectAllGone(sim, before);
});

const foreign = 'https://collector.example';

test.each<[string, Record<string, string>, (sim: Simulator) => void]>([
  [
    'the nextLink of a list',
    { operation: 'list' },
    (sim) =>
      sim.faults.add({
        match: { method: 'GET', path: /\/resources\?/, times: every },
        effect: { status: 200, body: { value: [], nextLink: `${foreign}/subscriptions` } },
      }),
  ],
  [
    'a poll URL',
    {},
    (sim) =>
      sim.faults.add({
        match: put('vm1-nsg'),
        effect: {
          status: 201,
          headers: { 'azure-asyncoperation': `${foreign}/operations/1` },
          body: { id: vm1.nsg, name: 'vm1-nsg', properties: { provisioningState: 'Updating' } },
        },
      }),
  ],
  [
    'a redirect',
    {},
    (sim) =>
      sim.faults.add({
        match: { method: 'GET', path: /virtualMachines\/vm1\?/, times: every },
        effect: { status: 307, headers: { location: `${foreign}/vm1` } },
      }),
  ],
  ['an ID that starts with //', { 'subnet-id': `/${foreign.slice(6)}/subscriptions/x` }, () => undefined],
])('sends no request to another host that is named by %s', async (_, inputs, prepare) => {
  const sim = await startWorld();
  prepare(sim);
  const run = await act(sim, inputs, main);
  expect(run.exitCode).toBe(1);
  expect(errorOf(run)).toMatch(/collector\.example|subnet-id/);
  // Nothing answers there: a request would have ended in an error of the network.
  expect(errorOf(run)).not.toMatch(/ENOTFOUND|EAI_AGAIN|ECONNREFUSED/);
  assertNoSecrets(run, [defaults.clientSecret]);
});

test('masks the tokens that Node logs with NODE_DEBUG', async () => {
  const sim = await startWorld();
  const shown: string[] = [];
  const env = { NODE_DEBUG: 'http,https,net,tls' };
  const run = await act(sim, { operation: 'check' }, { ...main, env, onLine: ({ text }) => shown.push(text) });
  expect(run.stdout).toMatch(/eyJ[\w-]{20,}\.[\w-]{20,}/);
  expect(shown.join('\n')).not.toMatch(/eyJ[\w-]{20,}\.[\w-]{20,}/);
  expect(shown.join('\n')).not.toContain(defaults.clientSecret);
});
