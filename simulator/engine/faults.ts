/** Faults that a test injects, selected by host, method, path and count. */
import type { Exchange } from './journal.ts';
import type { OperationFailure, OperationStyle } from '../model/contract.ts';

export interface FaultMatch {
  readonly host?: 'arm' | 'entra' | 'github';
  readonly method?: string;
  /** Tested against the decoded path and query. */
  readonly path?: RegExp;
  /** `poll`: only polls of operations; `request`: everything else. Default: both. */
  readonly phase?: 'request' | 'poll';
  /** The first matching request that is affected, counted from 1. Default 1. */
  readonly nth?: number;
  /** How many matching requests from there on are affected. Default 1; `Infinity` for all. */
  readonly times?: number;
}

export type FaultEffect =
  /** Sent instead of handling the request. */
  | {
      readonly status: number;
      readonly code?: string;
      readonly message?: string;
      readonly body?: unknown;
      readonly headers?: Readonly<Record<string, string>>;
    }
  /** Resets the connection before the request is handled. */
  | { readonly reset: true }
  /** Handles the request after that many wall-clock seconds. */
  | { readonly delaySeconds: number }
  /** Called when the request arrives; the request is handled once the returned promise has settled. */
  | { readonly onArrival: (request: Exchange) => void | Promise<void> }
  /** Handles the request and changes the body of its answer. */
  | { readonly changeAnswer: (body: any) => void }
  /** Handles the request, then resets the connection instead of answering. */
  | { readonly dropAfterCommit: true }
  /** Handles the request; the operation that it starts will fail with this error. */
  | { readonly operationFails: OperationFailure }
  /** Handles the request; the operation that it starts has these poll URLs. `none`: only the resource tells its state. */
  | { readonly operationStyle: OperationStyle };

export interface Fault {
  readonly match: FaultMatch;
  readonly effect: FaultEffect;
  /** Matching requests seen so far. */
  seen: number;
  /** Requests to which the effect was applied. */
  applied: number;
}

export class Faults {
  #faults: Fault[] = [];

  add(fault: { readonly match: FaultMatch; readonly effect: FaultEffect }): Fault {
    const created: Fault = { ...fault, seen: 0, applied: 0 };
    this.#faults.push(created);
    return created;
  }

  clear(): void {
    this.#faults = [];
  }

  /** Returns the effects for a request and counts the request for every fault that it matches. */
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
        // A RegExp with the flag `g` keeps its position between calls.
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
