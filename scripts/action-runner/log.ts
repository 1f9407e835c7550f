export interface Annotation {
  readonly level: 'error' | 'warning' | 'notice';
  readonly title: string;
  readonly message: string;
}

/** A workflow command, or plain text (`command` undefined). */
export interface LogLine {
  readonly text: string;
  readonly command?: string;
  readonly properties: Readonly<Record<string, string>>;
}

/** Interprets the output of the action line by line, as the runner does. */
export class Log {
  raw = '';
  readonly lines: LogLine[] = [];
  readonly annotations: Annotation[] = [];
  readonly masks: string[] = [];
  readonly #onLine: ((line: LogLine) => void) | undefined;

  constructor(onLine: ((line: LogLine) => void) | undefined) {
    this.#onLine = onLine;
  }

  add(text: string): void {
    this.raw += `${text}\n`;
    const line = parseLine(text);
    this.lines.push(line);
    const { command, properties } = line;
    if (command === 'add-mask') {
      if (line.text !== '') this.masks.push(line.text);
      return;
    }
    if (command === 'error' || command === 'warning' || command === 'notice') {
      this.annotations.push({ level: command, title: properties['title'] ?? '', message: line.text });
    }
    this.#onLine?.({ ...line, text: this.mask(line.text) });
  }

  /** Replaces masked values. The runner also masks each line of a multi-line value. */
  mask(text: string): string {
    let result = text;
    for (const mask of this.masks) {
      for (const secret of new Set([mask, ...mask.split(/\r?\n/)])) {
        if (secret !== '') result = result.replaceAll(secret, '***');
      }
    }
    return result;
  }
}

/** https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands */
function parseLine(text: string): LogLine {
  const match = /^\s*::([\w-]+)(?: ([^:]*(?::(?!:)[^:]*)*))?::(.*)$/s.exec(text);
  if (!match) return { text, properties: {} };
  const [, command = '', list = '', data = ''] = match;
  const properties: Record<string, string> = {};
  for (const item of list.split(',')) {
    const equals = item.indexOf('=');
    if (equals < 0) continue;
    properties[item.slice(0, equals).trim()] = unescaped(item.slice(equals + 1))
      .replaceAll('%3A', ':')
      .replaceAll('%2C', ',');
  }
  return { command, properties, text: unescaped(data) };
}

function unescaped(text: string): string {
  return text.replaceAll('%0D', '\r').replaceAll('%0A', '\n').replaceAll('%25', '%');
}
