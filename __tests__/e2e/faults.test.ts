import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import type { FaultEffect, FaultMatch } from '../../simulator/engine/faults.ts';
import { settings } from '../../simulator/providers/compute/settings.ts';
import { defaults } from '../../simulator/index.ts';
import { transientErrors } from '../../src/azure/policies/retry.ts';
import { type Run, timeJump } from '../support/harness.ts';
import {
  act,
  brokenRules,
  errorOf,
  expectAllGone,
  cleanupStateOf,
  partsOf,
  snapshot,
  startWorld,
  warningsOf,
  actWithPost,
} from '../support/lifecycle.ts';

const vm1 = partsOf('vm1');
const main = { phases: ['main'] } as const;
const every = (id: string): RegExp => new RegExp(`${id}(\\?|$)`);

const passing: readonly [string, FaultEffect][] = [
  ['429 with Retry-After', { status: 429, code: 'TooManyRequests', message: 'slow', headers: { 'retry-after': '1' } }],
  ['429 without Retry-After', { status: 429, code: 'TooManyRequests', message: 'slow' }],
  ['500', { status: 500, code: 'InternalServerError', message: 'oops' }],
  ['502', { status: 502, code: 'BadGatewayConnection', message: 'oops' }],
  ['503 with a page', { status: 503, body: '<html><title>Busy</title></html>' }],
  ['504', { status: 504 }],
  ['a reset', { reset: true }],
  ['RetryableError', { status: 429, code: 'RetryableError', message: 'A retryable error occurred.' }],
  ['AnotherOperationInProgress', { status: 409, code: 'AnotherOperationInProgress', message: 'in progress' }],
  ['ReferencedResourceNotProvisioned', { status: 409, code: 'ReferencedResourceNotProvisioned', message: 'not yet' }],
  ['an expired token', { status: 401, code: 'ExpiredAuthenticationToken', message: 'The access token has expired.' }],
  ['an answer lost after the request was carried out', { dropAfterCommit: true }],
];

/** Rows of the table whose scenario is a test of its kind of resource. */
const rowsElsewhere: Readonly<Record<string, string>> = {
  'vm-busy': 'faults.test.ts: // A busy run command.',
  'failed-by-azure': 'faults.test.ts: // Ends of operations.',
  'image-not-known-yet': 'faults.test.ts: // GalleryImageNotFound although the region reads Completed.',
  'new-resource-group': 'other-answers.test.ts: do not know a new group yet',
};

test('has a scenario in which the VM survives for every row of the table of transient errors', () => {
  const rowOf = (effect: FaultEffect): string | undefined => {
    const { status = 0, code = '', message = '' } = 'status' in effect ? effect : {};
    const body = JSON.stringify({ error: { code, message } });
    const lost = status === 0 ? 'ECONNRESET' : code;
    const error = { status, code: lost, message, details: [], method: 'PUT', url: vm1.machine, body };
    return transientErrors.find(({ matches }) => matches(error))?.id;
  };
  for (const [id, place] of Object.entries(rowsElsewhere)) {
    const [file = '', name = ''] = place.split(': ');
    expect([id, readFileSync(`${import.meta.dirname}/${file}`, 'utf8').includes(name)]).toEqual([id, true]);
  }
  const covered = new Set([...passing.map(([, effect]) => rowOf(effect)), ...Object.keys(rowsElsewhere)]);
  expect(transientErrors.map(({ id }) => id).filter((id) => !covered.has(id))).toEqual([]);
});

/** Requests of each kind in the life of a deployment: each of these meets each fault once. */
const requests: readonly [string, FaultMatch][] = [
  ['reading the group', { method: 'GET', path: /resourceGroups\/deploy-rg\?/ }],
  ['looking for the machine', { method: 'GET', path: every(vm1.machine), phase: 'request' }],
  ['PUT of the security group', { method: 'PUT', path: every(vm1.nsg) }],
  ['PUT of the interface', { method: 'PUT', path: every(vm1.nic) }],
  ['PUT of the machine', { method: 'PUT', path: every(vm1.machine) }],
  ['a poll', { method: 'GET', path: /Microsoft.Compute\/locations\/.*operations/, phase: 'poll' }],
  ['DELETE of the machine', { method: 'DELETE', path: every(vm1.machine) }],
  ['DELETE of the network', { method: 'DELETE', path: every(vm1.vnet) }],
  [
    'a poll of a deletion',
    { method: 'GET', path: /Microsoft.Network\/locations\/.*operations/, phase: 'poll', nth: 5 },
  ],
];

/** Effects that one life meets in turn at each of its requests. A poll that ends with 409 is settled by reading the VM, without a retry. */
const lives: readonly (readonly number[])[] = [[0, 1, 2, 8], [3, 4, 5, 9], [6, 7, 10], [11]];

describe('every request of a life', () => {
  test('meets every transient error', () => {
    expect(lives.flat().toSorted((one, other) => one - other)).toEqual([...passing.keys()]);
  });

  const rows = lives.map((indexes) => {
    const errors = indexes.flatMap((index) => (passing[index] ? [passing[index]] : []));
    return [errors.map(([name]) => name).join(', '), errors.map(([, effect]) => effect)] as const;
  });
  test.concurrent.each(rows)('is retried, with a line in the log each, when it meets %s', async (_, effects) => {
    const sim = await startWorld();
    const before = snapshot(sim);
    const faults = requests.flatMap(([, match]) =>
      effects.map((effect, index) => sim.faults.add({ match: { ...match, nth: (match.nth ?? 1) + index }, effect })),
    );
    const run = await actWithPost(sim, { cleanup: 'always' });
    expect(errorOf(run)).toBe('');
    expect([run.exitCode, run.post?.exitCode]).toEqual([0, 0]);
    expectAllGone(sim, before);
    expect(warningsOf(run.post)).not.toContain('Could not be deleted');
    // With the answer to a PUT or a DELETE the URL of its operation is lost, so that there may be nothing to poll.
    const due = faults.filter(({ match, effect }) => !('dropAfterCommit' in effect && match.phase === 'poll'));
    expect(due.map(({ applied }) => applied)).toEqual(due.map(() => 1));
    const log = `${run.stdout}${run.post?.stdout}`;
    const applied = faults.filter((fault) => fault.applied > 0);
    // Azure refuses a request that is repeated while the first one, whose answer was lost, is still carried out.
    const refused = sim.journal.filter(({ faulted, status }) => !faulted && [409, 429].includes(status));
    const settled = effects.some((effect) => 'status' in effect && effect.status === 409) ? 1 : 0;
    expect(log.match(/retrying in/g)).toHaveLength(applied.length + refused.length - settled);
    expect(brokenRules(sim.journal, new Set(before.keys()), [run], run, [defaults.clientSecret])).toEqual([]);
  });
});

test('reports nothing left behind when the answer to the DELETE of the VM is lost and the VM is gone at once', async () => {
  const sim = await startWorld();
  const before = snapshot(sim);
  sim.world.latencies['vmDelete'] = 0;
  sim.faults.add({ match: { method: 'DELETE', path: every(vm1.machine) }, effect: { dropAfterCommit: true } });
  const run = await actWithPost(sim, { cleanup: 'always' });
  expectAllGone(sim, before);
  expect(warningsOf(run.post)).not.toContain('may be left behind');
});

describe('the end of an operation', () => {
  test('keeps its code, its innermost details and the correlation ID in the error', async () => {
    const sim = await startWorld();
    sim.faults.add({
      match: { method: 'PUT', path: every(vm1.machine) },
      effect: {
        operationFails: {
          code: 'VMOperationFailed',
          message: 'The outer words.',
          details: [{ code: 'DiskEncryptionFailed', message: 'The inner words.' }],
        },
      },
    });
    const run = await act(sim);
    expect(run.exitCode).toBe(1);
    for (const part of ['VMOperationFailed', 'The outer words.', 'DiskEncryptionFailed', 'The inner words.']) {
      expect(errorOf(run)).toContain(part);
    }
    const correlation = /Correlation ID of all requests of this run: (\S+)/.exec(run.stdout)?.[1];
    expect(errorOf(run)).toContain(`Correlation ID: ${correlation}`);
  });
});

describe('a lost answer to the PUT of the machine', () => {
  test('adopts the VM that it created, and goes on', async () => {
    const sim = await startWorld();
    sim.faults.add({ match: { method: 'PUT', path: every(vm1.machine) }, effect: { dropAfterCommit: true } });
    const run = await act(sim, {}, main);
    expect(run.exitCode).toBe(0);
    const puts = sim.journal.filter(({ method, kind }) => method === 'PUT' && kind === 'vm.put');
    expect(puts.map(({ status }) => status)).toEqual([201, 412]);
    expect(run.outputs['vm-instance-id']).toBeTruthy();
    expect(cleanupStateOf(run)?.pending).toEqual([]);
  });

  test('tries the next size when Azure has no capacity for the VM that it created', async () => {
    const sim = await startWorld();
    sim.faults.add({ match: { method: 'PUT', path: every(vm1.machine) }, effect: { dropAfterCommit: true } });
    settings(sim.world).shortages.push({
      code: 'AllocationFailed',
      size: 'Standard_D2s_v5',
      at: 'operation',
    });
    const run = await act(sim, { 'vm-size': 'Standard_D2s_v5, Standard_D4s_v5' }, main);
    expect(errorOf(run)).toBe('');
    expect(run.outputs['vm-size']).toBe('Standard_D4s_v5');
  });

  test('leaves the VM that another run created at the same time', async () => {
    const sim = await startWorld();
    let winner: Run | undefined;
    sim.faults.add({
      match: { method: 'PUT', path: every(vm1.machine) },
      effect: {
        onArrival: async () => {
          winner = await act(sim, {}, { ...main, env: { GITHUB_RUN_ID: '2' } });
        },
      },
    });
    const late = await act(sim, {}, { ...main, env: { GITHUB_RUN_ID: '1' } });
    expect([winner?.exitCode, late.exitCode]).toEqual([0, 1]);
    const machine = sim.world.resources.get(vm1.machine)?.body;
    expect(machine?.['properties'].vmId).toBe(winner?.outputs['vm-instance-id']);
    expect(sim.world.resources.get(vm1.machine)?.body['properties'].provisioningState).toBe('Succeeded');
  });
});

describe('retries', () => {
  test('report the error when an outage outlasts them', async () => {
    const sim = await startWorld();
    const fault = sim.faults.add({
      match: { method: 'PUT', path: every(vm1.nsg), times: Number.POSITIVE_INFINITY },
      effect: { status: 503, code: 'ServerUnavailable', message: 'still down' },
    });
    const run = await act(sim);
    expect(run.exitCode).toBe(1);
    expect(errorOf(run)).toContain('still down');
    expect(fault.applied).toBeGreaterThan(6);
  });

  test('renew both tokens when they expire during the create', async () => {
    const sim = await startWorld();
    sim.world.latencies['vmPutLinux'] = 200;
    const { env, name } = timeJump(3500);
    const signal = [
      { name, whenLog: /Creating network security group/ },
      { name, whenLog: /Creating virtual machine/ },
    ];
    const run = await act(sim, {}, { ...main, env, signal });
    expect(errorOf(run)).toBe('');
    expect(run.exitCode).toBe(0);
    expect(sim.journal.filter(({ kind, status }) => kind === 'entra.token' && status === 200).length).toBeGreaterThan(
      4,
    );
    expect(sim.journal.filter(({ host, status }) => host === 'arm' && status === 401)).toEqual([]);
  });
});

describe('a transient error of the VM', () => {
  const machine = every(vm1.machine);

  test.concurrent('is retried as the refusal of a PUT and as the end of its operation', async () => {
    const sim = await startWorld();
    // GalleryImageNotFound although the region reads Completed.
    sim.faults.add({
      match: { method: 'PUT', path: machine, times: 2 },
      effect: { status: 404, code: 'GalleryImageNotFound', message: 'The gallery image is not available.' },
    });
    // Ends of operations.
    const another = 'AnotherOperationInProgress';
    const codes = [
      another,
      'NetworkingInternalOperationError',
      'InternalExecutionError',
      'OperationPreempted',
      'InternalServerError',
    ];
    for (const [index, code] of codes.entries()) {
      sim.faults.add({
        match: { method: 'PUT', path: machine, nth: index + 3 },
        effect: { operationFails: { code, message: 'Please try again later.' } },
      });
    }
    const types = ['networkSecurityGroups', 'virtualNetworks', 'publicIPAddresses'];
    for (const type of types) {
      sim.faults.add({
        match: { method: 'PUT', path: new RegExp(`/${type}/`) },
        effect: { operationFails: { code: another, message: 'Another operation is in progress.' } },
      });
    }
    // A busy run command.
    const message = 'Run command extension execution is in progress. Please wait for completion.';
    sim.faults.add({
      match: { method: 'PUT', path: /\/runCommands\// },
      effect: { status: 409, code: 'Conflict', message },
    });
    const run = await act(sim, { 'run-script': 'true' });
    expect([errorOf(run), run.exitCode]).toEqual(['', 0]);
    expect(run.stdout.match(/answered 404 GalleryImageNotFound; retrying in/g)).toHaveLength(2);
    for (const code of codes) expect(run.stdout).toContain(`the operation ended as ${code}; retrying in`);
    expect(run.stdout.match(/the operation ended as AnotherOperationInProgress; retrying/g)).toHaveLength(
      types.length + 1,
    );
    expect(run.stdout).toContain('answered 409 Conflict; retrying in');
    expect(sim.world.resources.get(vm1.machine)?.body).toMatchObject({
      properties: { provisioningState: 'Succeeded' },
    });
  });

  test.concurrent.each<[string, readonly FaultEffect[]]>([
    ['an outage of the operation status', [{ status: 503 }]],
    [
      'an HTML page, nothing, then empty objects',
      [{ status: 200, body: '<html><title>Busy</title></html>' }, { status: 200 }, { status: 200, body: {} }],
    ],
  ])('keeps a VM that succeeds while its polls are answered with %s', async (_, effects) => {
    const sim = await startWorld();
    const faults = effects.map((effect, index) => {
      const match = { path: /Microsoft.Compute\/locations\/.*operations/, phase: 'poll', nth: index + 1 } as const;
      const isLast = index === effects.length - 1;
      return sim.faults.add({ match: { ...match, times: isLast ? Infinity : 1 }, effect });
    });
    const run = await act(sim, {}, main);
    expect(errorOf(run)).toBe('');
    for (const fault of faults) expect(fault.applied).toBeGreaterThan(0);
    expect(sim.world.resources.get(vm1.machine)?.body).toMatchObject({
      properties: { provisioningState: 'Succeeded' },
    });
  });
});
