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
import type { Answer, Budget, Caller, Json, Method, OperationStart } from '../model/contract.ts';
import type { Subscription, Tenant } from '../model/entities.ts';
import type { World } from '../world/world.ts';

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
  linkedResources?(call: Call): readonly LinkedResource[];
  /** A further right on the same scope besides `action` (VM PUT with an identity, …) — rarely needed. */
  additionalActions?(call: Call): readonly string[];
  /** Buckets that this call is charged to. */
  budgets?(call: Call): readonly Budget[];
  /** Name in the latency table: the answer is held back that long (PUTs that answer at once). */
  readonly delayedBy?: string;
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
