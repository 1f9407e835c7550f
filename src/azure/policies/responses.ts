import {
  type PipelinePolicy,
  type PipelineRequest,
  type PipelineResponse,
  createHttpHeaders,
  isRestError,
} from '@azure/core-rest-pipeline';
import { type AzureErrorInfo, ActionError, AzureError } from '../../errors/errors.ts';
import { sameId } from '../resource-id.ts';
import { describeResponse, parseErrorResponse } from '../../errors/parse-error-response.ts';
import { type Json, asObject, asString, isJson, parseJson } from '../../lib/json.ts';

export function createPolicy(name: string, sendRequest: PipelinePolicy['sendRequest']): PipelinePolicy {
  return { name, sendRequest };
}

/** Code of a response that is not the expected JSON. It is retried like a 502, the status of an invalid upstream response. */
const invalidResponse = 'InvalidResponse';

/** Turns non-JSON into a 502: the SDK would throw a parser's error, or take an empty object for success. */
export function checkResponsePolicy(): PipelinePolicy {
  return responsePolicy('checkResponsePolicy', (request, response, body) => {
    if (response.status >= 300) return response;
    return isJson(body) || Array.isArray(body) ? withJson(request, response, body) : invalid(request, response);
  });
}

export function invalidResponseBody(message: string): string {
  return JSON.stringify({ error: { code: invalidResponse, message } });
}

export function invalidResponseMessage(bodyText: string | undefined): string | undefined {
  const error = asObject(asObject(parseJson(bodyText ?? ''))['error']);
  return error['code'] === invalidResponse ? asString(error['message']) : undefined;
}

/**
 * The same for Resource Manager: a PUT returns a resource with its ID, an operation has a status. Only what names its state
 * counts as success.
 * https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations
 */
export function checkArmResponsePolicy(): PipelinePolicy {
  const operations = new Map<string, Operation>();
  return responsePolicy('checkArmResponsePolicy', (request, response, body) => {
    const operation = request.method === 'GET' ? operations.get(new URL(request.url).pathname) : undefined;
    if (operation !== undefined && response.status >= 400) return failedOperation(request, response, body, operation);
    if (response.status >= 300) return response;
    for (const [pathname, kind] of resolveLinks(request, response)) {
      if (request.method !== 'GET') operations.set(pathname, { kind, isDeletion: request.method === 'DELETE' });
    }
    // Only polls are answered 202 or 204: a read without a resource is none.
    const isRead = request.method === 'GET' && operation === undefined;
    const isExpected = !(isRead && response.status > 201) && isArmBody(request, response, body, operation?.kind);
    return isExpected ? withJson(request, response, body) : invalid(request, response);
  });
}

interface Operation {
  readonly kind: 'status' | 'result';
  readonly isDeletion: boolean;
}

/** Makes relative links absolute (RFC 9110, section 10.2.2). One to the resource itself is no operation. */
function resolveLinks({ url }: PipelineRequest, { headers }: PipelineResponse) {
  return operationHeaders.flatMap(([header, kind]) => {
    const text = headers.get(header);
    const link = text ? URL.parse(text, url) : null;
    if (!link) return [];
    headers.set(header, link.href);
    return sameId(link.pathname, new URL(url).pathname) ? [] : [[link.pathname, kind] as const];
  });
}

const operationHeaders = [
  ['azure-asyncoperation', 'status'],
  ['location', 'result'],
] as const;

function isArmBody(
  { method }: PipelineRequest,
  { status, bodyAsText, headers }: PipelineResponse,
  body: unknown,
  operation: Operation['kind'] | undefined,
): boolean {
  const isEmpty = (bodyAsText ?? '').trim() === '';
  if (operation === 'status') return operationStatus(body) !== undefined;
  const isFilled = isJson(body) && Object.keys(body).length > 0;
  // No POST of the action starts an operation.
  if (method === 'POST') return isFilled;
  if (isEmpty && /^(PUT|PATCH)$/.test(method)) return operationHeaders.some(([name]) => headers.has(name));
  if (isEmpty) return operation === 'result' || method === 'DELETE' || method === 'HEAD' || status > 201;
  if (operation === 'result' || status > 201) return body !== undefined;
  return isFilled && (method !== 'PUT' || typeof body['id'] === 'string');
}

/** Statuses of a poll that concern the poll itself, not the operation. */
const pollErrors: ReadonlySet<number> = new Set([401, 403, 408, 429]);

/**
 * An operation may end with HTTP 4xx instead of `status: Failed`; a 404 may be a front end that is late. After a DELETE, the
 * resource itself tells whether it is gone.
 */
function failedOperation(
  request: PipelineRequest,
  response: PipelineResponse,
  body: unknown,
  { isDeletion }: Operation,
): PipelineResponse {
  const { status } = response;
  const { error } = asObject(body);
  if (status === 404 && operationStatus(body) === undefined)
    return isDeletion && isJson(error) ? response : invalid(request, response);
  const hasEnded = operationStatus(body) !== undefined || (status < 500 && !pollErrors.has(status));
  if (!hasEnded || !isJson(error)) return response;
  return { ...response, status: 200, bodyAsText: JSON.stringify({ status: 'Failed', error }) };
}

function operationStatus(body: unknown): string | undefined {
  return asString(asObject(body)['status']);
}

function responsePolicy(
  name: string,
  check: (request: PipelineRequest, response: PipelineResponse, body: unknown) => PipelineResponse,
): PipelinePolicy {
  return createPolicy(name, async (request, next) => {
    const response = await next(request);
    return check(request, response, parseJson(response.bodyAsText ?? ''));
  });
}

/**
 * JSON with a byte order mark or another content type would reach the SDK's callers as text. A null means an absent field or
 * an empty list, and the SDK's models have none. A list whose next page is the same one would never end.
 */
function withJson({ url }: PipelineRequest, response: PipelineResponse, body: unknown): PipelineResponse {
  if (body === undefined) return response;
  const text = (response.bodyAsText ?? '').replace(/^\uFEFF/, '');
  const nextLink = asString(asObject(body)['nextLink']);
  const isLoop = nextLink !== undefined && URL.parse(nextLink, url)?.href === new URL(url).href;
  const hasNull = isJson(body) && /:\s*null\b/.test(text);
  response.bodyAsText =
    isLoop || hasNull ? withoutNulls({ ...asObject(body), ...(isLoop && { nextLink: null }) }) : text;
  response.headers.set('content-type', 'application/json');
  return response;
}

function withoutNulls(body: Json): string {
  const list = body['value'] === null ? { value: [] } : {};
  return JSON.stringify({ ...body, ...list }, (_, value: unknown) => value ?? undefined);
}

function invalid(request: PipelineRequest, response: PipelineResponse): PipelineResponse {
  if (response.status >= 400 && response.status !== 404) return response;
  const answer = { url: request.url, status: response.status, bodyText: response.bodyAsText ?? '' };
  const message = `${describeResponse(answer, response.headers.get('location'))}.`;
  const headers = createHttpHeaders(response.headers.toJSON());
  headers.set('content-type', 'application/json');
  return { ...response, headers, status: 502, bodyAsText: invalidResponseBody(message) };
}

/** Links in responses and IDs that start with `//` must not carry tokens to other hosts. */
export function allowedHostsPolicy(origins: readonly string[], what: string): PipelinePolicy {
  return createPolicy('allowedHostsPolicy', (request, next) => {
    const { origin, host, pathname } = new URL(request.url);
    if (origins.includes(origin)) return next(request);
    throw new ActionError(`sending ${request.method} ${pathname}`, {
      message: `A response or an ID leads to ${host}, but ${what} are sent to ${origins.join(' or ')} only.`,
      reason: 'An ID in the inputs starts with `//`, or a proxy between the runner and Azure changed a response.',
      who: "the workflow's author, or the administrator of the runner's network",
      fix: ['Check the IDs in the inputs and the proxy settings of the runner. Nothing was sent to that host.'],
    });
  });
}

/** Requests that were retried although an earlier attempt may have been carried out. */
export const ambiguousRequests = new WeakSet<PipelineRequest>();

/** The SDK drops `details` and the raw body, and its `AbortError` does not say who cancelled. */
export function azureErrorPolicy(signal: AbortSignal): PipelinePolicy {
  return createPolicy('azureErrorPolicy', async (request, next) => {
    request.abortSignal ??= signal;
    let response: PipelineResponse;
    try {
      response = await next(request);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (!isRestError(error) || error.response) throw error;
      // Without the cause: it holds the complete request, tokens included.
      throw new AzureError(networkError(request, error));
    }
    if (response.status < 300 && !isFailedOperation(request, response)) return response;
    const previousAttemptLost = ambiguousRequests.has(request);
    throw new AzureError({ ...errorFromResponse(request, response), previousAttemptLost });
  });
}

export function errorFromResponse(request: PipelineRequest, response: PipelineResponse): AzureErrorInfo {
  return parseErrorResponse({
    method: request.method,
    url: request.url,
    status: response.status,
    headers: (name) => response.headers.get(name),
    bodyText: response.bodyAsText ?? '',
  });
}

export function networkError(request: PipelineRequest, error: Error & { code?: string }): AzureErrorInfo {
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

/** A failed operation is reported with HTTP 200 and its `status` in the body, where no resource has a property. */
function isFailedOperation(request: PipelineRequest, response: PipelineResponse): boolean {
  const status = request.method === 'GET' ? operationStatus(parseJson(response.bodyAsText ?? '')) : undefined;
  return /^(failed|cancell?ed)$/i.test(status ?? '');
}
