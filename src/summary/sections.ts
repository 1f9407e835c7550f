import { type Markdown, link, table } from '../lib/escape.ts';
import type { SummaryFacts } from './summary-facts.ts';

/** Rows that a table of the summary shows at most. */
export const maxRows = 100;

export function limited(heading: readonly string[], rows: readonly (readonly Markdown[])[]): Markdown {
  const shown = table(heading, rows.slice(0, maxRows));
  return rows.length > maxRows ? `${shown}\n\nAnd ${rows.length - maxRows} more.` : shown;
}

export function toPortal(
  label: Markdown,
  id: string | undefined,
  tenant: string,
  { portal }: SummaryFacts,
): Markdown {
  // Shared and community galleries have IDs that the portal does not open.
  const url =
    portal && id && /^\/subscriptions\//i.test(id) ? `${portal}/#@${tenant}/resource${id}` : undefined;
  return link(label, url);
}

export function idsIn(list: string | undefined): readonly string[] {
  return JSON.parse(list ?? '[]') as string[];
}

/** Within the deployment's group the type and the name are enough. */
export function shortId(id: string, { wanted, subscriptionId }: SummaryFacts): string {
  const group = `/subscriptions/${subscriptionId ?? wanted?.subscriptionId}/resourceGroups/${wanted?.resourceGroup}/providers/`;
  const inside = id.toLowerCase().startsWith(group.toLowerCase()) ? id.slice(group.length) : undefined;
  return inside && inside.split('/').length === 3 ? inside.replace(/^[^/]+\//, '') : id;
}

export function scalar(value: string): string {
  const isPlain = /^(?:[A-Za-z./][\w./@:-]*|[0-9a-f-]{36}|\$\{\{ secrets\.\w+ \}\})$/.test(value);
  return isPlain && !/:$|: |^(?:true|false|null|yes|no|on|off|y|n)$/i.test(value)
    ? value
    : JSON.stringify(value);
}
