import type { Explanation } from '../errors/action-error.ts';
import { isCommandOrUrl } from '../errors/format-error.ts';
import { type Markdown, block, link, markdownText, quotation, sentence } from '../lib/escape.ts';
import type { SummaryFacts } from './summary-facts.ts';

// What failed

export function failureSections({ accounts = [] }: SummaryFacts): Markdown[] {
  return accounts
    .slice(0, 10)
    .flatMap(({ activity, words, explanation, trace }, index) => [
      ...(index > 0
        ? [`### ❌ ${activity[0] ? `Failed while ${markdownText(activity[0])}` : 'Besides'}`]
        : []),
      ...(explanation ? explanationSections(explanation) : []),
      ...(words.length > 0 ? [quotation(words.join('\n'))] : []),
      ...(trace.length > 0 ? [`<sub>${trace.map(markdownText).join('<br>')}</sub>`] : []),
    ]);
}

function explanationSections({ cause, who, fix }: Explanation): Markdown[] {
  return [
    `**Cause:** ${sentence(cause)}`,
    `**Who must act:** ${sentence(who)}`,
    ...(fix.length > 0 ? [`**What to do:**`, fixes(fix)] : []),
  ];
}

/** Sentences as a list; commands as blocks to copy, those in a row in one. */
export function fixes(lines: readonly string[]): Markdown {
  const parts: Markdown[] = [];
  let commands: string[] = [];
  const flush = (): void => {
    if (commands.length > 0) parts.push(block(commands.join('\n'), { language: 'sh' }));
    commands = [];
  };
  for (const line of lines) {
    if (!isCommandOrUrl(line)) {
      flush();
      parts.push(`- ${sentence(line)}`);
    } else if (line.startsWith('https://')) {
      flush();
      parts.push(`- ${link(markdownText(line), line)}`);
    } else commands.push(line);
  }
  flush();
  return parts.join('\n');
}
