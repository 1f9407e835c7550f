import type { ComputeManagementClient } from '@azure/arm-compute';
import type { NetworkManagementClient } from '@azure/arm-network';
import type { TokenCredential } from '@azure/core-auth';
import {
  type HttpClient,
  type HttpMethods,
  type Pipeline,
  auxiliaryAuthenticationHeaderPolicy,
  bearerTokenAuthenticationPolicy,
  createDefaultHttpClient,
  createHttpHeaders,
  createPipelineFromOptions,
  createPipelineRequest,
} from '@azure/core-rest-pipeline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MergePatch } from '../lib/json.ts';
import { type Cloud, resourceManagerScope } from './clouds.ts';
import { apiVersionFallbackPolicy } from './policies/api-version-fallback.ts';
import { azureErrorPolicy } from './policies/azure-error.ts';
import { mergePatchPolicy } from './policies/merge-patch.ts';
import { correlationPolicy, requestLogPolicy } from './policies/request-log.ts';
import { azureRetryPolicy } from './policies/retry.ts';
import type { PollOptions } from './polling.ts';
import type { RateLimitTracker } from './poll-schedule.ts';

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

interface ClientOptions {
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

const userAgent = 'cross-tenant-vm';

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
