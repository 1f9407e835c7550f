/**
 * Translates an error of Azure into its cause, who must act, and the commands and URLs with the values of this run.
 * An error that the catalogue does not know for sure stays unexplained: a wrong explanation costs more than none.
 */
import type { AzureErrorInfo, ErrorContext, Explanation } from '../errors/errors.ts';
import { authorizationEntries } from './authorization.ts';
import { capacityEntries, subscriptionEntries } from './capacity.ts';
import { type Entries, type Entry, fillPlaceholders, matches, workflowAuthor } from './entry.ts';
import { federatedCredentialEntries } from './federated-credentials.ts';
import { imageEntries } from './image.ts';
import { cleanupEntries, networkEntries } from './network.ts';
import { signInEntries } from './sign-in.ts';
import { transientEntries } from './transient.ts';
import { vmEntries } from './vm.ts';

/** Explains an error, or returns undefined if the catalogue does not know it. */
export function explain(fault: AzureErrorInfo, context: ErrorContext): Explanation | undefined {
  const failure = { ...fillPlaceholders(context), ...fault };
  const entries = catalogue.values().map((entryFor) => entryFor(failure));
  const entry = entries.find((each) => matches(each, failure));
  return entry && explanationOf(entry);
}

/** The catalogue by the groups of docs/troubleshooting.md. */
export const entriesByGroup: Readonly<Record<string, Entries>> = {
  'Sign-in': signInEntries,
  'Federated credentials': federatedCredentialEntries,
  Permissions: authorizationEntries,
  'Subscription and policy': subscriptionEntries,
  Image: imageEntries,
  VM: vmEntries,
  'Quota and capacity': capacityEntries,
  Network: networkEntries,
  'Clean-up': cleanupEntries,
  'Transient errors': transientEntries,
};

const catalogue = Object.values(entriesByGroup).flatMap((entries) => Object.values(entries));

export function explanationOf({ cause, who = workflowAuthor, fix }: Entry): Explanation {
  return { cause, who, fix: fix.filter((line) => line !== false) };
}
