import type { Call } from '../../http/provider.ts';
import { notModelled } from '../../model/arm-error.ts';

export const namespace = 'Microsoft.Authorization';

/** The scope: the path before `/providers/Microsoft.Authorization`. */
export function scopeOf(call: Call): string {
  return call.resourceId.slice(0, call.resourceId.toLowerCase().lastIndexOf(`/providers/${namespace.toLowerCase()}/`));
}

/**
 * Parses `a eq 'b' and atScope()`.
 *
 * @throws ArmError 501 for any other expression.
 */
export function parseFilter(text: string | undefined, names: readonly string[]): Record<string, string> {
  const read: Record<string, string> = {};
  for (const part of (text ?? '').split(/\s+and\s+/i)) {
    if (part.trim() === '') continue;
    const equals = /^\s*\(?\s*(\w+)\s+eq\s+'([^']*)'\s*\)?\s*$/i.exec(part);
    const call = /^\s*(\w+)\(\s*(?:'([^']*)')?\s*\)\s*$/.exec(part);
    const name = (equals ?? call)?.[1];
    if (name === undefined || !names.some((candidate) => candidate.toLowerCase() === name.toLowerCase())) {
      throw notModelled(`$filter part ${part}`);
    }
    read[name.toLowerCase()] = (equals ?? call)?.[2] ?? '';
  }
  return read;
}
