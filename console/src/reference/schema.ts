// SPDX-License-Identifier: Apache-2.0
// What a JSON Schema says, in words, and an example of a value.
import type { Json } from '../api/exactJson';
import { type Description, type MediaType, resolved, type Schema } from './openapi';

/** A schema may hold itself; deeper than this nothing is shown or made up. */
export const MAX_DEPTH = 6;

/** Returns a schema with its reference and its `allOf` resolved into one. */
export function merged(schema: Schema, description: Description): Schema {
  const own = resolved(schema, description);
  if (!own.allOf) return own;
  const { allOf, ...rest } = own;
  return [...allOf.map((part) => merged(part, description)), rest].reduce(combined, {});
}

/** Returns the type in words: `string`, `array of Metric`, `integer or null`. */
export function typeText(schema: Schema, description: Description): string {
  const own = merged(schema, description);
  if (own.type === 'array') return own.items ? `array of ${typeText(own.items, description)}` : 'array';
  if (own.properties) return own.title ?? 'object';
  const alternatives = own.type ? [] : (own.anyOf ?? own.oneOf ?? []);
  if (alternatives.length > 0)
    return [...new Set(alternatives.map((each) => typeText(each, description)))].join(' or ');
  return plainType(own);
}

function plainType(schema: Schema): string {
  if (schema.enum) return `one of ${schema.enum.map((each) => JSON.stringify(each)).join(', ')}`;
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  return Array.isArray(schema.type) ? schema.type.join(' or ') : (schema.type ?? rangeType(schema));
}

/** Returns the limits in words: `at most 250 characters`. */
export function limitTexts(schema: Schema): string[] {
  const { minimum, maximum, minLength, maxLength, minItems, maxItems, pattern } = schema;
  return [
    minimum !== undefined && `at least ${minimum}`,
    maximum !== undefined && `at most ${maximum}`,
    minLength && `at least ${minLength} character${minLength === 1 ? '' : 's'}`,
    maxLength !== undefined && `at most ${maxLength} characters`,
    minItems && `at least ${minItems} items`,
    maxItems !== undefined && `at most ${maxItems} items`,
    pattern && `matches ${pattern}`,
  ].filter((text) => typeof text === 'string');
}

/** Returns an example: the one that the schema gives, else one made of the types. */
export function exampleOf(schema: Schema, description: Description, depth = 0): Json {
  const own = merged(schema, description);
  const given = givenExample(own);
  if (given !== undefined) return given;
  if (depth >= MAX_DEPTH) return null;
  if (own.properties) return objectExample(own, description, depth);
  if (own.type === 'array' && own.items) return [exampleOf(own.items, description, depth + 1)];
  const alternatives = own.type ? [] : (own.oneOf ?? own.anyOf ?? []);
  const alternative = alternatives.find((each) => typeText(each, description) !== 'null');
  return alternative ? exampleOf(alternative, description, depth + 1) : plainExample(own);
}

/** Returns the example that a body's description gives, else one of its schema; undefined for a body of any form. */
export function exampleOfContent(media: MediaType, description: Description): Json | undefined {
  const given = media.example ?? Object.values(media.examples ?? {})[0]?.value;
  return given ?? (media.schema && exampleOf(media.schema, description));
}

function givenExample({ example, examples, const: constant, default: usual, enum: values }: Schema): Json | undefined {
  // A default of null says only that the field may be left out.
  return [example, examples?.[0], constant, usual ?? undefined, values?.[0]].find((value) => value !== undefined);
}

function objectExample(schema: Schema, description: Description, depth: number): Json {
  const properties = Object.entries(schema.properties ?? {});
  const required = new Set([...(schema.required ?? []), ...(schema.anyOf?.[0]?.required ?? [])]);
  const named = required.size > 0 ? properties.filter(([name]) => required.has(name)) : properties;
  return Object.fromEntries(named.map(([name, each]) => [name, exampleOf(each, description, depth + 1)]));
}

const PLAIN_EXAMPLES: Record<string, Json> = {
  integer: 0,
  number: 0,
  boolean: false,
  array: [],
  object: {},
  null: null,
};

function plainExample(schema: Schema): Json {
  const type = (Array.isArray(schema.type) ? schema.type[0] : schema.type) ?? rangeType(schema);
  if (typeof schema.minimum === 'number' && schema.minimum > 0) return schema.minimum;
  return PLAIN_EXAMPLES[type] ?? (type === 'null' ? null : 'string');
}

function rangeType({ minimum, maximum }: Schema): string {
  return minimum !== undefined || maximum !== undefined ? 'integer' : 'any';
}

/** Joins two parts of an `allOf`. A later part's limits and texts stand before an earlier one's. */
function combined(one: Schema, other: Schema): Schema {
  const properties = { ...one.properties };
  for (const [name, schema] of Object.entries(other.properties ?? {}))
    properties[name] = { ...properties[name], ...schema };
  const required = [...new Set([...(one.required ?? []), ...(other.required ?? [])])];
  return {
    ...one,
    ...other,
    ...(Object.keys(properties).length > 0 && { properties }),
    ...(required.length > 0 && { required }),
  };
}
