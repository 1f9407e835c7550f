import type { Clock } from '../engine/clock.ts';
import type { Json } from '../model/contract.ts';
import type { Resource } from '../model/entities.ts';

/** Resources by ID, ignoring case. */
export class ResourceStore {
  readonly #byId = new Map<string, Resource>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get(id: string): Resource | undefined {
    return this.#byId.get(id.toLowerCase());
  }

  has(id: string): boolean {
    return this.#byId.has(id.toLowerCase());
  }

  /** Adds a resource or replaces the body of the existing one, whose ID, creation time and `internal` are kept. */
  put(resource: { id: string; type: string; body: Json; internal?: Json }): Resource {
    const existing = this.get(resource.id);
    if (existing) {
      existing.body = resource.body;
      if (resource.internal) existing.internal = resource.internal;
      return existing;
    }
    const record: Resource = {
      id: resource.id,
      type: resource.type,
      body: resource.body,
      internal: resource.internal ?? {},
      createdAt: this.#clock.now(),
    };
    this.#byId.set(resource.id.toLowerCase(), record);
    return record;
  }

  /** Removes a resource and its children (`id/…`). */
  remove(id: string): void {
    const key = id.toLowerCase();
    this.#byId.delete(key);
    for (const other of [...this.#byId.keys()]) if (other.startsWith(`${key}/`)) this.#byId.delete(other);
  }

  /** Resources below a subscription, group or resource, optionally of one type. */
  *under(scope: string, type?: string): Generator<Resource> {
    const prefix = `${scope.toLowerCase().replace(/\/$/, '')}/`;
    const lowerType = type?.toLowerCase();
    for (const [key, resource] of this.#byId) {
      if (key.startsWith(prefix) && (!lowerType || resource.type.toLowerCase() === lowerType)) yield resource;
    }
  }

  /** All resources of a type. */
  *ofType(type: string): Generator<Resource> {
    const lowerType = type.toLowerCase();
    for (const resource of this.#byId.values()) if (resource.type.toLowerCase() === lowerType) yield resource;
  }

  *all(): Generator<Resource> {
    yield* this.#byId.values();
  }
}
