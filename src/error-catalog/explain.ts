/**
 * Translates an error of Azure into its cause, who must act, and the commands and URLs with the values of this run.
 * An error that the catalogue does not know for sure stays unexplained: a wrong explanation costs more than none.
 */
import type { AzureErrorInfo, ErrorContext, Explanation } from '../errors/errors.ts';
import { authorizationEntries } from './authorization.ts';
import { capacityEntries, subscriptionEntries } from './capacity.ts';
import { type Entry, type FilledErrorContext, codeIs, fillPlaceholders, resolve, workflowAuthor } from './entry.ts';
import { federatedCredentialEntries } from './federated-credentials.ts';
import { imageEntries } from './image.ts';
import { cleanupEntries, networkEntries } from './network.ts';
import { signInEntries } from './sign-in.ts';
import { transientEntries } from './transient.ts';
import { vmEntries } from './vm.ts';

/** Explains an error, or returns undefined if the catalogue does not know it. */
export function explain(fault: AzureErrorInfo, context: ErrorContext): Explanation | undefined {
  const known = fillPlaceholders(context);
  const entry = catalogue.find(({ match }) => match(fault, known));
  return entry && explainEntry(entry, fault, known);
}

/** The catalogue by the groups of docs/troubleshooting.md. */
export const entriesByGroup: Readonly<Record<string, readonly Entry[]>> = {
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

export const catalogue = Object.values(entriesByGroup)
  .flat()
  .map((entry) => ({ match: codeIs(/^\w+/.exec(entry.says)?.[0] ?? ''), ...entry }));

export function explainEntry(
  { cause, who = workflowAuthor, fix }: Entry,
  fault: AzureErrorInfo,
  known: FilledErrorContext,
): Explanation {
  return {
    cause: resolve(cause, fault, known),
    who: resolve(who, fault, known),
    fix: typeof fix === 'function' ? fix(fault, known) : fix,
  };
}
