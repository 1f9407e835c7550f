import { stripVTControlCharacters } from 'node:util';

/**
 * GitHub-flavoured Markdown from text that others chose: names, tags, messages of Azure, output of scripts. It stays
 * text: no tag, link, mention, or end of a table or block.
 */

/** A piece of Markdown that is safe to put beside others. */
export type Markdown = string;

/** Control characters, and those that turn the direction of writing around. */
const controlCharacters =
  // oxlint-disable-next-line no-control-regex
  /[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/g;

/** Text for logs and messages: lines and tabs stay, terminal codes and other control characters do not. */
export function plainText(text: string, longest = Infinity): string {
  return stripVTControlCharacters(shortened(text, longest))
    .replaceAll(/\r\n?|[\u0085\u2028\u2029]/g, '\n')
    .replaceAll(controlCharacters, '');
}

function shortened(text: string, longest: number): string {
  return text.length > longest ? `${text.slice(0, longest - 1).toWellFormed()}…` : text;
}

function oneLine(text: string): string {
  // Cut before the work too: there may be a megabyte of it.
  const line = text.slice(0, 10_000).replaceAll(/\s+/g, ' ').replaceAll(controlCharacters, '').trim();
  return shortened(line, 1000);
}

/** Every sign that Markdown or HTML could take for its own, as a character reference: those never have a meaning there. */
function referenced(text: string): Markdown {
  return text
    .replaceAll(/[^\p{L}\p{N}\p{M}\p{Emoji} ,;()=%'/.?…–-]|#|\*/gu, (sign) => `&#${sign.codePointAt(0)};`)
    .replaceAll(/\b(www)\./gi, '$1&#46;');
}

/** A zero-width space keeps @name and #1 from becoming a mention or a reference. */
function unlinked(line: string): Markdown {
  return referenced(line).replaceAll(/&#(?:64|35);/g, '$&&#8203;');
}

/** `1 resource`, `2 resources`. */
export const countOf = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

export function markdownText(value: string): Markdown {
  return unlinked(oneLine(value));
}

/** A name or a value, set as code. Not with backticks: a table or a backtick inside would end them. */
export function markdownCode(value: string): Markdown {
  return `<code>${referenced(oneLine(value))}</code>`;
}

/** A sentence of ours, in which backticks set code and values of others may stand. */
export function sentence(words: string): Markdown {
  return oneLine(words)
    .split(/(`[^`]+`)/)
    .map((part) => (/^`[^`]+`$/.test(part) ? markdownCode(part.slice(1, -1)) : unlinked(part)))
    .join('');
}

/** A link; only the label where the address is none. */
export function link(label: Markdown, url: string | undefined): Markdown {
  if (url === undefined || !url.startsWith('https://') || !URL.canParse(url)) return label;
  const address = encodeURI(url.toWellFormed())
    .replaceAll('%25', '%')
    .replaceAll(/[()*'_~!]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
  return `[${label}](${address})`;
}

export function quotation(value: string): Markdown {
  const lines = shortened(value, 4000)
    .split(/[\r\n]+/)
    .filter((line) => line.trim() !== '');
  return lines.length === 0 ? '' : `> ${lines.map((line) => markdownText(line.replace(/^- /, '• '))).join('<br>')}`;
}

export function block(
  value: string,
  options: { readonly language?: string; readonly longest?: number; readonly keep?: 'head' | 'tail' } = {},
): Markdown {
  const { language = 'text', longest = 6000, keep = 'head' } = options;
  const many = 4 * longest;
  let shown = (keep === 'head' ? value.slice(0, many) : value.slice(-many))
    .replaceAll(/\r\n?/g, '\n')
    .replaceAll(controlCharacters, '')
    .replace(/^\n+/, '')
    .trimEnd();
  if (shown.length > longest) {
    shown = keep === 'head' ? `${shown.slice(0, longest)}\n…` : `…\n${shown.slice(-longest)}`;
  }
  const longestRun = Math.max(2, ...[...shown.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = '`'.repeat(longestRun + 1);
  return `${fence}${language}\n${shown}\n${fence}`;
}

export function table(heading: readonly string[], rows: readonly (readonly Markdown[])[]): Markdown {
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [row(heading), row(heading.map(() => ':---')), ...rows.map(row)].join('\n');
}

export function paragraphs(...parts: readonly (Markdown | false | undefined)[]): Markdown {
  return parts.filter(Boolean).join('\n\n');
}

export function details(summary: Markdown, body: Markdown, open = false): Markdown {
  return `<details${open ? ' open' : ''}><summary>${summary}</summary>\n\n${body}\n\n</details>`;
}

/**
 * A value as one word of a POSIX shell command. Control and format characters become spaces: a command is one line, and what
 * it shows is what runs. Placeholders are quoted too, because a bare `<name>` would be a redirection.
 */
function quoteForShell(value: string): string {
  const text = value.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ');
  if (/^[\w@%+=:,./-]+$/.test(text)) return text;
  if (!text.includes("'")) return `'${text}'`;
  return /["$`\\!]/.test(text) ? `'${text.replaceAll("'", String.raw`'\''`)}'` : `"${text}"`;
}

/** A shell command in which each interpolated value is one word; a list is as many words as it has entries. */
export function shellCommand(text: TemplateStringsArray, ...values: readonly (string | readonly string[])[]): string {
  const words = values.map((value) => [value].flat().map(quoteForShell).join(' '));
  return text.reduce((command, part, index) => `${command}${words[index - 1] ?? ''}${part}`);
}

/** GitHub does not wrap code: continues a long command on the next line, before an option. */
export function wrapCommand(command: string): string {
  const width = 88;
  if (command.length <= width || command.includes('\n')) return command;
  const words = command.match(/(?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\])+/g) ?? [];
  if (words.join(' ') !== command) return command;
  const lines: string[] = [];
  let line = '';
  for (const [index, word] of words.entries()) {
    const value = (words[index + 1] ?? '-').startsWith('-') ? '' : ` ${words[index + 1]}`;
    const isTooLong = `${line} ${word}${value}`.length > width;
    if (line !== '' && isTooLong && /^--?[a-z]/i.test(word)) {
      lines.push(line);
      line = `  ${word}`;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].join(' \\\n');
}
