/**
 * Answers each request of an operation in turn with a response that a proxy, a gateway or a broken service may give. The
 * step ends with success or one readable error, and nothing is left behind.
 *
 * By default, each response and each request is used at least once, and faults that a run survives share one run.
 * BAD_RESPONSES=all runs every pair (`npm run test:soak`), BAD_RESPONSES=<n>[,<n>] single ones.
 */
import { gzipSync } from 'node:zlib';
import { expect, test } from '@jest/globals';
import type { FaultEffect } from '../../simulator/engine/faults.ts';
import { githubSettings } from '../../simulator/github/github.ts';
import { principals, type Simulator, startSimulator, type World } from '../../simulator/index.ts';
import type { Resource, RoleAssignment } from '../../simulator/model/entities.ts';
import { mapLimited } from '../../src/lib/abort.ts';
import { isJson, parseJson } from '../../src/lib/json.ts';
import { type ActionOptions, type Run, timeScale } from '../support/harness.ts';
import {
  act,
  actWithPost,
  errorOf,
  disturbed,
  group,
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
      const location: Record<string, string> =
        status > 300 && status < 400 ? { location: 'https://portal.example/login' } : {};
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

/** A create and its requests; what `delete` and `sweep` find is copied before its post step. */
interface CreatedOnce {
  readonly journal: Simulator['journal'];
  readonly resources: readonly Resource[];
  readonly assignments: readonly RoleAssignment[];
}
let created: Promise<CreatedOnce> | undefined;

async function createDeployment(): Promise<CreatedOnce> {
  const sim = await startWorld({ world: mayAssignRoles });
  let resources: readonly Resource[] = [];
  let assignments: readonly RoleAssignment[] = [];
  const between = (): void => {
    resources = structuredClone([...sim.world.resources.all()]);
    assignments = assignmentsOfRuns(sim);
  };
  expect(errorOf(await runOperation(sim, 'create', { between }))).toBe('');
  return { journal: sim.journal, resources, assignments };
}

const mayAssignRoles = (world: World): unknown =>
  world.grant(principals.deploy, 'Role Based Access Control Administrator', group);

/** The others, of the default world, have no description. */
const assignmentsOfRuns = ({ world }: Simulator) => world.roleAssignments.filter(({ description }) => description);

const createOnce = () => (created ??= createDeployment());

async function inWorldFor<T>(operation: Operation, work: (sim: Simulator) => Promise<T>): Promise<T> {
  const isRemoval = operation === 'delete' || operation === 'sweep';
  const { resources, assignments } = isRemoval ? await createOnce() : { resources: [], assignments: [] };
  const sim = await startSimulator({
    timeScale: 0.002,
    world: (world) => {
      mayAssignRoles(world);
      githubSettings(world).runs.set('contoso/deploy/9876543210', { status: 'completed', conclusion: 'cancelled' });
      world.roleAssignments.push(...assignments);
      for (const resource of structuredClone(resources)) world.resources.put(resource);
    },
  });
  try {
    return await work(sim);
  } finally {
    await sim.close();
  }
}

/** Below an hour, so that a Retry-After of an hour ends the step at once. */
const stepMinutes = 55;
/** Cleanup after a failure has a limit, too. */
const limitMs = 6 * stepMinutes * 60_000 * timeScale;

/** With all kinds of requests. */
const createInputs = {
  cleanup: 'always',
  identity: 'system, vm1-app',
  'role-assignments': `Reader on ${group}`,
  'run-script': 'true',
};

/** Only `create` leaves something to its post step. */
const runOperation = (
  sim: Simulator,
  operation: Operation,
  options: Pick<ActionOptions, 'between'> = {},
): Promise<Run> => {
  const inputs = { operation, 'timeout-minutes': String(stepMinutes) };
  return operation === 'create'
    ? actWithPost(sim, { ...inputs, ...createInputs }, { ...options, limitMs })
    : act(sim, { ...inputs, 'github-token': 'ghs_simulated' }, { limitMs });
};

interface RequestPattern {
  readonly host: 'arm' | 'entra' | 'github';
  readonly method: string;
  readonly path: RegExp;
}

const journalOf = (operation: Operation) => async (sim: Simulator) => {
  (await runOperation(sim, operation)).dispose();
  return sim.journal;
};

/** The different requests that a run sends: method and path, where IDs of operations and storage accounts do not count. */
async function requestsOf(operation: Operation): Promise<readonly RequestPattern[]> {
  const journal =
    operation === 'create' ? (await createOnce()).journal : await inWorldFor(operation, journalOf(operation));
  const patterns = new Map<string, RequestPattern>();
  for (const { host, method, path } of journal) {
    const escaped = path.replaceAll(/[.+?^${}()|[\]\\]/g, String.raw`\$&`);
    const source = `^${escaped.replaceAll(/(?<=operations?\/)[^/]+$|(?<=bootdiagnostics-)\w+|[0-9a-f-]{36}(?=$|\?)/gi, '[^/?]+')}(\\?|$)`;
    patterns.set(`${host} ${method} ${source}`, { host, method, path: new RegExp(source, 'i') });
  }
  // Parallel requests have no order: sorted, a pair keeps its number.
  return [...patterns.keys()].toSorted().flatMap((key) => patterns.get(key) ?? []);
}

const wanted = process.env['BAD_RESPONSES'] ?? '';
/** They mostly wait for retries. */
const runsAtOnce = wanted === '' ? 4 : 6;

interface Pair {
  readonly pair: number;
  readonly request: RequestPattern;
  readonly response: (typeof responses)[number];
  readonly isLasting: boolean;
}

function pairOf(requests: readonly RequestPattern[], pair: number, isLasting: boolean): Pair {
  const request = requests[Math.floor(pair / responses.length)];
  const response = responses[pair % responses.length];
  if (!request || !response) throw new Error(`There is no pair ${pair}.`);
  return { pair, request, response, isLasting };
}

/** The pairs of each run. Half of the single faults outlast the retries of a request. */
function choosePairs(requests: readonly RequestPattern[], operation: Operation): readonly (readonly Pair[])[] {
  if (wanted === '') return spreadOf(requests, operation);
  const all = Array.from({ length: requests.length * responses.length }, (_, index) => index);
  const isLasting = (pair: number) => (Math.floor(pair / responses.length) + pair) % 2 === 1;
  const numbers = wanted === 'all' ? all : wanted.split(',').map(Number);
  return numbers.filter((pair) => pair < all.length).map((pair) => [pairOf(requests, pair, isLasting(pair))]);
}

/** A quarter of the responses: transient ones in one run that meets one at each request, the others in a run each. */
function spreadOf(requests: readonly RequestPattern[], operation: Operation): readonly (readonly Pair[])[] {
  const own = [...responses.keys()].filter((index) => operations[index % operations.length] === operation);
  const pairAt = (request: number, response: number, isLasting: boolean) =>
    pairOf(requests, request * responses.length + response, isLasting);
  const survived = requests.flatMap((request, at) => {
    const transient = own.filter((index) => isTransient(request, responses[index]?.[1] ?? { reset: true }));
    const response = transient[at % transient.length];
    return response === undefined ? [] : [pairAt(at, response, false)];
  });
  const isUsed = new Set(survived.map(({ pair }) => pair % responses.length));
  const single = own
    .filter((index) => !isUsed.has(index))
    .map((index, at) => [pairAt((index * 7) % requests.length, index, at % 2 === 1)]);
  const outage = survived[(operations.indexOf(operation) * 5) % survived.length];
  return [survived, ...single, ...(outage ? [[{ ...outage, isLasting: true }]] : [])];
}

test.each(operations)(
  'ends %s with success or one readable error when a request gets a bad response',
  async (operation) => {
    const requests = await requestsOf(operation);
    const runs = choosePairs(requests, operation);
    const problems = await mapLimited(runs, runsAtOnce, (pairs) =>
      inWorldFor(operation, (sim) => problemsOf(sim, operation, pairs)),
    );
    expect(problems.flat()).toEqual([]);
  },
  limitMs * (wanted === '' ? 10 : 100),
);

/**
 * What a run must not have changed or left: `check` writes nothing; `create` and its post step delete all that was created,
 * `delete` and `sweep` the deployment and nothing else. What they had to keep, they name.
 */
function changesBy(
  sim: Simulator,
  operation: Operation,
  before: ReadonlyMap<string, string>,
  run: Run,
): readonly string[] {
  const isOurs = (id: string): boolean => operation !== 'check' && /\/vm1(?:[-/]|$)/.test(id);
  const changed = [...since(sim, before), ...disturbed(sim, before)].filter((id) => !isOurs(id));
  const isNamed = (id: string): boolean => {
    const said = warningsOf(run, run.post).toLowerCase();
    return said.includes(id) || (operation !== 'create' && (run.exitCode !== 0 || said.includes('vm1')));
  };
  return [...changed, ...leftBy(sim).filter((id) => !isNamed(id))];
}

const leftBy = (sim: Simulator): readonly string[] => [
  ...[...snapshot(sim).keys()].filter((id) => /\/vm1(?:[-/]|$)/.test(id)),
  ...assignmentsOfRuns(sim).map(({ id }) => id.toLowerCase()),
];

/** One such response must not fail a run: only a refusal may, or other JSON from Entra or GitHub. */
function isTransient({ host, path }: RequestPattern, effect: FaultEffect): boolean {
  if (!('status' in effect)) return true;
  const { status, headers = {}, body } = effect;
  if (status < 300 && (host !== 'arm' || path.test('/metadata/endpoints'))) {
    const other = parseJson(String(body));
    return !isJson(other) && !Array.isArray(other);
  }
  if (status < 300) return true;
  return (status === 429 && !('retry-after' in headers)) || status >= 500;
}

async function problemsOf(sim: Simulator, operation: Operation, pairs: readonly Pair[]): Promise<readonly string[]> {
  const before = snapshot(sim);
  const faults = pairs.map(({ request, response: [, effect], isLasting }) =>
    sim.faults.add({ match: { ...request, times: isLasting ? 20 : 1 }, effect }),
  );
  const what = pairs
    .map(({ pair, request, response: [name], isLasting }) => {
      const times = isLasting ? ' 20 times' : '';
      return `${pair}: ${request.method} ${request.path.source} gets ${name}${times}`;
    })
    .join('; ');
  const run = await runOperation(sim, operation).catch((error: unknown) => String(error));
  if (typeof run === 'string') return [`${what}: ${run}`];
  run.dispose();
  const errors = run.annotations.filter(({ level }) => level === 'error').length;
  const lines = [run, ...(run.post ? [run.post] : [])].flatMap((phase) =>
    phase.lines.filter(({ command }) => command !== 'add-mask' && command !== 'debug').map(({ text }) => text),
  );
  const survives = pairs.every(({ request, response, isLasting }) => !isLasting && isTransient(request, response[1]));
  const problems = [
    ...(faults.some(({ applied }) => applied === 0) ? ['a request was not sent'] : []),
    ...lines.filter((line) => unreadable.test(line)),
    ...(run.exitCode === (errors === 0 ? 0 : 1) && errors <= 1 ? [] : [`exit code ${run.exitCode}, ${errors} errors`]),
    ...changesBy(sim, operation, before, run),
    ...(survives ? [errorOf(run), ...(operation === 'check' ? [] : leftBy(sim))] : []),
  ];
  return problems.filter((problem) => problem !== '').map((problem) => `${what}: ${problem}`);
}
