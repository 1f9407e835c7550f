/**
 * Answers each request of an operation in turn with a response that a proxy, a gateway or a broken service may give. The
 * step ends with success or one readable error, and nothing is left behind.
 *
 * A spread of all pairs runs by default. BAD_RESPONSES=all runs them all (`npm run test:soak`), BAD_RESPONSES=<n>[,<n>] single ones.
 */
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from '@jest/globals';
import type { FaultEffect } from '../../simulator/engine/faults.ts';
import type { Simulator } from '../../simulator/index.ts';
import { type Run, timeScale } from '../support/harness.ts';
import {
  act,
  actWithPost,
  errorOf,
  disturbed,
  expireDeployments,
  since,
  snapshot,
  startWorld,
  warningsOf,
} from '../support/lifecycle.ts';

const json = { 'content-type': 'application/json; charset=utf-8' };
const html = { 'content-type': 'text/html' };
const page = '<!DOCTYPE html><html><head><title>Sign in to the network</title></head><body>hello</body></html>';

const bodies: readonly [string, Partial<Extract<FaultEffect, { status: number }>>][] = [
  ['an empty body', {}],
  ['an empty object', { body: '{}', headers: json }],
  ['null', { body: 'null', headers: json }],
  ['a list', { body: '[]', headers: json }],
  ['a text', { body: '"ok"', headers: json }],
  ['a number', { body: '7', headers: json }],
  ['truncated JSON', { body: '{"id": "/subscriptions/', headers: json }],
  ['an HTML page', { body: page, headers: html }],
  ['an HTML page as JSON', { body: page, headers: json }],
  ['JSON as text', { body: '{}', headers: { 'content-type': 'text/plain' } }],
  ['a byte order mark', { body: '\uFEFF{}', headers: json }],
  ['broken gzip', { body: 'not gzip', headers: { ...json, 'content-encoding': 'gzip' } }],
  ['5 MB of text', { body: 'x'.repeat(5_000_000), headers: { 'content-type': 'text/plain' } }],
  ['gzip without a header', { body: gzipSync('{}').toString('latin1'), headers: json }],
];

/** Each status with some of the bodies: 40 responses. */
const responses: readonly [string, FaultEffect][] = [
  ...bodies.map(([name, effect]): [string, FaultEffect] => [`200 with ${name}`, { status: 200, ...effect }]),
  ...[202, 204, 301, 302, 307, 400, 401, 403, 404, 407, 409, 410, 412, 429, 500, 502, 503, 504].map(
    (status, index): [string, FaultEffect] => {
      const [name, effect] = bodies[index % 11] ?? ['an empty body', {}];
      const location = status > 300 && status < 400 ? { location: 'https://portal.example/login' } : {};
      return [
        `${status} with ${status === 204 ? 'an empty body' : name}`,
        { status, ...(status === 204 ? {} : effect), headers: { ...effect.headers, ...location } },
      ];
    },
  ),
  ['429 with a Retry-After of an hour', { status: 429, headers: { 'retry-after': '3600' } }],
  ['503 with an HTML page', { status: 503, body: page, headers: html }],
  ['502 with a page of 5 MB', { status: 502, body: page + 'x'.repeat(5_000_000), headers: html }],
  ['a reset connection', { reset: true }],
  ['a connection that is reset after the request was handled', { dropAfterCommit: true }],
  ['a response after 2 seconds', { delaySeconds: 2 }],
  ['200 with terminal codes', { status: 200, body: '\u001B[31m::error::oops\u202E', headers: html }],
  ['403 with terminal codes', { status: 403, code: '\u001B[31m', message: '\n::error::oops\u202E' }],
];

test('knows 40 bad responses', () => expect(responses).toHaveLength(40));

const operations = ['create', 'delete', 'sweep', 'check'] as const;
type Operation = (typeof operations)[number];

const unreadable = /Unexpected|undefined|\[object|Cannot read|at .*\.js:\d/;

async function worldFor(operation: Operation): Promise<Simulator> {
  const sim = await startWorld();
  if (operation === 'delete' || operation === 'sweep') {
    const run = await act(sim, { 'expires-after': 'PT1M' }, { phases: ['main'] });
    expect(errorOf(run)).toBe('');
    expireDeployments(sim);
  }
  return sim;
}

/** The time limit of the step, and twice that for its process: cleanup after a failure has a limit too. */
const stepMinutes = 30;
const limitMs = 2 * stepMinutes * 60_000 * timeScale;

const runOperation = (sim: Simulator, operation: Operation): Promise<Run> =>
  actWithPost(
    sim,
    {
      operation,
      'timeout-minutes': String(stepMinutes),
      ...(operation === 'create' ? { cleanup: 'always' } : {}),
    },
    { limitMs },
  );

interface RequestPattern {
  readonly host: 'arm' | 'entra' | 'github';
  readonly method: string;
  readonly path: RegExp;
}

/** The different requests that a run sends: method and path, where IDs of operations do not count. */
async function requestsOf(operation: Operation): Promise<readonly RequestPattern[]> {
  const sim = await worldFor(operation);
  const mark = sim.journal.length;
  await runOperation(sim, operation);
  const patterns = new Map<string, RequestPattern>();
  for (const { host, method, path } of sim.journal.slice(mark)) {
    const escaped = path.replaceAll(/[.+?^${}()|[\]\\]/g, String.raw`\$&`);
    const source = `^${escaped.replaceAll(/(?<=operations?\/)[^/]+$|[0-9a-f-]{36}(?=$|\?)/gi, '[^/?]+')}(\\?|$)`;
    patterns.set(`${host} ${method} ${source}`, { host, method, path: new RegExp(source, 'i') });
  }
  return [...patterns.values()];
}

const wanted = process.env['BAD_RESPONSES'] ?? '';
/** Pairs per operation in `npm test`: together they meet every response and most requests. */
const spread = 10;

function chosen(count: number, operation: Operation): readonly number[] {
  if (wanted === 'all') return Array.from({ length: count }, (_, index) => index);
  if (wanted !== '') return wanted.split(',').map(Number);
  const offset = operations.indexOf(operation) * spread;
  // Response n of 40 with a request that is different for each.
  return Array.from({ length: spread }, (_, index) => {
    const response = offset + index;
    const requests = Math.floor(count / responses.length);
    return ((response * 7) % requests) * responses.length + response;
  });
}

describe.each(operations)('%s', (operation) => {
  const found = requestsOf(operation);
  afterAll(() => found);

  const limit = wanted === 'all' ? 40 : spread;
  test.each(Array.from({ length: limit }, (_, index) => index))(
    'ends with success or one readable error when a request gets a bad response (part %i)',
    async (part) => {
      const requests = await found;
      const pairs = chosen(requests.length * responses.length, operation);
      for (const pair of pairs.filter((_, index) => index % limit === part)) {
        await expectReadableEnd(operation, requests, pair);
      }
    },
  );
});

/**
 * What a run must not have changed or left: `check` writes nothing; `delete` and `sweep` delete only the deployment, all of
 * it when they succeed, or say that they kept it.
 */
function changesBy(
  sim: Simulator,
  operation: Operation,
  before: ReadonlyMap<string, string>,
  run: Run,
): readonly string[] {
  const isOurs = (id: string): boolean => /\/vm1(?:[-/]|$)/.test(id);
  const changed = [
    ...since(sim, before),
    ...disturbed(sim, before).filter((id) => operation === 'check' || !isOurs(id)),
  ];
  const isKept = operation === 'check' || run.exitCode !== 0 || warningsOf(run).includes('vm1');
  return [...changed, ...(isKept ? [] : [...snapshot(sim).keys()].filter(isOurs))];
}

async function expectReadableEnd(
  operation: Operation,
  requests: readonly RequestPattern[],
  pair: number,
): Promise<void> {
  const request = requests[Math.floor(pair / responses.length)];
  const [name, effect] = responses[pair % responses.length] ?? [];
  if (!request || !effect) return;
  const what = `${pair}: ${request.method} ${request.path.source} gets ${name}`;
  const sim = await worldFor(operation);
  const before = snapshot(sim);
  // Odd pairs outlast the retries of a request.
  sim.faults.add({ match: { ...request, times: pair % 2 === 0 ? 1 : 20 }, effect });
  const run = await runOperation(sim, operation);
  const phases = [run, ...(run.post ? [run.post] : [])];
  const lines = phases.flatMap(({ lines: all }) =>
    all.filter(({ command }) => command !== 'add-mask' && command !== 'debug').map(({ text }) => text),
  );
  expect([what, lines.filter((line) => unreadable.test(line))]).toEqual([what, []]);
  expect([what, run.exitCode]).toEqual([what, run.exitCode === 0 ? 0 : 1]);
  expect([what, run.annotations.filter(({ level }) => level === 'error').length]).toEqual([what, run.exitCode]);
  if (operation !== 'create') {
    expect([what, changesBy(sim, operation, before, run)]).toEqual([what, []]);
    return;
  }
  // While role assignments cannot be listed, what holds them stays, and the post step names it.
  const warnings = (run.post?.annotations ?? []).map(({ message }) => message).join('\n');
  const unreported = since(sim, before).filter((id) => pair % 2 === 0 || !warnings.includes(id));
  expect([what, unreported, disturbed(sim, before)]).toEqual([what, [], []]);
}
