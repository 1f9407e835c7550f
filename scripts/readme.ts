/**
 * Writes the parts of README.md that are said elsewhere already: the tables of inputs and outputs (action.yml) and of
 * error texts (src/explain.ts). With `--check` it writes nothing and fails when they differ.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { parse } from 'yaml';
import { troubleshootingTable } from '../src/explain.ts';

interface Metadata {
  readonly inputs: Readonly<Record<string, { description: string; required?: boolean; default?: string }>>;
  readonly outputs: Readonly<Record<string, { description: string }>>;
}

const readmePath = new URL('../README.md', import.meta.url);
const actionPath = new URL('../action.yml', import.meta.url);

/** Sections of action.yml's inputs: a comment line `# Title` between two inputs begins one. */
function sectionsOf(action: string): Map<string, string> {
  const sections = new Map<string, string>();
  let section = '';
  for (const line of action.slice(action.indexOf('\ninputs:')).split('\n')) {
    const title = /^ {2}# (.+?)\s*$/.exec(line)?.[1];
    if (title) section = title.replace(/\.$/, '');
    const name = /^ {2}([a-z][a-z0-9-]*):/.exec(line)?.[1];
    if (name) sections.set(name, section);
    if (line.startsWith('outputs:')) break;
  }
  return sections;
}

const cell = (text: string): string =>
  text
    .trim()
    .replace(/\s*\n\s*/g, ' ')
    .replaceAll('|', '\\|');

function inputTables({ inputs }: Metadata, action: string): string {
  const sections = sectionsOf(action);
  const lines: string[] = [];
  let current: string | undefined;
  for (const [name, { description, required, default: value }] of Object.entries(inputs)) {
    const section = sections.get(name) ?? '';
    if (section !== current) {
      current = section;
      lines.push('', `### ${section}`, '', '| input | default | meaning |', '|---|---|---|');
    }
    const shown = required ? '**required**' : value ? `\`${value}\`` : '';
    lines.push(`| \`${name}\` | ${shown} | ${cell(description)} |`);
  }
  return lines.join('\n').trim();
}

function outputTable({ outputs }: Metadata): string {
  const rows = Object.entries(outputs).map(
    ([name, { description }]) => `| \`${name}\` | ${cell(description)} |`,
  );
  return ['| output | meaning |', '|---|---|', ...rows].join('\n');
}

/** README.md with every generated part renewed. A part stands between `<!-- name -->` and `<!-- /name -->`. */
export function renewed(readme: string, action: string): string {
  const metadata = parse(action) as Metadata;
  const parts: Readonly<Record<string, string>> = {
    inputs: inputTables(metadata, action),
    outputs: outputTable(metadata),
    troubleshooting: troubleshootingTable().trim(),
  };
  return Object.entries(parts).reduce((text, [name, part]) => {
    const pattern = new RegExp(`(<!-- ${name} -->\\n)[\\s\\S]*?(<!-- /${name} -->)`);
    if (!pattern.test(text)) throw new Error(`README.md has no part "${name}"`);
    return text.replace(pattern, (_, open: string, close: string) => `${open}\n${part}\n\n${close}`);
  }, readme);
}

if (import.meta.main) {
  const readme = readFileSync(readmePath, 'utf8');
  const fresh = renewed(readme, readFileSync(actionPath, 'utf8'));
  if (!process.argv.includes('--check')) writeFileSync(readmePath, fresh);
  else if (fresh !== readme) {
    console.error('README.md differs from action.yml or src/explain.ts: run `npm run readme`.');
    process.exitCode = 1;
  }
}
