import { plainText } from '../lib/escape.ts';
import { retryAfterSeconds, retrySecondsInText } from '../lib/duration.ts';
import { type Json, isJson, parseJson } from '../lib/json.ts';
import type { AzureErrorInfo, ErrorDetail } from './errors.ts';
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
export function parseErrorResponse(response: ErrorResponse): AzureErrorInfo {
  const { method, url, status, headers, bodyText } = response;
  const path = URL.parse(url)?.pathname ?? url.replace(/\?.*/s, '');
  const body = parseJson(bodyText);
  const entra = parseEntraError(body);
  const error = parseArmError(body);
  const found = entra ?? (error ? parseErrorObject(error) : { ...parseNonJsonError(response, body), details: [] });
  const correlationId = headers('x-ms-correlation-request-id') ?? entra?.correlationId ?? headers('client-request-id');
  // https://login.microsoftonline.com/<tenant>/oauth2/v2.0/token and …/<tenant>/v2.0/.well-known/openid-configuration
  const tenant = /^\/([^/]+)\/(?:oauth2|v2\.0)\//.exec(path)?.[1];
  return {
    status,
    ...boundedDetail(found),
    details: found.details.slice(-maxDetails).map(boundedDetail),
    method,
    url: path,
    body: bodyText.slice(0, maxBodyLength),
    correlationId: correlationId || undefined,
    requestId: headers('x-ms-request-id') || entra?.requestId || undefined,
    retryAfterSeconds: retryAfterSeconds(headers('retry-after'), headers('date')) ?? retrySecondsInText(bodyText),
    failureCause: headers('x-ms-failure-cause') || undefined,
    tenant,
  };
}

/** Azure's own errors are shorter. What others send must not fill the log, nor keep a pattern of the catalogue busy. */
const maxBodyLength = 32_000;
const maxMessageLength = 4000;
const maxNameLength = 500;
const maxDetails = 20;
const maxDepth = 20;

function boundedDetail({ code, message, target }: ErrorDetail): ErrorDetail {
  return {
    code: plainText(code, maxNameLength),
    message: redactSecrets(plainText(message, maxMessageLength)),
    target: target && plainText(target, maxNameLength),
  };
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

type DetailedError = ErrorDetail & Pick<AzureErrorInfo, 'details'>;

function parseErrorObject(error: Json, depth = 0): DetailedError {
  const nested = parseArmError(parseJson(stringAt(error, 'message')));
  return {
    code: stringAt(error, 'code'),
    message: nested && depth < maxDepth ? parseErrorObject(nested, depth + 1).message : stringAt(error, 'message'),
    target: stringAt(error, 'target') || undefined,
    details: [...(nested ? [nested] : []), ...nestedError(error)].flatMap((detail) =>
      flattenDetails(detail, depth + 1),
    ),
  };
}

function nestedError(error: Json): Json[] {
  const details = error['details'];
  return [...(Array.isArray(details) ? details : [details]), error['innererror']].filter(isJson);
}

/** An error as a list, itself first, innermost last. A wrapper whose message is only the next error as text is left out. */
function flattenDetails(error: Json, depth: number): ErrorDetail[] {
  if (depth > maxDepth) return [];
  const { details, ...own } = parseErrorObject(error, depth);
  const isWrapper = parseArmError(parseJson(stringAt(error, 'message'))) !== undefined;
  return isWrapper || (!own.code && !own.message) ? [...details] : [own, ...details];
}

function parseEntraError(body: unknown) {
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

function parseNonJsonError({ url, status, bodyText, headers }: ErrorResponse, body: unknown): ErrorDetail {
  const state = isJson(body) ? stringAt(body, 'status') : '';
  if (state) return { code: state, message: `The operation ended as ${state} and gave no reason.` };
  return { code: '', message: describeResponse({ url, status, bodyText }, headers('location')) };
}

export function isHtml(text: string): boolean {
  return /^\s*<(?:!doctype|html|head|body|title|script)\b/i.test(text.slice(0, 1000));
}

/** Says in one line who answered what, without quoting more of the body than a page's title or its first line. */
export function describeResponse(
  { url, status, bodyText }: Pick<ErrorResponse, 'url' | 'status' | 'bodyText'>,
  location?: string,
): string {
  const answered = `${URL.parse(url)?.host ?? 'The service'} answered ${status}`;
  if (status >= 300 && status < 400 && location) {
    const to = URL.parse(location, url)?.host ?? 'an invalid URL';
    return `${answered} with a redirect to ${to}, which is not followed`;
  }
  return `${answered} with ${describeBody(bodyText)}`;
}

function describeBody(text: string): string {
  if (text.trim() === '') return 'an empty body';
  const body = parseJson(text);
  if (Array.isArray(body)) return 'a JSON list';
  if (isJson(body)) return Object.keys(body).length === 0 ? 'an empty JSON object' : 'JSON that is not expected here';
  if (body !== undefined) return 'a JSON value that is not an object';
  const head = text.slice(0, 10_000);
  if (isHtml(head)) {
    const [line = ''] = (/<title>\s*([^<]*)/i.exec(head)?.[1] ?? '').split(/[\r\n]/);
    const title = line
      .replaceAll(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, '')
      .slice(0, 120)
      .trim();
    return title ? `an HTML page titled "${title}"` : 'an HTML page';
  }
  if (/^\s*[{[]/.test(head)) return 'truncated or invalid JSON';
  return 'a body that is not JSON';
}
