/** Seconds of a Retry-After header in either of its forms (RFC 9110, 10.2.3). */
export function retryAfterSeconds(header: string | undefined, answeredAt?: string): number | undefined {
  if (!header) return undefined;
  const seconds = Number(header);
  if (Number.isFinite(seconds)) return Math.max(0, seconds);
  const until = Date.parse(header);
  const from = Date.parse(answeredAt ?? '');
  return Number.isNaN(until)
    ? undefined
    : Math.max(0, Math.round((until - (Number.isNaN(from) ? Date.now() : from)) / 1000));
}

/** Network says in words, not in a header, when a resource that another operation holds is free again. */
export function retrySecondsInText(text: string): number | undefined {
  const seconds = /can be retried in (\d+) seconds/i.exec(text)?.[1];
  return seconds === undefined ? undefined : Number(seconds);
}

const secondsPer = { W: 604_800, D: 86_400, H: 3_600, M: 60, S: 1 } as const;

const amount = (unit: keyof typeof secondsPer) => `(?:(?<${unit}>\\d+(?:[.,]\\d+)?)${unit})?`;

const durationPattern = new RegExp(
  `^P(?=.)${amount('W')}${amount('D')}(?:T(?=.)${amount('H')}${amount('M')}${amount('S')})?$`,
  'i',
);

/**
 * Seconds in an ISO 8601 duration of weeks, days, hours, minutes and seconds. Years and months have no fixed length and
 * are not understood.
 */
export function parseDuration(text: string): number | undefined {
  const groups = durationPattern.exec(text)?.groups;
  if (groups === undefined) return undefined;
  let seconds = 0;
  for (const [unit, length] of Object.entries(secondsPer)) {
    seconds += Number((groups[unit] ?? '0').replace(',', '.')) * length;
  }
  return seconds;
}
