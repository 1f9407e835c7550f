import {
  type PipelinePolicy,
  type PipelineRequest,
  type SendRequest,
  createHttpHeaders,
  createPipelineRequest,
} from '@azure/core-rest-pipeline';
import { ifNoneMatchSince, oldestValidVersions, standardSecurityTypeSince } from '../api-versions.ts';
import { type AzureErrorInfo, AzureError } from '../../errors/errors.ts';
import { isNotFound } from '../lookup.ts';
import { createPolicy, errorFromResponse } from './responses.ts';

/**
 * Regions get a new API version weeks apart (https://github.com/Azure/azure-sdk-for-go/issues/27470), other clouds are months
 * behind. The error lists the supported versions; it comes before any provider has received the request, so every method can
 * be retried.
 */
export function apiVersionFallbackPolicy(debug: (line: string) => void): PipelinePolicy {
  const known = new Map<string, string>();
  return createPolicy('apiVersionFallbackPolicy', async (request, next) => {
    const asked = apiVersionParameter.exec(request.url)?.[2];
    if (asked === undefined) return next(request);
    const type = requestResourceType(request.url);
    const key = `${type} ${asked}`;
    const instead = known.get(key);
    if (instead !== undefined) return sendWithApiVersion(request, instead, next);
    const response = await next(request);
    if (response.status !== 400 && response.status !== 404) return response;
    const oldest = oldestValidVersions[type.split('/')[0] ?? ''];
    const older = newestSupportedVersion(errorFromResponse(request, response), asked, oldest);
    if (older === undefined) return response;
    known.set(key, older);
    debug(`${type}: API version ${asked} is not supported here; using ${older}`);
    return sendWithApiVersion(request, older, next);
  });
}

/** Versions that may ignore If-None-Match get a read right before the PUT: existing resources are never overwritten. */
async function sendWithApiVersion(request: PipelineRequest, version: string, next: SendRequest) {
  request.url = request.url.replace(apiVersionParameter, `$1${version}`);
  if (version < standardSecurityTypeSince && typeof request.body === 'string')
    request.body = request.body.replace(/"securityType":"Standard",?/, '');
  if (version >= ifNoneMatchSince || !request.headers.has('if-none-match')) return next(request);
  const { url, abortSignal } = request;
  const headers = createHttpHeaders(request.headers.toJSON());
  for (const name of ['if-none-match', 'content-type', 'content-length']) headers.delete(name);
  const look = createPipelineRequest({ url, headers, abortSignal });
  const found = await next(look);
  if (found.status >= 400) {
    return isNotFound(new AzureError(errorFromResponse(look, found))) ? next(request) : { ...found, request };
  }
  const error = { code: 'PreconditionFailed', message: 'The resource exists already.' };
  return { ...found, request, status: 412, bodyAsText: JSON.stringify({ error }) };
}

const apiVersionParameter = /([?&]api-version=)([^&]+)/i;

/** `microsoft.compute/virtualmachines` of a path, without the names; the last provider's, as Resource Manager has it. */
function requestResourceType(url: string): string {
  const [namespace = '', ...rest] = new URL(url).pathname.toLowerCase().split('/providers/').at(-1)?.split('/') ?? [];
  return [namespace, ...rest.filter((_, index) => index % 2 === 0)].join('/');
}

export function newestSupportedVersion(
  { code, message }: AzureErrorInfo,
  asked: string,
  oldest = '',
): string | undefined {
  if (!/^(NoRegisteredProviderFound|InvalidResourceType|InvalidApiVersionParameter)$/.test(code)) return undefined;
  const listed = /supported (?:api-)?versions are '([^']*)'/i.exec(message)?.[1] ?? '';
  const versions = listed.split(',').map((version) => version.trim());
  // The version is supported; the type is not offered in the region.
  if (versions.includes(asked)) return undefined;
  return versions
    .filter((version) => /^\d{4}-\d{2}-\d{2}$/.test(version) && version < asked && version >= oldest)
    .toSorted()
    .at(-1);
}
