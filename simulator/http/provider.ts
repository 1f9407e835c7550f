/**
 * The contract between the gateway and the resource providers. The gateway checks each request as Resource Manager
 * does, then calls `handle`, which returns an answer, starts an operation with `call.accept(...)`, or throws an
 * `ArmError`.
 */
import type { Answer, Budget, Caller, Json, Method, OperationStart } from '../model/contract.ts';
import type { Subscription, Tenant } from '../model/entities.ts';
import type { World } from '../world/world.ts';

/** A request that has passed the gateway's checks. */
export interface Call {
  readonly world: World;
  readonly method: Method;
  /** Path as sent, decoded, without query. */
  readonly path: string;
  /** Values of the `:names` in the route's path, in the caller's case. */
  readonly params: Readonly<Record<string, string>>;
  /** Query parameters, names in lower case (`$expand` too). */
  readonly query: Readonly<Record<string, string>>;
  readonly apiVersion: string;
  /** Request headers, names in lower case, without `authorization` and `x-ms-authorization-auxiliary`. */
  readonly headers: Readonly<Record<string, string>>;
  /** Parsed JSON; `{}` for an empty body. */
  readonly body: Json;
  /** ID of the resource in the path: group and names in the caller's case, types in the route's. */
  readonly resourceId: string;
  /** Last name in the path. */
  readonly name: string;
  /** Undefined only for tenant-level routes (`/subscriptions`, `/tenants`). */
  readonly subscription: Subscription;
  readonly tenant: Tenant;
  readonly caller: Caller;
  readonly auxiliary: readonly Caller[];
  /** `https://localhost:port`, as the client uses it. */
  readonly origin: string;
  /** Starts a long-running operation and returns its first answer. */
  accept(operation: OperationStart): Answer;
}

/** Another resource that the request refers to; the caller needs a permission on it. */
export interface LinkedResource {
  readonly id: string;
  /** The required permission, for example `Microsoft.Compute/galleries/images/versions/read`. */
  readonly action: string;
}

export interface Route {
  readonly method: Method;
  /**
   * From the root, with `:names`; literals in Azure's case (matched in any case):
   * `/subscriptions/:subscriptionId/resourceGroups/:resourceGroup/providers/Microsoft.Compute/virtualMachines/:vm`.
   * The gateway checks that the subscription, its tenant and the resource group exist.
   */
  readonly path: string;
  /** Name in the journal: `vm.put`. */
  readonly kind: string;
  /** The RBAC action that the caller needs on `scope`; null: none (lists that filter by permission). */
  readonly action: string | null | ((call: Call) => string | null);
  /** Query options that `handle` supports, in lower case; any other gives 501. */
  readonly query?: readonly string[];
  /** Scope of the permission check; default: the resource in the path. */
  scope?(call: Call): string;
  /** Resources that the body refers to. */
  linkedResources?(call: Call): readonly LinkedResource[];
  /** Further permissions needed on the same scope. */
  additionalActions?(call: Call): readonly string[];
  /** Buckets that this call is charged to. */
  budgets?(call: Call): readonly Budget[];
  /** Latency by which a synchronous answer is delayed. */
  readonly delayedBy?: string;
  /** False for routes that work without the resource group (PUT, HEAD of the group). Default true. */
  readonly needsGroup?: boolean;
  /** False for writes that work without the provider being registered. Default true. */
  readonly needsRegistration?: boolean;
  handle(call: Call): Answer | Promise<Answer>;
}

export interface Provider {
  /** `Microsoft.Compute`. Several providers may share one namespace. */
  readonly namespace: string;
  /** Resource types for `GET providers/{namespace}`. */
  readonly types: readonly ProviderType[];
  readonly routes: readonly Route[];
}

export interface ProviderType {
  /** `virtualMachines/runCommands`. */
  readonly name: string;
  /**
   * Supported api-versions, newest first: those of the SDKs, the recordings and the REST reference. Other dates give
   * 501, anything that is not a date 400.
   */
  readonly apiVersions: readonly string[];
  readonly capabilities?: string;
}
