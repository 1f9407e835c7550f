import { sameId } from '../azure/resource-id.ts';
import type { CleanupPolicy } from '../inputs/inputs.ts';

/** What the post step needs to clean up. Contains IDs only: any step of the job can read it. */
export interface CleanupStateData {
  readonly deployment: string;
  readonly cleanup: CleanupPolicy;
  /** GUID; the post step signs in to this tenant only. */
  readonly tenantId: string;
  readonly subscriptionId: string;
  readonly resourceGroup: string;
  /** IDs in the order of their PUTs. Saved before each PUT, in case its response is lost. */
  readonly created: readonly string[];
  /** Those without a response to their PUT yet: they may appear after cleanup has looked for them. */
  readonly pending: readonly string[];
  /** True once `create` has succeeded: then only `cleanup: always` deletes the resources. */
  readonly completed: boolean;
  readonly privateKeyPath?: string;
}

export interface CleanupState {
  readonly entries: CleanupStateData;
  /** Records a resource before its PUT. */
  addPending(id: string): void;
  /** Records that Azure has accepted the PUT. */
  markAccepted(id: string): void;
  markDeleted(id: string): void;
  /** Forgets a resource whose PUT was rejected and created nothing. */
  discard(id: string): void;
  /** Gives up everything recorded and everything still to come: another job creates the same deployment. */
  disown(): void;
  keepPrivateKey(path: string): void;
  markCompleted(): void;
}

/**
 * Starts the state of a run.
 * @param save called at once and after every change; `everCreated` includes resources that were deleted since.
 */
export function createCleanupState(
  start: Omit<CleanupStateData, 'created' | 'pending' | 'completed'>,
  save: (entries: CleanupStateData, everCreated: readonly string[]) => void,
): CleanupState {
  let entries: CleanupStateData = { ...start, created: [], pending: [], completed: false };
  let everCreated: readonly string[] = [];
  let disowned = false;
  const change = (next: Partial<CleanupStateData>): void => {
    entries = { ...entries, ...next };
    save(entries, everCreated);
  };
  const without = (ids: readonly string[], id: string) => ids.filter((known) => !sameId(known, id));
  const withId = (ids: readonly string[], id: string) =>
    ids.some((known) => sameId(known, id)) ? ids : [...ids, id];
  const markDeleted = (id: string): void =>
    change({ created: without(entries.created, id), pending: without(entries.pending, id) });
  change({});
  return {
    get entries() {
      return entries;
    },
    addPending(id) {
      if (disowned) return;
      const created = withId(entries.created, id);
      const pending = withId(entries.pending, id);
      if (created === entries.created && pending === entries.pending) return;
      everCreated = withId(everCreated, id);
      change({ created, pending });
    },
    markAccepted: (id) => change({ pending: without(entries.pending, id) }),
    markDeleted,
    discard(id) {
      everCreated = without(everCreated, id);
      markDeleted(id);
    },
    disown() {
      disowned = true;
      everCreated = [];
      change({ created: [], pending: [], cleanup: 'never' });
    },
    keepPrivateKey: (privateKeyPath) => change({ privateKeyPath }),
    markCompleted: () => change({ completed: true }),
  };
}
