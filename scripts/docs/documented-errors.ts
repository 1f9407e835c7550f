import sources from './error-sources.json' with { type: 'json' };
import { type Entries, fillPlaceholders } from '../../src/error-catalog/entry.ts';
import { entriesByGroup, explanationOf } from '../../src/error-catalog/explain.ts';
import type { AzureErrorInfo, Explanation } from '../../src/errors/errors.ts';

const emptyError: AzureErrorInfo = {
  status: 0,
  code: '',
  message: '',
  details: [],
  method: '',
  url: '',
  body: '',
};

/** A catalogue entry with placeholders instead of the values of a run. */
export interface DocumentedError extends Explanation {
  readonly title: string;
  readonly says: string;
  /** Where the text or its meaning is documented, quoted or recorded. */
  readonly source: string;
}

const sourceOf: Readonly<Record<string, string>> = sources;

/** Returns the error catalogue for the documentation, by group. */
export function documentedErrors(): readonly {
  readonly group: string;
  readonly entries: readonly DocumentedError[];
}[] {
  const empty = { ...fillPlaceholders({}), ...emptyError };
  const documented = ([title, entryFor]: [string, Entries[string]]): DocumentedError => {
    const { says } = entryFor(empty);
    const explanation = explanationOf(entryFor({ ...empty, message: says }));
    return { title, says, source: sourceOf[title] ?? '', ...explanation };
  };
  return Object.entries(entriesByGroup).map(([group, entries]) => ({
    group,
    entries: Object.entries(entries).map(documented),
  }));
}
