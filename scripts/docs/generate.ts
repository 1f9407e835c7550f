/**
 * Generates the parts of the documentation that have another source: inputs and outputs (action.yml), known errors, custom
 * roles, arguments of `az vm create` (docs/az-vm-create.yml), measurements (bench/). `--check` writes nothing and fails if a
 * document is out of date.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parse } from 'yaml';
import { argumentsPage, readArguments } from './az-vm-create.ts';
import { fleetTable } from '../../bench/fleet.ts';
import { roleDefinition, roles, rolesTable } from './roles.ts';
import { troubleshootingPage } from './troubleshooting.ts';

const root = resolve(import.meta.dirname, '../..');

interface Metadata {
  readonly inputs: Readonly<Record<string, { description: string; required?: boolean; default?: string }>>;
  readonly outputs: Readonly<Record<string, { description: string }>>;
}

/** Maps each input of action.yml to its section: a comment line `# Title` starts one. */
function inputSections(action: string): Map<string, string> {
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

type Examples = Readonly<Record<string, { readonly values: string; readonly example: string }>>;

/** Reads docs/inputs.yml: the allowed values and an example of each input. */
export const inputExamples = (): Examples => parse(readFileSync(join(root, 'docs/inputs.yml'), 'utf8')) as Examples;

function inputTables({ inputs }: Metadata, action: string): string {
  const sections = inputSections(action);
  const examples = inputExamples();
  const lines: string[] = [];
  let current: string | undefined;
  for (const [name, { description, required, default: value }] of Object.entries(inputs)) {
    const section = sections.get(name) ?? '';
    if (section !== current) {
      current = section;
      lines.push('', `## ${section}`, '', '| input | values | default | meaning | example |', '|---|---|---|---|---|');
    }
    // The marker at the end of the default of `vm-name` is not part of the name.
    const shown = required ? '**required**' : value ? `\`${value.replace(/\*$/, '')}\`` : '';
    const { values, example } = examples[name] ?? { values: '', example: '' };
    lines.push(`| \`${name}\` | ${cell(values)} | ${shown} | ${cell(description)} | \`${cell(example)}\` |`);
  }
  return lines.join('\n').trim();
}

function outputTable({ outputs }: Metadata): string {
  const rows = Object.entries(outputs).map(([name, { description }]) => `| \`${name}\` | ${cell(description)} |`);
  return ['| output | meaning |', '|---|---|', ...rows].join('\n');
}

/** Replaces the generated parts of a page. A part is enclosed in `<!-- name -->` and `<!-- /name -->`. */
function replaceParts(page: string, parts: Readonly<Record<string, string>>): string {
  return Object.entries(parts).reduce((text, [name, part]) => {
    const pattern = new RegExp(`(<!-- ${name} -->\\n)[\\s\\S]*?(<!-- /${name} -->)`);
    if (!pattern.test(text)) throw new Error(`The page has no part named "${name}".`);
    return text.replace(pattern, (_, open: string, close: string) => `${open}\n${part}\n\n${close}`);
  }, page);
}

/** Returns the expected content of every document with generated parts, by path from the root. */
function generatedDocuments(): Readonly<Record<string, string>> {
  const read = (path: string): string => readFileSync(join(root, path), 'utf8');
  const action = read('action.yml');
  const metadata = parse(action) as Metadata;
  return {
    'docs/inputs.md': replaceParts(read('docs/inputs.md'), {
      inputs: inputTables(metadata, action),
      outputs: outputTable(metadata),
    }),
    'docs/az-vm-create.md': argumentsPage(readArguments()),
    'docs/performance.md': replaceParts(read('docs/performance.md'), {
      measured: read('bench/results.md').trim(),
    }),
    'docs/fleet.md': replaceParts(read('docs/fleet.md'), { simulation: fleetTable() }),
    'docs/troubleshooting.md': troubleshootingPage(),
    'docs/setup.md': replaceParts(read('docs/setup.md'), { roles: rolesTable() }),
    ...Object.fromEntries(
      roles.map((role) => [`docs/roles/${role.file}`, `${JSON.stringify(roleDefinition(role), undefined, 2)}\n`]),
    ),
  };
}

if (import.meta.main) {
  for (const [path, content] of Object.entries(generatedDocuments())) {
    const file = join(root, path);
    if (existsSync(file) && readFileSync(file, 'utf8') === content) continue;
    if (process.argv.includes('--check')) {
      console.error(`${path} is out of date. Run: npm run readme`);
      process.exitCode = 1;
    } else {
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, content);
    }
  }
}
