import {
  type HttpClient,
  type PipelinePolicy,
  createPipelineFromOptions,
  createPipelineRequest,
  isRestError,
} from '@azure/core-rest-pipeline';
import type { LogWriter } from '../runner/log.ts';
import { checkResponsePolicy, createPolicy } from './policies/responses.ts';
import { attemptTimeoutPolicy, transientErrorRetryPolicy } from './policies/retry.ts';
import { sharedHttpClient, unusedProxy } from './proxy.ts';
import type { RateLimitTracker } from './poll-schedule.ts';

/** How requests outside Resource Manager are sent: to Entra, to GitHub's OIDC provider, to metadata endpoints. */
export interface HttpOptions {
  readonly httpClient?: HttpClient;
  readonly correlationId?: string;
  readonly log?: Pick<LogWriter, 'debug' | 'info'>;
  readonly attemptTimeoutSeconds?: number;
  /** The response is text, such as a boot log; otherwise anything but JSON is retried as a transient error. */
  readonly acceptsText?: true;
}

/** Sign-in services answer within a second; an ID token from GitHub lives for five minutes. */
const signInAttemptSeconds = 15;
const maxThrottledSeconds = 90;

const stepEnd = new AbortController();

/** Called when the step has its result: retries of a sign-in that no code awaits would keep the process alive. */
export function abortSignInRequests(): void {
  stepEnd.abort();
}

const stepEndPolicy = createPolicy('stepEndPolicy', (request, next) => {
  const own = request.abortSignal as AbortSignal | undefined;
  request.abortSignal = own ? AbortSignal.any([own, stepEnd.signal]) : stepEnd.signal;
  return next(request);
});

/** Outermost first; `perAttempt` sees each result. 90 s of retries: an ID token lives longer. */
export function signInPolicies(options: HttpOptions, perAttempt: readonly PipelinePolicy[] = []) {
  const { correlationId, log, attemptTimeoutSeconds = signInAttemptSeconds } = options;
  return [
    stepEndPolicy,
    ...(correlationId === undefined ? [] : [correlationPolicy(correlationId)]),
    transientErrorRetryPolicy(
      (line) => log?.info(line),
      (elapsed) => maxThrottledSeconds - elapsed,
    ),
    ...perAttempt,
    ...(options.acceptsText ? [] : [checkResponsePolicy()]),
    requestLogPolicy((line) => log?.debug(line)),
    attemptTimeoutPolicy(attemptTimeoutSeconds),
  ];
}

/** All requests of a run share one correlation ID. Resource Manager and Entra log it under different header names. */
export function correlationPolicy(correlationId: string): PipelinePolicy {
  return createPolicy('correlationPolicy', (request, next) => {
    request.headers.set('x-ms-correlation-request-id', correlationId);
    request.headers.set('client-request-id', correlationId);
    return next(request);
  });
}

/** One debug line per attempt: never a body, never the query, whose signatures let anyone read the operation. */
export function requestLogPolicy(debug: (line: string) => void, rateLimits?: RateLimitTracker): PipelinePolicy {
  return createPolicy('requestLogPolicy', async (request, next) => {
    const start = performance.now();
    const { host, pathname } = new URL(request.url);
    const log = (result: string | number, id: string | undefined): void => {
      const took = Math.round(performance.now() - start);
      debug(`${request.method} ${host}${pathname} ${result} ${took} ms correlation ${id ?? '-'}`);
    };
    const sentId = request.headers.get('client-request-id');
    try {
      const response = await next(request);
      rateLimits?.record(response.headers, request.url);
      log(response.status, response.headers.get('x-ms-correlation-request-id') ?? sentId);
      return response;
    } catch (error) {
      log((isRestError(error) ? error.code : undefined) ?? 'failed', sentId);
      throw error;
    }
  });
}

export type HttpGet = ReturnType<typeof createHttpGet>;

interface HttpGetOptions extends HttpOptions {
  readonly token?: string;
  readonly allowInsecureConnection?: boolean;
}

/** Sends GETs through the proxy and with the retries of sign-in, by default without credentials. Redirects are not followed. */
export function createHttpGet({ token, allowInsecureConnection, ...options }: HttpGetOptions = {}) {
  const { httpClient = sharedHttpClient } = options;
  const pipeline = createPipelineFromOptions({ redirectOptions: { maxRetries: 0 }, proxyOptions: unusedProxy });
  pipeline.removePolicy({ phase: 'Retry' });
  for (const policy of signInPolicies(options)) pipeline.addPolicy(policy);
  return async (url: string, abortSignal?: AbortSignal) => {
    const request = createPipelineRequest({ url, abortSignal, allowInsecureConnection });
    request.headers.set('accept', 'application/json');
    if (token !== undefined) request.headers.set('authorization', `Bearer ${token}`);
    const { status, bodyAsText, headers } = await pipeline.sendRequest(httpClient, request);
    return { status, body: bodyAsText ?? '', header: (name: string) => headers.get(name) };
  };
}
