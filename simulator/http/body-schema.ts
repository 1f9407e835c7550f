/**
 * Holds a request body against the API's own model: a property that the API does not have is refused as Azure does, one
 * that it has but that the simulator does not model gives 501, a value of the wrong type is refused.
 */
import { ArmError, notModelled } from '../model/arm-error.ts';
import type { Json } from '../model/contract.ts';

/**
 * - `'string' | 'boolean' | 'integer' | 'number'`: a value of that type.
 * - `'any'`: taken as it is (maps, free objects).
 * - `'readonly'`: answered by Azure, ignored when sent.
 * - `'unmodelled'`: known to the API, not to the simulator: 501 unless null, empty list or empty object.
 * - `{oneOf: [...]}`: one of those texts, in that spelling; another gives 501.
 * - `{type, members}`: an object of the named type; `[shape]`: a list of it.
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
  /** Name of the API's type, as in the refusal: `object of type 'Subnet'`. */
  readonly type: string;
  readonly members: Readonly<Record<string, Schema>>;
}

/** How the provider in question words a body that does not fit its model. */
export type SchemaError = (path: string, message: string) => ArmError;

/**
 * Network's words: 400 InvalidRequestFormat with the parser's message in `details`
 * (quoted in many public reports: "Could not find member 'x' on object of type 'Y'. Path '…'").
 */
export const networkSchemaError: SchemaError = (_path, message) =>
  new ArmError(400, 'InvalidRequestFormat', 'Cannot parse the request.', {
    details: [{ code: 'InvalidJson', message }],
  });

/** The gateway's words for members that no resource has: 400 InvalidRequestContent. */
export const gatewaySchemaError: SchemaError = (_path, message) =>
  new ArmError(
    400,
    'InvalidRequestContent',
    `The request content was invalid and could not be deserialized: '${message}'.`,
    { gateway: true },
  );

/**
 * Throws the refusal for the first member of `body` that does not fit. Azure's parsers take member names in any case;
 * with `exactNames` only the model's spelling is known.
 */
export function checkBody(
  body: Json,
  shape: ObjectSchema,
  refusal: SchemaError,
  { exactNames = false }: { exactNames?: boolean } = {},
): void {
  checkValue(body, shape, '', refusal, exactNames);
}

function checkValue(
  value: unknown,
  shape: Schema,
  path: string,
  refusal: SchemaError,
  exactNames: boolean,
): void {
  if (value === null || value === undefined || shape === 'any' || shape === 'readonly') return;
  if (shape === 'unmodelled') {
    if (typeof value === 'object' && Object.keys(value).length === 0) return;
    throw notModelled(`property '${path}' of the request body`);
  }
  const wrong = (wanted: string): ArmError =>
    refusal(path, `Error converting value ${JSON.stringify(value)} to type '${wanted}'. Path '${path}'.`);
  if (typeof shape === 'string') {
    if (shape === 'string' && typeof value !== 'string') throw wrong('System.String');
    if (shape === 'boolean' && typeof value !== 'boolean') throw wrong('System.Boolean');
    if (shape === 'integer' && !Number.isInteger(value)) throw wrong('System.Int32');
    if (shape === 'number' && typeof value !== 'number') throw wrong('System.Double');
    return;
  }
  if (isList(shape)) {
    if (!Array.isArray(value)) throw wrong('System.Collections.Generic.List');
    value.forEach((item, index) => {
      checkValue(item, shape[0], `${path}[${index}]`, refusal, exactNames);
    });
    return;
  }
  if ('oneOf' in shape) {
    // What Azure says to another value is known of no property.
    if (typeof value !== 'string' || !shape.oneOf.includes(value)) {
      throw notModelled(`${path} = ${JSON.stringify(value)}, which is none of ${shape.oneOf.join(', ')}`);
    }
    return;
  }
  if (typeof value !== 'object' || Array.isArray(value)) throw wrong(shape.type);
  for (const [name, member] of Object.entries(value)) {
    const here = path === '' ? name : `${path}.${name}`;
    const known = Object.keys(shape.members).find((one) =>
      exactNames ? one === name : one.toLowerCase() === name.toLowerCase(),
    );
    const inner = known === undefined ? undefined : shape.members[known];
    if (inner === undefined) {
      throw refusal(
        here,
        `Could not find member '${name}' on object of type '${shape.type}'. Path '${here}'.`,
      );
    }
    checkValue(member, inner, here, refusal, exactNames);
  }
}

function isList(shape: Schema): shape is readonly [Schema] {
  return Array.isArray(shape);
}
