/** The job summary of one step: a pure function from facts to Markdown. */

import type { Finding } from '../check/facts.ts';
import { type ErrorReport, isCommandOrUrl } from '../errors/format-error.ts';
import { type Markdown, block, details, link, markdownText, quotation, sentence, wrapCommand } from '../lib/escape.ts';
import {
  deleteStep,
  deploymentTable,
  limitedTable,
  maxRows,
  removals,
  replacementTable,
  resourceTable,
} from './render-details.ts';
import { connecting, statusLine, title } from './status.ts';
import type { SummaryFacts } from './summary-facts.ts';
import { formatDuration, timeline, topology } from './topology.ts';

/** GitHub drops a step's summary of more than 1 MiB. */
const maxBytes = 1024 * 1024;

/** Renders the summary, the most important section first; leaves out the last ones if it would get too long. */
export function renderSummary(facts: SummaryFacts, limit = maxBytes): Markdown {
  const { findings, stages, bootLog } = facts;
  const drawing = topology(facts);
  const sections = [
    `## ${title(facts)}`,
    statusLine(facts),
    ...(findings ? findingSections(findings) : failureSections(facts)),
    replacementTable(facts),
    connecting(facts),
    changedSettingsList(facts),
    deploymentTable(facts),
    removals(facts),
    resourceTable(facts),
    deleteStep(facts),
    drawing && details('Topology', drawing),
    stages.length > 1
      ? details(`Timeline: ${formatDuration(Math.max(...stages.map(({ to }) => to)))}`, timeline(stages))
      : '',
    bootLog ? details('End of the boot log', block(bootLog, { keep: 'tail', longest: 20_000 })) : '',
  ].filter((section) => section !== '');
  return fitInto(sections, limit);
}

function changedSettingsList({ changedSettings = [] }: SummaryFacts): Markdown {
  if (changedSettings.length === 0) return '';
  return [
    '⚠️ **Azure or a policy created the VM with other settings than requested**',
    changedSettings.map((line) => `- ${markdownText(line)}`).join('\n'),
  ].join('\n\n');
}

function fitInto(sections: readonly Markdown[], limit: number): Markdown {
  const whole = `${sections.join('\n\n')}\n`;
  if (Buffer.byteLength(whole) <= limit) return whole;
  const note = '_Truncated: GitHub shows no more than 1 MiB. The log has the rest._\n';
  let room = limit - Buffer.byteLength(note);
  const kept: string[] = [];
  for (const section of sections) {
    room -= Buffer.byteLength(section) + 2;
    if (room < 0) break;
    kept.push(section);
  }
  return [...kept, note].join('\n\n');
}

// What failed, and what a check found: cause, who must act and commands first, everything else collapsed.

function failureSections({ errors = [] }: SummaryFacts): Markdown[] {
  return errors
    .slice(0, 10)
    .flatMap((error, index) => [
      ...(index > 0 ? [`### ❌ ${markdownText(error.title)}`] : []),
      ...errorSections(error),
    ]);
}

function errorSections(report: ErrorReport): Markdown[] {
  const { activity, message, notes, explanation, azure, trace } = report;
  const doing = activity.length > 0 ? [`Failed while ${activity.join(', ')}.`] : [];
  const answer = [
    ...quoteLines([...notes, ...azure]),
    ...(doing.length + trace.length > 0 ? [[...doing, ...trace].map(markdownText).join('<br>')] : []),
  ];
  return [
    ...(explanation
      ? [
          `**Cause:** ${sentence(explanation.cause)}`,
          `**Who must act:** ${sentence(explanation.who)}`,
          fixes(explanation.fix),
        ].filter(Boolean)
      : []),
    ...(explanation || trace.length > 0 ? quoteLines(message) : messageLines(message)),
    ...(answer.length > 0 ? [details("Azure's answer and IDs", answer.join('\n\n'), !explanation)] : []),
  ];
}

function quoteLines(lines: readonly string[]): Markdown[] {
  return lines.length > 0 ? [quotation(lines.join('\n'))] : [];
}

/** Messages of the action itself: a line that starts with a dash is a list item. */
function messageLines(words: readonly string[]): Markdown[] {
  const lines = words
    .join('\n')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .slice(0, maxRows);
  const rendered = lines.map((line) => {
    const item = /^- (.*)/.exec(line)?.[1];
    return item === undefined ? `\n${sentence(line)}\n` : `- ${sentence(item)}`;
  });
  return [rendered.join('\n').trim()].filter(Boolean);
}

/** Sentences as a list; commands as blocks to copy, consecutive ones in one block. */
function fixes(lines: readonly string[]): Markdown {
  const parts: Markdown[] = [];
  let commands: string[] = [];
  const flush = (): void => {
    if (commands.length > 0) parts.push(block(commands.map(wrapCommand).join('\n'), { language: 'sh' }));
    commands = [];
  };
  for (const line of lines) {
    if (isCommandOrUrl(line) && !line.startsWith('https://')) {
      commands.push(line);
      continue;
    }
    flush();
    parts.push(`- ${line.startsWith('https://') ? link(markdownText(line), line) : sentence(line)}`);
  }
  flush();
  return parts.join('\n');
}

// Findings

const marks = { fault: '❌', warning: '⚠️', unknown: '⏭️', ok: '✅' } as const;
const nouns = { fault: 'failed', warning: 'warnings', unknown: 'skipped', ok: 'passed' } as const;
type Level = Finding['level'];

function findingSections(findings: readonly Finding[]): Markdown[] {
  const ofLevel = (level: Level) => byLevel.get(level)?.slice(0, maxRows).map(shorten) ?? [];
  const byLevel = Map.groupBy(findings, ({ level }) => level);
  const counts = (Object.keys(marks) as Level[]).flatMap((level) => {
    const { length } = byLevel.get(level) ?? [];
    const noun = length === 1 ? nouns[level].replace(/s$/, '') : nouns[level];
    return length > 0 ? [`${marks[level]} ${length} ${noun}`] : [];
  });
  const open = [...ofLevel('fault'), ...ofLevel('warning')];
  return [
    // Otherwise the collapsed sections say as much.
    open.length > 0 ? counts.join(' · ') : '',
    ...mergeEqual(open, ({ level, answer, who, fix }) => [level, answer, who, fix]).map(openFinding),
    ...skippedSections(ofLevel('unknown'), open.length === 0),
    ...passedSection(ofLevel('ok')),
  ];
}

/** Texts of Azure can have megabytes. */
function shorten({ asked, answer, who, fix, ...finding }: Finding): Finding {
  const short = (text: string) => text.slice(0, 4000);
  return { ...finding, asked: short(asked), answer: short(answer), who: short(who), fix: fix.map(short) };
}

interface MergedFinding extends Finding {
  /** What was checked, of all findings that have the rest in common. */
  readonly subjects: readonly string[];
}

function mergeEqual(findings: readonly Finding[], keyOf: (finding: Finding) => unknown): MergedFinding[] {
  const groups = Map.groupBy(findings, (finding) => JSON.stringify(keyOf(finding)));
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    return first ? [{ ...first, subjects: group.map(({ asked }) => capitalize(asked)) }] : [];
  });
}

function openFinding({ level, subjects, answer, who, fix }: MergedFinding): Markdown {
  const heading = `### ${marks[level]} ${sentence(subjects.join(', '))}`;
  const whoMustAct = who ? `**Who must act:** ${sentence(who)}` : '';
  return [heading, sentence(answer), whoMustAct, fixes(fix)].filter(Boolean).join('\n\n');
}

/** Findings with the same remedy share it. */
function skippedSections(skipped: readonly Finding[], isOpen: boolean): Markdown[] {
  if (skipped.length === 0) return [];
  const groups = mergeEqual(skipped, ({ who, fix }) => [who, fix]);
  const bodies = groups.map(({ who, fix, subjects }) => {
    const answers = skipped.filter((finding) => finding.who === who && String(finding.fix) === String(fix));
    const rows = mergeEqual(answers, ({ answer }) => answer).map((row) => [
      row.subjects.map(sentence).join('<br>'),
      sentence(capitalize(row.answer.replace(/^Skipped: /, ''))),
    ]);
    const whoCanEnable = who ? `**Who can enable ${subjects.length === 1 ? 'it' : 'them'}:** ${sentence(who)}` : '';
    return [limitedTable(['Skipped', 'Why'], rows), whoCanEnable, fixes(fix)].filter(Boolean).join('\n\n');
  });
  return [details(`${marks.unknown} ${skipped.length} skipped`, bodies.join('\n\n'), isOpen)];
}

function passedSection(passed: readonly Finding[]): Markdown[] {
  if (passed.length === 0) return [];
  const rows = mergeEqual(passed, ({ answer }) => answer).map(({ subjects, answer }) => [
    subjects.map(sentence).join('<br>'),
    sentence(answer),
  ]);
  return [details(`${marks.ok} ${passed.length} passed`, limitedTable(['Passed', 'Result'], rows))];
}

function capitalize(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
