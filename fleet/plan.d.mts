export interface Tenant {
  readonly name: string;
  readonly wave?: string;
  readonly environment?: string;
  readonly [input: string]: unknown;
}
export interface Tenants {
  readonly defaults?: Readonly<Record<string, unknown>>;
  readonly tenants: readonly Tenant[];
}
export interface Target {
  readonly name: string;
  readonly environment: string;
}
export const waves: readonly string[];
export const inputNames: readonly string[];
export function validateTenants(document: unknown): string[];
export function planWaves(
  document: Tenants,
  selection?: { readonly only?: string; readonly shard?: string; readonly environment?: string },
): Record<'canary' | 'early' | 'rest', Target[]>;
export function inputsForTenant(document: Tenants, name: string, fleet: string): Record<string, string>;
