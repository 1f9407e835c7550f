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

export class AzureError extends Error {
  override readonly name = 'AzureError';
  readonly fault: AzureErrorInfo;

  constructor(fault: AzureErrorInfo) {
    super(`${fault.code || `HTTP ${fault.status}`}: ${fault.message}`);
    this.fault = fault;
  }
}

/** Did Azure refuse the request itself, each time? Then it has left nothing; of one that was lost or broke that is not known. */
export function isClientError(error: unknown): error is AzureError {
  const { status, previousAttemptLost } = error instanceof AzureError ? error.fault : { status: 0 };
  return status >= 400 && status < 500 && !previousAttemptLost;
}

/** The code and message that Azure means: outer ones are often wrappers such as `InvalidTemplateDeployment`. */
export function rootDetail(fault: AzureErrorInfo): { readonly code: string; readonly message: string } {
  return fault.details.at(-1) ?? fault;
}

export function errorChain(error: unknown): unknown[] {
  const chain: unknown[] = [];
  for (let link = error; link !== undefined && !chain.includes(link); ) {
    chain.push(link);
    link = link instanceof Error ? link.cause : undefined;
  }
  return chain;
}

export function findAzureError(error: unknown): AzureErrorInfo | undefined {
  return errorChain(error).find((link) => link instanceof AzureError)?.fault;
}

/** Why it failed, who must act, and how: sentences, and commands and URLs to copy as they stand. */
export interface Explanation {
  readonly cause: string;
  readonly who: string;
  readonly fix: readonly string[];
}

interface ErrorParts extends Partial<Pick<Explanation, 'who' | 'fix'>> {
  readonly message?: string;
  readonly cause?: unknown;
  /** With `who` and `fix`: the explanation. Without it, the error catalogue explains Azure's error in the causes. */
  readonly reason?: string;
}

/** One readable failure. `activity` completes "Failed while …": `creating virtual machine vm1`. */
export class ActionError extends Error {
  override readonly name = 'Failure';
  readonly activity: string;
  readonly explanation?: Explanation;

  constructor(activity: string, parts: ErrorParts = {}) {
    const { message, cause, reason, who = "the workflow's author", fix = [] } = parts;
    const text = message ?? (cause instanceof Error ? cause.message : (reason ?? `${activity} failed`));
    super(text, cause === undefined ? undefined : { cause });
    this.activity = activity;
    if (reason !== undefined) this.explanation = { cause: reason, who, fix };
  }
}

/** Runs `work` and adds the activity to Azure's errors. Other errors pass through. */
export async function withActivity<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof AzureError ? new ActionError(doing, { cause: error }) : error;
  }
}

/** The claims of the job's GitHub token that federated credentials are matched with. */
export interface OidcClaims {
  readonly issuer: string;
  readonly subject: string;
  readonly audience: string;
  /** `repository_owner_id` and `repository_id`: what immutable subjects are made of. */
  readonly ownerId?: string;
  readonly repositoryId?: string;
}

/** What a look at both sides of the link to the image has shown, after Azure refused it. */
export interface ImageAccessProbe {
  /** GUID of the tenant that the auxiliary token is of. */
  readonly tokenTenant: string;
  /** GUID of the tenant that owns the image's subscription, if Resource Manager said so. */
  readonly owner?: string;
  /** What came of reading the image version with that token; absent if nothing came in time. */
  readonly image?: 'readable' | 'denied' | 'absent';
}

/** What explanations quote of a run: its values if nothing is known. A private cloud has other endpoints. */
export const unknownContext = {
  clientId: '<client-id>',
  tenantId: '<tenant-id>',
  imageTenantId: '<image-tenant-id>',
  auxiliaryTenantIds: [] as readonly string[],
  subscriptionId: '<subscription-id>',
  resourceGroup: '<resource-group>',
  location: '<location>',
  vmName: '<vm-name>',
  vmSize: '<vm-size>',
  imageId: '<image-id>',
  /** GUIDs of the tenants that were signed in to, by the lower-cased name that an input gives them: a domain, or the GUID. */
  tenantGuids: new Map() as ReadonlyMap<string, string>,
  loginEndpoint: 'https://login.microsoftonline.com',
  portal: 'https://portal.azure.com',
  resourceManager: 'https://management.azure.com',
};

export interface FilledErrorContext extends Readonly<typeof unknownContext> {
  readonly oidc?: OidcClaims;
  readonly link?: ImageAccessProbe;
  /** The rollback has deleted the VM. */
  readonly isVmDeleted?: boolean;
}

export type ErrorContext = Partial<FilledErrorContext>;
