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
import { type AzureFault, type Explanation, isVerbatim } from './failure.ts';

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

/** The catalogue as Markdown: a heading and a table per group, with placeholders where a run fills in its own values. */
export function troubleshootingTable(): string {
  const table = (group: string, entries: readonly Entry[]) =>
    [
      `### ${group}`,
      '',
      '| Azure says | Cause | Who must act | What to do |',
      '|---|---|---|---|',
      ...entries.map(row),
    ].join('\n');
  return Object.entries(groups)
    .map(([group, entries]) => table(group, entries))
    .join('\n\n');
}

function row(entry: Entry): string {
  const { cause, who, fix } = explanationOf(
    entry,
    { ...nothingKnown, message: entry.says },
    withPlaceholders({}),
  );
  const says = `**${cell(entry.title)}**<br>${cell(entry.says)}`;
  return `| ${[says, cell(cause), cell(who), fix.map(fixLine).join('<br>')].join(' | ')} |`;
}

function fixLine(line: string): string {
  return isVerbatim(line) ? `\`${line.replaceAll('|', String.raw`\|`)}\`` : cell(line);
}

/** Text in a table cell. Code spans are left as they are: Markdown escapes inside them by itself, except the bar. */
function cell(words: string): string {
  return words
    .replaceAll('|', String.raw`\|`)
    .split(/(`[^`]+`)/)
    .map((part) =>
      part.startsWith('`') ? part : part.replaceAll('<', '&lt;').replaceAll('*', String.raw`\*`),
    )
    .join('');
}
