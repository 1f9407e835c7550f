/** A value as one word of a shell command. Placeholders stay bare: they must be replaced anyway. */
export function quoteForShell(value: string): string {
  return /^(?:[\w@%+=:,./-]|<[\w-]+>)+$/.test(value) ? value : `'${value.replaceAll("'", String.raw`'\''`)}'`;
}
