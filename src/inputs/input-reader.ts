import { parseDocument } from 'yaml';
import { type ResourceId, isGuid, parseResourceId } from '../azure/resource-id.ts';
import type { InputName } from './inputs.ts';

/** One thing that is wrong with one input. The message never contains a secret. */
export interface InputIssue {
  readonly input: string;
  readonly message: string;
}

/** What was given, for a message: on one line and not endless. */
export function quoteValue(text: string): string {
  return JSON.stringify(text.length > 300 ? `${text.slice(0, 297)}...` : text);
}

/**
 * Turns the strings of a workflow into values. A fault does not end the reading: it is kept, and a stand-in is returned,
 * so that one error can name everything that is wrong.
 */
export class InputReader<Name extends string> {
  readonly faults: InputIssue[] = [];
  /** Whether something arrived empty that must not be: then it is worth saying where secrets are not given out. */
  missing = false;
  readonly #get: (name: string) => string;
  readonly #defaults: Readonly<Record<Name, string>>;

  constructor(get: (name: string) => string, defaults: Readonly<Record<Name, string>>) {
    this.#get = get;
    this.#defaults = defaults;
  }

  addIssue(input: Name, message: string): void {
    this.faults.push({ input, message });
  }

  addMissing(input: Name, message: string): void {
    this.missing = true;
    this.addIssue(input, message);
  }

  /** As it arrived, not trimmed; nothing if it is blank. */
  raw(name: Name): string | undefined {
    const value = this.#get(name);
    return value.trim() === '' ? undefined : value;
  }

  /** Trimmed; the default where nothing was given. */
  text(name: Name): string | undefined {
    return (this.raw(name)?.trim() ?? this.#defaults[name]) || undefined;
  }

  required(name: Name): string {
    const value = this.text(name);
    if (value === undefined) this.addMissing(name, 'is required, but is missing or arrived empty.');
    return value ?? '';
  }

  /** Whether the workflow asks for something else than the default. */
  isGiven(name: Name): boolean {
    const value = this.text(name);
    const usual = this.#defaults[name];
    if (value === undefined || value.toLowerCase() === usual.toLowerCase()) return false;
    // A number may be written in several ways.
    return usual === '' || Number(value) !== Number(usual);
  }

  /** Faults each of the inputs that is given although another input leaves nothing for it to do. */
  rejectIfGiven(names: readonly Name[], reason: string): void {
    for (const name of names) {
      if (this.isGiven(name)) this.addIssue(name, `cannot be used here: ${reason}.`);
    }
  }

  /** `rule` completes the sentence "… is not". */
  pattern(name: Name, pattern: RegExp, rule: string): string | undefined {
    const value = this.text(name);
    if (value !== undefined && !pattern.test(value))
      this.addIssue(name, `${quoteValue(value)} is not ${rule}.`);
    return value;
  }

  guid(name: Name): string | undefined {
    const value = this.text(name)?.toLowerCase();
    if (value !== undefined && !isGuid(value)) {
      this.addIssue(name, `${quoteValue(value)} is not a GUID (00000000-0000-0000-0000-000000000000).`);
    }
    return value;
  }

  /** A tenant by its GUID or by one of its domains, in lower case. */
  tenant(name: Name, text: string): string {
    const domain = /^(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]$/i;
    if (text !== '' && !isGuid(text) && !domain.test(text)) {
      const rule = 'neither the GUID nor a verified domain (contoso.onmicrosoft.com) of a tenant';
      this.addIssue(name, `${quoteValue(text)} is ${rule}.`);
    }
    return text.toLowerCase();
  }

  /** One of the legal values, in any case. */
  oneOf<Legal extends string>(name: Name, legal: readonly [Legal, ...Legal[]]): Legal | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    const found = legal.find((one) => one.toLowerCase() === value.toLowerCase());
    if (found === undefined) this.addIssue(name, `${quoteValue(value)} is none of: ${legal.join(', ')}.`);
    return found ?? legal[0];
  }

  boolean(name: Name): boolean {
    return this.oneOf(name, ['false', 'true']) === 'true';
  }

  number(
    name: Name,
    rule: { readonly accepts: (value: number) => boolean; readonly said: string },
  ): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
    if (!rule.accepts(value)) this.addIssue(name, `${quoteValue(text)} is not ${rule.said}.`);
    return value;
  }

  minutes(name: Name, most: number, { orNone = false } = {}): number {
    const said = `a number of minutes from ${orNone ? '0' : 'above 0'} to ${most}`;
    return (
      this.number(name, { accepts: (value) => (orNone ? value >= 0 : value > 0) && value <= most, said }) ?? 0
    );
  }

  /** Entries, one per line, without blank ones and repetitions; commas also separate where the entries hold none. */
  list(name: Name, separator: RegExp = /[\n,]/): readonly string[] {
    const entries = (this.text(name) ?? '').split(separator).map((entry) => entry.trim());
    const seen = new Map(
      entries.filter((entry) => entry !== '').map((entry) => [entry.toLowerCase(), entry]),
    );
    return [...seen.values()];
  }

  /** ID of an existing resource of one type, such as `Microsoft.Network/networkInterfaces`. */
  resourceId(name: Name, type: string): ResourceId | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    const id = parseResourceId(value);
    if (id?.type === type.toLowerCase()) return id;
    const [namespace, ...types] = type.split('/');
    const shape = `/subscriptions/…/resourceGroups/…/providers/${namespace}/${types.map((part) => `${part}/…`).join('/')}`;
    this.addIssue(name, `${quoteValue(value)} is not the ID of a resource of type ${type} (${shape}).`);
    return undefined;
  }

  /** A YAML or JSON object with values of any kind. */
  map(name: Name): Readonly<Record<string, unknown>> {
    return this.#yaml(name, 'core');
  }

  /** A YAML or JSON object of texts. Numbers and booleans keep their spelling: a tag `1.10` does not become 1.1. */
  textMap(name: Name): Readonly<Record<string, string>> {
    const texts: [string, string][] = [];
    for (const [key, value] of Object.entries(this.#yaml(name, 'failsafe'))) {
      if (typeof value === 'string') texts.push([key, value]);
      else this.addIssue(name, `${quoteValue(key)} holds a list or an object, not a text.`);
    }
    return Object.fromEntries(texts);
  }

  #yaml(name: Name, schema: 'core' | 'failsafe'): Readonly<Record<string, unknown>> {
    const text = this.raw(name);
    if (text === undefined) return {};
    const parsed = parseMap(text, schema);
    if ('map' in parsed) return parsed.map;
    this.addIssue(name, `${parsed.fault}.`);
    return {};
  }
}

/** Reads a YAML or JSON object. `failsafe` leaves every value a text, `core` makes numbers, booleans and null. */
export function parseMap(
  text: string,
  schema: 'core' | 'failsafe',
): { readonly map: Readonly<Record<string, unknown>> } | { readonly fault: string } {
  const document = parseDocument(text, { schema, logLevel: 'silent' });
  const [error] = document.errors;
  if (error) {
    // The parser's own message quotes the text, which may hold secrets: only the place and the kind are passed on.
    const place = error.linePos?.[0];
    const where = place ? `line ${place.line}, column ${place.col}: ` : '';
    return { fault: `is neither YAML nor JSON (${where}${error.code})` };
  }
  // Nothing but comments.
  if (document.contents === null) return { map: {} };
  let value: unknown;
  try {
    value = document.toJS();
  } catch {
    return { fault: 'uses YAML aliases in a way that cannot be resolved' };
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { map: { ...value } };
  return { fault: 'is not a YAML or JSON object (lines of "name: value", or {"name": "value"})' };
}

/** What the inputs are read against, all of it the runner's. */
export interface RunnerValues {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Content of a file; nothing if it cannot be read. */
  readonly readFile: (path: string) => Buffer | undefined;
  /** The path with links resolved; nothing if there is no such file. */
  readonly realPath: (path: string) => string | undefined;
  /** Has the runner hide a text in all logs. */
  readonly mask: (secret: string) => void;
}

export type Reader = InputReader<InputName>;
