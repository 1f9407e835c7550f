import { createRetries } from '../azure/policies/retry.ts';
import { pollUntil } from '../azure/polling.ts';
import { hasSucceeded, isTerminalState, settle } from '../azure/lookup.ts';
import { ActionError, AzureError } from '../errors/errors.ts';
import type { RunContext } from './cleanup-state.ts';
import { type Tags, assertOwned, classifyOwnership, deploymentTag } from './ownership.ts';
import { shellCommand } from '../lib/escape.ts';

interface ExistingResource {
  readonly tags?: Tags;
  readonly provisioningState?: string;
}

interface ResourceCreation<T extends ExistingResource> {
  readonly what: string;
  readonly id: string;
  readonly existing: T | undefined;
  /** Set if that look-up is seconds old: neither Network nor Managed Identity has If-None-Match. */
  readonly lookAgain?: boolean;
  /** @throws if a resource that exists cannot be used; by default, unless it belongs to this deployment. */
  readonly accept?: (found: T) => void;
  /** Sends the PUT and waits until the operation ends; calls `onAccepted` with the status of Azure's answer. */
  readonly put: (onAccepted: (status: number) => void) => Promise<T>;
  readonly reread: () => Promise<T | undefined>;
}

/**
 * An existing resource must carry our tags; one that is being created is waited for, one that has failed is created again.
 * @throws ActionError if the name is taken by a resource that is not ours, or by one that appeared after the look-up.
 */
export async function createIfMissing<T extends ExistingResource>(
  context: RunContext,
  creation: ResourceCreation<T>,
): Promise<T> {
  const { cleanupState, log, run, session } = context;
  const { waiting } = session;
  const { what, id, put, reread } = creation;
  // What somebody else has created since the look-up is neither listed nor deleted as this run's.
  const rereadAfterFailure = async (): Promise<T | undefined> => {
    const now = await reread();
    if (now && classifyOwnership(now.tags, cleanupState.entries.deployment, run) !== 'ours') cleanupState.discard(id);
    return now;
  };
  const discardUnlessCreated = async (error: AzureError): Promise<AzureError> => {
    if (error.fault.status < 400) return error;
    // A read that fails shows nothing, and must not hide why the PUT was refused.
    const read = await settle(rereadAfterFailure);
    waiting.signal.throwIfAborted();
    if ('value' in read && !read.value) cleanupState.discard(id);
    return error;
  };
  let found = creation.existing ?? (creation.lookAgain ? await reread() : undefined);
  // After a lost answer, a 200 can also mean that the lost PUT was carried out.
  let isRepeated = false;
  const waitBeforeRetry = createRetries(what, { signal: waiting.signal, log: log.info });
  for (;;) {
    found = await waitUntilTerminal(context, creation, found);
    if (found && hasSucceeded(found)) return found;
    // A failed resource of an earlier run is replaced but stays that run's: only what was absent counts as created.
    if (!found) cleanupState.addPending(id);
    const isNew = !found && !isRepeated;
    let existed = false;
    try {
      const created = await put((status) => {
        existed = isNew && status === 200;
        if (existed) cleanupState.markExisting(id);
        else cleanupState.markAccepted(id);
      });
      if (existed) throw appearedError(what, id, cleanupState.entries.deployment);
      return created;
    } catch (error) {
      if (existed || waiting.signal.aborted || !(error instanceof AzureError)) throw error;
      isRepeated ||= isAmbiguous(error);
      if (!(await waitBeforeRetry(error.fault))) throw await discardUnlessCreated(error);
      found = await rereadAfterFailure();
    }
  }
}

/** Whether the PUT may have been carried out although it failed. */
function isAmbiguous({ fault }: AzureError): boolean {
  return fault.status === 0 || fault.status >= 500;
}

function appearedError(what: string, id: string, deployment: string): ActionError {
  return new ActionError(`creating ${what}`, {
    message: `${what} exists, although this step did not find it before.`,
    reason: `Azure answered 200 instead of 201, so the request changed an existing resource: ${id}. Someone created it after this step had looked, or Azure did not list it yet. This step does not delete it.`,
    fix: [
      'Set a different `vm-name`, or find out what else creates resources with this name.',
      `The request also gave it the tags of deployment ${deployment}, by which \`delete\` and \`sweep\` go. If another run of this deployment did not create it, remove the tag:`,
      shellCommand`az tag update --resource-id ${id} --operation Delete --tags ${`${deploymentTag}=${deployment}`}`,
    ],
  });
}

async function waitUntilTerminal<T extends ExistingResource>(
  { cleanupState, run, session: { waiting } }: RunContext,
  { what, id, reread, accept }: ResourceCreation<T>,
  found: T | undefined,
): Promise<T | undefined> {
  const assertUsable =
    accept ?? (({ tags }: T) => assertOwned(what, { id, tags }, cleanupState.entries.deployment, run));
  if (!found) return undefined;
  assertUsable(found);
  if (isTerminalState(found)) return found;
  const { resource } = await pollUntil(what, 'network', waiting, async () => {
    const now = await reread();
    return now && !isTerminalState(now) ? undefined : { resource: now };
  });
  if (resource) assertUsable(resource);
  return resource;
}
