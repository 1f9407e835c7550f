/**
 * Token buckets as Resource Manager and Compute document them: full at first, one token per request, refilled evenly.
 * They use simulated time, so that a scaled run reaches the same limits as a real one.
 */
import type { Budget } from '../model/contract.ts';
import type { Clock } from './clock.ts';

export class TokenBuckets {
  readonly #levels = new Map<string, { level: number; at: number }>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes one token. `retryAfter` is in simulated seconds. */
  take(budget: Budget): { readonly remaining: number } | { readonly retryAfter: number } {
    const key = `${budget.name};${budget.key.toLowerCase()}`;
    const now = this.#clock.now();
    const known = this.#levels.get(key);
    const refilled = known ? known.level + ((now - known.at) / 60) * budget.perMinute : budget.size;
    const level = Math.min(budget.size, refilled);
    if (level < 1) {
      this.#levels.set(key, { level, at: now });
      return { retryAfter: ((1 - level) * 60) / budget.perMinute };
    }
    this.#levels.set(key, { level: level - 1, at: now });
    return { remaining: Math.floor(level - 1) };
  }

  /** Empties a bucket; `below` adds a debt of that many tokens. */
  drain(name: string, key: string, below = 0): void {
    this.#levels.set(`${name};${key.toLowerCase()}`, { level: -below, at: this.#clock.now() });
  }
}
