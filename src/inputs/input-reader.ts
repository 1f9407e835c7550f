import { parseDocument } from 'yaml';
import { type ResourceId, isGuid, parseResourceId } from '../azure/resource-id.ts';
import { parseDuration } from '../lib/duration.ts';
import { type Json, isJson } from '../lib/json.ts';
import { type InputIssue, type InputName, inputDefaults } from './inputs.ts';

/** A value as it was given, for a message: on one line and at most 300 characters. */
export function quoteValue(text: string): string {
  return JSON.stringify(text.length > 300 ? `${text.slice(0, 297)}...` : text);
}

type Parsed<T> = T | { readonly error: string };

const parseNumber = (text: string) => (/^-?\d+(\.\d+)?$/.test(text) ? Number(text) : undefined);

/** Turns the strings of a workflow into values. Each mistake is an issue, so that one error can name them all. */
export class Reader {
  readonly issues: InputIssue[] = [];
  /** A required value is empty: the error then explains where GitHub withholds secrets. */
  missing = false;
  readonly #get: (name: string) => string;

  constructor(get: (name: string) => string) {
    this.#get = get;
  }

  addIssue(input: InputName, message: string): void {
    this.issues.push({ input, message });
  }

  addMissing(input: InputName, message: string): void {
    this.missing = true;
    this.addIssue(input, message);
  }

  /** `problem` continues the sentence that begins with the value: `is not …`. */
  addInvalid(input: InputName, value: string, problem: string): void {
    this.addIssue(input, `${quoteValue(value)} ${problem}${/[.?]$/.test(problem) ? '' : '.'}`);
  }

  /** The value again, after `validate` has said what is wrong with it, if anything. */
  validated(input: InputName, value: string, validate: (value: string) => string | undefined): string {
    const problem = validate(value);
    if (problem !== undefined) this.addInvalid(input, value, problem);
    return value;
  }

  parse<T extends object>(input: InputName, text: string, parser: (text: string) => Parsed<T>): T | undefined {
    const parsed = parser(text);
    if (!('error' in parsed)) return parsed;
    this.addInvalid(input, text, parsed.error);
    return undefined;
  }

  parseEach<T extends object>(name: InputName, parser: (text: string) => Parsed<T>): readonly T[] {
    return this.list(name).flatMap((entry) => this.parse(name, entry, parser) ?? []);
  }

  /** The untrimmed value; undefined if it is blank. */
  raw(name: InputName): string | undefined {
    const value = this.#get(name);
    return value.trim() === '' ? undefined : value;
  }

  /** The trimmed value, or the default. */
  text(name: InputName): string | undefined {
    return (this.raw(name)?.trim() ?? inputDefaults[name]) || undefined;
  }

  required(name: InputName): string {
    const value = this.text(name);
    if (value === undefined) this.addMissing(name, 'is required, but is missing or arrived empty.');
    return value ?? '';
  }

  /** Whether the value differs from the default. */
  isGiven(name: InputName): boolean {
    const value = this.text(name);
    const usual: string = inputDefaults[name];
    if (value === undefined || value.toLowerCase() === usual.toLowerCase()) return false;
    // 60 and 60.0 are the same number.
    return usual === '' || Number(value) !== Number(usual);
  }

  /** Reports each of the inputs that is given although another input leaves it without effect. */
  rejectIfGiven(names: readonly InputName[], reason: string): void {
    for (const name of names) {
      if (this.isGiven(name)) this.addIssue(name, `cannot be used here: ${reason}.`);
    }
  }

  /** `rule` completes the sentence "… is not". */
  pattern(name: InputName, pattern: RegExp, rule: string): string | undefined {
    const value = this.text(name);
    if (value !== undefined && !pattern.test(value)) this.addInvalid(name, value, `is not ${rule}`);
    return value;
  }

  guid(name: InputName): string | undefined {
    const value = this.text(name)?.toLowerCase();
    // The value is not shown: a secret pasted here would be printed, in lower case and therefore unmasked.
    if (value !== undefined && !isGuid(value)) {
      this.addIssue(name, 'is not a GUID (00000000-0000-0000-0000-000000000000).');
    }
    return value;
  }

  /** A tenant by its GUID or by one of its domains, in lower case. */
  tenant(name: InputName, text: string): string {
    const domain = /^(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]$/i;
    if (text !== '' && !isGuid(text) && !domain.test(text)) {
      this.addIssue(name, 'is neither the GUID nor a verified domain (contoso.onmicrosoft.com) of a tenant.');
    }
    return text.toLowerCase();
  }

  /** One of the legal values, in any case. */
  oneOf<Legal extends string>(name: InputName, legal: readonly Legal[]): Legal | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    const found = legal.find((one) => one.toLowerCase() === value.toLowerCase());
    if (found === undefined) this.addInvalid(name, value, `is none of: ${legal.join(', ')}`);
    return found ?? legal[0];
  }

  boolean(name: InputName): boolean {
    return this.oneOf(name, ['false', 'true']) === 'true';
  }

  /** `rule.accepts` is false for NaN; `rule.text` completes the sentence "… is not". */
  number(
    name: InputName,
    rule: { readonly accepts: (value: number) => boolean; readonly text: string },
    parse = parseNumber,
  ): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = parse(text) ?? Number.NaN;
    if (!rule.accepts(value)) this.addInvalid(name, text, `is not ${rule.text}`);
    return value;
  }

  /** Minutes, from a number of minutes or a duration such as `90s`, `2h` or `PT2H`. */
  minutes(name: InputName, max: number, { allowZero = false } = {}): number {
    const accepts = (seconds: number) => seconds <= max * 60 && (allowZero || seconds > 0);
    const text = `a duration ${allowZero ? 'from 0' : 'above 0'} to ${max} minutes (30, 90s, 2h, PT2H)`;
    return (this.number(name, { accepts, text }, parseDuration) ?? 0) / 60;
  }

  /** Entries without blank ones and repetitions, one per line; by default commas also separate. */
  list(name: InputName, separator?: RegExp): readonly string[] {
    return [...new Map(this.entries(name, separator).map((entry) => [entry.toLowerCase(), entry])).values()];
  }

  /** Like `list`, with repeated entries. */
  entries(name: InputName, separator: RegExp = /[\n,]/): readonly string[] {
    const entries = (this.text(name) ?? '').split(separator).map((entry) => entry.trim());
    return entries.filter((entry) => entry !== '');
  }

  /** ID of an existing resource of one type, such as `Microsoft.Network/networkInterfaces`. */
  resourceId(name: InputName, type: string): ResourceId | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    const id = parseResourceId(value);
    if (id?.type === type.toLowerCase()) return id;
    const [namespace, ...types] = type.split('/');
    const shape = `/subscriptions/…/resourceGroups/…/providers/${namespace}/${types.map((part) => `${part}/…`).join('/')}`;
    this.addInvalid(name, value, `is not the ID of a resource of type ${type} (${shape})`);
    return undefined;
  }

  /** A YAML or JSON object of strings. Numbers and booleans keep their spelling: a tag `1.10` does not become 1.1. */
  textMap(name: InputName): Readonly<Record<string, string>> {
    const texts: [string, string][] = [];
    for (const [key, value] of Object.entries(this.map(name, 'failsafe'))) {
      if (typeof value === 'string') texts.push([key, value]);
      else this.addInvalid(name, key, 'holds a list or an object, not a text');
    }
    return Object.fromEntries(texts);
  }

  /** A YAML or JSON object with values of any kind; see `parseMap`. */
  map(name: InputName, schema: 'core' | 'failsafe' = 'core'): Readonly<Record<string, unknown>> {
    const text = this.raw(name);
    if (text === undefined) return {};
    const parsed = parseMap(text, schema);
    if ('map' in parsed) return parsed.map;
    this.addIssue(name, `${parsed.error}.`);
    return {};
  }
}

/** Reads a YAML or JSON object. With `failsafe` every scalar is a string; `core` knows numbers, booleans and null. */
export function parseMap(text: string, schema: 'core' | 'failsafe'): Parsed<{ readonly map: Json }> {
  const document = parseDocument(text, { schema, logLevel: 'silent' });
  const [error] = document.errors;
  if (error) {
    // The parser's message quotes the text, which may contain secrets: only position and error code are shown.
    const place = error.linePos?.[0];
    const where = place ? `line ${place.line}, column ${place.col}: ` : '';
    return { error: `is neither YAML nor JSON (${where}${error.code})` };
  }
  // Only comments.
  if (document.contents === null) return { map: {} };
  let value: unknown;
  try {
    value = document.toJS();
  } catch {
    return { error: 'uses YAML aliases in a way that cannot be resolved' };
  }
  if (isJson(value)) return { map: { ...value } };
  return { error: 'is not a YAML or JSON object (lines of "name: value", or {"name": "value"})' };
}

/** The runner's part of reading inputs. */
export interface RunnerValues {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The webhook payload of the workflow run. */
  readonly event?: unknown;
  /** Content of a file; undefined if it cannot be read. */
  readonly readFile: (path: string) => Buffer | undefined;
  /** The path with links resolved; undefined if there is no such file. */
  readonly realPath: (path: string) => string | undefined;
  /** Hides a text in all logs. */
  readonly mask: (secret: string) => void;
}
