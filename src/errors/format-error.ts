import { type AzureErrorInfo, type Explanation, ActionError, AzureError, errorChain, rootDetail } from './errors.ts';

type Explain = (fault: AzureErrorInfo) => Explanation | undefined;

/** A failure in the parts that the annotation, the log and the summary show. */
export interface ErrorReport {
  /** The cause in one short sentence, without Markdown. */
  readonly title: string;
  readonly code?: string;
  /** From the outermost activity to the innermost. */
  readonly activity: readonly string[];
  /** The message of the error that has the explanation; of all errors if none has. */
  readonly message: readonly string[];
  readonly notes: readonly string[];
  readonly explanation?: Explanation;
  readonly azure: readonly string[];
  /** The request, and the IDs that Azure support asks for. */
  readonly trace: readonly string[];
}

/** The parts of an error; of each error in an AggregateError. `explain` is for errors that bring no explanation. */
export function toErrorReports(error: unknown, explain: Explain = () => undefined): ErrorReport[] {
  if (error instanceof AggregateError && error.errors.length > 0) {
    return error.errors.flatMap((each: unknown) => toErrorReports(each, explain));
  }
  return [reportOf(error, explain)];
}

function reportOf(error: unknown, explain: Explain): ErrorReport {
  const chain = errorChain(error);
  const azureError = chain.find((link) => link instanceof AzureError);
  const fault = azureError?.fault;
  const actionErrors = chain.filter((link) => link instanceof ActionError);
  const explained = actionErrors.find((link) => link.explanation);
  const explanation = explained?.explanation ?? (fault && explain(fault));
  const activity = actionErrors.map((link) => link.activity);
  const words = ownWords(chain, azureError, [explanation?.cause ?? '', `${activity[0]} failed`]);
  const headline = explained && plainMessage(explained);
  const message = explanation ? words.filter((text) => text === headline) : words;
  return {
    title: titleFrom(message[0] ?? explanation?.cause ?? azureText(fault) ?? `${activity[0]} failed`),
    activity,
    message,
    notes: words.filter((text) => !message.includes(text)),
    explanation,
    code: codeOf(fault),
    ...(fault ? { azure: azureLines(fault, words), trace: requestLines(fault) } : { azure: [], trace: [] }),
  };
}

/** The messages of the errors above Azure's. An ActionError without a message has that of its cause. */
function ownWords(
  chain: readonly unknown[],
  azureError: AzureError | undefined,
  repeated: readonly string[],
): string[] {
  const own = azureError ? chain.slice(0, chain.indexOf(azureError)) : chain;
  const shown = azureError ? [...repeated, plainMessage(azureError)] : repeated;
  return [...new Set(own.map(plainMessage))].filter((text) => !shown.includes(text));
}

const maxTitleLength = 120;

/** The first sentence, with the last names of resource IDs instead of whole IDs. A name or an input keeps its case. */
function titleFrom(text: string): string {
  const names = text.replaceAll(/(?<![\w.])\/\w+\/[^\s'"]*\/([^\s/'".,;:]+(?:\.\d+)*)/g, '$1');
  const [sentence = ''] = names.split(/[.:]?\s*[\r\n]|\.(?=\s|$)/);
  const plain = sentence.replaceAll(/[`\s]+/g, (run) => (run.includes('`') ? run.replaceAll('`', '') : ' ')).trim();
  const isName = text.startsWith('`') || /^\S+[-.:/\d]\S/.test(plain);
  const title = isName ? plain : plain.charAt(0).toUpperCase() + plain.slice(1);
  if (title.length <= maxTitleLength) return title;
  const cut = title.slice(0, maxTitleLength);
  return `${cut.slice(0, Math.max(cut.lastIndexOf(' '), maxTitleLength / 2))}…`;
}

/**
 * The lines of an error, the most important first, because annotations are cut: message, cause, who must act, commands;
 * then what failed, Azure's message, request and IDs.
 */
export function formatError(error: unknown, explain?: Explain): string[] {
  return toErrorReports(error, explain).flatMap((report, index) => {
    const { activity, message, notes, explanation, azure, trace } = report;
    const lines = message.flatMap((text) => text.split('\n'));
    // A message that lists many attempts would push the commands out of the annotation.
    const lead = explanation && message.join().length > 800 ? 1 : lines.length;
    return [
      ...(index > 0 ? [''] : []),
      ...(lead < lines.length ? lines.slice(0, lead).map((line) => line.replace(/:$/, '.')) : lines),
      ...(explanation ? formatExplanation(explanation) : []),
      ...(lead < lines.length ? ['In detail:', ...lines.slice(lead)] : []),
      ...notes,
      ...(activity.length > 0 ? [`Failed while ${activity.join(', ')}.`] : []),
      ...azure,
      ...trace,
    ];
  });
}

export function errorTitle(error: unknown, explain?: Explain): string {
  const [first, ...others] = toErrorReports(error, explain);
  return `${first?.title ?? 'Failed'}${others.length > 0 ? ` (and ${others.length} more)` : ''}`;
}

/** Sentences of a fix get a dash; commands and URLs are indented below them. */
function formatExplanation({ cause, who, fix }: Explanation): string[] {
  return [
    `Cause: ${cause}`,
    `Who must act: ${who}`,
    ...(fix.length > 0 ? ['What to do:'] : []),
    ...fix.map((line) => (isCommandOrUrl(line) ? `    ${line}` : `  - ${line}`)),
  ];
}

/** Whether a line of a fix is a command or a URL to copy, not a sentence. */
export function isCommandOrUrl(line: string): boolean {
  return /^(?:az|gh|curl|ssh-keygen) [^ ]|^https:\/\/\S+$/.test(line);
}

/** Messages can quote tokens, credentials, and poll URLs, whose signature grants access to the operation. */
export function redactSecrets(text: string): string {
  return text
    .replaceAll(/\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?/g, '<token>')
    .replaceAll(/([?&](?:sig|[tcshp])=)[^&\s'"]{16,}/gi, '$1<removed>')
    .replaceAll(/\b(client_secret|client_assertion|password)=[^&\s'"]+/gi, '$1=<removed>');
}

function plainMessage(error: unknown): string {
  if (error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND') {
    return 'A file of this action is missing from its folder. A step of the job has deleted or replaced it; check it out again after that step.';
  }
  return redactSecrets(error instanceof Error ? error.message || error.name : String(error));
}

const codeOf = (fault: AzureErrorInfo | undefined) => (fault && rootDetail(fault).code) || undefined;

function azureText(fault: AzureErrorInfo | undefined): string | undefined {
  const root = fault && rootDetail(fault);
  return root && [root.code, root.message].filter(Boolean).join(': ');
}

/** Azure's message and the detail that it wraps, without what an ActionError, such as a list of attempts, quotes already. */
function azureLines(fault: AzureErrorInfo, words: readonly string[]): string[] {
  const { code, message } = rootDetail(fault);
  const isQuoted = (text: string) => text.length > 20 && words.some((word) => word.includes(text));
  const lines = [[messagePrefix(fault), fault.message]];
  if (message !== fault.message || code !== fault.code) lines.push([`In detail, ${code}: `, message]);
  return lines
    .filter(([, text = '']) => !isQuoted(text.trim().split(/\r?\n/)[0] ?? ''))
    .map((parts) => parts.join('').replaceAll('\r\n', '\n').trim());
}

function messagePrefix({ status, code, tenant }: AzureErrorInfo): string {
  if (status === 0) return `No answer, ${code}: `;
  if (status < 300) return `The operation failed, ${code}: `;
  const speaker = tenant ? `Entra ID (tenant ${tenant})` : 'Azure';
  // The message of a response that is not the expected JSON says who answered.
  if (code === '' || code === 'InvalidResponse') return tenant ? `${speaker}: ` : '';
  return `${speaker} answered ${[status, code].filter(Boolean).join(' ')}: `;
}

function requestLines({ method, url, correlationId, requestId }: AzureErrorInfo): string[] {
  return [
    `Request: ${method} ${url}`,
    ...(correlationId ? [`Correlation ID: ${correlationId}`] : []),
    ...(requestId ? [`Request ID: ${requestId}`] : []),
  ];
}
