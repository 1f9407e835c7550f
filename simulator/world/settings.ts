import type { RetryAfterProfile } from '../engine/operations.ts';

export interface WorldOptions {
  /** Wall-clock seconds per simulated second. Default 1. */
  readonly timeScale?: number;
  /** Factor by which clients shorten the waits that Retry-After asks for. Default 1. */
  readonly clientTimeScale?: number;
  /** Makes random values repeatable. */
  readonly seed?: number;
  /** `drawn`: random between p25 and p90; needs a seed. Default `median`. */
  readonly latencyProfile?: 'p25' | 'median' | 'p90' | 'drawn';
  readonly retryAfterProfile?: RetryAfterProfile;
}

/** Entra's settings, which tests change. */
export interface TokenSettings {
  /** Wall-clock seconds, because clients cache tokens by their own clock. */
  lifetimeSeconds: number;
  /** Wall-clock seconds that a token request takes. */
  delaySeconds: number;
  /** `legacy`: every mismatch is AADSTS70021, as in the minutes after a federated credential was added. */
  federation: 'exact' | 'legacy';
  /** Claims to override in the tokens of a tenant, by tenant ID. */
  readonly claims: Map<string, Readonly<Record<string, unknown>>>;
  /**
   * True: access tokens are not JWTs. Clients must not read them
   * (https://learn.microsoft.com/entra/identity-platform/access-tokens).
   */
  opaque: boolean;
  /** The JWT of each opaque token. */
  readonly opaqueTokens: Map<string, string>;
  /** Audiences accepted in addition to those of the metadata document. */
  readonly audiences: string[];
}
