import { retryDelaySeconds, retryMessage } from '../azure/policies/retry.ts';
import { type PollOptions, pollUntil } from '../azure/polling.ts';
import { hasSucceeded, isTerminalState } from '../azure/provisioning-state.ts';
import { AzureError } from '../errors/azure-error.ts';
import { delayWithProgress } from '../lib/abort.ts';
import type { WorkflowRun } from '../runner/github-context.ts';
import type { CleanupState } from './cleanup-state.ts';
import { type Tags, assertOwned } from './ownership.ts';

interface ExistingResource {
  readonly tags?: Tags;
  readonly provisioningState?: string;
}

interface ResourceCreation<T extends ExistingResource> {
  /** What it is, for people: `network interface vm1-nic`. */
  readonly what: string;
  readonly id: string;
  /** What was found under this ID right before. */
  readonly existing: T | undefined;
  /** Sends the PUT and waits for its end; calls `answered` as soon as Azure has taken it. */
  readonly put: (answered: () => void) => Promise<T>;
  readonly reread: () => Promise<T | undefined>;
}

interface CreationContext {
  readonly cleanupState: CleanupState;
  readonly run: WorkflowRun;
  readonly waiting: PollOptions;
  readonly log: { info(line: string): void };
}

/**
 * Makes sure that one resource of the deployment is there: refuse what is not ours, record, PUT. What is ours and whole
 * is left as it is; what an interrupted run left half-made is waited for or made again. A PUT that met a passing fault is
 * sent again only after looking once more: its first try may have been carried out, or somebody was faster.
 * @throws Failure when something of that name belongs to someone else: nothing that exists is ever overwritten.
 */
export async function createIfMissing<T extends ExistingResource>(
  { cleanupState, run, waiting, log }: CreationContext,
  { what, id, existing, put, reread }: ResourceCreation<T>,
): Promise<T> {
  let found = existing;
  for (let tries = 0; ; tries++) {
    if (found) assertOwned(what, id, found.tags, cleanupState.entries.deployment, run);
    if (found && !isTerminalState(found)) {
      const settled = await pollUntil(what, 'network', waiting, async () => {
        const now = await reread();
        return now && !isTerminalState(now) ? undefined : { now };
      });
      found = settled.now;
      if (found) assertOwned(what, id, found.tags, cleanupState.entries.deployment, run);
    }
    if (found && hasSucceeded(found)) return found;
    // A Failed remnant of an earlier run is PUT over, but stays that run's: only what was absent is recorded as created.
    if (!found) cleanupState.addPending(id);
    try {
      return await put(() => cleanupState.markAccepted(id));
    } catch (error) {
      if (waiting.signal.aborted || !(error instanceof AzureError)) throw error;
      const seconds = retryDelaySeconds(error.fault, tries);
      if (seconds === undefined) {
        if (error.fault.status >= 400 && !(await reread())) cleanupState.discard(id);
        throw error;
      }
      log.info(`${what}: ${retryMessage(error.fault, seconds)}`);
      await delayWithProgress(seconds, waiting.signal, log.info);
      found = await reread();
    }
  }
}
