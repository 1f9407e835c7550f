/**
 * Long-running operations. They advance by the clock, not by polls. Poll URLs are as long as Azure's and rejected
 * when altered; poll bodies and Retry-After are those recorded for each family.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { ArmError, notModelled } from '../model/arm-error.ts';
import type {
  Answer,
  Budget,
  Caller,
  OperationFailure,
  OperationFamily,
  OperationStart,
  OperationStyle,
} from '../model/contract.ts';
import type { Clock } from './clock.ts';

/** The part of an operation that tests read. */
export interface Operation {
  readonly id: string;
  readonly family: OperationFamily;
  readonly name: string;
  readonly resourceId: string;
  readonly method: string;
  /** Simulated seconds. */
  readonly startedAt: number;
  readonly endsAt: number;
  status: 'InProgress' | 'Succeeded' | 'Failed';
  error: OperationFailure | undefined;
  polls: number;
}

interface RunningOperation extends Operation {
  readonly start: OperationStart;
  readonly retryAfter: readonly number[];
  readonly apiVersion: string;
  readonly subscription: string;
  readonly tenant: string;
}

export type RetryAfterProfile = 'short' | 'recorded' | 'recorded50';

/** What a fault changes about an operation. */
export interface InjectedOperation {
  failure?: OperationFailure | undefined;
  style?: OperationStyle | undefined;
}

/** The request that starts an operation. */
export interface OperationRequest {
  readonly method: string;
  readonly origin: string;
  readonly apiVersion: string;
  readonly subscription: string;
  readonly caller: Caller;
}

/**
 * Retry-After of the first answer, then of each poll, in simulated seconds. Recorded: Compute 10, then 35 (VM PUT),
 * 30 (VM DELETE) or 50; Network 3, then 10; groups 15. `short` is for tests that count polls.
 */
const retryAfterProfiles: Record<RetryAfterProfile, (family: OperationFamily, method: string) => readonly number[]> = {
  short: () => [1],
  recorded: (family, method) => recordedRetryAfter(family, method, 35),
  recorded50: (family, method) => recordedRetryAfter(family, method, 50),
};

function recordedRetryAfter(family: OperationFamily, method: string, long: number): readonly number[] {
  if (family === 'network') return method === 'DELETE' ? [10] : [3, 10];
  if (family === 'group') return [15];
  if (family === 'compute') return [10, method === 'DELETE' ? 30 : long];
  return [10];
}

/** Paths of polls; the gateway registers a route for each. */
export const pollPaths: readonly string[] = [
  '/subscriptions/:subscriptionId/providers/Microsoft.Network/locations/:location/operations/:operation',
  '/subscriptions/:subscriptionId/providers/Microsoft.Network/locations/:location/operationResults/:operation',
  '/subscriptions/:subscriptionId/providers/Microsoft.Compute/locations/:location/operations/:operation',
  '/subscriptions/:subscriptionId/providers/Microsoft.Compute/locations/:location/DiskOperations/:operation',
  '/subscriptions/:subscriptionId/providers/Microsoft.Compute/locations/:location/capsOperations/:operation',
  '/subscriptions/:subscriptionId/operationresults/:operation',
];

const computePaths: Partial<Record<OperationFamily, string>> = {
  compute: 'operations',
  disk: 'DiskOperations',
  gallery: 'capsOperations',
};

export interface OperationOptions {
  readonly retryAfterProfile: RetryAfterProfile;
  /** Seconds of simulated time of the latency with that name. */
  latency(name: string): number;
  newId(): string;
  /** Body of a GET of the resource; undefined if it does not exist. */
  readBody(resourceId: string): unknown;
}

export class Operations {
  readonly #clock: Clock;
  readonly #options: OperationOptions;
  readonly #running = new Map<string, RunningOperation>();
  readonly #key = randomBytes(32);
  // Azure's poll URLs contain a certificate of about 2 KB. Clients must not truncate or rebuild them.
  readonly #certificate = randomBytes(1500).toString('base64url');

  constructor(clock: Clock, options: OperationOptions) {
    this.#clock = clock;
    this.#options = options;
  }

  all(): readonly Operation[] {
    return [...this.#running.values()];
  }

  /** The operation that is changing the resource or one of its children. */
  findRunning(resourceId: string): Operation | undefined {
    const key = resourceId.toLowerCase();
    return [...this.#running.values()].find(
      (operation) =>
        operation.status === 'InProgress' &&
        (operation.resourceId.toLowerCase() === key || operation.resourceId.toLowerCase().startsWith(`${key}/`)),
    );
  }

  /** Absolute URL of an operation, as in Azure-AsyncOperation and in error texts. */
  url(operation: Operation, origin: string, location = false): string {
    const running = this.#running.get(operation.id);
    if (!running) throw new Error(`no operation ${operation.id}`);
    return `${origin}${this.#path(running, location)}`;
  }

  /** Starts an operation and returns the answer to the request that started it. */
  start(request: OperationRequest, start: OperationStart, injected: InjectedOperation = {}): Answer {
    const seconds = typeof start.latency === 'number' ? start.latency : this.#options.latency(start.latency);
    const profile = retryAfterProfiles[this.#options.retryAfterProfile];
    const running: RunningOperation = {
      id: start.family === 'group' ? groupDeletionJobId(start) : this.#options.newId(),
      family: start.family,
      name: start.name ?? `${request.method}Operation`,
      resourceId: start.resourceId,
      method: request.method,
      startedAt: this.#clock.now(),
      endsAt: this.#clock.now() + seconds,
      status: 'InProgress',
      error: undefined,
      polls: 0,
      start,
      retryAfter: start.retryAfter ?? profile(start.family, request.method),
      apiVersion: request.apiVersion,
      subscription: request.subscription,
      tenant: request.caller.tenant,
    };
    this.#running.set(running.id, running);
    const error = injected.failure ?? start.failure;
    this.#clock.after(seconds, () => {
      if (error) {
        running.status = 'Failed';
        running.error = error;
        start.failed?.(error);
      } else {
        running.status = 'Succeeded';
        start.complete();
      }
    });

    const headers: Record<string, string> = {};
    const style = injected.style ?? start.style ?? (start.status === 202 ? 'both' : 'async');
    if (style === 'async' || style === 'both') {
      headers['azure-asyncnotification'] = 'Enabled';
      headers['azure-asyncoperation'] = `${request.origin}${this.#path(running, false)}`;
    }
    if (style === 'location' || style === 'both') headers['location'] = `${request.origin}${this.#path(running, true)}`;
    headers['retry-after'] = this.#nextRetryAfter(running);
    return { status: start.status, headers, body: start.body };
  }

  /** The tenant that started the operation, and the buckets that polls are charged to. */
  find(id: string): { readonly tenant: string; readonly budgets: readonly Budget[] } | undefined {
    const running = this.#running.get(id);
    return running && { tenant: running.tenant, budgets: running.start.pollBudgets ?? [] };
  }

  /** `pathAndQuery` is the URL exactly as received. */
  poll(id: string, pathAndQuery: string, origin: string): Answer {
    const running = this.#running.get(id);
    // Azure's code for the ID of an unknown operation was not recorded.
    if (!running) throw notModelled(`operation '${id}' in a poll`);
    this.#verify(pathAndQuery);
    running.polls += 1;
    const query = pathAndQuery.split('?')[1] ?? '';
    const isResult =
      running.family === 'group' || /\/operationresults\//i.test(pathAndQuery) || /(^|&)monitor=true(&|$)/.test(query);
    return isResult ? this.#resultAnswer(running, origin) : this.#statusAnswer(running);
  }

  #statusAnswer(running: RunningOperation): Answer {
    const compute = running.family !== 'network';
    const body: Record<string, unknown> = compute ? { startTime: this.#clock.timestamp(running.startedAt) } : {};
    if (compute && running.status !== 'InProgress') body['endTime'] = this.#clock.timestamp(running.endsAt);
    body['status'] = running.status;
    if (running.error) body['error'] = compute ? running.error : { details: [], ...running.error };
    if (compute) body['name'] = running.id;
    const headers: Record<string, string> =
      running.status === 'InProgress' ? { 'retry-after': this.#nextRetryAfter(running) } : {};
    return { status: 200, headers, body };
  }

  #resultAnswer(running: RunningOperation, origin: string): Answer {
    if (running.status === 'InProgress') {
      const headers: Record<string, string> = {
        location: `${origin}${this.#path(running, true)}`,
        'retry-after': this.#nextRetryAfter(running),
      };
      if (running.family === 'network') {
        headers['azure-asyncnotification'] = 'Enabled';
        headers['azure-asyncoperation'] = `${origin}${this.#path(running, false)}`;
      }
      return { status: 202, headers };
    }
    if (running.status === 'Failed') {
      const error = running.error ?? { code: 'InternalServerError', message: '' };
      throw new ArmError(409, error.code, error.message, error.details ? { details: error.details } : {});
    }
    if (running.start.result) return { status: 200, body: running.start.result() };
    if (running.family === 'group') return { status: 200 };
    if (running.method === 'DELETE') {
      // Recorded for Network: 204 with the poll URLs.
      const headers: Record<string, string> =
        running.family === 'network'
          ? {
              'azure-asyncnotification': 'Enabled',
              'azure-asyncoperation': `${origin}${this.#path(running, false)}`,
              location: `${origin}${this.#path(running, true)}`,
            }
          : {};
      return { status: 204, headers };
    }
    return { status: 200, body: this.#options.readBody(running.resourceId) };
  }

  /** The first value once, then the next; the last one repeats. */
  #nextRetryAfter(running: RunningOperation): string {
    const figure = running.retryAfter[Math.min(running.polls, running.retryAfter.length - 1)] ?? 10;
    return this.#clock.retryAfter(figure);
  }

  #path(running: RunningOperation, location: boolean): string {
    const base = `/subscriptions/${running.subscription}`;
    const region = running.start.location.toLowerCase().replaceAll(' ', '');
    let path: string;
    const query: string[] = [];
    if (running.family === 'group') {
      path = `${base}/operationresults/${running.id}`;
    } else if (running.family === 'network') {
      const segment = location ? 'operationResults' : 'operations';
      path = `${base}/providers/Microsoft.Network/locations/${region}/${segment}/${running.id}`;
    } else {
      path = `${base}/providers/Microsoft.Compute/locations/${region}/${computePaths[running.family]}/${running.id}`;
      query.push(`p=${running.subscription}`);
      if (location) query.push('monitor=true');
    }
    query.push(`api-version=${running.apiVersion}`);
    // .NET ticks, as in the recordings.
    query.push(`t=${(BigInt(Date.now()) + 62135596800000n) * 10000n}`, `c=${this.#certificate}`);
    const unsigned = `${path}?${query.join('&')}`;
    return `${unsigned}&s=${this.#sign('s', unsigned)}&h=${this.#sign('h', unsigned)}`;
  }

  #sign(part: string, unsigned: string): string {
    return createHmac('sha256', this.#key).update(`${part}\n${unsigned}`).digest('base64url');
  }

  #verify(pathAndQuery: string): void {
    const match = /^(.*)&s=([^&]*)&h=([^&]*)$/.exec(pathAndQuery);
    const unsigned = match?.[1] ?? '';
    if (!match || match[2] !== this.#sign('s', unsigned) || match[3] !== this.#sign('h', unsigned)) {
      throw notModelled('what Azure answers to a poll URL that was altered (use it verbatim)');
    }
  }
}

/** The job ID in the poll path of a group deletion: base64 of JSON that names the group (recorded). */
function groupDeletionJobId(start: OperationStart): string {
  const name = (start.resourceId.split('/').at(-1) ?? '').toUpperCase();
  const mangled = name.replace(/[^A-Z0-9]/g, (c) => `:${c.charCodeAt(0).toString(16).toUpperCase()}`);
  const nonce = randomBytes(4).toString('hex').toUpperCase();
  const jobId = `RESOURCEGROUPDELETIONJOB-${mangled}-${start.location.toUpperCase()}-${nonce}`;
  return Buffer.from(JSON.stringify({ jobId, jobLocation: start.location })).toString('base64url');
}

/**
 * The shortest possible duration of a create run in simulated seconds: the security group before the virtual network that
 * refers to it, the public IP in parallel, then the network interface, then the VM. Uses the latencies of the operations
 * that ran.
 */
export function criticalPath(operations: readonly Operation[]): number {
  const longest = (type: RegExp): number =>
    Math.max(
      0,
      ...operations
        .filter((operation) => operation.method === 'PUT' && type.test(operation.resourceId))
        .map((operation) => operation.endsAt - operation.startedAt),
    );
  const side = Math.max(
    longest(/\/networkSecurityGroups\/[^/]+$/i) + longest(/\/virtualNetworks\/[^/]+$/i),
    longest(/\/publicIPAddresses\/[^/]+$/i),
  );
  return side + longest(/\/networkInterfaces\/[^/]+$/i) + longest(/\/virtualMachines\/[^/]+$/i);
}
