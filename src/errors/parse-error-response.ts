import { retryAfterSeconds, retrySecondsInText } from '../lib/duration.ts';
import { type Json, isJson, omitUndefined, parseJson } from '../lib/json.ts';
import type { AzureErrorInfo, ErrorDetail } from './azure-error.ts';
import { redactSecrets } from './format-error.ts';

export interface ErrorResponse {
  readonly method: string;
  /** Whole URL or path. */
  readonly url: string;
  readonly status: number;
  readonly headers: (name: string) => string | undefined;
  readonly bodyText: string;
}

/**
 * Reads an answer that says no. Azure has several shapes for it: `{error: {…}}` (Resource Manager), the same object
 * without `error` (Compute's 429), `{status: 'Failed', error}` (the end of an operation, HTTP 200), messages that are
 * JSON text again (deployments, Marketplace), `{error, error_description}` (Entra), and pages or nothing at all from
 * proxies and gateways. Never throws.
 */
export function parseErrorResponse({
  method,
  url,
  status,
  headers,
  bodyText,
}: ErrorResponse): AzureErrorInfo {
  const path = requestPath(url);
  const body = parseJson(bodyText);
  const entra = parseEntraError(body);
  const error = parseArmError(body);
  const found =
    entra ??
    (error ? parseErrorObject(error) : { ...parseNonJsonError(status, body, bodyText), details: [] });
  const correlationId =
    headers('x-ms-correlation-request-id') ?? entra?.correlationId ?? headers('client-request-id');
  const requestId = headers('x-ms-request-id') ?? entra?.requestId;
  const retryAfter =
    retryAfterSeconds(headers('retry-after'), headers('date')) ?? retrySecondsInText(bodyText);
  // https://login.microsoftonline.com/<tenant>/oauth2/v2.0/token and …/<tenant>/v2.0/.well-known/openid-configuration
  const tenant = /^\/([^/]+)\/(?:oauth2|v2\.0)\//.exec(path)?.[1];
  return {
    status,
    code: found.code,
    message: redactSecrets(found.message),
    details: found.details.map((detail) => ({ ...detail, message: redactSecrets(detail.message) })),
    method,
    url: path,
    body: bodyText,
    ...omitUndefined({
      target: found.target || undefined,
      correlationId: correlationId || undefined,
      requestId: requestId || undefined,
      retryAfterSeconds: retryAfter,
      failureCause: headers('x-ms-failure-cause') || undefined,
      tenant,
    }),
  };
}

interface Envelope {
  readonly code: string;
  readonly message: string;
  readonly target?: string;
  readonly details: readonly ErrorDetail[];
}

function stringAt(object: Json, key: string): string {
  const value = object[key];
  return typeof value === 'string' ? value.trim() : '';
}

/** The object that holds `code` and `message`, wherever the body keeps it. */
function parseArmError(body: unknown): Json | undefined {
  if (!isJson(body)) return undefined;
  if (isJson(body['error'])) return body['error'];
  return stringAt(body, 'code') || stringAt(body, 'message') ? body : undefined;
}

function parseErrorObject(error: Json): Envelope {
  const nested = parseArmError(parseJson(stringAt(error, 'message')));
  const target = stringAt(error, 'target');
  return {
    code: stringAt(error, 'code'),
    message: nested ? parseErrorObject(nested).message : stringAt(error, 'message'),
    ...(target ? { target } : {}),
    details: [...(nested ? flattenDetails(nested) : []), ...nestedError(error).flatMap(flattenDetails)],
  };
}

function nestedError(error: Json): Json[] {
  const details = error['details'];
  return [...(Array.isArray(details) ? details : [details]), error['innererror']].filter(isJson);
}

/** An error as a list, itself first, innermost last. A wrapper whose message is only the next error as text is left out. */
function flattenDetails(error: Json): ErrorDetail[] {
  const { code, message, target, details } = parseErrorObject(error);
  const wrapper = parseArmError(parseJson(stringAt(error, 'message'))) !== undefined;
  if (wrapper || (!code && !message)) return [...details];
  return [{ code, message, ...(target ? { target } : {}) }, ...details];
}

function parseEntraError(
  body: unknown,
): (Envelope & { readonly correlationId: string; readonly requestId: string }) | undefined {
  if (!isJson(body) || typeof body['error'] !== 'string') return undefined;
  const description = stringAt(body, 'error_description');
  return {
    code: /\bAADSTS\d+/.exec(description)?.[0] ?? body['error'],
    // "AADSTS<number>: <text>", then IDs and the time, on lines of their own or not.
    message: description.replace(/^AADSTS\d+:\s*/, '').split(/\s*Trace ID:/)[0] || body['error'],
    details: [],
    correlationId: stringAt(body, 'correlation_id'),
    requestId: stringAt(body, 'trace_id'),
  };
}

function parseNonJsonError(
  status: number,
  body: unknown,
  text: string,
): { code: string; message: string; target?: string } {
  const ended = isJson(body) ? stringAt(body, 'status') : '';
  if (ended) return { code: ended, message: `The operation ended as ${ended} and gave no reason.` };
  // A page comes from a proxy or a gateway on the way: its title is all that can help.
  const title = /<title>([^<]{1,120})/i.exec(text)?.[1]?.trim();
  if (title) return { code: '', message: `HTTP ${status} with a page titled "${title}"` };
  return {
    code: '',
    message: `HTTP ${status} ${text.trim() ? 'with a body that is no error' : 'without a body'}`,
  };
}

function requestPath(url: string): string {
  return URL.canParse(url) ? new URL(url).pathname : (url.split('?')[0] ?? '');
}
