/**
 * From what Azure says to what it means here: the cause, who must act, and the commands and URLs, filled in.
 *
 * The catalogue goes by code and status, and by text where one code means several things. Wordings change, so texts are
 * matched by their shortest telling part, and an unknown error stays unexplained rather than misexplained.
 */

import type { Explanation } from '../errors/action-error.ts';
import type { AzureErrorInfo } from '../errors/azure-error.ts';
import type { ErrorContext } from '../errors/error-context.ts';
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
  return entry && findExplanation(entry, fault, fillPlaceholders(situation));
}

const groups: Readonly<Record<string, readonly Entry[]>> = {
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
export const catalogue: readonly Entry[] = Object.values(groups).flat();

function findExplanation(
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

const emptyContext: AzureErrorInfo = {
  status: 0,
  code: '',
  message: '',
  details: [],
  method: '',
  url: '',
  body: '',
};

/** An entry with placeholders where a run fills in its own values. */
export interface Explained extends Explanation {
  readonly title: string;
  readonly says: string;
}

/** The whole catalogue by groups, as the documentation shows it. */
export function explainedCatalogue(): readonly {
  readonly group: string;
  readonly entries: readonly Explained[];
}[] {
  const explained = (entry: Entry): Explained => ({
    title: entry.title,
    says: entry.says,
    ...findExplanation(entry, { ...emptyContext, message: entry.says }, fillPlaceholders({})),
  });
  return Object.entries(groups).map(([group, entries]) => ({ group, entries: entries.map(explained) }));
}
