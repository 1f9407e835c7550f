/**
 * JSON bodies. A typed model of all of Azure's would be a second SDK, so handlers read members by name after
 * `checkBody` (http/body-schema.ts) has validated the request.
 */
export type Json = Record<string, any>;

export type Method = 'GET' | 'PUT' | 'PATCH' | 'POST' | 'DELETE' | 'HEAD';

/** The identity that a token was issued to. */
export interface Caller {
  readonly tenant: string;
  readonly app: string;
  /** Object ID of the service principal, as role assignments name it. */
  readonly oid: string;
  /** Expiry in wall-clock milliseconds. */
  readonly expires: number;
}

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Undefined: no body. */
  readonly body?: unknown;
}

/**
 * Format of poll URL and poll body, and the Retry-After values.
 *
 * - `network`: `…/Microsoft.Network/locations/L/operations/ID`; body `{status}`.
 * - `compute`: `…/Microsoft.Compute/locations/L/operations/ID?p=…`; body `{startTime, status, name[, endTime,
 * error]}`.
 * - `disk`: like `compute`, under `DiskOperations`. `gallery`: under `capsOperations`.
 * - `group`: `/subscriptions/S/operationresults/BASE64`; 202, then 200, no body.
 */
export type OperationFamily = 'network' | 'compute' | 'disk' | 'gallery' | 'group';

/**
 * `async`: Azure-AsyncOperation only (PUT). `both`: also Location (DELETE, POST). `location`: Location only (groups).
 * `none`: neither, as https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations allows.
 */
export type OperationStyle = 'async' | 'both' | 'location' | 'none';

export interface OperationStart {
  readonly family: OperationFamily;
  /** Name in engine/latencies.ts, for example `vmPutLinux`; or simulated seconds. */
  readonly latency: string | number;
  /** 201 or 200 for PUT, 202 for DELETE and POST. */
  readonly status: number;
  /** Body of the first answer. */
  readonly body?: unknown;
  /** Region in the poll URL. */
  readonly location: string;
  /** The resource that the operation changes. */
  readonly resourceId: string;
  /** Name in Azure's error texts: `PutVirtualNetworkOperation`. */
  readonly name?: string;
  /** Default: `async` for 200 and 201, `both` for 202. */
  readonly style?: OperationStyle;
  /** Retry-After of the first answer and of the polls; the last value repeats. Default: the profile's values. */
  readonly retryAfter?: readonly number[];
  /** Called at the end of the operation to complete the change. */
  complete(): void;
  /** The operation fails with this error; `failed` is called instead of `complete`. */
  readonly failure?: OperationFailure | undefined;
  /** Called when the operation fails, also by an injected fault. */
  failed?(error: OperationFailure): void;
  /** Final body of the Location URL. Default: the resource, or 204 for DELETE. */
  result?(): unknown;
  /** Buckets that each poll is charged to. */
  readonly pollBudgets?: readonly Budget[];
}

export interface OperationFailure {
  readonly code: string;
  readonly message: string;
  readonly target?: string;
  readonly details?: readonly Json[];
}

/** A token bucket in simulated time. */
export interface Budget {
  /** Name in `x-ms-ratelimit-remaining-resource`: `Microsoft.Compute/PutVMResource`. */
  readonly name: string;
  /** Owner of the bucket: a VM's ID, or a subscription. */
  readonly key: string;
  readonly size: number;
  readonly perMinute: number;
}
