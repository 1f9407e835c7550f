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

/** The code and message that Azure means: outer ones are often wrappers such as `InvalidTemplateDeployment`. */
export function rootDetail(fault: AzureErrorInfo): { readonly code: string; readonly message: string } {
  return fault.details.at(-1) ?? fault;
}

/** The error and what caused it, outermost first. */
export function errorChain(error: unknown): unknown[] {
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
