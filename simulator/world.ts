/**
 * What exists: tenants, apps and their principals, subscriptions, groups, resources, roles, locks — and the clock,
 * latencies, budgets, faults and journal that go with them. Scenario code changes it directly; providers go through it.
 */
import { randomUUID } from 'node:crypto';
import { Budgets } from './budgets.ts';
import { Clock } from './clock.ts';
import { Faults } from './faults.ts';
import { Journal } from './journal.ts';
import { type Latency, recordedLatencies } from './latencies.ts';
import { Operations } from './operations.ts';
import type { Json } from './provider.ts';
import { builtInRoles } from './roles.ts';

export interface Tenant {
  readonly id: string;
  /** Verified domain; also names the tenant in sign-in URLs. */
  readonly domain: string;
  displayName: string;
}

export interface AppSecret {
  readonly value: string;
  /** Wall-clock milliseconds; undefined: never. */
  readonly expires?: number;
}

export interface FederatedCredential {
  readonly name: string;
  readonly issuer: string;
  readonly subject: string;
  readonly audiences: readonly string[];
}

/** An app registration; it lives in one tenant, its service principals in any number. */
export interface App {
  readonly clientId: string;
  readonly homeTenant: string;
  displayName: string;
  /** `AzureADMultipleOrgs` when true. */
  multiTenant: boolean;
  secrets: AppSecret[];
  /** Certificates as PEM. */
  certificates: string[];
  /** At most 20. */
  federatedCredentials: FederatedCredential[];
}

/** Service principal or managed identity in one tenant. */
export interface Principal {
  readonly oid: string;
  readonly tenant: string;
  /** Client ID. */
  readonly app: string;
  readonly type: 'ServicePrincipal' | 'ManagedIdentity' | 'User' | 'Group';
  displayName: string;
  /** Simulated second from which the directory knows it (PrincipalNotFound before). */
  visibleAt: number;
}

export interface Subscription {
  readonly id: string;
  readonly tenant: string;
  displayName: string;
  state: 'Enabled' | 'Disabled' | 'Warned' | 'PastDue' | 'Deleted';
  /** Namespaces in lower case → state. Absent: NotRegistered. */
  readonly providers: Map<string, 'Registered' | 'Registering' | 'NotRegistered'>;
  /** Seen through delegation (Lighthouse) by these tenants. */
  readonly managedByTenants: string[];
}

export interface ResourceGroup {
  readonly id: string;
  readonly subscription: string;
  readonly name: string;
  readonly location: string;
  tags: Record<string, string> | undefined;
  provisioningState: 'Succeeded' | 'Deleting';
}

/** A resource: what a GET gives (`body`), and what only the simulator knows (`internal`). */
export interface Resource {
  /** In the spelling of its creation; the store finds it in any. */
  readonly id: string;
  /** `Microsoft.Network/networkInterfaces`. */
  readonly type: string;
  /** The JSON of a GET: id, name, type, location, tags, properties… Tags live in `body.tags` alone. */
  body: Json;
  /** Private to the provider: reservations, attachments, times. */
  internal: Json;
  /** Simulated second. */
  readonly createdAt: number;
}

export interface RoleDefinition {
  /** GUID. */
  readonly id: string;
  readonly name: string;
  readonly description?: string;
  readonly custom?: boolean;
  readonly actions: readonly string[];
  readonly notActions: readonly string[];
  readonly dataActions?: readonly string[];
}

export interface RoleAssignment {
  /** Full resource ID. */
  readonly id: string;
  readonly scope: string;
  /** GUID of the definition. */
  readonly role: string;
  readonly principalId: string;
  readonly principalType: string;
  readonly description?: string | undefined;
  /** Simulated second. */
  readonly createdAt: number;
}

export interface Lock {
  readonly scope: string;
  readonly level: 'CanNotDelete' | 'ReadOnly';
  readonly name: string;
}

export interface WorldOptions {
  /** Wall seconds per simulated second. Default 1. */
  readonly timeScale?: number;
  /** Makes drawn latencies and everything else that is drawn repeatable. */
  readonly seed?: number;
  /** `drawn` needs a seed: between p25 and p90, by the recorded figures. Default `median`. */
  readonly latencyProfile?: 'p25' | 'median' | 'p90' | 'drawn';
  readonly retryAfterProfile?: 'short' | 'recorded' | 'recorded50';
}

/** Settings of Entra that scenarios change. */
export interface TokenSettings {
  /** Wall-clock seconds: clients cache tokens by their own clock. */
  lifetimeSeconds: number;
  /** Wall-clock seconds that the token endpoint takes. */
  delaySeconds: number;
  /** `legacy`: every mismatch of a federated credential is AADSTS70021, as for some minutes after one was added. */
  federation: 'exact' | 'legacy';
  /** By tenant ID: claims that its tokens have instead, as from a sign-in service that mixes something up. */
  readonly claims: Map<string, Readonly<Record<string, unknown>>>;
  /**
   * Access tokens that only Resource Manager can read: clients are to make nothing of what is in them
   * (https://learn.microsoft.com/entra/identity-platform/access-tokens).
   */
  opaque: boolean;
  /** By opaque token: what it stands for. */
  readonly behind: Map<string, string>;
  /** Audiences besides those of the metadata document: of the clouds that go by a name. */
  readonly audiences: string[];
}

/** Resources by ID, in any case. */
export class ResourceStore {
  readonly #byId = new Map<string, Resource>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get(id: string): Resource | undefined {
    return this.#byId.get(id.toLowerCase());
  }

  has(id: string): boolean {
    return this.#byId.has(id.toLowerCase());
  }

  /** Adds a resource, or replaces the body of the one of that ID (its spelling, age and `internal` stay). */
  put(resource: { id: string; type: string; body: Json; internal?: Json }): Resource {
    const existing = this.get(resource.id);
    if (existing) {
      existing.body = resource.body;
      if (resource.internal) existing.internal = resource.internal;
      return existing;
    }
    const record: Resource = {
      id: resource.id,
      type: resource.type,
      body: resource.body,
      internal: resource.internal ?? {},
      createdAt: this.#clock.now(),
    };
    this.#byId.set(resource.id.toLowerCase(), record);
    return record;
  }

  /** Removes a resource and what is nested in it (`id/…`). */
  remove(id: string): void {
    const key = id.toLowerCase();
    this.#byId.delete(key);
    for (const other of [...this.#byId.keys()]) if (other.startsWith(`${key}/`)) this.#byId.delete(other);
  }

  /** Resources below a scope (subscription, group or resource; any case), of one type if given. */
  *under(scope: string, type?: string): Generator<Resource> {
    const prefix = `${scope.toLowerCase().replace(/\/$/, '')}/`;
    const wanted = type?.toLowerCase();
    for (const [key, resource] of this.#byId) {
      if (key.startsWith(prefix) && (!wanted || resource.type.toLowerCase() === wanted)) yield resource;
    }
  }

  /** All resources of a type, anywhere. */
  *ofType(type: string): Generator<Resource> {
    const wanted = type.toLowerCase();
    for (const resource of this.#byId.values()) if (resource.type.toLowerCase() === wanted) yield resource;
  }

  *all(): Generator<Resource> {
    yield* this.#byId.values();
  }
}

export class World {
  readonly clock: Clock;
  readonly options: WorldOptions;
  readonly tenants = new Map<string, Tenant>();
  readonly apps = new Map<string, App>();
  /** By object ID. */
  readonly principals = new Map<string, Principal>();
  readonly subscriptions = new Map<string, Subscription>();
  /** By lower-cased ID. */
  readonly groups = new Map<string, ResourceGroup>();
  readonly resources: ResourceStore;
  /** By lower-cased GUID. */
  readonly roleDefinitions = new Map<string, RoleDefinition>();
  roleAssignments: RoleAssignment[] = [];
  locks: Lock[] = [];
  /** Overrides of single latencies, in seconds: `world.latencies.vmPutLinux = 3`. */
  readonly latencies: Record<string, number> = {};
  readonly budgets: Budgets;
  readonly operations: Operations;
  readonly faults: Faults;
  readonly journal = new Journal();
  /** Settings of Entra. */
  readonly tokens: TokenSettings = {
    lifetimeSeconds: 3599,
    delaySeconds: 0,
    federation: 'exact',
    claims: new Map(),
    opaque: false,
    behind: new Map(),
    audiences: [],
  };
  /** Shape of `/metadata/endpoints` when the caller's api-version does not decide it. */
  metadataShape: 'auto' | '2015-01-01' | '2019-05-01' | '2022-09-01' = 'auto';
  /** False switches Resource Manager's own buckets off (they are on by default). */
  throttling = true;
  readonly #extensions = new Map<string, unknown>();
  #draws: number;

  constructor(options: WorldOptions = {}) {
    this.options = options;
    this.clock = new Clock(options.timeScale ?? 1);
    this.resources = new ResourceStore(this.clock);
    this.budgets = new Budgets(this.clock);
    this.operations = new Operations(this);
    this.faults = new Faults();
    this.#draws = options.seed ?? 0;
    for (const role of builtInRoles) this.roleDefinitions.set(role.id, role);
  }

  /** A provider's own state: made once per world, found by name. */
  extension<T>(name: string, make: () => T): T {
    if (!this.#extensions.has(name)) this.#extensions.set(name, make());
    return this.#extensions.get(name) as T;
  }

  /** Brings everything up to the present moment. */
  settle(): this {
    this.clock.settle();
    return this;
  }

  uuid(): string {
    return randomUUID();
  }

  /** Next number of the seeded sequence, in [0, 1). Mulberry32: small, and the same on every machine. */
  random(): number {
    this.#draws = (this.#draws + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#draws ^ (this.#draws >>> 15), 1 | this.#draws);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }

  /** Seconds of simulated time that an operation of that name takes in this world. */
  latency(name: string): number {
    const fixed = this.latencies[name];
    if (fixed !== undefined) return fixed;
    const figures: Latency | undefined = recordedLatencies[name];
    if (!figures) throw new Error(`no latency is recorded under the name ${name}`);
    const profile = this.options.latencyProfile ?? 'median';
    if (profile !== 'drawn') return figures[profile];
    // Straight lines through the three known points: nothing is known about the shape in between.
    const u = this.random();
    if (u < 0.5) return figures.p25 + (figures.median - figures.p25) * (u / 0.5);
    return figures.median + (figures.p90 - figures.median) * ((u - 0.5) / 0.5);
  }

  // --- Entra ---------------------------------------------------------------------------------------------------

  /** Finds a tenant by GUID or domain, in any case. */
  tenant(idOrDomain: string): Tenant | undefined {
    const wanted = idOrDomain.toLowerCase();
    return (
      this.tenants.get(wanted) ??
      [...this.tenants.values()].find((tenant) => tenant.domain.toLowerCase() === wanted)
    );
  }

  addTenant(tenant: { id: string; domain: string; displayName?: string }): Tenant {
    const made = { displayName: 'Default Directory', ...tenant, id: tenant.id.toLowerCase() };
    this.tenants.set(made.id, made);
    return made;
  }

  /** Registers an app in its home tenant and makes its service principal there. */
  addApp(app: {
    clientId: string;
    homeTenant: string;
    displayName?: string;
    multiTenant?: boolean;
    secrets?: AppSecret[];
    certificates?: string[];
    federatedCredentials?: FederatedCredential[];
  }): App {
    const made: App = {
      displayName: 'app',
      multiTenant: true,
      secrets: [],
      certificates: [],
      federatedCredentials: [],
      ...app,
      clientId: app.clientId.toLowerCase(),
    };
    if (made.federatedCredentials.length > 20) throw new Error('an app has at most 20 federated credentials');
    this.apps.set(made.clientId, made);
    this.installApp(made.clientId, made.homeTenant);
    return made;
  }

  /** What admin consent does: a service principal of the app in that tenant. */
  installApp(clientId: string, tenantId: string, oid: string = this.uuid()): Principal {
    const existing = this.servicePrincipal(clientId, tenantId);
    if (existing) return existing;
    return this.addPrincipal({
      oid,
      tenant: tenantId.toLowerCase(),
      app: clientId.toLowerCase(),
      type: 'ServicePrincipal',
      displayName: this.apps.get(clientId.toLowerCase())?.displayName ?? clientId,
    });
  }

  /** Takes the app's service principal, and with it every right, out of a tenant. */
  uninstallApp(clientId: string, tenantId: string): void {
    const principal = this.servicePrincipal(clientId, tenantId);
    if (principal) this.removePrincipal(principal.oid);
  }

  addPrincipal(principal: Omit<Principal, 'visibleAt'> & { visibleAt?: number }): Principal {
    const made: Principal = { visibleAt: 0, ...principal };
    this.principals.set(made.oid.toLowerCase(), made);
    return made;
  }

  /** Its role assignments stay, as those of an unknown principal, like Azure's. */
  removePrincipal(oid: string): void {
    this.principals.delete(oid.toLowerCase());
  }

  servicePrincipal(clientId: string, tenantId: string): Principal | undefined {
    const app = clientId.toLowerCase();
    const tenant = tenantId.toLowerCase();
    return [...this.principals.values()].find((one) => one.app === app && one.tenant === tenant);
  }

  // --- Subscriptions and groups --------------------------------------------------------------------------------

  addSubscription(subscription: {
    id: string;
    tenant: string;
    displayName?: string;
    state?: Subscription['state'];
    /** Registered namespaces; default: Microsoft.Compute, .Network, .ManagedIdentity, .Storage, .ContainerRegistry. */
    registered?: readonly string[];
  }): Subscription {
    const registered = subscription.registered ?? [
      'Microsoft.Compute',
      'Microsoft.Network',
      'Microsoft.ManagedIdentity',
      'Microsoft.Storage',
      'Microsoft.ContainerRegistry',
    ];
    const made: Subscription = {
      id: subscription.id.toLowerCase(),
      tenant: subscription.tenant.toLowerCase(),
      displayName: subscription.displayName ?? 'Subscription',
      state: subscription.state ?? 'Enabled',
      providers: new Map(registered.map((name) => [name.toLowerCase(), 'Registered'])),
      managedByTenants: [],
    };
    this.subscriptions.set(made.id, made);
    return made;
  }

  addGroup(
    subscriptionId: string,
    name: string,
    location: string,
    tags?: Record<string, string>,
  ): ResourceGroup {
    const group: ResourceGroup = {
      id: `/subscriptions/${subscriptionId}/resourceGroups/${name}`,
      subscription: subscriptionId.toLowerCase(),
      name,
      location,
      tags,
      provisioningState: 'Succeeded',
    };
    this.groups.set(group.id.toLowerCase(), group);
    return group;
  }

  group(subscriptionId: string, name: string): ResourceGroup | undefined {
    return this.groups.get(`/subscriptions/${subscriptionId}/resourcegroups/${name}`.toLowerCase());
  }

  /** Removes a group with everything in it, its locks and its role assignments, at once. */
  removeGroup(subscriptionId: string, name: string): void {
    const id = `/subscriptions/${subscriptionId}/resourcegroups/${name}`.toLowerCase();
    for (const resource of [...this.resources.under(id)]) this.resources.remove(resource.id);
    this.groups.delete(id);
    const within = (scope: string): boolean => isWithin(scope, id);
    this.roleAssignments = this.roleAssignments.filter((one) => !within(one.scope));
    this.locks = this.locks.filter((one) => !within(one.scope));
  }

  // --- Rights --------------------------------------------------------------------------------------------------

  /** A role by built-in or custom name, GUID or full definition ID. */
  role(nameOrId: string): RoleDefinition | undefined {
    const wanted = (nameOrId.split('/').at(-1) ?? '').toLowerCase();
    return (
      this.roleDefinitions.get(wanted) ??
      [...this.roleDefinitions.values()].find((role) => role.name.toLowerCase() === wanted)
    );
  }

  addRole(role: RoleDefinition): RoleDefinition {
    this.roleDefinitions.set(role.id.toLowerCase(), role);
    return role;
  }

  /**
   * Gives a principal a role. `who` is an object ID, or a client ID with the tenant of the scope's subscription
   * implied: `world.grant(clientId, 'Contributor', groupId)`.
   */
  grant(who: string, role: string, scope: string): RoleAssignment {
    const definition = this.role(role);
    if (!definition) throw new Error(`no role ${role}`);
    const principal = this.#principalFor(who, scope);
    const assignment: RoleAssignment = {
      id: `${scope}/providers/Microsoft.Authorization/roleAssignments/${this.uuid()}`,
      scope,
      role: definition.id,
      principalId: principal.oid,
      principalType: principal.type === 'ManagedIdentity' ? 'ServicePrincipal' : principal.type,
      createdAt: this.clock.now(),
    };
    this.roleAssignments.push(assignment);
    return assignment;
  }

  /** Takes roles away: all of the principal's within the scope, or only the named one. */
  revoke(who: string, scope: string, role?: string): void {
    const principal = this.#principalFor(who, scope);
    const definition = role === undefined ? undefined : this.role(role);
    this.roleAssignments = this.roleAssignments.filter(
      (one) =>
        one.principalId !== principal.oid ||
        !isWithin(one.scope, scope) ||
        (definition && one.role !== definition.id),
    );
  }

  /** Whether a principal may do that action there: some role grants it and does not take it back. */
  allowed(oid: string, action: string, scope: string): boolean {
    return this.rolesAt(oid, scope).some(
      (role) =>
        role.actions.some((pattern) => covers(pattern, action)) &&
        !role.notActions.some((pattern) => covers(pattern, action)),
    );
  }

  /** The roles that a principal has at a scope, its own and inherited ones. */
  rolesAt(oid: string, scope: string): RoleDefinition[] {
    const roles: RoleDefinition[] = [];
    for (const assignment of this.roleAssignments) {
      if (assignment.principalId.toLowerCase() !== oid.toLowerCase()) continue;
      if (!isWithin(scope, assignment.scope)) continue;
      const role = this.roleDefinitions.get(assignment.role.toLowerCase());
      if (role) roles.push(role);
    }
    return roles;
  }

  addLock(scope: string, level: Lock['level'], name = 'lock'): Lock {
    const lock = { scope, level, name };
    this.locks.push(lock);
    return lock;
  }

  #principalFor(who: string, scope: string): Principal {
    const direct = this.principals.get(who.toLowerCase());
    if (direct) return direct;
    const subscription = this.subscriptions.get(subscriptionOf(scope) ?? '');
    const principal = subscription && this.servicePrincipal(who, subscription.tenant);
    if (!principal) throw new Error(`${who} has no principal in the tenant of ${scope}`);
    return principal;
  }
}

/** Whether `scope` is `outer` or lies below it (any case; `/` holds everything). */
export function isWithin(scope: string, outer: string): boolean {
  const inner = scope.toLowerCase().replace(/\/+$/, '');
  const around = outer.toLowerCase().replace(/\/+$/, '');
  return inner === around || inner.startsWith(`${around}/`);
}

/** Whether an action pattern of a role (`Microsoft.Compute/*` + `/read`) covers an action. */
export function covers(pattern: string, action: string): boolean {
  // Between slashes a * may stand for nothing: by `userAssignedIdentities/*/assign/action` Managed Identity Operator grants
  // `userAssignedIdentities/assign/action` (https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-configure-managed-identities).
  const expression = pattern
    .toLowerCase()
    .split('/*/')
    .map((stretch) =>
      stretch
        .split('*')
        .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
        .join('.*'),
    )
    .join('/(?:.*/)?');
  return new RegExp(`^${expression}$`).test(action.toLowerCase());
}

/** Lower-cased subscription ID of a resource ID, if it has one. */
export function subscriptionOf(id: string): string | undefined {
  return /^\/subscriptions\/([^/]+)/i.exec(id)?.[1]?.toLowerCase();
}
