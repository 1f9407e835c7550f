/** One line of an error's `details`. */
export interface ErrorDetail {
  readonly code: string;
  readonly message: string;
  readonly target?: string;
}

/** What Azure (Resource Manager or Entra) said, kept whole. */
export interface AzureErrorInfo {
  /** HTTP status; 200 for an operation that ended Failed, 0 where no answer came at all. */
  readonly status: number;
  /** Outer code as sent: 'AuthorizationFailed', 'AADSTS700016'; '' if there was none. */
  readonly code: string;
  readonly message: string;
  readonly target?: string;
  /** Flattened, innermost last. */
  readonly details: readonly ErrorDetail[];
  readonly method: string;
  /** Path without its query: poll URLs carry signatures. */
  readonly url: string;
  readonly correlationId?: string;
  readonly requestId?: string;
  readonly retryAfterSeconds?: number;
  /** `x-ms-failure-cause`: 'gateway' where Resource Manager itself refused, before any provider was asked. */
  readonly failureCause?: string;
  /** Raw text, for matching only: never to be shown or logged. */
  readonly body: string;
  /** Tenant that was asked, for answers of Entra. */
  readonly tenant?: string;
  /** An earlier try of this request was lost or broke, and may have been carried out. */
  readonly previousAttemptLost?: boolean;
}

/** Azure refused, or could not be reached. */
export class AzureError extends Error {
  override readonly name = 'AzureError';
  readonly fault: AzureErrorInfo;

  constructor(fault: AzureErrorInfo, options?: ErrorOptions) {
    super(`${fault.code || `HTTP ${fault.status}`}: ${fault.message}`, options);
    this.fault = fault;
  }
}

/** Did Azure refuse the request itself? Then it has left nothing; of one that was lost or broke (5xx) that is not known. */
export function isClientError(error: unknown): error is AzureError {
  return error instanceof AzureError && error.fault.status >= 400 && error.fault.status < 500;
}

/** Why it failed, who must act, and how: sentences, and commands and URLs to copy as they stand. */
export interface Explanation {
  readonly cause: string;
  readonly who: string;
  readonly fix: readonly string[];
}

/** One readable failure. `doing` completes "Failed while …": `creating virtual machine vm1`. */
export class ActionError extends Error {
  override readonly name = 'Failure';
  readonly activity: string;
  readonly explanation?: Explanation;

  constructor(
    activity: string,
    parts: { readonly message?: string; readonly explanation?: Explanation; readonly cause?: unknown } = {},
  ) {
    const { message, explanation, cause } = parts;
    const reason = message ?? (cause instanceof Error ? cause.message : explanation?.cause);
    super(reason ?? `${activity} failed`, cause === undefined ? {} : { cause });
    this.activity = activity;
    if (explanation) this.explanation = explanation;
  }
}

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
  const failureCause = headers('x-ms-failure-cause');
  // https://login.microsoftonline.com/<tenant>/oauth2/v2.0/token and …/<tenant>/v2.0/.well-known/openid-configuration
  const tenant = /^\/([^/]+)\/(?:oauth2|v2\.0)\//.exec(path)?.[1];
  return {
    status,
    code: found.code,
    message: redactSecrets(found.message),
    ...(found.target ? { target: found.target } : {}),
    details: found.details.map((detail) => ({ ...detail, message: redactSecrets(detail.message) })),
    method,
    url: path,
    ...(correlationId ? { correlationId } : {}),
    ...(requestId ? { requestId } : {}),
    ...(retryAfter === undefined ? {} : { retryAfterSeconds: retryAfter }),
    ...(failureCause ? { failureCause } : {}),
    body: bodyText,
    ...(tenant ? { tenant } : {}),
  };
}

/** The code and message that Azure means: outer ones are often wrappers such as `InvalidTemplateDeployment`. */
export function rootDetail(fault: AzureErrorInfo): { readonly code: string; readonly message: string } {
  return fault.details.at(-1) ?? fault;
}

/** What there is to tell of a failure, part by part. */
export interface ErrorReport {
  /** From the outermost work to the innermost. */
  readonly activity: readonly string[];
  /** What whoever failed said, and what Azure said. */
  readonly words: readonly string[];
  readonly explanation?: Explanation;
  /** The request, and the IDs that Azure's support asks for. */
  readonly trace: readonly string[];
}

/**
 * What there is to tell of an error; of an AggregateError of each one. Bodies never appear in it. `explain` is asked where
 * no Failure explains itself.
 */
export function toErrorReports(
  error: unknown,
  explain: (fault: AzureErrorInfo) => Explanation | undefined = () => undefined,
): ErrorReport[] {
  if (error instanceof AggregateError && error.errors.length > 0) {
    return error.errors.flatMap((each: unknown) => toErrorReports(each, explain));
  }
  const chain = errorChain(error);
  const refusal = chain.findIndex((link) => link instanceof AzureError);
  const fault = (chain[refusal] as AzureError | undefined)?.fault;
  const failures = chain.filter((link) => link instanceof ActionError);
  const explanation =
    failures.find((failure) => failure.explanation)?.explanation ?? (fault && explain(fault));
  const doing = failures.map((failure) => failure.activity);
  // A Failure without words of its own repeats its cause's; everything is said once.
  const words = new Set((refusal < 0 ? chain : chain.slice(0, refusal)).map(plainMessage));
  for (const said of [plainMessage(chain[refusal]), explanation?.cause ?? '', `${doing[0]} failed`])
    words.delete(said);
  return [
    {
      activity: doing,
      words: [
        ...words,
        ...(fault ? azureMessageLines(fault) : []).filter((line) => !isAlreadyQuoted(line, words)),
      ],
      ...(explanation ? { explanation } : {}),
      trace: fault ? requestLines(fault) : [],
    },
  ];
}

/**
 * The lines of the one error annotation: what was being done, what Azure said, the cause, who must act, what to do, and
 * the IDs that Azure's support asks for.
 */
export function formatError(
  error: unknown,
  explain?: (fault: AzureErrorInfo) => Explanation | undefined,
): string[] {
  return toErrorReports(error, explain).flatMap(({ activity, words, explanation, trace }, index) => [
    ...(index > 0 ? [''] : []),
    ...(activity.length > 0 ? [`Failed while ${activity.join(', ')}.`] : []),
    ...words,
    ...(explanation ? formatExplanation(explanation) : []),
    ...trace,
  ]);
}

/** The explanation as lines. Each sentence of a fix has a dash, each command or URL a line of its own below it. */
export function formatExplanation({ cause, who, fix }: Explanation): string[] {
  return [
    `Cause: ${cause}`,
    `Who must act: ${who}`,
    ...(fix.length > 0 ? ['What to do:'] : []),
    ...fix.map((line) => (isCommandOrUrl(line) ? `    ${line}` : `  - ${line}`)),
  ];
}

/** Whether a line of a fix is a command or a URL, to be copied as it stands, rather than a sentence. */
export function isCommandOrUrl(line: string): boolean {
  return /^(?:az|gh|curl|ssh-keygen) [^ ]|^https:\/\/\S+$/.test(line);
}

/** Seconds of a Retry-After header in either of its forms (RFC 9110, 10.2.3). */
export function retryAfterSeconds(header: string | undefined, answeredAt?: string): number | undefined {
  if (!header) return undefined;
  const seconds = Number(header);
  if (Number.isFinite(seconds)) return Math.max(0, seconds);
  const until = Date.parse(header);
  const from = Date.parse(answeredAt ?? '');
  return Number.isNaN(until)
    ? undefined
    : Math.max(0, Math.round((until - (Number.isNaN(from) ? Date.now() : from)) / 1000));
}

/** Network says in words, not in a header, when a resource that another operation holds is free again. */
function retrySecondsInText(text: string): number | undefined {
  const seconds = /can be retried in (\d+) seconds/i.exec(text)?.[1];
  return seconds === undefined ? undefined : Number(seconds);
}

type Json = Readonly<Record<string, unknown>>;

interface Envelope {
  readonly code: string;
  readonly message: string;
  readonly target?: string;
  readonly details: readonly ErrorDetail[];
}

function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch {
    return undefined;
  }
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

/** Messages quote poll URLs, whose signatures would let anyone read the operation, and could quote what was sent. */
function redactSecrets(text: string): string {
  return text
    .replaceAll(/\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?/g, '<token>')
    .replaceAll(/([?&](?:sig|[tcshp])=)[^&\s'"]{16,}/gi, '$1<removed>')
    .replaceAll(/\b(client_secret|client_assertion|password)=[^&\s'"]+/gi, '$1=<removed>');
}

/** The error and what caused it, outermost first. */
function errorChain(error: unknown): unknown[] {
  const chain: unknown[] = [];
  for (let link = error; link !== undefined && !chain.includes(link); ) {
    chain.push(link);
    link = link instanceof Error ? link.cause : undefined;
  }
  return chain;
}

/** What Azure said, wherever in the chain of causes it stands. */
export function findAzureError(error: unknown): AzureErrorInfo | undefined {
  return errorChain(error).find((link) => link instanceof AzureError)?.fault;
}

function plainMessage(error: unknown): string {
  return redactSecrets(error instanceof Error ? error.message || error.name : String(error));
}

function azureMessageLines(fault: AzureErrorInfo): string[] {
  const { code, message } = rootDetail(fault);
  const differs = message !== fault.message || code !== fault.code;
  return [
    `${messagePrefix(fault)}${fault.message}`,
    ...(differs ? [`In detail, ${code}: ${message}`] : []),
  ].map((line) => line.replaceAll('\r\n', '\n').trim());
}

/** Whether a Failure has quoted what Azure said, as one that lists several refusals does. */
function isAlreadyQuoted(saying: string, words: ReadonlySet<string>): boolean {
  const said = saying.split('\n')[0]?.replace(/^[^:]*: /, '') ?? '';
  return said.length > 20 && [...words].some((word) => word.includes(said));
}

function messagePrefix({ status, code, message, tenant }: AzureErrorInfo): string {
  if (status === 0) return `No answer, ${code}: `;
  if (status < 400) return `The operation failed, ${code}: `;
  const speaker = tenant ? `Entra ID (tenant ${tenant})` : 'Azure';
  // What has no envelope has a message that begins with the status.
  if (message.startsWith(`HTTP ${status}`)) return `${speaker} answered `;
  return `${speaker} answered ${[status, code].filter(Boolean).join(' ')}: `;
}

function requestLines({ method, url, correlationId, requestId }: AzureErrorInfo): string[] {
  return [
    `Request: ${method} ${url}`,
    ...(correlationId ? [`Correlation ID: ${correlationId}`] : []),
    ...(requestId ? [`Request ID: ${requestId}`] : []),
  ];
}

/** Runs `work`; what Azure refuses in it is told as having happened while `doing`. Other errors pass as they are. */
export async function withActivity<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof AzureError ? new ActionError(doing, { cause: error }) : error;
  }
}
