/**
 * The state of the simulated clouds: tenants, apps, principals, subscriptions, groups, resources, roles and locks,
 * with the clock, operations, faults and journal. Tests change it directly, providers on behalf of requests.
 */
import { randomUUID } from 'node:crypto';
import { Clock } from '../engine/clock.ts';
import { Faults } from '../engine/faults.ts';
import { Journal } from '../engine/journal.ts';
import { type Latency, recordedLatencies } from '../engine/latencies.ts';
import { Operations } from '../engine/operations.ts';
import { TokenBuckets } from '../engine/token-buckets.ts';
import type {
  App,
  AppSecret,
  FederatedCredential,
  Lock,
  Principal,
  ResourceGroup,
  RoleAssignment,
  RoleDefinition,
  Subscription,
  Tenant,
} from '../model/entities.ts';
import { actionMatches, isWithin, subscriptionOf } from '../model/scope.ts';
import { builtInRoles } from './built-in-roles.ts';
import { ResourceStore } from './resource-store.ts';
import type { TokenSettings, WorldOptions } from './settings.ts';

export class World {
  readonly clock: Clock;
  readonly options: WorldOptions;
  readonly tenants = new Map<string, Tenant>();
  readonly apps = new Map<string, App>();
  /** By object ID. */
  readonly principals = new Map<string, Principal>();
  readonly subscriptions = new Map<string, Subscription>();
  /** By lower-case ID. */
  readonly groups = new Map<string, ResourceGroup>();
  readonly resources: ResourceStore;
  /** By lower-case GUID. */
  readonly roleDefinitions = new Map<string, RoleDefinition>();
  roleAssignments: RoleAssignment[] = [];
  locks: Lock[] = [];
  /** Overrides of latencies in simulated seconds: `world.latencies.vmPutLinux = 3`. */
  readonly latencies: Record<string, number> = {};
  readonly budgets: TokenBuckets;
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
    opaqueTokens: new Map(),
    audiences: [],
  };
  /** Format of `/metadata/endpoints`; `auto`: by api-version. */
  metadataShape: 'auto' | '2015-01-01' | '2019-05-01' | '2022-09-01' = 'auto';
  /** False disables Resource Manager's own rate limits. */
  throttling = true;
  readonly #extensions = new Map<string, unknown>();
  #draws: number;

  constructor(options: WorldOptions = {}) {
    this.options = options;
    this.clock = new Clock(options.timeScale ?? 1, options.clientTimeScale);
    this.resources = new ResourceStore(this.clock);
    this.budgets = new TokenBuckets(this.clock);
    this.operations = new Operations(this.clock, {
      retryAfterProfile: options.retryAfterProfile ?? 'recorded',
      latency: (name) => this.latency(name),
      newId: () => this.uuid(),
      readBody: (id) => this.resources.get(id)?.body,
    });
    this.faults = new Faults();
    this.#draws = options.seed ?? 0;
    for (const role of builtInRoles) this.roleDefinitions.set(role.id, role);
  }

  /** A provider's own state, created on first use. */
  extension<T>(name: string, make: () => T): T {
    if (!this.#extensions.has(name)) this.#extensions.set(name, make());
    return this.#extensions.get(name) as T;
  }

  /** Runs everything that is due by now. */
  settle(): this {
    this.clock.settle();
    return this;
  }

  uuid(): string {
    return randomUUID();
  }

  /** Next number in [0, 1) of the seeded sequence. Mulberry32: short, and the same on every machine. */
  random(): number {
    this.#draws = (this.#draws + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#draws ^ (this.#draws >>> 15), 1 | this.#draws);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }

  /** Simulated seconds that the operation takes in this world. */
  latency(name: string): number {
    const fixed = this.latencies[name];
    if (fixed !== undefined) return fixed;
    const figures: Latency | undefined = recordedLatencies[name];
    if (!figures) throw new Error(`no latency is recorded under the name ${name}`);
    const profile = this.options.latencyProfile ?? 'median';
    if (profile !== 'drawn') return figures[profile];
    // Linear between the three known quantiles.
    const u = this.random();
    if (u < 0.5) return figures.p25 + (figures.median - figures.p25) * (u / 0.5);
    return figures.median + (figures.p90 - figures.median) * ((u - 0.5) / 0.5);
  }

  /** Finds a tenant by GUID or domain, ignoring case. */
  tenant(idOrDomain: string): Tenant | undefined {
    const key = idOrDomain.toLowerCase();
    return this.tenants.get(key) ?? [...this.tenants.values()].find((tenant) => tenant.domain.toLowerCase() === key);
  }

  addTenant(tenant: { id: string; domain: string; displayName?: string }): Tenant {
    const created = { displayName: 'Default Directory', ...tenant, id: tenant.id.toLowerCase() };
    this.tenants.set(created.id, created);
    return created;
  }

  /** Registers an app in its home tenant and creates its service principal there. */
  addApp(app: {
    clientId: string;
    homeTenant: string;
    displayName?: string;
    multiTenant?: boolean;
    secrets?: AppSecret[];
    certificates?: string[];
    federatedCredentials?: FederatedCredential[];
  }): App {
    const created: App = {
      displayName: 'app',
      multiTenant: true,
      secrets: [],
      certificates: [],
      federatedCredentials: [],
      ...app,
      clientId: app.clientId.toLowerCase(),
    };
    if (created.federatedCredentials.length > 20) throw new Error('an app has at most 20 federated credentials');
    this.apps.set(created.clientId, created);
    this.installApp(created.clientId, created.homeTenant);
    return created;
  }

  /** Creates the app's service principal in a tenant, as admin consent does. */
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

  /** Removes the app's service principal, and thereby all its permissions, from a tenant. */
  uninstallApp(clientId: string, tenantId: string): void {
    const principal = this.servicePrincipal(clientId, tenantId);
    if (principal) this.removePrincipal(principal.oid);
  }

  addPrincipal(principal: Omit<Principal, 'visibleAt'> & { visibleAt?: number }): Principal {
    const created: Principal = { visibleAt: 0, ...principal };
    this.principals.set(created.oid.toLowerCase(), created);
    return created;
  }

  /** Role assignments remain and refer to an unknown principal, as in Azure. */
  removePrincipal(oid: string): void {
    this.principals.delete(oid.toLowerCase());
  }

  servicePrincipal(clientId: string, tenantId: string): Principal | undefined {
    const app = clientId.toLowerCase();
    const tenant = tenantId.toLowerCase();
    return [...this.principals.values()].find((principal) => principal.app === app && principal.tenant === tenant);
  }

  addSubscription(subscription: {
    id: string;
    tenant: string;
    displayName?: string;
    state?: Subscription['state'];
    /** Registered namespaces; default: Microsoft.Compute, .Network, .ManagedIdentity, .Storage, .ContainerRegistry, .PolicyInsights. */
    registered?: readonly string[];
  }): Subscription {
    const registered = subscription.registered ?? [
      'Microsoft.Compute',
      'Microsoft.Network',
      'Microsoft.ManagedIdentity',
      'Microsoft.Storage',
      'Microsoft.ContainerRegistry',
      'Microsoft.PolicyInsights',
    ];
    const created: Subscription = {
      id: subscription.id.toLowerCase(),
      tenant: subscription.tenant.toLowerCase(),
      displayName: subscription.displayName ?? 'Subscription',
      state: subscription.state ?? 'Enabled',
      providers: new Map(registered.map((name) => [name.toLowerCase(), 'Registered'])),
      managedByTenants: [],
    };
    this.subscriptions.set(created.id, created);
    return created;
  }

  addGroup(subscriptionId: string, name: string, location: string, tags?: Record<string, string>): ResourceGroup {
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

  /** Removes a group with its resources, locks and role assignments immediately. */
  removeGroup(subscriptionId: string, name: string): void {
    const id = `/subscriptions/${subscriptionId}/resourcegroups/${name}`.toLowerCase();
    for (const resource of [...this.resources.under(id)]) this.resources.remove(resource.id);
    this.groups.delete(id);
    const within = (scope: string): boolean => isWithin(scope, id);
    this.roleAssignments = this.roleAssignments.filter((assignment) => !within(assignment.scope));
    this.locks = this.locks.filter((lock) => !within(lock.scope));
  }

  /** Finds a role by name, GUID or definition ID. */
  role(nameOrId: string): RoleDefinition | undefined {
    const key = (nameOrId.split('/').at(-1) ?? '').toLowerCase();
    return (
      this.roleDefinitions.get(key) ??
      [...this.roleDefinitions.values()].find((role) => role.name.toLowerCase() === key)
    );
  }

  addRole(role: RoleDefinition): RoleDefinition {
    this.roleDefinitions.set(role.id.toLowerCase(), role);
    return role;
  }

  /**
   * Assigns a role. `who` is an object ID, or the client ID of an app with a principal in the tenant of the scope:
   * `world.grant(clientId, 'Contributor', groupId)`.
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

  /** Removes the principal's role assignments within the scope, or only those of the given role. */
  revoke(who: string, scope: string, role?: string): void {
    const principal = this.#principalFor(who, scope);
    const definition = role === undefined ? undefined : this.role(role);
    this.roleAssignments = this.roleAssignments.filter(
      (assignment) =>
        assignment.principalId !== principal.oid ||
        !isWithin(assignment.scope, scope) ||
        (definition && assignment.role !== definition.id),
    );
  }

  /** Whether one of the principal's roles grants the action and does not exclude it. */
  allowed(oid: string, action: string, scope: string): boolean {
    return this.rolesAt(oid, scope).some(
      (role) =>
        role.actions.some((pattern) => actionMatches(pattern, action)) &&
        !role.notActions.some((pattern) => actionMatches(pattern, action)),
    );
  }

  /** The principal's roles at a scope, including inherited ones. */
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
