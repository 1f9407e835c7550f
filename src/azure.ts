import { ComputeManagementClient } from '@azure/arm-compute';
import { NetworkManagementClient } from '@azure/arm-network';
import type { TokenCredential } from '@azure/core-auth';
import {
  auxiliaryAuthenticationHeaderPolicy,
  bearerTokenAuthenticationPolicy,
  createDefaultHttpClient,
  createHttpHeaders,
  createPipelineFromOptions,
  createPipelineRequest,
  type HttpClient,
  type HttpMethods,
  isRestError,
  type Pipeline,
  type PipelinePolicy,
  type PipelineRequest,
  type PipelineResponse,
  type RetryInformation,
  retryPolicy,
} from '@azure/core-rest-pipeline';
import { type Cloud, resourceManagerScope } from './cloud.ts';
import { AzureError, readFault } from './failure.ts';
import type { MergePatch } from './inputs.ts';
import type { Budget, Waiting } from './waiting.ts';

/** One request to Resource Manager outside the SDK's operation groups. Gives the parsed body. */
export type Arm = <T = unknown>(
  method: HttpMethods,
  path: string,
  apiVersion: string,
  options?: {
    readonly query?: Readonly<Record<string, string>>;
    readonly body?: unknown;
    readonly abortSignal?: AbortSignal;
  },
) => Promise<T>;

/** One way into Resource Manager: whose token it carries, and which auxiliary tokens ride along. */
export interface Door {
  readonly arm: Arm;
  compute(subscriptionId: string): ComputeManagementClient;
  network(subscriptionId: string): NetworkManagementClient;
}

/** What the rest of the action works with once it is signed in. */
export interface Session {
  readonly cloud: Cloud;
  readonly correlationId: string;
  /** GUID of the tenant, also where the input named a domain. */
  readonly tenantId: string;
  readonly subscriptionId: string;
  readonly arm: Arm;
  readonly compute: ComputeManagementClient;
  /** Carries the auxiliary tokens: only for requests that link to the image. */
  readonly linkedCompute: ComputeManagementClient;
  readonly network: NetworkManagementClient;
  readonly waiting: Waiting;
  /** The same session under another signal: clean-up goes on after the run's own one has aborted. */
  under(signal: AbortSignal): Session;
}

export interface DoorOptions {
  readonly cloud: Cloud;
  readonly credential: TokenCredential;
  readonly auxiliary?: readonly TokenCredential[];
  readonly correlationId: string;
  readonly log: { debug(line: string): void; info(line: string): void };
  readonly gauge: Gauge;
  /** Merge patches by lower-cased resource ID, applied to the body of that resource's PUT. */
  readonly patches?: ReadonlyMap<string, MergePatch>;
}

export const userAgent = 'cross-tenant-vm';

/**
 * Opens a way into Resource Manager. Both SDK clients and plain requests of one door share its pipeline, and all doors
 * share one pool of connections.
 */
export function openDoor(options: DoorOptions): Door {
  const pipeline = pipelineOf(options);
  const endpoint = options.cloud.resourceManager;
  const client = { endpoint, pipeline, httpClient: connections() };
  return {
    arm: async (method, path, apiVersion, { query = {}, body, abortSignal } = {}) => {
      const url = new URL(path, endpoint);
      // A nextLink is whole already.
      if (!url.searchParams.has('api-version')) url.searchParams.set('api-version', apiVersion);
      for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
      const response = await pipeline.sendRequest(
        connections(),
        createPipelineRequest({
          url: url.href,
          method,
          ...(abortSignal ? { abortSignal } : {}),
          headers: createHttpHeaders({
            accept: 'application/json',
            ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          }),
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        }),
      );
      return response.bodyAsText ? JSON.parse(response.bodyAsText) : undefined;
    },
    compute: (subscriptionId) => new ComputeManagementClient(options.credential, subscriptionId, client),
    network: (subscriptionId) => new NetworkManagementClient(options.credential, subscriptionId, client),
  };
}

let pool: HttpClient | undefined;
/** The one pool of keep-alive connections. */
export function connections(): HttpClient {
  pool ??= createDefaultHttpClient();
  return pool;
}

/** All pages of a Resource Manager list. */
export async function listAll<T>(
  arm: Arm,
  path: string,
  apiVersion: string,
  query: Readonly<Record<string, string>> = {},
): Promise<T[]> {
  const items: T[] = [];
  let page = await arm<{ value: T[]; nextLink?: string }>('GET', path, apiVersion, { query });
  items.push(...page.value);
  while (page.nextLink) {
    page = await arm('GET', page.nextLink, apiVersion);
    items.push(...page.value);
  }
  return items;
}

/** What a lookup found, or undefined where Azure says that there is no such thing. */
export async function orUndefined<T>(lookup: Promise<T>): Promise<T | undefined> {
  try {
    return await lookup;
  } catch (error) {
    if (error instanceof AzureError && error.fault.status === 404) return undefined;
    throw error;
  }
}

/** A question and what came of it, where a refusal is an answer too. */
export type Asked<T> = { readonly value: T } | { readonly refusal: unknown };

/** Turns a refusal into a value, so that what is asked beside it goes on. */
export async function ask<T>(question: () => Promise<T>): Promise<Asked<T>> {
  try {
    return { value: await question() };
  } catch (refusal) {
    return { refusal };
  }
}

function pipelineOf({ cloud, credential, auxiliary = [], ...options }: DoorOptions): Pipeline {
  const scopes = [resourceManagerScope(cloud)];
  const pipeline = createPipelineFromOptions({
    userAgentOptions: { userAgentPrefix: userAgent },
    retryOptions: { maxRetries: 0 },
  });
  pipeline.removePolicy({ phase: 'Retry' });
  // Outermost first: what leaves this pipeline is a success or an AzureError; below it each try gets fresh tokens.
  pipeline.addPolicy(keptFaultPolicy(), { beforePolicies: ['decompressResponsePolicy'] });
  pipeline.addPolicy(correlationPolicy(options.correlationId));
  if (options.patches) pipeline.addPolicy(mergePatchPolicy(options.patches));
  pipeline.addPolicy(
    retryPolicy([{ name: 'passingFaults', retry: (tries) => whetherAgain(tries, options.log.info) }], {
      maxRetries: mostTries,
    }),
    { phase: 'Retry' },
  );
  pipeline.addPolicy(bearerTokenAuthenticationPolicy({ credential, scopes }), { afterPhase: 'Retry' });
  if (auxiliary.length > 0) {
    pipeline.addPolicy(auxiliaryAuthenticationHeaderPolicy({ credentials: [...auxiliary], scopes }), {
      afterPhase: 'Retry',
    });
  }
  pipeline.addPolicy(tracePolicy(options.log.debug, options.gauge), { afterPhase: 'Sign' });
  return pipeline;
}

/**
 * Turns every refusal into an AzureError that keeps the whole body. The SDK loses `details` and the raw body on
 * long-running calls, and the outer code of an operation that ended Failed.
 */
function keptFaultPolicy(): PipelinePolicy {
  return {
    name: 'keptFaultPolicy',
    async sendRequest(request, next) {
      let response: PipelineResponse;
      try {
        response = await next(request);
      } catch (error) {
        if (!isRestError(error) || error.response || request.abortSignal?.aborted) throw error;
        throw unreachable(request, error);
      }
      if (response.status < 400 && !endedBadly(request, response)) return response;
      throw new AzureError(
        readFault({
          method: request.method,
          url: request.url,
          status: response.status,
          headers: (name) => response.headers.get(name),
          bodyText: response.bodyAsText ?? '',
        }),
      );
    },
  };
}

function unreachable(request: PipelineRequest, error: Error & { code?: string }): AzureError {
  const { host, pathname } = new URL(request.url);
  return new AzureError(
    {
      status: 0,
      code: error.code ?? 'REQUEST_SEND_ERROR',
      message: `${host} could not be reached: ${error.message}`,
      details: [],
      method: request.method,
      url: pathname,
      body: '',
    },
    { cause: error },
  );
}

/** An operation that failed is answered with 200 and its status in the body. */
function endedBadly(request: PipelineRequest, response: PipelineResponse): boolean {
  if (request.method !== 'GET' || !/operation/i.test(new URL(request.url).pathname)) return false;
  try {
    const { status } = JSON.parse(response.bodyAsText || '{}') as { status?: unknown };
    return status === 'Failed' || status === 'Canceled';
  } catch {
    return false;
  }
}

/** All requests of a run share one correlation ID: support finds the whole run by it. */
function correlationPolicy(correlationId: string): PipelinePolicy {
  return {
    name: 'correlationPolicy',
    sendRequest(request, next) {
      request.headers.set('x-ms-correlation-request-id', correlationId);
      return next(request);
    },
  };
}

/**
 * Merges the author's overrides into the serialized body. It has to happen behind the SDK's serializers: they drop every
 * property that they do not know.
 */
function mergePatchPolicy(patches: ReadonlyMap<string, MergePatch>): PipelinePolicy {
  return {
    name: 'mergePatchPolicy',
    sendRequest(request, next) {
      const patch = request.method === 'PUT' && patches.get(new URL(request.url).pathname.toLowerCase());
      if (patch && typeof request.body === 'string') {
        request.body = JSON.stringify(mergePatch(JSON.parse(request.body), patch));
      }
      return next(request);
    },
  };
}

/** JSON Merge Patch: objects merge, null removes, everything else replaces (RFC 7396, section 2). */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const merged: Record<string, unknown> = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else merged[key] = mergePatch(merged[key], value);
  }
  return merged;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Faults of the way there: the same request may well succeed in a moment, and is safe to send again (see below). */
const passingStatus = new Set([408, 500, 502, 503, 504]);
const passingTransport = new Set([
  'ECONNRESET',
  'ECONNREFUSED',
  'ECONNABORTED',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EPIPE',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'REQUEST_SEND_ERROR',
]);
/** Refusals that only say "not now", whatever status they come with. */
const busyCodes =
  /"(RetryableError|RetryableErrorDueToAnotherOperation|AnotherOperationInProgress|ReferencedResourceNotProvisioned|ExpiredAuthenticationToken)"/;

const mostPassingTries = 6;
const mostTries = 40;

/**
 * Whether and when a request is sent again. Everything that this action sends again is safe to send twice: reads,
 * deletions, PUTs of the same body; the VM's PUT says If-None-Match, so that a second one cannot overwrite.
 * Passing faults: 6 tries in about 20 s. "Not now" (429, a resource that is busy): as long as the service asks, up to 40
 * tries; the step's own time limit bounds it.
 */
function whetherAgain(
  { retryCount, response, responseError }: RetryInformation,
  log: (line: string) => void,
) {
  const again = (seconds: number, why: string) => {
    log(`Azure: ${why}; trying again in ${Math.max(0.1, Math.round(seconds * 10) / 10)} s.`);
    return { retryAfterInMs: seconds * 1000 };
  };
  const backoff = Math.min(10, 0.5 * 2 ** retryCount) * (0.8 + Math.random() * 0.4);
  if (responseError && !response) {
    const code = responseError.code ?? '';
    return retryCount < mostPassingTries && passingTransport.has(code)
      ? again(backoff, `connection failed (${code})`)
      : { skipStrategy: true };
  }
  if (!response) return { skipStrategy: true };
  const body = response.bodyAsText ?? '';
  const asked = readFault({
    method: response.request.method,
    url: response.request.url,
    status: response.status,
    headers: (name) => response.headers.get(name),
    bodyText: body,
  }).retryAfterSeconds;
  if (response.status === 429 || (response.status >= 400 && busyCodes.test(body))) {
    return again(asked ?? Math.max(1, backoff), `answered ${response.status}, busy or throttled`);
  }
  if (passingStatus.has(response.status) && retryCount < mostPassingTries) {
    return again(asked ?? backoff, `answered ${response.status}`);
  }
  return { skipStrategy: true };
}

/** The latest word of the service on what is left of its budgets. */
export interface Gauge {
  read(): Budget;
  note(headers: { get(name: string): string | undefined }): void;
}

/** A gauge for one run. The per-VM budgets are those of the one VM that the run is about. */
export function openGauge(): Gauge {
  let budget: Budget = {};
  return {
    read: () => budget,
    note(headers) {
      // e.g. Microsoft.Compute/GetOperationResource;44,Microsoft.Compute/GetOperationSubscriptionMaximum;14999
      const polls = /\/GetOperationResource;(\d+)/.exec(
        headers.get('x-ms-ratelimit-remaining-resource') ?? '',
      )?.[1];
      const reads = headers.get('x-ms-ratelimit-remaining-subscription-reads');
      budget = {
        ...budget,
        ...(polls === undefined ? {} : { polls: Number(polls) }),
        ...(reads === undefined ? {} : { reads: Number(reads) }),
      };
    },
  };
}

/** One debug line per request: never a body, never the query, whose signatures let anyone read the operation. */
function tracePolicy(debug: (line: string) => void, gauge: Gauge): PipelinePolicy {
  return {
    name: 'tracePolicy',
    async sendRequest(request, next) {
      const start = performance.now();
      const { host, pathname } = new URL(request.url);
      const took = (): string => `${Math.round(performance.now() - start)} ms`;
      try {
        const response = await next(request);
        gauge.note(response.headers);
        const correlation = response.headers.get('x-ms-correlation-request-id') ?? '-';
        debug(`${request.method} ${host}${pathname} ${response.status} ${took()} correlation ${correlation}`);
        return response;
      } catch (error) {
        debug(`${request.method} ${host}${pathname} ${isRestError(error) ? error.code : 'failed'} ${took()}`);
        throw error;
      }
    },
  };
}
