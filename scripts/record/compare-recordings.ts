/** Where two recordings of the same requests differ in status, headers, error code or shape of the body. */
import { type RecordedExchange, type Recording, resourceManagerHost } from './recording.ts';

export interface Comparison {
  /** One line per difference. */
  readonly differences: readonly string[];
  /** Requests that only one of the recordings holds. */
  readonly unmatched: readonly string[];
}

type Shape = string | { readonly [member: string]: Shape };

const guid = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

export function compareRecordings(recorded: Recording, simulated: Recording): Comparison {
  const expected = Map.groupBy(recorded.exchanges, requestKey);
  const actual = Map.groupBy(simulated.exchanges, requestKey);
  const differences: string[] = [];
  const unmatched: string[] = [];
  for (const [key, exchanges] of expected) {
    const candidates = actual.get(key);
    if (candidates === undefined) unmatched.push(`${key}: only in the recording`);
    else {
      const result = compareAnswers(exchanges, candidates);
      differences.push(...result.differences.map((difference) => `${key}: ${difference}`));
      unmatched.push(...result.unmatched.map((answer) => `${key}: ${answer} only in the recording`));
    }
  }
  for (const key of actual.keys()) if (!expected.has(key)) unmatched.push(`${key}: only in the simulator`);
  return { differences, unmatched };
}

/** Method and path without names and IDs, so that the same request of another run has the same key. */
function requestKey({ method, host = resourceManagerHost, path }: RecordedExchange): string {
  const [pathname = '', query = ''] = path.split('?');
  const segments = pathname.split('/').slice(1);
  const isArm = host === resourceManagerHost;
  let isName = false;
  let kind = '';
  segments.forEach((segment, index) => {
    const follows = segments[index - 1]?.toLowerCase();
    const isNamespace = follows === 'providers';
    const isTenantPath = !isArm && guid.test(segment);
    kind += `/${isTenantPath || (isArm && isName && !isNamespace) ? '*' : segment.toLowerCase()}`;
    isName = !isName;
  });
  const names = [...new URLSearchParams(query).keys()].filter((name) => !/^(api-version|t|c|s|h|p)$/.test(name));
  return `${method} ${isArm ? '' : host}${kind}${names.length === 0 ? '' : `?${names.toSorted().join('&')}`}`;
}

/** What answers with the same status, to the same request and in the same state of the resource, have in common. */
interface Answers {
  readonly headers: ReadonlySet<string>;
  readonly codes: ReadonlySet<string>;
  readonly body: Shape;
}

function compareAnswers(recorded: readonly RecordedExchange[], simulated: readonly RecordedExchange[]): Comparison {
  const actual = Map.groupBy(simulated, answerKey);
  const differences: string[] = [];
  const unmatched: string[] = [];
  for (const [key, exchanges] of Map.groupBy(recorded, answerKey)) {
    const candidates = actual.get(key);
    const [first] = exchanges;
    if (candidates !== undefined)
      differences.push(
        ...diffAnswers(describeAnswers(exchanges), describeAnswers(candidates)).map(
          (difference) => `${key}, ${difference}`,
        ),
      );
    else if (first && dependsOnTime(first, simulated)) unmatched.push(key);
    else differences.push(`${key}, simulator ${[...actual.keys()].join(', ')}`);
  }
  return { differences, unmatched };
}

/** Status and state: an operation in progress is answered with other members than one that has ended. */
function answerKey({ status, body }: RecordedExchange): string {
  const { properties, status: operation } = (body ?? {}) as {
    readonly status?: unknown;
    readonly properties?: {
      readonly provisioningState?: unknown;
      readonly instanceView?: { readonly executionState?: unknown };
    };
  };
  const states = [operation, properties?.provisioningState, properties?.instanceView?.executionState];
  return ['status', status, ...states.filter((state) => typeof state === 'string')].join(' ');
}

/** A state between the first and the last is seen or not, depending on when the requests arrive. */
function dependsOnTime({ method, status }: RecordedExchange, simulated: readonly RecordedExchange[]): boolean {
  return method === 'GET' && (status === 202 || simulated.some((candidate) => candidate.status === status));
}

function diffAnswers(expected: Answers, actual: Answers): string[] {
  return [
    ...compareNames('header', expected.headers, actual.headers),
    ...compareNames('error code', expected.codes, actual.codes),
    ...compareShapes(expected.body, actual.body, 'body'),
  ];
}

function describeAnswers(exchanges: readonly RecordedExchange[]): Answers {
  return {
    headers: new Set(exchanges.flatMap(({ headers }) => Object.keys(headers).map((name) => name.toLowerCase()))),
    codes: new Set(exchanges.map(({ body }) => errorCode(body)).filter((code) => code !== undefined)),
    body: exchanges.map(({ body }) => shapeOf(body)).reduce(mergeShapes),
  };
}

function compareNames(what: string, expected: ReadonlySet<string>, actual: ReadonlySet<string>): string[] {
  const missing = [...expected].filter((name) => !actual.has(name));
  const added = [...actual].filter((name) => !expected.has(name));
  return [
    ...missing.map((name) => `${what} ${name}: not in the simulator`),
    ...added.map((name) => `${what} ${name}: only in the simulator`),
  ];
}

function errorCode(body: unknown): string | undefined {
  const { error } = (body ?? {}) as { error?: string | { code?: string } };
  return typeof error === 'string' ? error : error?.code;
}

/** Types of members, recursively. A list has one member `[]` with the members of all its elements. */
function shapeOf(value: unknown): Shape {
  if (value === null) return 'null';
  if (Array.isArray(value)) return value.length === 0 ? 'empty list' : { '[]': value.map(shapeOf).reduce(mergeShapes) };
  if (typeof value !== 'object') return typeof value;
  const members: Record<string, Shape> = {};
  for (const [name, inner] of Object.entries(value)) {
    // Tags have names of the user's choice; identities are listed by resource ID.
    if (name === 'tags') members[name] = 'tags';
    else members[name.startsWith('/') ? '*' : name] = shapeOf(inner);
  }
  return members;
}

function mergeShapes(first: Shape, second: Shape): Shape {
  if (typeof second === 'string') return first === 'null' || first === 'empty list' ? second : first;
  if (typeof first === 'string') return second;
  const merged: Record<string, Shape> = { ...first };
  for (const [name, shape] of Object.entries(second))
    merged[name] = merged[name] === undefined ? shape : mergeShapes(merged[name], shape);
  return merged;
}

function compareShapes(recorded: Shape, simulated: Shape, path: string): string[] {
  if (typeof recorded === 'string' || typeof simulated === 'string') {
    const isListEmpty = [recorded, simulated].includes('empty list');
    const isList = [recorded, simulated].some((shape) => typeof shape === 'object' && '[]' in shape);
    if (recorded === simulated || (isListEmpty && isList)) return [];
    const describe = (shape: Shape) => (typeof shape === 'string' ? shape : '[]' in shape ? 'list' : 'object');
    return [`${path}: ${describe(recorded)}, simulator ${describe(simulated)}`];
  }
  return [...new Set([...Object.keys(recorded), ...Object.keys(simulated)])].flatMap((name) => {
    const [expected, actual] = [recorded[name], simulated[name]];
    const inner = name === '[]' ? `${path}[]` : `${path}.${name}`;
    if (actual === undefined) return [`${inner}: not in the simulator`];
    if (expected === undefined) return [`${inner}: only in the simulator`];
    return compareShapes(expected, actual, inner);
  });
}
