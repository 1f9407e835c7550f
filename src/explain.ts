/**
 * From what Azure says to what it means here: the cause, who must act, and the commands and URLs, filled in.
 *
 * The catalogue goes by code and status, and by text where one code means several things. Wordings change, so texts are
 * matched by their shortest telling part, and an unknown error stays unexplained rather than misexplained.
 */
import { authorization } from './explain/authorization.ts';
import { capacity } from './explain/capacity.ts';
import { cleanUp } from './explain/clean-up.ts';
import { image } from './explain/image.ts';
import { machine } from './explain/machine.ts';
import { network } from './explain/network.ts';
import { passing } from './explain/passing.ts';
import { signIn } from './explain/sign-in.ts';
import { type Entry, type Known, resolve, type Situation, withPlaceholders } from './explain/entry.ts';
import type { AzureFault, Explanation } from './failure.ts';

export type { Entry, LinkLook, OidcClaims, Situation } from './explain/entry.ts';

/** Explains what Azure said, or undefined where the catalogue does not know it. Pure: it never asks anything. */
export function explain(fault: AzureFault, situation: Situation): Explanation | undefined {
  const entry = catalogue.find(({ match }) => match(fault));
  return entry && explanationOf(entry, fault, withPlaceholders(situation));
}

const groups: Readonly<Record<string, readonly Entry[]>> = {
  'Sign-in': signIn,
  Authorization: authorization,
  Image: image,
  Machine: machine,
  Capacity: capacity,
  Network: network,
  'Clean-up': cleanUp,
  'Passing faults': passing,
};

/** Everything that Azure is known to say to this action. */
export const catalogue: readonly Entry[] = Object.values(groups).flat();

function explanationOf({ cause, who, fix }: Entry, fault: AzureFault, known: Known): Explanation {
  return {
    cause: resolve(cause, fault, known),
    who: resolve(who, fault, known),
    fix: typeof fix === 'function' ? fix(fault, known) : fix,
  };
}

const nothingKnown: AzureFault = {
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
    ...explanationOf(entry, { ...nothingKnown, message: entry.says }, withPlaceholders({})),
  });
  return Object.entries(groups).map(([group, entries]) => ({ group, entries: entries.map(explained) }));
}
