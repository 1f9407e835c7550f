import type { ComputeManagementClient } from '@azure/arm-compute';
import type { NetworkManagementClient } from '@azure/arm-network';
import type { TokenCredential } from '@azure/core-auth';
import {
  type HttpMethods,
  type Pipeline,
  type PipelinePolicy,
  auxiliaryAuthenticationHeaderPolicy,
  bearerTokenAuthenticationPolicy,
  createPipelineFromOptions,
  createPipelineRequest,
} from '@azure/core-rest-pipeline';
import { setTimeout as sleep } from 'node:timers/promises';
import { ActionError } from '../errors/errors.ts';
import { secondsUntilTimeout } from '../lib/clock.ts';
import { type MergePatch, mergePatch, parseJson } from '../lib/json.ts';
import type { LogWriter } from '../runner/log.ts';
import { apiVersions } from './api-versions.ts';
import { type Cloud, resourceManagerScope } from './clouds.ts';
import { correlationPolicy, requestLogPolicy } from './http.ts';
import { apiVersionFallbackPolicy } from './policies/api-version-fallback.ts';
import { policyTokenPolicy } from './policies/policy-token.ts';
import {
  ambiguousRequests,
  azureErrorPolicy,
  allowedHostsPolicy,
  checkArmResponsePolicy,
  createPolicy,
} from './policies/responses.ts';
import { sharedHttpClient, unusedProxy } from './proxy.ts';
import { attemptTimeoutPolicy, transientErrorRetryPolicy } from './policies/retry.ts';
import type { RateLimitTracker } from './poll-schedule.ts';
import type { PollOptions } from './polling.ts';
import { groupId } from './resource-id.ts';

export type ArmRequest = <T = unknown>(
  method: HttpMethods,
  path: string,
  apiVersion: string,
  options?: {
    readonly query?: Readonly<Record<string, string>>;
    readonly body?: unknown;
    /** `isRepeated`: an earlier attempt was lost, and may have been carried out. */
    readonly onStatus?: (status: number, isRepeated: boolean) => void;
  },
) => Promise<T>;

interface ClientOptions {
  readonly cloud: Cloud;
  readonly credential: TokenCredential;
  readonly auxiliary?: readonly TokenCredential[];
  readonly correlationId: string;
  readonly log: Pick<LogWriter, 'debug' | 'info'>;
  readonly rateLimits: RateLimitTracker;
  /** Cancels every request that has no signal. */
  readonly signal: AbortSignal;
  /** Merge patches by lower-cased resource ID, applied to the body of that resource's PUT. */
  readonly patches?: ReadonlyMap<string, MergePatch>;
  readonly changeReference?: string;
  readonly mask: (secret: string) => void;
}

export interface Session {
  readonly cloud: Cloud;
  readonly correlationId: string;
  /** GUID of the tenant, also where the input is a domain. */
  readonly tenantId: string;
  readonly subscriptionId: string;
  readonly arm: ArmRequest;
  readonly compute: ComputeManagementClient;
  /** Sends the auxiliary tokens: only for requests that link to the image. */
  readonly crossTenantCompute: ComputeManagementClient;
  readonly network: NetworkManagementClient;
  readonly waiting: PollOptions;
  /** The same session with another signal: cleanup continues after the run's own one has aborted. */
  withSignal(signal: AbortSignal): Session;
}

/** Resource Manager itself gives up after a minute; a response that takes longer does not come. */
const attemptTimeoutSeconds = 90;

/** Enough for the first sign-in request to be sent, and less than any sign-in takes. */
const untilSignInIsSentMs = 50;

/** Evaluating two thirds of the bundle blocks the process, so it starts once the sign-in requests are on their way. */
export async function loadManagementClients() {
  await sleep(untilSignInIsSentMs);
  const [compute, network] = await Promise.all([import('@azure/arm-compute'), import('@azure/arm-network')]);
  return { Compute: compute.ComputeManagementClient, Network: network.NetworkManagementClient };
}

type ManagementClients = Awaited<ReturnType<typeof loadManagementClients>>;

/** Creates clients that share one pipeline; they send the tokens of the options' credentials. */
export function createAzureClients(options: ClientOptions, { Compute, Network }: ManagementClients) {
  const pipeline = createPipeline(options);
  const client = { endpoint: options.cloud.resourceManager, pipeline, httpClient: sharedHttpClient };
  return {
    arm: createArmRequest(options, pipeline),
    compute: (subscriptionId: string) => new Compute(options.credential, subscriptionId, client),
    network: (subscriptionId: string) => new Network(options.credential, subscriptionId, client),
  };
}

/** Sends requests to Resource Manager without loading the SDK's clients. */
export function createArmRequest(options: ClientOptions, pipeline = createPipeline(options)): ArmRequest {
  return async (method, path, apiVersion, { query = {}, body, onStatus } = {}) => {
    const url = new URL(path, options.cloud.resourceManager);
    // A nextLink contains its api-version.
    if (!url.searchParams.has('api-version')) url.searchParams.set('api-version', apiVersion);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    // OData filters: not every proxy and provider reads a plus sign as a space.
    url.search = url.search.replaceAll('+', '%20');
    const request = createPipelineRequest({ url: url.href, method });
    request.headers.set('accept', 'application/json');
    if (body !== undefined) {
      request.headers.set('content-type', 'application/json');
      request.body = JSON.stringify(body);
    }
    const response = await pipeline.sendRequest(sharedHttpClient, request);
    onStatus?.(response.status, ambiguousRequests.has(request));
    return parseJson(response.bodyAsText ?? '') as never;
  };
}

export async function listAllPages<T>(
  arm: ArmRequest,
  path: string,
  apiVersion: string,
  query: Readonly<Record<string, string>> = {},
): Promise<T[]> {
  const items: T[] = [];
  const links = new Set<string>();
  let page = await arm<{ value?: T[]; nextLink?: string }>('GET', path, apiVersion, { query });
  for (;;) {
    if (!Array.isArray(page.value)) {
      throw new ActionError(`reading ${path}`, { message: 'Resource Manager did not return a list.' });
    }
    items.push(...page.value);
    // A link that was followed before would never end.
    if (!page.nextLink || links.has(page.nextLink)) return items;
    links.add(page.nextLink);
    page = await arm('GET', page.nextLink, apiVersion);
  }
}

export function listGroup<T extends { readonly id: string }>(
  { arm, subscriptionId }: Pick<Session, 'arm' | 'subscriptionId'>,
  resourceGroup: string,
): Promise<T[]> {
  const path = `${groupId(subscriptionId, resourceGroup)}/resources`;
  return listAllPages<T>(arm, path, apiVersions.resources);
}

function createPipeline(options: ClientOptions): Pipeline {
  const { cloud, credential, auxiliary = [], changeReference, mask, signal, log, rateLimits } = options;
  const scopes = [resourceManagerScope(cloud)];
  const pipeline = createPipelineFromOptions({
    userAgentOptions: { userAgentPrefix: 'cross-tenant-vm' },
    redirectOptions: { maxRetries: 0 },
    proxyOptions: unusedProxy,
  });
  pipeline.removePolicy({ phase: 'Retry' });
  // Outermost first: what leaves this pipeline is a success or an AzureError; each retry gets current tokens.
  pipeline.addPolicy(azureErrorPolicy(signal), { beforePolicies: ['decompressResponsePolicy'] });
  pipeline.addPolicy(allowedHostsPolicy([new URL(cloud.resourceManager).origin], 'access tokens'));
  pipeline.addPolicy(correlationPolicy(options.correlationId));
  if (options.patches) pipeline.addPolicy(mergePatchPolicy(options.patches));
  pipeline.addPolicy(apiVersionFallbackPolicy(log.debug));
  // Without auxiliary tokens: it links to nothing.
  const post = (path: string, body: unknown) =>
    createArmRequest({ ...options, auxiliary: [] })('POST', path, apiVersions.policyTokens, { body });
  pipeline.addPolicy(policyTokenPolicy({ post, changeReference, mask, debug: log.debug }));
  pipeline.addPolicy(
    transientErrorRetryPolicy(log.info, () => secondsUntilTimeout(signal)),
    { phase: 'Retry' },
  );
  pipeline.addPolicy(bearerTokenAuthenticationPolicy({ credential, scopes }), { afterPhase: 'Retry' });
  if (auxiliary.length > 0) {
    const auxiliaryPolicy = auxiliaryAuthenticationHeaderPolicy({ credentials: [...auxiliary], scopes });
    pipeline.addPolicy(auxiliaryPolicy, { afterPhase: 'Retry' });
  }
  pipeline.addPolicy(checkArmResponsePolicy(), { afterPhase: 'Retry' });
  pipeline.addPolicy(requestLogPolicy(log.debug, rateLimits), { afterPhase: 'Sign' });
  pipeline.addPolicy(attemptTimeoutPolicy(attemptTimeoutSeconds), { afterPhase: 'Sign' });
  return pipeline;
}

/** Merges `overrides` into the serialized body: the SDK's serializers drop every property that they do not know. */
function mergePatchPolicy(patches: ReadonlyMap<string, MergePatch>): PipelinePolicy {
  return createPolicy('mergePatchPolicy', (request, next) => {
    if (request.method !== 'PUT' || typeof request.body !== 'string') return next(request);
    // The SDK encodes names; the IDs of the plan are not encoded.
    const patch = patches.get(decodeURIComponent(new URL(request.url).pathname).toLowerCase());
    if (patch) request.body = JSON.stringify(mergePatch(JSON.parse(request.body), patch));
    return next(request);
  });
}
