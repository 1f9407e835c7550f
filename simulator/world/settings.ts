import type { RetryAfterProfile } from '../engine/operations.ts';

export interface WorldOptions {
  /** Wall seconds per simulated second. Default 1. */
  readonly timeScale?: number;
  /** Makes drawn latencies and everything else that is drawn repeatable. */
  readonly seed?: number;
  /** `drawn` needs a seed: between p25 and p90, by the recorded figures. Default `median`. */
  readonly latencyProfile?: 'p25' | 'median' | 'p90' | 'drawn';
  readonly retryAfterProfile?: RetryAfterProfile;
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
  readonly opaqueTokens: Map<string, string>;
  /** Audiences besides those of the metadata document: of the clouds that go by a name. */
  readonly audiences: string[];
}
