/**
 * From what Azure says to what it means here: the cause, who must act, and the commands and URLs, filled in.
 *
 * The catalogue goes by code and status, and by text where one code means several things. Wordings change, so texts are
 * matched by their shortest telling part, and an unknown error stays unexplained rather than misexplained.
 */

import type { Explanation, ErrorContext } from '../errors/action-error.ts';
import type { AzureErrorInfo } from '../errors/azure-error.ts';
import { authorizationEntries } from './authorization.ts';
import { capacityEntries } from './capacity.ts';
import { cleanupEntries } from './cleanup.ts';
import { type Entry, type FilledErrorContext, fillPlaceholders, resolve } from './entry.ts';
import { imageEntries } from './image.ts';
import { networkEntries } from './network.ts';
import { signInEntries } from './sign-in.ts';
import { transientEntries } from './transient.ts';
import { vmEntries } from './vm.ts';

/** Explains what Azure said, or undefined where the catalogue does not know it. Pure: it never asks anything. */
export function explain(fault: AzureErrorInfo, situation: ErrorContext): Explanation | undefined {
  const entry = catalogue.find(({ match }) => match(fault));
  return entry && explainEntry(entry, fault, fillPlaceholders(situation));
}

/** The catalogue by the groups of docs/troubleshooting.md. */
export const entriesByGroup: Readonly<Record<string, readonly Entry[]>> = {
  'Sign-in': signInEntries,
  Authorization: authorizationEntries,
  Image: imageEntries,
  Machine: vmEntries,
  Capacity: capacityEntries,
  Network: networkEntries,
  'Clean-up': cleanupEntries,
  'Passing faults': transientEntries,
};

/** Everything that Azure is known to say to this action. */
export const catalogue: readonly Entry[] = Object.values(entriesByGroup).flat();

export function explainEntry(
  { cause, who, fix }: Entry,
  fault: AzureErrorInfo,
  known: FilledErrorContext,
): Explanation {
  return {
    cause: resolve(cause, fault, known),
    who: resolve(who, fault, known),
    fix: typeof fix === 'function' ? fix(fault, known) : fix,
  };
}
