import type { GuestContext } from './run-command.ts';

export function lastLines(text: string, count: number): string {
  return text.trimEnd().split('\n').slice(-count).join('\n');
}

/**
 * Text from the guest as lines for the log. Each gets a prefix, and the old command marker is torn apart, so that no line
 * can be a workflow command to the runner (`::set-env`, `##[command]`); control characters, such as colours, go.
 */
export function guestOutputLines(label: string, text: string): string[] {
  return text.split(/\r?\n/).map((line) => {
    const plain = line
      // oxlint-disable-next-line no-control-regex
      .replaceAll(/\u001B\[[0-9;?]*[A-Za-z]|[\u0000-\u0008\u000B-\u001F\u007F]/g, '')
      .replaceAll('##[', '## [');
    return `${label} | ${plain}`;
  });
}

/**
 * What has come to a stream since the last look. Azure shows only its last 4,096 bytes, so the window may have moved on:
 * then the overlap of both is looked for. `gap`: something went by unseen.
 */
export function appendedText(before: string, now: string): { readonly text: string; readonly gap: boolean } {
  if (now.startsWith(before)) return { text: now.slice(before.length), gap: false };
  // The window may begin in the middle of a character.
  const whole = now.replace(/^\uFFFD+/, '');
  for (let from = Math.max(0, before.length - whole.length); before.length - from >= minOverlap; from++) {
    if (whole.startsWith(before.slice(from))) return { text: whole.slice(before.length - from), gap: false };
  }
  return { text: whole, gap: true };
}

/** Shorter ones, such as a line's end, come about by chance. */
const minOverlap = 8;

/** Ends at which a text was cut: a secret may be cut there too. */
interface Cut {
  readonly front?: boolean;
  readonly back?: boolean;
}

/** The fewest characters of a secret that are redacted: fewer would redact ordinary text. */
const shortestSecret = 4;

/**
 * Redacts secrets, and at a cut end of the text also the part of a secret that is left there.
 * @param secrets values as they were handed to the script
 */
export function createRedactor(secrets: readonly string[]): (text: string, cut?: Cut) => string {
  const parts = [...new Set(secrets.flatMap((secret) => [secret, ...secret.split(/\r?\n/)]))]
    .map((part) => part.trim())
    .filter((part) => part.length >= shortestSecret)
    .toSorted((a, b) => b.length - a.length);
  return (text, { front = false, back = false } = {}) => {
    let rest = text;
    let [before, after] = ['', ''];
    // Before the search for whole secrets: replacing a short one would hide the rest of a longer one that contains it.
    const fromFront = front ? longest(parts, (part, length) => startOf(rest, part.slice(-length))) : 0;
    if (fromFront > 0) [before, rest] = ['***', rest.slice(fromFront)];
    const fromBack = back
      ? longest(parts, (part, length) => (rest.endsWith(part.slice(0, length)) ? length : 0))
      : 0;
    if (fromBack > 0) [rest, after] = [rest.slice(0, -fromBack), '***'];
    for (const part of parts) rest = rest.replaceAll(part, '***');
    return before + rest + after;
  };
}

/** The most characters that `match` finds for any part of any length; 0: none. */
function longest(parts: readonly string[], match: (part: string, length: number) => number): number {
  let most = 0;
  for (const part of parts) {
    for (let length = part.length; length >= shortestSecret; length--) {
      most = Math.max(most, match(part, length));
    }
  }
  return most;
}

/** Length of the beginning that is `start`, including a character that Azure's window cut in two; 0: it begins otherwise. */
function startOf(text: string, start: string): number {
  const broken = /^\uFFFD*/.exec(text)?.[0].length ?? 0;
  return text.startsWith(start, broken) ? broken + start.length : 0;
}

/** What Azure keeps of a stream. */
const tailBytes = 4096;

interface OutputStream {
  /** Takes the tail as Azure shows it; prints the whole lines that are new. */
  update(tail: string): void;
  /** Prints what is left of an unfinished line. */
  flush(): void;
  /** The last tail, without secrets. */
  text(): string;
}

export function createOutputStream(
  label: string,
  log: GuestContext['log'],
  blot: ReturnType<typeof createRedactor>,
): OutputStream {
  let seen = '';
  let unfinished = '';
  // Whether `unfinished` begins where Azure's window does, perhaps inside a secret.
  let isCut = false;
  const print = (text: string, cut: Cut): void => {
    for (const line of guestOutputLines(label, blot(text, cut))) log.info(line);
  };
  return {
    update(tail) {
      const { text, gap } = appendedText(seen, tail);
      if (gap) {
        if (unfinished !== '') print(unfinished, { front: isCut, back: true });
        log.info(`${label} | … (Azure keeps the last 4 KB only)`);
        unfinished = '';
      }
      if (gap || (seen === '' && isFull(tail))) isCut = true;
      seen = tail;
      unfinished += text;
      const end = unfinished.lastIndexOf('\n');
      if (end < 0) return;
      print(unfinished.slice(0, end), { front: isCut });
      unfinished = unfinished.slice(end + 1);
      isCut = false;
    },
    flush() {
      // The wait may have been given up while the script was writing.
      if (unfinished !== '') print(unfinished, { front: isCut, back: true });
      unfinished = '';
    },
    text: () => blot(seen, { front: isFull(seen) }),
  };
}

/** Whether Azure may have dropped text before this one. */
function isFull(tail: string): boolean {
  return Buffer.byteLength(tail) >= tailBytes;
}
