/** Seconds of a Retry-After header in either of its forms (RFC 9110, 10.2.3). */
export function retryAfterSeconds(header: string | undefined, answeredAt?: string): number | undefined {
  if (!header) return undefined;
  const seconds = Number(header);
  if (Number.isFinite(seconds)) return Math.max(0, seconds);
  const until = Date.parse(header);
  const from = Date.parse(answeredAt ?? '') || Date.now();
  return Number.isNaN(until) ? undefined : Math.max(0, Math.round((until - from) / 1000));
}

/** Network says in words, not in a header, when a resource that another operation holds is free again. */
export function retrySecondsInText(text: string): number | undefined {
  const seconds = /can be retried in (\d+) seconds/i.exec(text)?.[1];
  return seconds === undefined ? undefined : Number(seconds);
}

const secondsPer = { w: 604_800, d: 86_400, h: 3_600, m: 60, s: 1 } as const;

const part = (unit: keyof typeof secondsPer) => `(?:(?<${unit}>\\d+(?:[.,]\\d+)?)${unit})?`;

const isoDuration = new RegExp(`^P(?=.)${part('w')}${part('d')}(?:T(?=.)${part('h')}${part('m')}${part('s')})?$`, 'i');

const shortDuration = new RegExp(`^(?=.)${part('w')}${part('d')}${part('h')}${part('m')}${part('s')}$`, 'i');

/**
 * Seconds in a duration: a number of minutes (`30`), a short form (`90s`, `2h`, `1d12h`) or ISO 8601 (`PT2H`). Years and
 * months have no fixed length and are not accepted.
 */
export function parseDuration(text: string): number | undefined {
  const compact = text.replace(/\s+/g, '');
  if (/^\d+(?:\.\d+)?$/.test(compact)) return Number(compact) * 60;
  const groups = (isoDuration.exec(compact) ?? shortDuration.exec(compact))?.groups;
  if (groups === undefined) return undefined;
  return Object.entries(secondsPer).reduce(
    (sum, [unit, seconds]) => sum + Number((groups[unit] ?? '0').replace(',', '.')) * seconds,
    0,
  );
}
