/**
 * The contract between the gateway and the resource providers.
 *
 * A provider declares routes; the gateway does for each call what Resource Manager does before a provider sees it
 * (api-version, token, tenant, rights, registration, group, links, locks, budgets), then runs `handle`. A handler
 * either returns an answer, or `call.accept(...)` for a long-running operation, or throws an `ArmError`.
 *
 * Where providers come from: `resources.ts` and `network.ts`, and `compute/index.ts`, which exports
 * `computeProviders: readonly Provider[]` (Compute, ManagedIdentity, Authorization, …). `compute/default-galleries.ts`
 * exports `addDefaultGalleries(world: World): void`, called at the end of default-world.ts. `github.ts` exports
 * `github(app: FastifyInstance, world: World): void`, which declares routes on its own TLS listener; the key that signs
 * GitHub's ID tokens is `signingKey('github')` of keys.ts, so that Entra can verify them.
 */
import type { Subscription, Tenant, World } from './world.ts';

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

/** One request, after the gateway has let it through. */
export interface Call {
  readonly world: World;
  readonly method: Method;
  /** Path as sent, decoded, without query. */
  readonly path: string;
  /** Values of the `:names` in the route's path, in the caller's spelling. */
  readonly params: Readonly<Record<string, string>>;
  /** Query parameters; names in lower case (`$expand` too). */
  readonly query: Readonly<Record<string, string>>;
  readonly apiVersion: string;
  /** Request headers, names in lower case; `authorization` and `x-ms-authorization-auxiliary` are left out. */
  readonly headers: Readonly<Record<string, string>>;
  /** Parsed JSON body; `{}` when there was none. */
  readonly body: Json;
  /** The resource that the path names, group and names in the caller's spelling, types in the route's. */
  readonly resourceId: string;
  /** Last name in the path. */
  readonly name: string;
  /** Undefined only for tenant-level routes (`/subscriptions`, `/tenants`). */
  readonly subscription: Subscription;
  readonly tenant: Tenant;
  readonly caller: Caller;
  readonly auxiliary: readonly Caller[];
  /** `https://localhost:port` as the client knows it. */
  readonly origin: string;
  /** Starts a long-running operation and gives the answer to its first request. */
  accept(operation: OperationStart): Answer;
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

/** A resource that the request refers to, whose owner is asked too. */
export interface LinkedResource {
  readonly id: string;
  /** The right that is needed on it, e.g. `Microsoft.Compute/galleries/images/versions/read`. */
  readonly action: string;
}

export interface Route {
  readonly method: Method;
  /**
   * From the root, with `:names`; literals in Azure's spelling (matched in any case):
   * `/subscriptions/:subscriptionId/resourceGroups/:resourceGroup/providers/Microsoft.Compute/virtualMachines/:vm`.
   * `:subscriptionId` and `:resourceGroup` are known to the gateway: subscription, tenant and group are checked.
   */
  readonly path: string;
  /** Name in the journal: `vm.put`. */
  readonly kind: string;
  /** The RBAC action asked of the caller on `scope`; null: any authenticated caller (lists that filter by right). */
  readonly action: string | null | ((call: Call) => string | null);
  /** Query options besides api-version whose effect `handle` knows, in lower case; any other gives 501. */
  readonly query?: readonly string[];
  /** Where the action is asked; default: the resource that the path names. */
  scope?(call: Call): string;
  /** Resources that the body refers to. */
  linked?(call: Call): readonly LinkedResource[];
  /** A further right on the same scope besides `action` (VM PUT with an identity, …) — rarely needed. */
  alsoActions?(call: Call): readonly string[];
  /** Buckets that this call is charged to. */
  budgets?(call: Call): readonly Budget[];
  /** Name in the latency table: the answer is held back that long (PUTs that answer at once). */
  readonly holds?: string;
  /** False for routes that must work while the resource group is missing (PUT, HEAD of the group). Default true. */
  readonly needsGroup?: boolean;
  /** False for routes that work in a subscription where the provider is not registered (GETs do anyway). Default true. */
  readonly needsRegistration?: boolean;
  /** False for a path that the route does not speak for (an id of another kind): the gateway answers 501. */
  handle(call: Call): Answer | Promise<Answer>;
}

export interface Provider {
  /** `Microsoft.Compute`. Several providers may share one namespace. */
  readonly namespace: string;
  /** Resource types for `GET providers/{namespace}`, with the api-versions that are known to exist. */
  readonly types: readonly ProviderType[];
  readonly routes: readonly Route[];
}

export interface ProviderType {
  /** `virtualMachines/runCommands`. */
  readonly name: string;
  /**
   * Newest first: those of the SDKs, of the recordings and of Microsoft's references that the handlers were written by. What is
   * no date at all is refused (400); a date that is not listed is a 501.
   */
  readonly apiVersions: readonly string[];
  readonly capabilities?: string;
}

/** An error answer of Resource Manager or a provider: `{error: {code, message, target?, details?}}`. */
export class ArmError extends Error {
  readonly status: number;
  readonly code: string;
  readonly target: string | undefined;
  readonly details: readonly Json[] | undefined;
  readonly headers: Readonly<Record<string, string>>;
  /** True: made by the gateway, not by a provider (`x-ms-failure-cause: gateway`). */
  readonly gateway: boolean;
  /** True: sent without the outer `error` object (Compute's throttling answers). */
  readonly bare: boolean;

  constructor(
    status: number,
    code: string,
    message: string,
    more: {
      target?: string;
      details?: readonly Json[];
      headers?: Readonly<Record<string, string>>;
      gateway?: boolean;
      bare?: boolean;
    } = {},
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.target = more.target;
    this.details = more.details;
    this.headers = more.headers ?? {};
    this.gateway = more.gateway ?? false;
    this.bare = more.bare ?? false;
  }

  /** The body as Azure writes it. */
  body(): Json {
    const error: Json = { code: this.code, message: this.message };
    if (this.target !== undefined) error['target'] = this.target;
    if (this.details !== undefined) error['details'] = this.details;
    return this.bare ? error : { error };
  }
}

/** A provider's refusal, e.g. `refuse(400, 'InvalidParameter', '…', {target: 'adminUsername'})`. */
export function refuse(
  status: number,
  code: string,
  message: string,
  more: { target?: string; details?: readonly Json[]; headers?: Readonly<Record<string, string>> } = {},
): ArmError {
  return new ArmError(status, code, message, more);
}

/** A Network refusal: these carry an empty `details` (recorded). */
export function refuseNetwork(code: string, message: string, status = 400): ArmError {
  return new ArmError(status, code, message, { details: [] });
}

/** 404 ResourceNotFound in the gateway's words; `id` is the resource that is missing. */
export function resourceNotFound(id: string): ArmError {
  const match = /\/resourceGroups\/([^/]+)\/providers\/([^/]+)\/(.+)$/i.exec(id);
  const group = match?.[1] ?? '';
  const segments = (match?.[3] ?? '').split('/');
  const types = segments.filter((_, index) => index % 2 === 0);
  const names = segments.filter((_, index) => index % 2 === 1);
  const what = `${match?.[2] ?? ''}/${types.join('/')}/${names.join('/')}`;
  return new ArmError(
    404,
    'ResourceNotFound',
    `The Resource '${what}' under resource group '${group}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix`,
    { gateway: true },
  );
}

/** 404 for a nested resource whose parent is missing; `parent` as `gallery/definition`. */
export function parentNotFound(parent: string): ArmError {
  return new ArmError(
    404,
    'ParentResourceNotFound',
    `Can not perform requested operation on nested resource. Parent resource '${parent}' not found.`,
    { gateway: true },
  );
}

/**
 * What nobody has seen Azure do: better no answer than a guess. `what` says what is not known
 * ("property 'osDisk.diffDiskSettings' of virtualMachines").
 */
export function unknown(what: string): ArmError {
  return new ArmError(501, 'SimulatorUnknown', `The simulator does not know: ${what}.`);
}
