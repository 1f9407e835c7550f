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
export interface Leg {
  readonly name: string;
  readonly environment: string;
}
export const waves: readonly string[];
export const inputs: readonly string[];
export function faults(document: unknown): string[];
export function wavesOf(
  document: Tenants,
  choice?: { readonly only?: string; readonly shard?: string; readonly environment?: string },
): Record<'canary' | 'early' | 'rest', Leg[]>;
export function inputsOf(document: Tenants, name: string, fleet: string): Record<string, string>;
