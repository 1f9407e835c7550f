import type { Json } from './contract.ts';

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
