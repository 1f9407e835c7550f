/** The Markdown documents of the repository: links, anchors and code blocks. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { slug } from './troubleshooting.ts';

const root = resolve(import.meta.dirname, '../..');

export interface Document {
  /** Relative to the root of the repository. */
  readonly path: string;
  readonly text: string;
  readonly anchors: ReadonlySet<string>;
  readonly links: readonly string[];
  readonly blocks: readonly { readonly language: string; readonly code: string }[];
}

function markdownFiles(folder: string): string[] {
  const skipped = new Set(['node_modules', 'dist', 'build', 'coverage', '.git']);
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) return skipped.has(entry.name) ? [] : markdownFiles(path);
    return entry.isFile() && entry.name.endsWith('.md') ? [path] : [];
  });
}

export const documents: readonly Document[] = markdownFiles('').map((path) => {
  const text = readFileSync(join(root, path), 'utf8');
  const fence = /^( *)```(\w*)[^\n]*\n([\s\S]*?)^\1```/gm;
  const prose = text.replaceAll(fence, '').replaceAll(/`[^`\n]*`/g, (code) => code.replaceAll(/[[\]()]/g, ' '));
  const anchors = new Set<string>();
  for (const [, heading = ''] of text.replaceAll(fence, '').matchAll(/^#{1,6} (.+?)\s*$/gm)) {
    const plain = slug(heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1'));
    let anchor = plain;
    for (let count = 1; anchors.has(anchor); count += 1) anchor = `${plain}-${count}`;
    anchors.add(anchor);
  }
  return {
    path,
    text,
    anchors,
    links: [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target),
    blocks: [...text.matchAll(fence)].map(([, indent = '', language = '', code = '']) => ({
      language,
      code: code.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
    })),
  };
});

/** Splits a shell block into commands: joins lines that end in a backslash or inside single quotes. */
function shellCommands(code: string): string[] {
  const commands: string[] = [];
  let open = '';
  for (const line of code.replaceAll(/\\\n\s*/g, '').split('\n')) {
    open += open === '' ? line : ` ${line.trim()}`;
    if ((open.match(/'/g) ?? []).length % 2 === 1) continue;
    if (open.trim() !== '') commands.push(open);
    open = '';
  }
  return commands;
}

/** The shell commands in all documents. */
export const shellLines: readonly { readonly path: string; readonly line: string }[] = documents.flatMap(
  ({ path, blocks }) =>
    blocks
      .filter(({ language }) => language === 'sh')
      .flatMap(({ code }) => shellCommands(code))
      .map((line) => ({ path, line })),
);

/** Replaces placeholders such as `<client-id>` with valid values. */
export function fillPlaceholders(line: string): string {
  return line.replaceAll(/<([a-z][a-z-]*)>/g, (_, name: string) =>
    /(^|-)(client|tenant|subscription)-id$/.test(name)
      ? '00000000-0000-4000-8000-000000000000'
      : name.endsWith('-id')
        ? '12345'
        : name.replaceAll('-', ''),
  );
}
