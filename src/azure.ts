import { setTimeout as sleep } from 'node:timers/promises';
import type { ComputeManagementClient } from '@azure/arm-compute';
import type { NetworkManagementClient } from '@azure/arm-network';
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
  RestError,
  type SendRequest,
} from '@azure/core-rest-pipeline';
import { startAnswerTimer } from './clock.ts';
import { type Cloud, resourceManagerScope } from './cloud.ts';
import { AzureError, type AzureErrorInfo, parseErrorResponse } from './failure.ts';
import type { MergePatch } from './inputs.ts';
import { type RemainingRequests, delayWithProgress, type PollOptions } from './waiting.ts';

/** One request to Resource Manager outside the SDK's operation groups. Gives the parsed body. */
export type ArmRequest = <T = unknown>(
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
export interface AzureClients {
  readonly arm: ArmRequest;
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
  readonly arm: ArmRequest;
  readonly compute: ComputeManagementClient;
  /** Carries the auxiliary tokens: only for requests that link to the image. */
  readonly crossTenantCompute: ComputeManagementClient;
  readonly network: NetworkManagementClient;
  readonly waiting: PollOptions;
  /** The same session under another signal: clean-up goes on after the run's own one has aborted. */
  withSignal(signal: AbortSignal): Session;
}

export interface ClientOptions {
  readonly cloud: Cloud;
  readonly credential: TokenCredential;
  readonly auxiliary?: readonly TokenCredential[];
  readonly correlationId: string;
  readonly log: { debug(line: string): void; info(line: string): void };
  readonly gauge: RateLimitTracker;
  /** Ends every request of this door that brings no signal of its own. */
  readonly signal: AbortSignal;
  /** Merge patches by lower-cased resource ID, applied to the body of that resource's PUT. */
  readonly patches?: ReadonlyMap<string, MergePatch>;
}

export const userAgent = 'cross-tenant-vm';

/** The constructors of the SDK's clients. */
export interface ManagementClients {
  readonly Compute: typeof ComputeManagementClient;
  readonly Network: typeof NetworkManagementClient;
}

/** Enough for the first sign-in to be on its way, and less than any sign-in takes to be answered. */
const untilSignInIsSentMs = 50;

/**
 * Loads the SDK's clients. Each names every operation of its service, so they are two thirds of the bundle and of its
 * start; nothing needs them before the tokens are there. Evaluating them holds up everything else of this process, so it
 * begins when the sign-ins are on their way and is over when they are answered.
 */
export async function loadManagementClients(): Promise<ManagementClients> {
  await sleep(untilSignInIsSentMs);
  const [compute, network] = await Promise.all([import('@azure/arm-compute'), import('@azure/arm-network')]);
  return { Compute: compute.ComputeManagementClient, Network: network.NetworkManagementClient };
}

/** Opens a way into Resource Manager for plain requests alone. */
export function createArmRequest(options: ClientOptions): ArmRequest {
  return createArmRequestFrom(options, createPipeline(options));
}

/**
 * Opens a way into Resource Manager. Both SDK clients and plain requests of one door share its pipeline, and all doors
 * share one pool of connections.
 */
export function createAzureClients(
  options: ClientOptions,
  { Compute, Network }: ManagementClients,
): AzureClients {
  const pipeline = createPipeline(options);
  const client = { endpoint: options.cloud.resourceManager, pipeline, httpClient: sharedHttpClient() };
  return {
    arm: createArmRequestFrom(options, pipeline),
    compute: (subscriptionId) => new Compute(options.credential, subscriptionId, client),
    network: (subscriptionId) => new Network(options.credential, subscriptionId, client),
  };
}

function createArmRequestFrom({ cloud }: ClientOptions, pipeline: Pipeline): ArmRequest {
  return async (method, path, apiVersion, { query = {}, body, abortSignal } = {}) => {
    const url = new URL(path, cloud.resourceManager);
    // A nextLink is whole already.
    if (!url.searchParams.has('api-version')) url.searchParams.set('api-version', apiVersion);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const response = await pipeline.sendRequest(
      sharedHttpClient(),
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
  };
}

let pool: HttpClient | undefined;
/** The one pool of keep-alive connections. */
export function sharedHttpClient(): HttpClient {
  pool ??= createDefaultHttpClient();
  return pool;
}

/** All pages of a Resource Manager list. */
export async function listAllPages<T>(
  arm: ArmRequest,
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

/** 404s that say nothing of the thing itself: the way to it is not known. */
const notAboutTheResource = new Set([
  'InvalidResourceType',
  'InvalidResourceNamespace',
  'NoRegisteredProviderFound',
  'SubscriptionNotFound',
  'InvalidSubscriptionId',
]);

/**
 * Does Azure say that there is no such thing? A page of a proxy does not, and neither does a Resource Manager that knows
 * no such type or subscription: what was taken for gone on its word would run on.
 */
export function isNotFound(error: unknown): boolean {
  if (!(error instanceof AzureError) || error.fault.status !== 404) return false;
  const { code, body } = error.fault;
  return code === '' ? body.trim() === '' : !notAboutTheResource.has(code);
}

/** What a lookup found, or undefined where Azure says that there is no such thing. */
export async function undefinedIfNotFound<T>(lookup: Promise<T>): Promise<T | undefined> {
  try {
    return await lookup;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** A question and what came of it, where a refusal is an answer too. */
export type Result<T> = { readonly value: T } | { readonly error: unknown };

/** Turns a refusal into a value, so that what is asked beside it goes on. */
export async function settle<T>(question: () => Promise<T>): Promise<Result<T>> {
  try {
    return { value: await question() };
  } catch (refusal) {
    return { error: refusal };
  }
}

function createPipeline({ cloud, credential, auxiliary = [], ...options }: ClientOptions): Pipeline {
  const scopes = [resourceManagerScope(cloud)];
  const pipeline = createPipelineFromOptions({
    userAgentOptions: { userAgentPrefix: userAgent },
    retryOptions: { maxRetries: 0 },
  });
  pipeline.removePolicy({ phase: 'Retry' });
  // Outermost first: what leaves this pipeline is a success or an AzureError; below it each try gets fresh tokens.
  pipeline.addPolicy(azureErrorPolicy(options.signal), { beforePolicies: ['decompressResponsePolicy'] });
  pipeline.addPolicy(correlationPolicy(options.correlationId));
  if (options.patches) pipeline.addPolicy(mergePatchPolicy(options.patches));
  pipeline.addPolicy(apiVersionFallbackPolicy(options.log.debug));
  pipeline.addPolicy(azureRetryPolicy(options.signal, options.log.info), { phase: 'Retry' });
  pipeline.addPolicy(bearerTokenAuthenticationPolicy({ credential, scopes }), { afterPhase: 'Retry' });
  if (auxiliary.length > 0) {
    pipeline.addPolicy(auxiliaryAuthenticationHeaderPolicy({ credentials: [...auxiliary], scopes }), {
      afterPhase: 'Retry',
    });
  }
  pipeline.addPolicy(requestLogPolicy(options.log.debug, options.gauge), { afterPhase: 'Sign' });
  return pipeline;
}

/**
 * Turns every refusal into an AzureError that keeps the whole body. The SDK loses `details` and the raw body on
 * long-running calls, and the outer code of an operation that ended Failed. An abort comes out as the signal's reason:
 * the SDK's own AbortError does not say who stopped the run.
 */
function azureErrorPolicy(signal: AbortSignal): PipelinePolicy {
  return {
    name: 'keptFaultPolicy',
    async sendRequest(request, next) {
      request.abortSignal ??= signal;
      let response: PipelineResponse;
      try {
        response = await next(request);
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        if (!isRestError(error) || error.response) throw error;
        // Without the cause: it holds the whole request, tokens included.
        throw new AzureError(networkError(request, error));
      }
      if (response.status < 400 && !isFailedOperation(request, response)) return response;
      const fault = errorFromResponse(request, response);
      throw new AzureError(ambiguousRequests.has(request) ? { ...fault, previousAttemptLost: true } : fault);
    },
  };
}

function errorFromResponse(request: PipelineRequest, response: PipelineResponse): AzureErrorInfo {
  return parseErrorResponse({
    method: request.method,
    url: request.url,
    status: response.status,
    headers: (name) => response.headers.get(name),
    bodyText: response.bodyAsText ?? '',
  });
}

function networkError(request: PipelineRequest, error: Error & { code?: string }): AzureErrorInfo {
  const { host, pathname } = new URL(request.url);
  return {
    status: 0,
    code: error.code ?? 'REQUEST_SEND_ERROR',
    message: `${host} could not be reached: ${error.message}`,
    details: [],
    method: request.method,
    url: pathname,
    body: '',
  };
}

/** An operation that failed is answered with 200 and its status in the body; no resource has one at that place. */
function isFailedOperation(request: PipelineRequest, response: PipelineResponse): boolean {
  if (request.method !== 'GET') return false;
  try {
    const { status } = JSON.parse(response.bodyAsText || '{}') as { status?: unknown };
    return typeof status === 'string' && /^(failed|cancell?ed)$/i.test(status);
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
      if (request.method !== 'PUT' || typeof request.body !== 'string') return next(request);
      // The SDK encodes names that the IDs of the plan have as they are.
      const patch = patches.get(decodeURIComponent(new URL(request.url).pathname).toLowerCase());
      if (patch) {
        request.body = JSON.stringify(mergePatch(JSON.parse(request.body), patch));
      }
      return next(request);
    },
  };
}

/**
 * JSON Merge Patch: objects merge, null removes, everything else replaces (RFC 7396, section 2). Keys match in any case,
 * as Resource Manager reads them, and keep the target's spelling: it must not get both `vmSize` and `VMSize`.
 */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isPlainObject(patch)) return patch;
  const merged = new Map(isPlainObject(target) ? Object.entries(target) : []);
  for (const [key, value] of Object.entries(patch)) {
    const spelled = [...merged.keys()].find((known) => known.toLowerCase() === key.toLowerCase()) ?? key;
    if (value === null) merged.delete(spelled);
    else merged.set(spelled, mergePatch(merged.get(spelled), value));
  }
  return Object.fromEntries(merged);
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Asks in an older api-version where Resource Manager does not know the SDK's: regions and types get a new one weeks apart
 * (https://github.com/Azure/azure-sdk-for-go/issues/27470), other clouds are months behind, Azure Stack Hub years. The
 * refusal lists what is known; the newest one that is no preview and not newer than ours is taken, and kept for the type.
 * It comes from the gateway, before any provider has seen the request, so every method may be sent again.
 */
function apiVersionFallbackPolicy(debug: (line: string) => void): PipelinePolicy {
  const known = new Map<string, string>();
  return {
    name: 'knownVersionPolicy',
    async sendRequest(request, next) {
      const asked = requestApiVersion(request.url);
      if (asked === undefined) return next(request);
      const key = `${requestResourceType(request.url)} ${asked}`;
      const instead = known.get(key);
      if (instead !== undefined) return sendWithApiVersion(request, instead, next);
      const response = await next(request);
      if (response.status !== 400 && response.status !== 404) return response;
      const older = newestSupportedVersion(errorFromResponse(request, response), asked);
      if (older === undefined) return response;
      known.set(key, older);
      debug(
        `${requestResourceType(request.url)}: api-version ${asked} is not known here; going on with ${older}`,
      );
      return sendWithApiVersion(request, older, next);
    },
  };
}

/** Compute documents If-None-Match for machines from this version on. */
const ifNoneMatchSince = '2024-03-01';

/** In a version that may not heed If-None-Match, a look right before has to do: what is there is never written over. */
async function sendWithApiVersion(
  request: PipelineRequest,
  version: string,
  next: SendRequest,
): Promise<PipelineResponse> {
  request.url = withApiVersion(request.url, version);
  if (version >= ifNoneMatchSince || !request.headers.has('if-none-match')) return next(request);
  const { url, abortSignal } = request;
  const headers = createHttpHeaders(request.headers.toJSON());
  for (const name of ['if-none-match', 'content-type', 'content-length']) headers.delete(name);
  const look = createPipelineRequest({ url, headers, ...(abortSignal ? { abortSignal } : {}) });
  const found = await next(look);
  if (found.status >= 400) {
    return isNotFound(new AzureError(errorFromResponse(look, found))) ? next(request) : { ...found, request };
  }
  const error = { code: 'PreconditionFailed', message: 'The resource exists already.' };
  return { ...found, request, status: 412, bodyAsText: JSON.stringify({ error }) };
}

const apiVersionParameter = /([?&]api-version=)([^&]+)/i;

function requestApiVersion(url: string): string | undefined {
  return apiVersionParameter.exec(url)?.[2];
}

function withApiVersion(url: string, version: string): string {
  return url.replace(apiVersionParameter, `$1${version}`);
}

/** `microsoft.compute/virtualmachines` of a path, whatever its names; the last provider's, as Resource Manager has it. */
function requestResourceType(url: string): string {
  const [namespace = '', ...rest] =
    new URL(url).pathname.toLowerCase().split('/providers/').at(-1)?.split('/') ?? [];
  return [namespace, ...rest.filter((_, index) => index % 2 === 0)].join('/');
}

/** The version to ask in instead, where a refusal lists those that are known. */
export function newestSupportedVersion({ code, message }: AzureErrorInfo, asked: string): string | undefined {
  if (!/^(NoRegisteredProviderFound|InvalidResourceType|InvalidApiVersionParameter)$/.test(code))
    return undefined;
  const listed = /supported (?:api-)?versions are '([^']*)'/i.exec(message)?.[1] ?? '';
  const versions = listed.split(',').map((version) => version.trim());
  // Then it is the region that the type is not offered in.
  if (versions.includes(asked)) return undefined;
  return versions
    .filter((version) => /^\d{4}-\d{2}-\d{2}$/.test(version) && version < asked)
    .toSorted()
    .at(-1);
}

/** Transient errors of the network and of front ends, for Resource Manager and sign-in alike. */
export const transientStatuses: ReadonlySet<number> = new Set([408, 500, 502, 503, 504]);
export const transientNetworkCodes: ReadonlySet<string> = new Set([
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
  // The connection broke in the middle of the answer.
  'PARSE_ERROR',
]);
/** Refusals that only say "not now", whatever status they come with; operations end with them too. */
const concurrentOperationCodes =
  /"(RetryableError|RetryableErrorDueToAnotherOperation|AnotherOperationInProgress|ReferencedResourceNotProvisioned)"/;
/** Token refused as too old: the next try brings a fresh one, unless the clocks disagree. */
const staleToken = /"ExpiredAuthenticationToken"/;

const maxTransientRetries = 6;
const maxConflictRetries = 40;
const maxJitterSeconds = 8;
/** Requests that were sent again although an earlier try may have been carried out. */
const ambiguousRequests = new WeakSet<PipelineRequest>();
/** Resource Manager itself gives up after a minute; an answer that takes longer does not come. */
const trySeconds = 90;
/**
 * A PUT that is on its way when the run is stopped may still be carried out. It is given this long to be answered, so
 * that clean-up knows what there is to delete; the runner kills the process 10 seconds after its first signal.
 */
const putGraceSeconds = 4;

/** Does Azure say that something else holds the resource just now? True for refusals and for ends of operations. */
export function isConcurrentOperation(fault: AzureErrorInfo): boolean {
  return fault.status !== 0 && concurrentOperationCodes.test(fault.body);
}

/**
 * Seconds after which a request that came to `fault` may be sent again; undefined when that would not help or was tried
 * often enough.
 *
 * Passing faults: six times more in about 25 s. A group that a PUT does not find is one, for whoever writes into it has
 * seen or made it, and not every front end knows a new one at once. "Not now" (429, a busy resource): as long as the
 * service asks, up to 40 times; the step's own time limit bounds it. Who is throttled waits a little longer than that,
 * drawn at random, up to 1 s at first and to 8 s in the end: runs side by side are all told the same second, and would
 * meet there again.
 */
export function retryDelaySeconds(fault: AzureErrorInfo, triesSoFar: number): number | undefined {
  const { status, code, method, retryAfterSeconds: asked } = fault;
  const backoff = Math.min(10, 0.5 * 2 ** triesSoFar) * (0.8 + Math.random() * 0.4);
  if (status === 0) {
    return transientNetworkCodes.has(code) && triesSoFar < maxTransientRetries ? backoff : undefined;
  }
  if (status === 429 || isConcurrentOperation(fault)) {
    if (triesSoFar >= maxConflictRetries) return undefined;
    if (asked === undefined) return Math.max(1, backoff);
    const spread = isConcurrentOperation(fault)
      ? 0
      : Math.random() * Math.min(maxJitterSeconds, 2 ** triesSoFar);
    return Math.max(0.5, asked) + spread;
  }
  const passes =
    transientStatuses.has(status) ||
    (status === 401 && staleToken.test(fault.body)) ||
    (status === 404 && code === 'ResourceGroupNotFound' && method === 'PUT');
  // "At once" (0 seconds, or a date that has passed) would use up all tries in a moment.
  return passes && triesSoFar < maxTransientRetries ? asked || backoff : undefined;
}

/** The log's line for a request that is sent again. */
export function retryMessage({ status, code }: AzureErrorInfo, seconds: number): string {
  const why =
    status === 0
      ? `the connection failed (${code})`
      : status < 400
        ? `the operation ended as ${code}`
        : `answered ${status}${code ? ` ${code}` : ''}`;
  return `Azure: ${why}; trying again in ${Math.max(0.1, Math.round(seconds * 10) / 10)} s.`;
}

/**
 * Whether sending a request again is safe as it stands. Reads are; so is a machine's PUT, which says If-None-Match, and
 * PUTs of what bears a name of its own. A PUT to Microsoft.Network could by now hit something else of that name, a DELETE
 * something that is ours no longer: whoever sends those looks again first.
 */
function isSafeToRetry({ method, url }: PipelineRequest): boolean {
  if (method === 'DELETE') return /\/runCommands\//i.test(url);
  return method !== 'PUT' || !/\/providers\/Microsoft\.Network\//i.test(url);
}

function azureRetryPolicy(signal: AbortSignal, log: (line: string) => void): PipelinePolicy {
  return {
    name: 'againPolicy',
    async sendRequest(request, next) {
      for (let tries = 0; ; tries++) {
        const { response, lost } = await sendAttempt(request, next);
        const fault = response ? errorFromResponse(request, response) : networkError(request, lost);
        const fine = response !== undefined && response.status < 400;
        const again = fine || !isSafeToRetry(request) ? undefined : retryDelaySeconds(fault, tries);
        if (again === undefined) {
          if (response) return response;
          throw lost;
        }
        if (!response || transientStatuses.has(response.status)) ambiguousRequests.add(request);
        log(retryMessage(fault, again));
        await delayWithProgress(again, signal, log);
      }
    },
  };
}

type AttemptResult =
  | { readonly response: PipelineResponse; readonly lost?: never }
  | { readonly response?: never; readonly lost: RestError };

async function sendAttempt(request: PipelineRequest, next: SendRequest): Promise<AttemptResult> {
  const outer = request.abortSignal;
  if (outer?.aborted) throw new DOMException('Stopped before it was sent.', 'AbortError');
  const controller = new AbortController();
  let late = false;
  const limit = startAnswerTimer(trySeconds, () => {
    late = true;
    controller.abort();
  });
  let grace: NodeJS.Timeout | undefined;
  const stop = (): void => {
    if (request.method === 'PUT') grace = startAnswerTimer(putGraceSeconds, () => controller.abort());
    else controller.abort();
  };
  outer?.addEventListener('abort', stop, { once: true });
  request.abortSignal = controller.signal;
  try {
    return { response: await next(request) };
  } catch (error) {
    if (late) return { lost: new RestError(`no answer in ${trySeconds} s`, { code: 'ETIMEDOUT', request }) };
    if (isRestError(error) && !error.response) return { lost: error };
    throw error;
  } finally {
    clearTimeout(limit);
    clearTimeout(grace);
    outer?.removeEventListener('abort', stop);
    if (outer) request.abortSignal = outer;
    else delete request.abortSignal;
  }
}

/** The latest word of the service on what is left of its budgets. */
export interface RateLimitTracker {
  read(): RemainingRequests;
  note(headers: { get(name: string): string | undefined }): void;
}

/** A gauge for one run. The per-VM budgets are those of the one VM that the run is about. */
export function createRateLimitTracker(): RateLimitTracker {
  let budget: RemainingRequests = {};
  return {
    read: () => budget,
    note(headers) {
      const compute = headers.get('x-ms-ratelimit-remaining-resource') ?? '';
      const left = (pattern: RegExp, text: string): number | undefined => {
        const found = pattern.exec(text)?.[1];
        return found === undefined ? undefined : Number(found);
      };
      // e.g. Microsoft.Compute/GetOperationResource;44,Microsoft.Compute/GetOperationSubscriptionMaximum;14999
      const polls = left(/\/GetOperationResource;(\d+)/, compute);
      const vmReads = left(/\/LowCostGetResource;(\d+)/, compute);
      const reads = left(/^\s*(\d+)/, headers.get('x-ms-ratelimit-remaining-subscription-reads') ?? '');
      budget = {
        ...budget,
        ...(polls === undefined ? {} : { polls }),
        ...(vmReads === undefined ? {} : { vmReads }),
        ...(reads === undefined ? {} : { reads }),
      };
    },
  };
}

/** One debug line per request: never a body, never the query, whose signatures let anyone read the operation. */
function requestLogPolicy(debug: (line: string) => void, gauge: RateLimitTracker): PipelinePolicy {
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
