import {
  type PipelinePolicy,
  type PipelineRequest,
  type PipelineResponse,
  type SendRequest,
  createHttpHeaders,
  createPipelineRequest,
} from '@azure/core-rest-pipeline';
import { ifNoneMatchSince } from '../api-versions.ts';
import { AzureError, type AzureErrorInfo } from '../../errors/azure-error.ts';
import { isNotFound } from '../lookup.ts';
import { errorFromResponse } from './azure-error.ts';

/**
 * Asks in an older api-version where Resource Manager does not know the SDK's: regions and types get a new one weeks apart
 * (https://github.com/Azure/azure-sdk-for-go/issues/27470), other clouds are months behind, Azure Stack Hub years. The
 * refusal lists what is known; the newest one that is no preview and not newer than ours is taken, and kept for the type.
 * It comes from the gateway, before any provider has seen the request, so every method may be sent again.
 */
export function apiVersionFallbackPolicy(debug: (line: string) => void): PipelinePolicy {
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
