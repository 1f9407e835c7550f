/** Every `az` command that the action, its documents, examples and scripts print or run, as Bash reads it. */
import { spawnSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parse } from 'yaml';
import { documentedErrors } from './documented-errors.ts';
import { documents, fillPlaceholders } from './documents.ts';

const root = resolve(import.meta.dirname, '../..');

export interface AzCommand {
  readonly source: string;
  /** Options or a subcommand are missing: the code that adds them is not a literal. */
  readonly isPartial: boolean;
  readonly arguments: readonly string[];
}

/** Records the arguments of `az`, which answers with a word, and the names of other commands, of which none is found. */
const prelude = `
az() { printf '%s\\0' az "$@" $'\\036' >&3; [ "$1" = login ] || echo word; }
command_not_found_handle() { printf '%s\\0' "$1" $'\\036' >&3; return 127; }
PATH=/nonexistent
cd() { :; }
exit() { :; }
read() { return 1; }
set() { :; }
`;

/** The commands of a script, those in substitutions included, as Bash reads them. Only `az` comes with its arguments. */
export function commandsOf(script: string): string[][] {
  const folder = mkdtempSync(join(tmpdir(), 'az-commands-'));
  try {
    const command = `{ ${prelude}\n${script}\n} 3>&1 >/dev/null 2>&1; :`;
    const { stdout, status } = spawnSync('/bin/bash', ['-c', command], {
      cwd: folder,
      encoding: 'utf8',
      env: {},
      timeout: 20_000,
    });
    if (status !== 0) throw new Error(`Bash cannot run:\n${script}`);
    return stdout
      .split('\u001E\0')
      .slice(0, -1)
      .map((words) => words.split('\0').slice(0, -1));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export interface Script {
  readonly source: string;
  readonly isPartial?: boolean;
  readonly text: string;
}

/** Shell blocks, whole: variables and line continuations of a block belong together. */
function documentScripts(): Script[] {
  return documents.flatMap(({ path, blocks }) =>
    blocks
      .filter(({ language, code }) => language === 'sh' && code.includes('az '))
      .map(({ code }) => ({ source: path, text: fillPlaceholders(code) })),
  );
}

function catalogueScripts(): Script[] {
  return documentedErrors()
    .flatMap(({ entries }) => entries.flatMap(({ fix }) => fix))
    .filter((line) => line.startsWith('az '))
    .map((line) => ({ source: 'src/error-catalog', text: fillPlaceholders(line) }));
}

interface Step {
  readonly run?: string;
  readonly with?: Readonly<Record<string, unknown>>;
}

/** The `run` steps and scripts of the example workflows, with `x` for expressions. */
function exampleScripts(): Script[] {
  return globSync('{examples,.github/workflows}/*.yml', { cwd: root }).flatMap((path) => {
    const { jobs = {} } = (parse(readFileSync(join(root, path), 'utf8')) ?? {}) as {
      jobs?: Record<string, { steps?: readonly Step[] }>;
    };
    return Object.values(jobs)
      .flatMap(({ steps = [] }) => steps)
      .flatMap(({ run, with: inputs }) => [run, inputs?.['run-script']])
      .filter((text) => typeof text === 'string')
      .filter((text) => /\baz /.test(text))
      .map((text) => ({ source: path, text: text.replaceAll(/\$\{\{.*?\}\}/g, 'x') }));
  });
}

/** String and template literals of src (outside the catalogue) that begin with `az `, with a word for each interpolation. */
function sourceScripts(): Script[] {
  return globSync('src/**/*.ts', { cwd: root })
    .filter((path) => !path.startsWith('src/error-catalog/'))
    .flatMap((path) => {
      const text = readFileSync(join(root, path), 'utf8');
      return [...text.matchAll(/(['"`])az [a-z]/g)].flatMap(({ index }) => {
        const { value, isPartial } = literalAt(text, index);
        // A command without options, in a sentence.
        return / -/.test(value) ? [{ source: path, isPartial, text: value }] : [];
      });
    });
}

function literalAt(text: string, start: number): { value: string; isPartial: boolean } {
  const quote = text[start] ?? '';
  let found = '';
  let isPartial = false;
  for (let index = start + 1; index < text.length && text[index] !== quote; index += 1) {
    if (quote === '`' && text.startsWith('${', index)) {
      index = endOfInterpolation(text, index + 2);
      // Without an option before it, the interpolation stands for options that a function returns.
      const isValue = /(?:^|\s)-{1,2}[\w-]+ $|\S$/.test(found);
      if (isValue) found += 'word';
      else isPartial = true;
    } else if (text[index] === '\\') {
      index += 1;
      found += text[index] === 'n' ? '\n' : (text[index] ?? '');
    } else found += text[index] ?? '';
  }
  return { value: found, isPartial };
}

function endOfInterpolation(text: string, start: number): number {
  let depth = 1;
  for (let index = start; index < text.length; index += 1) {
    if (text[index] === '`') index = skipTemplate(text, index);
    if (text[index] === '{') depth += 1;
    if (text[index] === '}') depth -= 1;
    if (depth === 0) return index;
  }
  return text.length;
}

function skipTemplate(text: string, start: number): number {
  for (let index = start + 1; index < text.length; index += 1) {
    if (text.startsWith('${', index)) index = endOfInterpolation(text, index + 2);
    else if (text[index] === '`') return index;
  }
  return text.length;
}

export function azScripts(): readonly Script[] {
  return [...documentScripts(), ...catalogueScripts(), ...exampleScripts(), ...sourceScripts()];
}

const sampleId =
  '/subscriptions/00000000-0000-4000-8000-000000000000/resourceGroups/group/providers/Microsoft.ManagedIdentity/userAssignedIdentities/word';

/** `--ids` takes complete resource IDs only, `--priority` numbers, `--protocol` known ones, registries names of five characters and more. */
function validWord(word: string, index: number, words: readonly string[]): string {
  if (words[index - 1] === '--ids' && !word.startsWith('/')) return sampleId;
  if (words[index - 1] === '--priority') return '1000';
  if (words[index - 1] === '--protocol') return 'Tcp';
  return words[0] === 'acr' && /^--(?:name|registry)$/.test(words[index - 1] ?? '') ? 'registry' : word;
}

/** The distinct commands of all sources. */
export function azCommands(): readonly AzCommand[] {
  const found = azScripts().flatMap(({ source, text, isPartial = false }) =>
    commandsOf(text)
      .filter(([tool]) => tool === 'az')
      .map(([, ...words]) => ({ source, isPartial, arguments: words.map(validWord) })),
  );
  return [...new Map(found.map((command) => [command.arguments.join('\0'), command])).values()];
}
