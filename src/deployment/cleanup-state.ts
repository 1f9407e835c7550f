import { sameId } from '../azure/resource-id.ts';
import type { CleanupPolicy } from '../inputs/inputs.ts';

/** What the post step needs to undo a run. IDs only: the state file is readable by every step of the job. */
export interface CleanupStateData {
  readonly deployment: string;
  readonly cleanup: CleanupPolicy;
  /** GUID; the post step signs in to this tenant alone. */
  readonly tenantId: string;
  readonly subscriptionId: string;
  readonly resourceGroup: string;
  /** Full IDs in the order of their PUTs. Written before each PUT, so that a lost answer is covered too. */
  readonly created: readonly string[];
  /** Those of them whose PUT was not answered yet: they may come into being after clean-up has looked for them. */
  readonly pending: readonly string[];
  /** True once `create` has ended well: then only `cleanup: always` undoes it. */
  readonly completed: boolean;
  readonly privateKeyPath?: string;
}

export interface CleanupState {
  readonly entries: CleanupStateData;
  /** To be called before the PUT. */
  addPending(id: string): void;
  /** To be called when Azure has answered the PUT. */
  markAccepted(id: string): void;
  /** To be called when it is known to be gone. */
  markDeleted(id: string): void;
  /** To be called when the PUT was refused and has left nothing. */
  discard(id: string): void;
  /**
   * To be called when all of it turns out to be another job's as much: then nothing of it is this one's to delete, nor
   * what is still on its way.
   */
  disown(): void;
  keepPrivateKey(path: string): void;
  markCompleted(): void;
}

/**
 * Opens the ledger of a run. `save` persists it and is called at once and at every change; it also gets everything that
 * was made, including what is gone again.
 */
export function createCleanupState(
  start: Omit<CleanupStateData, 'created' | 'pending' | 'completed'>,
  save: (entries: CleanupStateData, made: readonly string[]) => void,
): CleanupState {
  let entries: CleanupStateData = { ...start, created: [], pending: [], completed: false };
  let made: readonly string[] = [];
  let disowned = false;
  const change = (next: Partial<CleanupStateData>): void => {
    entries = { ...entries, ...next };
    save(entries, made);
  };
  const without = (ids: readonly string[], id: string) => ids.filter((known) => !sameId(known, id));
  const drop = (id: string): void =>
    change({ created: without(entries.created, id), pending: without(entries.pending, id) });
  change({});
  return {
    get entries() {
      return entries;
    },
    addPending(id) {
      if (disowned) return;
      const has = (ids: readonly string[]): boolean => ids.some((known) => sameId(known, id));
      if (has(entries.created) && has(entries.pending)) return;
      if (!has(made)) made = [...made, id];
      change({
        created: has(entries.created) ? entries.created : [...entries.created, id],
        pending: has(entries.pending) ? entries.pending : [...entries.pending, id],
      });
    },
    markAccepted: (id) => change({ pending: without(entries.pending, id) }),
    markDeleted: drop,
    discard(id) {
      made = without(made, id);
      drop(id);
    },
    disown() {
      disowned = true;
      made = [];
      change({ created: [], pending: [], cleanup: 'never' });
    },
    keepPrivateKey: (privateKeyPath) => change({ privateKeyPath }),
    markCompleted: () => change({ completed: true }),
  };
}
