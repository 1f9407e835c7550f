/**
 * Writes what the documentation says of things that are said elsewhere already: the README's tables of inputs and outputs
 * (action.yml), the error texts (src/explain.ts), the custom roles (src/rights.ts), the arguments of `az vm create`
 * (docs/az-vm-create.yml), what was measured (bench/results.md). With `--check` it writes nothing and fails when they differ.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parse } from 'yaml';
import { argumentsPage, readArguments, shortTable } from './az-vm-create.ts';
import { fleetTable } from '../../bench/fleet.ts';
import { roleDefinition, roles, rolesTable } from './roles.ts';
import { troubleshootingIndex, troubleshootingPage } from './troubleshooting.ts';

const root = resolve(import.meta.dirname, '../..');

interface Metadata {
  readonly inputs: Readonly<Record<string, { description: string; required?: boolean; default?: string }>>;
  readonly outputs: Readonly<Record<string, { description: string }>>;
}

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

/** Renews the generated parts of a page. A part stands between `<!-- name -->` and `<!-- /name -->`. */
function renewed(page: string, parts: Readonly<Record<string, string>>): string {
  return Object.entries(parts).reduce((text, [name, part]) => {
    const pattern = new RegExp(`(<!-- ${name} -->\\n)[\\s\\S]*?(<!-- /${name} -->)`);
    if (!pattern.test(text)) throw new Error(`There is no part "${name}" to renew.`);
    return text.replace(pattern, (_, open: string, close: string) => `${open}\n${part}\n\n${close}`);
  }, page);
}

/** Every document that is generated, or has generated parts, as it should be: path from the root → content. */
export function documents(): Readonly<Record<string, string>> {
  const read = (path: string): string => readFileSync(join(root, path), 'utf8');
  const action = read('action.yml');
  const metadata = parse(action) as Metadata;
  return {
    'README.md': renewed(read('README.md'), {
      inputs: inputTables(metadata, action),
      outputs: outputTable(metadata),
      'az-vm-create': shortTable(readArguments()),
      troubleshooting: troubleshootingIndex(),
      measured: read('bench/results.md').trim(),
    }),
    'docs/az-vm-create.md': argumentsPage(readArguments()),
    'docs/fleet.md': renewed(read('docs/fleet.md'), { simulation: fleetTable() }),
    'docs/troubleshooting.md': troubleshootingPage(),
    'docs/setup.md': renewed(read('docs/setup.md'), { roles: rolesTable() }),
    ...Object.fromEntries(
      roles.map((role) => [
        `docs/roles/${role.file}`,
        `${JSON.stringify(roleDefinition(role), undefined, 2)}\n`,
      ]),
    ),
  };
}

if (import.meta.main) {
  for (const [path, content] of Object.entries(documents())) {
    const file = join(root, path);
    if (existsSync(file) && readFileSync(file, 'utf8') === content) continue;
    if (process.argv.includes('--check')) {
      console.error(`${path} differs from what it is made from: run \`npm run readme\`.`);
      process.exitCode = 1;
    } else {
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, content);
    }
  }
}
