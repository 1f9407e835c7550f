import {
  type PipelinePolicy,
  type PipelineRequest,
  type PipelineResponse,
  isRestError,
} from '@azure/core-rest-pipeline';
import { AzureError, type AzureErrorInfo } from '../../errors/azure-error.ts';
import { parseErrorResponse } from '../../errors/parse-error-response.ts';
import { ambiguousRequests } from './retry.ts';

/**
 * Turns every refusal into an AzureError that keeps the whole body. The SDK loses `details` and the raw body on
 * long-running calls, and the outer code of an operation that ended Failed. An abort comes out as the signal's reason:
 * the SDK's own AbortError does not say who stopped the run.
 */
export function azureErrorPolicy(signal: AbortSignal): PipelinePolicy {
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
