/** The job summary of one step: a pure function from facts to Markdown. */

import type { Finding } from '../check/facts.ts';
import { type ErrorReport, isCommandOrUrl } from '../errors/format-error.ts';
import { type Markdown, block, details, link, markdownText, paragraphs, quotation, sentence } from '../lib/escape.ts';
import {
  deleteStep,
  deploymentTable,
  limitedTable,
  maxRows,
  removals,
  replacementTable,
  resourceTable,
} from './render-details.ts';
import { connecting, shellBlock, statusLine, title } from './status.ts';
import type { SummaryFacts } from './summary-facts.ts';
import { formatDuration, timeline, topology } from './topology.ts';

/** The most important section comes first; the last ones are left out if GitHub would drop the summary (1 MiB). */
export function renderSummary(facts: SummaryFacts, limit = 1024 * 1024): Markdown {
  const { findings, errors = [], stages, bootLog } = facts;
  const drawing = topology(facts);
  const sections = [
    `## ${title(facts)}`,
    statusLine(facts),
    ...(findings ? findingSections(findings) : errors.slice(0, 10).map(errorSection)),
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
  const heading = '⚠️ **Azure or a policy created the VM with other settings than requested**';
  const list = changedSettings.map((line) => `- ${markdownText(line)}`).join('\n');
  return list && paragraphs(heading, list);
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

function errorSection(report: ErrorReport, index: number): Markdown {
  const { activity, message, notes, explanation, azure, trace } = report;
  const doing = activity.length > 0 ? [`Failed while ${activity.join(', ')}.`] : [];
  const answer = paragraphs(
    quotation([...notes, ...azure].join('\n')),
    [...doing, ...trace].map(markdownText).join('<br>'),
  );
  return paragraphs(
    index > 0 && `### ❌ ${markdownText(report.title)}`,
    explanation && `**Cause:** ${sentence(explanation.cause)}`,
    explanation && `**Who must act:** ${sentence(explanation.who)}`,
    explanation && fixes(explanation.fix),
    explanation || trace.length > 0 ? quotation(message.join('\n')) : messageLines(message),
    azure.length + trace.length > 0 ? details("Azure's answer and IDs", answer, !explanation) : answer,
  );
}

/** Messages of the action itself: a line that starts with a dash is a list item. */
function messageLines(words: readonly string[]): Markdown {
  const lines = words
    .join('\n')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .slice(0, maxRows);
  const rendered = lines.map((line) => {
    const item = /^- (.*)/.exec(line)?.[1];
    return item === undefined ? `\n${sentence(line)}\n` : `- ${sentence(item)}`;
  });
  return rendered.join('\n').trim();
}

/** Sentences and URLs as a list; commands as blocks to copy, consecutive ones in one block. */
function fixes(lines: readonly string[]): Markdown {
  const isCommand = (line = '') => isCommandOrUrl(line) && !line.startsWith('https://');
  const parts = lines.map((line, index) => {
    if (!isCommand(line)) return `- ${line.startsWith('https://') ? link(markdownText(line), line) : sentence(line)}`;
    if (isCommand(lines[index - 1])) return '';
    const end = lines.findIndex((next, at) => at > index && !isCommand(next));
    return shellBlock(...lines.slice(index, end < 0 ? undefined : end));
  });
  return parts.filter(Boolean).join('\n');
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
  const passed = ofLevel('ok');
  return [
    // Otherwise the collapsed sections say as much.
    open.length > 0 ? counts.join(' · ') : '',
    ...mergeEqual(open, 'level', 'answer', 'who', 'fix').map(openFinding),
    skippedSection(ofLevel('unknown'), open.length === 0),
    passed.length > 0 ? details(`${marks.ok} ${passed.length} passed`, answerTable(['Passed', 'Result'], passed)) : '',
  ];
}

/** Texts of Azure can have megabytes. */
function shorten({ asked, answer, who, fix, ...finding }: Finding): Finding {
  const short = (text: string) => text.slice(0, 4000);
  return { ...finding, asked: short(asked), answer: short(answer), who: short(who), fix: fix.map(short) };
}

/** The first of the findings that have these parts in common, for each such group, with the group. */
function mergeEqual(findings: readonly Finding[], ...parts: readonly (keyof Finding)[]) {
  const groups = Map.groupBy(findings, (finding) => JSON.stringify(parts.map((part) => finding[part])));
  return [...groups.values()].flatMap((group) => group.slice(0, 1).map((first) => ({ ...first, group })));
}

function openFinding({ level, group, answer, who, fix }: ReturnType<typeof mergeEqual>[number]): Markdown {
  const subjects = group.map(({ asked }) => capitalize(asked)).join(', ');
  const heading = `### ${marks[level]} ${sentence(subjects)}`;
  return paragraphs(heading, sentence(answer), who && `**Who must act:** ${sentence(who)}`, fixes(fix));
}

/** Findings with the same remedy share it. */
function skippedSection(skipped: readonly Finding[], isOpen: boolean): Markdown {
  if (skipped.length === 0) return '';
  const reasons = skipped.map((finding) => ({
    ...finding,
    answer: capitalize(finding.answer.replace(/^Skipped: /, '')),
  }));
  const bodies = mergeEqual(reasons, 'who', 'fix').map(({ who, fix, group }) => {
    const whoCanEnable = `**Who can enable ${group.length === 1 ? 'it' : 'them'}:** ${sentence(who)}`;
    return paragraphs(answerTable(['Skipped', 'Why'], group), who && whoCanEnable, fixes(fix));
  });
  return details(`${marks.unknown} ${skipped.length} skipped`, bodies.join('\n\n'), isOpen);
}

/** One row for each answer, with all that it holds for. */
function answerTable(heading: readonly string[], findings: readonly Finding[]): Markdown {
  const rows = mergeEqual(findings, 'answer').map(({ group, answer }) => [
    group.map(({ asked }) => sentence(capitalize(asked))).join('<br>'),
    sentence(answer),
  ]);
  return limitedTable(heading, rows);
}

function capitalize(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
