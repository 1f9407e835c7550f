/**
 * What exists: tenants, apps and their principals, subscriptions, groups, resources, roles, locks — and the clock,
 * latencies, budgets, faults and journal that go with them. Scenario code changes it directly; providers go through it.
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
  /** By lower-cased ID. */
  readonly groups = new Map<string, ResourceGroup>();
  readonly resources: ResourceStore;
  /** By lower-cased GUID. */
  readonly roleDefinitions = new Map<string, RoleDefinition>();
  roleAssignments: RoleAssignment[] = [];
  locks: Lock[] = [];
  /** Overrides of single latencies, in seconds: `world.latencies.vmPutLinux = 3`. */
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
        role.actions.some((pattern) => actionMatches(pattern, action)) &&
        !role.notActions.some((pattern) => actionMatches(pattern, action)),
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
