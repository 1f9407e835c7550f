/** Faults that a scenario switches on: by host, method, path and count. */
import type { OperationFailure } from '../model/contract.ts';

export interface FaultMatch {
  readonly host?: 'arm' | 'entra' | 'github';
  readonly method?: string;
  /** Held against path and query, decoded. */
  readonly path?: RegExp;
  /** `poll`: only polls of operations; `request`: everything else. Default: both. */
  readonly phase?: 'request' | 'poll';
  /** First matching request that is hit, counted from 1. Default 1. */
  readonly nth?: number;
  /** How many matching requests are hit from there on. Default 1; `Infinity` for all. */
  readonly times?: number;
}

export type FaultEffect =
  /** Answered instead of being handled. */
  | {
      readonly status: number;
      readonly code?: string;
      readonly message?: string;
      readonly body?: unknown;
      readonly headers?: Readonly<Record<string, string>>;
    }
  /** The connection is reset before the request is handled. */
  | { readonly reset: true }
  /** Handled after so many wall-clock seconds. */
  | { readonly delaySeconds: number }
  /** Called when the request has arrived; handled once what it gives back has settled. */
  | { readonly onArrival: () => void | Promise<void> }
  /** Handled in full, then the connection is reset instead of the answer. */
  | { readonly dropAfterCommit: true }
  /** Handled; the operation that it starts will end as Failed with this. */
  | { readonly operationFails: OperationFailure };

export interface Fault {
  readonly match: FaultMatch;
  readonly effect: FaultEffect;
  /** Matching requests seen so far. */
  seen: number;
  /** How often it struck. */
  applied: number;
}

export class Faults {
  #faults: Fault[] = [];

  add(fault: { readonly match: FaultMatch; readonly effect: FaultEffect }): Fault {
    const made: Fault = { ...fault, seen: 0, applied: 0 };
    this.#faults.push(made);
    return made;
  }

  clear(): void {
    this.#faults = [];
  }

  /** The effects that strike this request. Counts it against every fault that it matches. */
  apply(request: {
    readonly host: 'arm' | 'entra' | 'github';
    readonly method: string;
    readonly url: string;
    readonly isPoll: boolean;
  }): FaultEffect[] {
    const effects: FaultEffect[] = [];
    for (const fault of this.#faults) {
      const { host, method, path, phase, nth = 1, times = 1 } = fault.match;
      if (host !== undefined && host !== request.host) continue;
      if (method !== undefined && method.toUpperCase() !== request.method) continue;
      if (phase !== undefined && (phase === 'poll') !== request.isPoll) continue;
      if (path !== undefined) {
        // A RegExp with the flag g remembers where it stopped; a match must not depend on the one before.
        path.lastIndex = 0;
        if (!path.test(request.url)) continue;
      }
      fault.seen += 1;
      if (fault.seen < nth || fault.seen >= nth + times) continue;
      fault.applied += 1;
      effects.push(fault.effect);
    }
    return effects;
  }
}
