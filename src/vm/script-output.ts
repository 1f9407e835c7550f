import type { LogWriter } from '../runner/log.ts';

export function lastLines(text: string, count: number): string {
  return text.trimEnd().split('\n').slice(-count).join('\n');
}

/** A prefix and a broken marker keep the runner from reading a line as a workflow command; colours are removed. */
export function guestOutputLines(label: string, text: string): string[] {
  return text.split(/\r?\n/).map((line) => {
    const plain = line
      // oxlint-disable-next-line no-control-regex
      .replaceAll(/\u001B\[[0-9;?]*[A-Za-z]|[\u0000-\u0008\u000B-\u001F\u007F]/g, '')
      .replaceAll('##[', '## [');
    return `${label} | ${plain}`;
  });
}

/** Azure returns only the last 4,096 bytes, so the overlap of both reads is searched for. `gap`: output was lost. */
export function appendedText(before: string, now: string): { readonly text: string; readonly gap: boolean } {
  if (now.startsWith(before)) return { text: now.slice(before.length), gap: false };
  // The window may begin in the middle of a character.
  const whole = now.replace(/^\uFFFD+/, '');
  for (let from = Math.max(0, before.length - whole.length); before.length - from >= minOverlap; from++) {
    if (whole.startsWith(before.slice(from))) return { text: whole.slice(before.length - from), gap: false };
  }
  return { text: whole, gap: true };
}

/** Shorter overlaps, such as the end of a line, occur by chance. */
const minOverlap = 8;

/** Ends at which a text was cut, perhaps inside a secret. */
interface Cut {
  readonly front?: boolean;
  readonly back?: boolean;
}

/** Shorter parts of a secret occur in ordinary text. */
const minSecretLength = 4;

/** @param secrets values as they were passed to the script */
export function createRedactor(secrets: readonly string[]): (text: string, cut?: Cut) => string {
  const parts = [...new Set(secrets.flatMap((secret) => [secret, ...secret.split(/\r?\n/)]))]
    .map((part) => part.trim())
    .filter((part) => part.length >= minSecretLength)
    .toSorted((a, b) => b.length - a.length);
  return (text, { front = false, back = false } = {}) => {
    let rest = text;
    let [before, after] = ['', ''];
    // Before whole secrets are replaced: replacing a short one would hide the rest of a longer one that contains it.
    const fromFront = front ? longestMatch(parts, (part, length) => prefixLength(rest, part.slice(-length))) : 0;
    if (fromFront > 0) [before, rest] = ['***', rest.slice(fromFront)];
    const fromBack = back
      ? longestMatch(parts, (part, length) => (rest.endsWith(part.slice(0, length)) ? length : 0))
      : 0;
    if (fromBack > 0) [rest, after] = [rest.slice(0, -fromBack), '***'];
    for (const part of parts) rest = rest.replaceAll(part, '***');
    return before + rest + after;
  };
}

/** The largest number that `match` returns for any part and length; 0: no match. */
function longestMatch(parts: readonly string[], match: (part: string, length: number) => number): number {
  let longest = 0;
  for (const part of parts) {
    for (let length = part.length; length >= minSecretLength; length--) {
      longest = Math.max(longest, match(part, length));
    }
  }
  return longest;
}

/** Length of the prefix `start`, including a character that Azure cut in two; 0 if `text` begins otherwise. */
function prefixLength(text: string, start: string): number {
  const broken = /^\uFFFD*/.exec(text)?.[0].length ?? 0;
  return text.startsWith(start, broken) ? broken + start.length : 0;
}

/** How much of a stream Azure keeps. */
const tailBytes = 4096;

export function createOutputStream(
  label: string,
  log: Pick<LogWriter, 'info'>,
  redact: ReturnType<typeof createRedactor>,
) {
  let seen = '';
  let unfinished = '';
  // Whether `unfinished` begins where Azure cut the output, perhaps inside a secret.
  let isCut = false;
  const print = (text: string, cut: Cut): void => {
    for (const line of guestOutputLines(label, redact(text, cut))) log.info(line);
  };
  return {
    /** Takes the tail as Azure returns it; prints the new complete lines. */
    update(tail: string): void {
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
    flush(): void {
      // The wait may have ended while the script was writing.
      if (unfinished !== '') print(unfinished, { front: isCut, back: true });
      unfinished = '';
    },
    /** The last tail, redacted. */
    text: () => redact(seen, { front: isFull(seen) }),
  };
}

/** Whether Azure may have dropped text before this tail. */
function isFull(tail: string): boolean {
  return Buffer.byteLength(tail) >= tailBytes;
}
