export type Json = Readonly<Record<string, unknown>>;

export function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch {
    return undefined;
  }
}

export type MergePatch = { readonly [key: string]: unknown };

export function asObject(value: unknown): Json {
  return typeof value === 'object' && value !== null ? (value as Json) : {};
}

export function asString(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/**
 * JSON Merge Patch: objects merge, null removes, everything else replaces (RFC 7396, section 2). Keys match in any case,
 * as Resource Manager reads them, and keep the target's spelling: it must not get both `vmSize` and `VMSize`.
 */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isJson(patch)) return patch;
  const merged = new Map(isJson(target) ? Object.entries(target) : []);
  for (const [key, value] of Object.entries(patch)) {
    const spelled = [...merged.keys()].find((known) => known.toLowerCase() === key.toLowerCase()) ?? key;
    if (value === null) merged.delete(spelled);
    else merged.set(spelled, mergePatch(merged.get(spelled), value));
  }
  return Object.fromEntries(merged);
}

type WithoutUndefined<Fields> = { [Key in keyof Fields]?: Exclude<Fields[Key], undefined> };

/** Drops fields that are undefined, for objects that are spread over others or compared by their keys. */
export function omitUndefined<Fields extends object>(fields: Fields): WithoutUndefined<Fields> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;
}

/** A resource of Azure in the shape of the SDK's models, which hold what the API puts into `properties`. */
export function flattenProperties(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(flattenProperties);
  if (!isJson(value)) return value;
  const { properties, ...rest } = value;
  const inner = Object.entries({ ...rest, ...asObject(properties) });
  return Object.fromEntries(inner.map(([key, field]) => [key, flattenProperties(field)]));
}
