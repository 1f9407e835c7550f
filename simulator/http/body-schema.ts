/**
 * Validates request bodies against the API's schema. Unknown properties and values of the wrong type get Azure's error;
 * properties that Azure knows but the simulator does not model get a 501.
 */
import { ArmError, notModelled } from '../model/arm-error.ts';
import type { Json } from '../model/contract.ts';

/**
 * - `'string' | 'boolean' | 'integer' | 'number'`: a value of that type.
 * - `'any'`: not checked here (maps, free-form objects, values that a later rule checks).
 * - `'readonly'`: returned by Azure, ignored in requests.
 * - `'unmodelled'`: known to the API but not to the simulator: 501 unless null, an empty list or an empty object.
 * - `{oneOf: [...]}`: exactly one of those strings; anything else gives 501.
 * - `{type, members}`: an object of the named type; `[schema]`: a list.
 */
export type Schema =
  | 'string'
  | 'boolean'
  | 'integer'
  | 'number'
  | 'any'
  | 'readonly'
  | 'unmodelled'
  | EnumSchema
  | ObjectSchema
  | readonly [Schema];

export interface EnumSchema {
  readonly oneOf: readonly string[];
}

export interface ObjectSchema {
  /** The API's type name, for the error text: `object of type 'Subnet'`. */
  readonly type: string;
  readonly members: Readonly<Record<string, Schema>>;
}

/** Builds the provider's error for a body that does not match its schema. */
export type SchemaError = (path: string, message: string) => ArmError;

/**
 * Microsoft.Network: 400 InvalidRequestFormat with the parser's message in `details`, as quoted in public reports
 * ("Could not find member 'x' on object of type 'Y'. Path '…'").
 */
export const networkSchemaError: SchemaError = (_path, message) =>
  new ArmError(400, 'InvalidRequestFormat', 'Cannot parse the request.', {
    details: [{ code: 'InvalidJson', message }],
  });

/** Resource Manager: 400 InvalidRequestContent. */
export const gatewaySchemaError: SchemaError = (_path, message) =>
  new ArmError(
    400,
    'InvalidRequestContent',
    `The request content was invalid and could not be deserialized: '${message}'.`,
    { gateway: true },
  );

/**
 * Checks `body` against `schema`. Azure's parsers ignore the case of member names; `exactNames` accepts only the
 * schema's spelling.
 *
 * @throws ArmError for the first member that does not fit.
 */
export function checkBody(
  body: Json,
  schema: ObjectSchema,
  error: SchemaError,
  { exactNames = false }: { exactNames?: boolean } = {},
): void {
  checkValue(body, schema, '', { error, exactNames });
}

interface CheckOptions {
  readonly error: SchemaError;
  readonly exactNames: boolean;
}

function checkValue(value: unknown, schema: Schema, path: string, options: CheckOptions): void {
  if (value === null || value === undefined || schema === 'any' || schema === 'readonly') return;
  if (schema === 'unmodelled') {
    if (typeof value === 'object' && Object.keys(value).length === 0) return;
    throw notModelled(`property '${path}' of the request body`);
  }
  const typeError = (expected: string): ArmError =>
    options.error(path, `Error converting value ${JSON.stringify(value)} to type '${expected}'. Path '${path}'.`);
  if (typeof schema === 'string') {
    const { type, accepts } = scalars[schema];
    if (!accepts(value)) throw typeError(type);
    return;
  }
  if (isList(schema)) {
    if (!Array.isArray(value)) throw typeError('System.Collections.Generic.List');
    value.forEach((item, index) => {
      checkValue(item, schema[0], `${path}[${index}]`, options);
    });
    return;
  }
  if ('oneOf' in schema) {
    checkEnum(value, schema, path);
    return;
  }
  if (typeof value !== 'object' || Array.isArray(value)) throw typeError(schema.type);
  checkMembers(value, schema, path, options);
}

function checkEnum(value: unknown, { oneOf }: EnumSchema, path: string): void {
  // Azure's error for other values was not recorded for any property.
  if (typeof value === 'string' && oneOf.includes(value)) return;
  throw notModelled(`${path} = ${JSON.stringify(value)}, which is none of ${oneOf.join(', ')}`);
}

function checkMembers(value: object, schema: ObjectSchema, path: string, options: CheckOptions): void {
  for (const [name, member] of Object.entries(value)) {
    const memberPath = path === '' ? name : `${path}.${name}`;
    const known = Object.keys(schema.members).find((candidate) =>
      options.exactNames ? candidate === name : candidate.toLowerCase() === name.toLowerCase(),
    );
    const memberSchema = known === undefined ? undefined : schema.members[known];
    if (memberSchema === undefined) {
      throw options.error(
        memberPath,
        `Could not find member '${name}' on object of type '${schema.type}'. Path '${memberPath}'.`,
      );
    }
    checkValue(member, memberSchema, memberPath, options);
  }
}

/** .NET type names, as Azure's parser reports them. */
const scalars = {
  string: { type: 'System.String', accepts: (value: unknown) => typeof value === 'string' },
  boolean: { type: 'System.Boolean', accepts: (value: unknown) => typeof value === 'boolean' },
  integer: { type: 'System.Int32', accepts: (value: unknown) => Number.isInteger(value) },
  number: { type: 'System.Double', accepts: (value: unknown) => typeof value === 'number' },
} as const;

function isList(schema: Schema): schema is readonly [Schema] {
  return Array.isArray(schema);
}
