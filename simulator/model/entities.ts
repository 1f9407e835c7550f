import type { Json } from './contract.ts';

export interface Tenant {
  readonly id: string;
  /** Verified domain, which can be used as tenant name in sign-in URLs. */
  readonly domain: string;
  displayName: string;
}

export interface AppSecret {
  readonly value: string;
  /** Expiry in wall-clock milliseconds; undefined: never. */
  readonly expires?: number;
}

export interface FederatedCredential {
  readonly name: string;
  readonly issuer: string;
  readonly subject: string;
  readonly audiences: readonly string[];
}

/** An app registration. It belongs to one tenant and has service principals in any number of tenants. */
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
  /** Simulated second at which Entra has replicated it (PrincipalNotFound before). */
  visibleAt: number;
}

export interface Subscription {
  readonly id: string;
  readonly tenant: string;
  displayName: string;
  state: 'Enabled' | 'Disabled' | 'Warned' | 'PastDue' | 'Deleted';
  /** Registration state by lower-case namespace. Absent: NotRegistered. */
  readonly providers: Map<string, 'Registered' | 'Registering' | 'NotRegistered'>;
  /** Tenants that manage the subscription through Azure Lighthouse. */
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

/** A resource: `body` is the answer to a GET, `internal` is the provider's own state. */
export interface Resource {
  /** In the case of its creation; lookups ignore case. */
  readonly id: string;
  /** `Microsoft.Network/networkInterfaces`. */
  readonly type: string;
  /** Id, name, type, location, tags, properties. Tags are stored only here. */
  body: Json;
  /** Reservations, attachments, times. */
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
  /** A PUT of an existing assignment changes this alone: https://learn.microsoft.com/cli/azure/role/assignment#az-role-assignment-update */
  description?: string | undefined;
  /** Simulated second. */
  readonly createdAt: number;
}

export interface Lock {
  readonly scope: string;
  readonly level: 'CanNotDelete' | 'ReadOnly';
  readonly name: string;
}
