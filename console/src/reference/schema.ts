// SPDX-License-Identifier: Apache-2.0
// What a JSON Schema says, in words, and an example of a value.
import type { Json } from '../api/exactJson';
import { type Description, resolved, type Schema } from './openapi';

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
  const alternatives = own.anyOf ?? own.oneOf;
  if (!own.type && alternatives?.some(({ type, $ref }) => type ?? $ref)) {
    return [...new Set(alternatives.map((each) => typeText(each, description)))].join(' or ');
  }
  if (own.type === 'array') return own.items ? `array of ${typeText(own.items, description)}` : 'array';
  if (own.properties) return own.title ?? 'object';
  if (own.enum) return `one of ${own.enum.map((each) => JSON.stringify(each)).join(', ')}`;
  if (own.const !== undefined) return JSON.stringify(own.const);
  return Array.isArray(own.type) ? own.type.join(' or ') : (own.type ?? rangeType(own));
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
  const given = own.example ?? own.examples?.[0] ?? own.const ?? own.default ?? own.enum?.[0];
  if (given !== undefined) return given;
  if (depth >= MAX_DEPTH) return null;
  if (own.properties) return objectExample(own, description, depth);
  const alternative = (own.oneOf ?? own.anyOf)?.find((each) => typeText(each, description) !== 'null');
  if (alternative && !own.type) return exampleOf(alternative, description, depth + 1);
  if (own.type === 'array') return own.items ? [exampleOf(own.items, description, depth + 1)] : [];
  return plainExample(own);
}

function objectExample(schema: Schema, description: Description, depth: number): Json {
  const properties = Object.entries(schema.properties ?? {});
  const required = new Set([...(schema.required ?? []), ...(schema.anyOf?.[0]?.required ?? [])]);
  const named = required.size > 0 ? properties.filter(([name]) => required.has(name)) : properties;
  return Object.fromEntries(named.map(([name, each]) => [name, exampleOf(each, description, depth + 1)]));
}

function plainExample(schema: Schema): Json {
  switch (Array.isArray(schema.type) ? schema.type[0] : (schema.type ?? rangeType(schema))) {
    case 'integer':
    case 'number':
      return typeof schema.minimum === 'number' && schema.minimum > 0 ? schema.minimum : 0;
    case 'boolean':
      return false;
    case 'array':
      return [];
    case 'object':
      return {};
    case 'null':
      return null;
    default:
      return 'string';
  }
}

function rangeType({ minimum, maximum }: Schema): string {
  return minimum !== undefined || maximum !== undefined ? 'integer' : 'any';
}

/** Joins two parts of an `allOf`. A later part's limits and texts stand before an earlier one's. */
function combined(one: Schema, other: Schema): Schema {
  const properties = { ...one.properties };
  for (const [name, schema] of Object.entries(other.properties ?? {})) properties[name] = { ...properties[name], ...schema };
  const required = [...new Set([...(one.required ?? []), ...(other.required ?? [])])];
  return {
    ...one,
    ...other,
    ...(Object.keys(properties).length > 0 && { properties }),
    ...(required.length > 0 && { required }),
  };
}
