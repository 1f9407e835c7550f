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
  // Shorter overlaps, such as the end of a line, occur by chance.
  const length = overlap(before, whole, 8);
  return { text: whole.slice(length), gap: length === 0 };
}

/** How much of the start of `text` is also the end of `before`; 0 if it is less than `min`. */
function overlap(before: string, text: string, min: number): number {
  for (let length = Math.min(before.length, text.length); length >= min; length--) {
    if (text.startsWith(before.slice(-length))) return length;
  }
  return 0;
}

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
    // Azure may have cut a character in two.
    const whole = rest.replace(/^\uFFFD+/, '');
    const fromFront = front ? Math.max(0, ...parts.map((part) => overlap(part, whole, minSecretLength))) : 0;
    if (fromFront > 0) [before, rest] = ['***', whole.slice(fromFront)];
    const fromBack = back ? Math.max(0, ...parts.map((part) => overlap(rest, part, minSecretLength))) : 0;
    if (fromBack > 0) [rest, after] = [rest.slice(0, -fromBack), '***'];
    for (const part of parts) rest = rest.replaceAll(part, '***');
    return before + rest + after;
  };
}

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
  const flush = (): void => {
    if (unfinished !== '') print(unfinished, { front: isCut, back: true });
    unfinished = '';
  };
  return {
    /** Takes the tail as Azure returns it; prints the new complete lines. */
    update(tail: string): void {
      const { text, gap } = appendedText(seen, tail);
      if (gap) {
        flush();
        log.info(`${label} | … (Azure keeps the last 4 KB only)`);
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
    /** The wait may have ended while the script was writing. */
    flush,
    /** The last tail, redacted. */
    text: () => redact(seen, { front: isFull(seen) }),
  };
}

/** Whether Azure, which keeps 4,096 bytes of a stream, may have dropped text before this tail. */
function isFull(tail: string): boolean {
  return Buffer.byteLength(tail) >= 4096;
}
