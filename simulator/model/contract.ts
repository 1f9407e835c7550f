/**
 * Bodies are JSON of some hundred shapes that the simulator reads by hand, property by property: a typed model of
 * them would be a second SDK. Everything that comes from outside goes through `checkShape` (shape.ts) first.
 */
export type Json = Record<string, any>;

export type Method = 'GET' | 'PUT' | 'PATCH' | 'POST' | 'DELETE' | 'HEAD';

/** Whoever a token speaks for. */
export interface Caller {
  readonly tenant: string;
  readonly app: string;
  /** Object ID of the service principal in that tenant: what role assignments name. */
  readonly oid: string;
  /** Wall-clock milliseconds. */
  readonly expires: number;
}

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Undefined: no body at all. */
  readonly body?: unknown;
}

/**
 * Shape of poll URL, poll body and Retry-After.
 *
 * - `network`: `…/Microsoft.Network/locations/L/operations/ID`, polls say only `{status}`.
 * - `compute`: `…/Microsoft.Compute/locations/L/operations/ID?p=…`, polls say `{startTime, status, name[, endTime, error]}`.
 * - `disk`: the same under `DiskOperations`. `gallery`: under `capsOperations`.
 * - `group`: `/subscriptions/S/operationresults/BASE64`, 202 until 200, no status body.
 */
export type OperationFamily = 'network' | 'compute' | 'disk' | 'gallery' | 'group';

export interface OperationStart {
  readonly family: OperationFamily;
  /** Name in the latency table (latencies.ts), e.g. `vmPutLinux`; or seconds of simulated time. */
  readonly latency: string | number;
  /** 201 or 200 for PUT, 202 for DELETE and POST. */
  readonly status: number;
  /** Body of the first answer. */
  readonly body?: unknown;
  /** Region in the poll URL. */
  readonly location: string;
  /** The resource that is being changed; concurrent operations on it are known by it. */
  readonly resourceId: string;
  /** Name as it stands in Azure's texts: `PutVirtualNetworkOperation`. */
  readonly name?: string;
  /**
   * `async`: Azure-AsyncOperation only (PUT). `both`: also Location (DELETE, POST). `location`: Location only (groups).
   * Default: `async` for 200 and 201, `both` for 202.
   */
  readonly style?: 'async' | 'both' | 'location';
  /** Retry-After of the first answer and of the polls that follow (the last one repeats), instead of the profile's. */
  readonly retryAfter?: readonly number[];
  /** Runs when the simulated time has come: makes the change final (`provisioningState: Succeeded`, removal, …). */
  complete(): void;
  /** The operation ends as Failed with this error; `failed` runs instead of `complete`. */
  readonly failure?: OperationFailure | undefined;
  /** What is left behind by a failure (also by one that a fault switch asked for). */
  failed?(error: OperationFailure): void;
  /** What a GET of Location gives at the end: Run Command's output. Default: 200 with the resource, 204 for DELETE. */
  result?(): unknown;
  /** Budgets that each poll is charged to, e.g. Compute's GetOperationResource. */
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
  /** As in `x-ms-ratelimit-remaining-resource`: `Microsoft.Compute/PutVMResource`. */
  readonly name: string;
  /** What the bucket belongs to: a VM's ID, a subscription with a region. */
  readonly key: string;
  readonly size: number;
  readonly perMinute: number;
}
