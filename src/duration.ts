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
