import { type PipelinePolicy, isRestError } from '@azure/core-rest-pipeline';
import type { RateLimitTracker } from '../poll-schedule.ts';

/** All requests of a run share one correlation ID: support finds the whole run by it. */
export function correlationPolicy(correlationId: string): PipelinePolicy {
  return {
    name: 'correlationPolicy',
    sendRequest(request, next) {
      request.headers.set('x-ms-correlation-request-id', correlationId);
      return next(request);
    },
  };
}

/** One debug line per request: never a body, never the query, whose signatures let anyone read the operation. */
export function requestLogPolicy(debug: (line: string) => void, gauge: RateLimitTracker): PipelinePolicy {
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
