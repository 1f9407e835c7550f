import { ActionError, type Explanation } from './action-error.ts';
import { AzureError, type AzureErrorInfo, errorChain, rootDetail } from './azure-error.ts';

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
function formatExplanation({ cause, who, fix }: Explanation): string[] {
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

/** Messages quote poll URLs, whose signatures would let anyone read the operation, and could quote what was sent. */
export function redactSecrets(text: string): string {
  return text
    .replaceAll(/\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?/g, '<token>')
    .replaceAll(/([?&](?:sig|[tcshp])=)[^&\s'"]{16,}/gi, '$1<removed>')
    .replaceAll(/\b(client_secret|client_assertion|password)=[^&\s'"]+/gi, '$1=<removed>');
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
