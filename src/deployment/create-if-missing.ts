import { createRetries } from '../azure/policies/retry.ts';
import { type PollOptions, pollUntil } from '../azure/polling.ts';
import { hasSucceeded, isTerminalState } from '../azure/provisioning-state.ts';
import { AzureError } from '../errors/azure-error.ts';
import type { WorkflowRun } from '../runner/github-context.ts';
import type { CleanupState } from './cleanup-state.ts';
import { type Tags, assertOwned } from './ownership.ts';

interface ExistingResource {
  readonly tags?: Tags;
  readonly provisioningState?: string;
}

interface ResourceCreation<T extends ExistingResource> {
  /** For messages: `network interface vm1-nic`. */
  readonly what: string;
  readonly id: string;
  /** The resource, if it existed right before. */
  readonly existing: T | undefined;
  /** Sends the PUT and waits until the operation ends; calls `onAccepted` as soon as Azure has accepted it. */
  readonly put: (onAccepted: () => void) => Promise<T>;
  readonly reread: () => Promise<T | undefined>;
}

interface CreationContext {
  readonly cleanupState: CleanupState;
  readonly run: WorkflowRun;
  readonly waiting: PollOptions;
  readonly log: { info(line: string): void };
}

/**
 * Creates a resource unless it exists. An existing one must carry our tags; while it is being created by an interrupted
 * run it is waited for, and if it has failed it is created again. After a transient error the resource is read again
 * before the next PUT, because the previous one may have succeeded.
 * @throws ActionError if the name is taken by a resource that is not ours.
 */
export async function createIfMissing<T extends ExistingResource>(
  context: CreationContext,
  creation: ResourceCreation<T>,
): Promise<T> {
  const { cleanupState, log, waiting } = context;
  const { what, id, put, reread } = creation;
  const discardUnlessCreated = async (error: AzureError): Promise<AzureError> => {
    if (error.fault.status >= 400 && !(await reread())) cleanupState.discard(id);
    return error;
  };
  let found = creation.existing;
  const waitBeforeRetry = createRetries(what, { signal: waiting.signal, log: log.info });
  for (;;) {
    found = await waitUntilTerminal(context, creation, found);
    if (found && hasSucceeded(found)) return found;
    // A failed resource of an earlier run is replaced but stays that run's: only what was absent counts as created.
    if (!found) cleanupState.addPending(id);
    try {
      return await put(() => cleanupState.markAccepted(id));
    } catch (error) {
      if (waiting.signal.aborted || !(error instanceof AzureError)) throw error;
      if (!(await waitBeforeRetry(error.fault))) throw await discardUnlessCreated(error);
      found = await reread();
    }
  }
}

async function waitUntilTerminal<T extends ExistingResource>(
  { cleanupState, run, waiting }: CreationContext,
  { what, id, reread }: ResourceCreation<T>,
  found: T | undefined,
): Promise<T | undefined> {
  const assertOurs = ({ tags }: T): void =>
    assertOwned(what, { id, tags }, cleanupState.entries.deployment, run);
  if (!found) return undefined;
  assertOurs(found);
  if (isTerminalState(found)) return found;
  const { resource } = await pollUntil(what, 'network', waiting, async () => {
    const now = await reread();
    return now && !isTerminalState(now) ? undefined : { resource: now };
  });
  if (resource) assertOurs(resource);
  return resource;
}
