import { limited, maxRows } from './sections.ts';
import type { Finding } from '../check/facts.ts';
import { type Markdown, details, sentence } from '../lib/escape.ts';
import { fixes } from './render-failure.ts';

// What a check found

const marks = { fault: '❌', warning: '⚠️', unknown: '❔', ok: '✅' } as const;

const nouns = {
  fault: ['failed', 'failed'],
  warning: ['warning', 'warnings'],
  unknown: ['skipped', 'skipped'],
  ok: ['passed', 'passed'],
} as const;

const order = Object.keys(marks);

export function findingSections(findings: readonly Finding[]): Markdown[] {
  const sorted = findings.toSorted((a, b) => order.indexOf(a.level) - order.indexOf(b.level));
  const good = sorted.filter(({ level }) => level === 'ok');
  const told = sorted.filter(({ level }) => level !== 'ok');
  const counted = (Object.keys(marks) as Finding['level'][]).flatMap((level) => {
    const count = findings.filter((finding) => finding.level === level).length;
    return count > 0 ? [`${marks[level]} ${count} ${nouns[level][count === 1 ? 0 : 1]}`] : [];
  });
  const row = ({ level, asked, answer }: Finding) => [
    marks[level],
    sentence(capitalised(asked)),
    sentence(answer),
  ];
  const acts = told.filter(({ fix, level }) => fix.length > 0 && level !== 'unknown');
  const asks = told.filter(({ fix, level }) => fix.length > 0 && level === 'unknown');
  const step = ({ level, asked, who, fix }: Finding): Markdown =>
    [
      `${marks[level]} **${sentence(capitalised(asked))}**${who ? ` · ${sentence(who)}` : ''}`,
      fixes(fix),
    ].join('\n\n');
  return [
    counted.join(' · '),
    ...(told.length > 0 ? [limited(['', 'Asked', 'Answer'], told.map(row))] : []),
    ...(acts.length > 0 ? ['### What to do', ...acts.slice(0, maxRows).map(step)] : []),
    ...(asks.length > 0
      ? [details('How to include the skipped checks', asks.slice(0, maxRows).map(step).join('\n\n'))]
      : []),
    ...(good.length > 0
      ? [details(`${good.length} passed`, limited(['', 'Asked', 'Answer'], good.map(row)))]
      : []),
  ];
}

function capitalised(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1);
}
