import {
  type PipelinePolicy,
  type PipelineRequest,
  type PipelineResponse,
  isRestError,
} from '@azure/core-rest-pipeline';
import { AzureError, type AzureErrorInfo } from '../../errors/azure-error.ts';
import { parseErrorResponse } from '../../errors/parse-error-response.ts';
import { isJson, parseJson } from '../../lib/json.ts';

/** Requests that were retried although an earlier attempt may have been carried out. */
export const ambiguousRequests = new WeakSet<PipelineRequest>();

/**
 * Throws an `AzureError` for every failed response, before the SDK drops `details` and the raw body. On abort, rethrows the
 * signal's reason, because the SDK's `AbortError` does not say who cancelled.
 */
export function azureErrorPolicy(signal: AbortSignal): PipelinePolicy {
  return {
    name: 'azureErrorPolicy',
    async sendRequest(request, next) {
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
      const error = errorFromResponse(request, response);
      throw new AzureError(ambiguousRequests.has(request) ? { ...error, previousAttemptLost: true } : error);
    },
  };
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
  if (request.method !== 'GET') return false;
  const body = parseJson(response.bodyAsText ?? '');
  return isJson(body) && typeof body['status'] === 'string' && /^(failed|cancell?ed)$/i.test(body['status']);
}
