// SPDX-License-Identifier: Apache-2.0
// What a JSON Schema says, in words, and an example of a value.
import type { Json } from '../api/exactJson';
import { type MediaType, type OpenApiDocument, resolveReference, type Schema } from './openapi';

/** A schema may contain itself. Below this depth, no fields are shown and no example is made. */
export const MAX_DEPTH = 6;

/** Returns a schema with its reference and its `allOf` resolved into one. */
export function mergeSchema(schema: Schema, document: OpenApiDocument): Schema {
  const resolved = resolveReference(schema, document);
  if (!resolved.allOf) return resolved;
  const { allOf, ...siblings } = resolved;
  return [...allOf.map((part) => mergeSchema(part, document)), siblings].reduce(joinSchemas, {});
}

/** Returns the type in words: `string`, `array of Metric`, `integer or null`. */
export function typeText(schema: Schema, document: OpenApiDocument): string {
  const mergedSchema = mergeSchema(schema, document);
  if (mergedSchema.type === 'array')
    return mergedSchema.items ? `array of ${typeText(mergedSchema.items, document)}` : 'array';
  if (mergedSchema.properties) return mergedSchema.title ?? 'object';
  const alternatives = mergedSchema.type ? [] : (mergedSchema.anyOf ?? mergedSchema.oneOf ?? []);
  if (alternatives.length > 0) return [...new Set(alternatives.map((each) => typeText(each, document)))].join(' or ');
  return scalarTypeText(mergedSchema);
}

function scalarTypeText(schema: Schema): string {
  if (schema.enum) return `one of ${schema.enum.map((each) => JSON.stringify(each)).join(', ')}`;
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  return Array.isArray(schema.type) ? schema.type.join(' or ') : (schema.type ?? impliedType(schema));
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
export function exampleOf(schema: Schema, document: OpenApiDocument, depth = 0): Json {
  const mergedSchema = mergeSchema(schema, document);
  const stated = statedExample(mergedSchema);
  if (stated !== undefined) return stated;
  if (depth >= MAX_DEPTH) return null;
  if (mergedSchema.properties) return objectExample(mergedSchema, document, depth);
  if (mergedSchema.type === 'array' && mergedSchema.items) return [exampleOf(mergedSchema.items, document, depth + 1)];
  const alternatives = mergedSchema.type ? [] : (mergedSchema.oneOf ?? mergedSchema.anyOf ?? []);
  const alternative = alternatives.find((each) => typeText(each, document) !== 'null');
  return alternative ? exampleOf(alternative, document, depth + 1) : scalarExample(mergedSchema);
}

/** Returns the example that a body's description gives, else one of its schema; undefined for a body of any form. */
export function exampleOfContent(media: MediaType, document: OpenApiDocument): Json | undefined {
  const stated = media.example ?? Object.values(media.examples ?? {})[0]?.value;
  return stated ?? (media.schema && exampleOf(media.schema, document));
}

function statedExample({
  example,
  examples,
  const: constantValue,
  default: defaultValue,
  enum: values,
}: Schema): Json | undefined {
  // A default of null says only that the field may be left out.
  return [example, examples?.[0], constantValue, defaultValue ?? undefined, values?.[0]].find(
    (value) => value !== undefined,
  );
}

function objectExample(schema: Schema, document: OpenApiDocument, depth: number): Json {
  const properties = Object.entries(schema.properties ?? {});
  const required = new Set([...(schema.required ?? []), ...(schema.anyOf?.[0]?.required ?? [])]);
  const shown = required.size > 0 ? properties.filter(([name]) => required.has(name)) : properties;
  return Object.fromEntries(shown.map(([name, each]) => [name, exampleOf(each, document, depth + 1)]));
}

const SCALAR_EXAMPLES: Record<string, Json> = {
  integer: 0,
  number: 0,
  boolean: false,
  array: [],
  object: {},
  null: null,
};

function scalarExample(schema: Schema): Json {
  const type = (Array.isArray(schema.type) ? schema.type[0] : schema.type) ?? impliedType(schema);
  if (typeof schema.minimum === 'number' && schema.minimum > 0) return schema.minimum;
  return SCALAR_EXAMPLES[type] ?? (type === 'null' ? null : 'string');
}

/** Returns the type of a schema that states none: a range is one of integers. */
function impliedType({ minimum, maximum }: Schema): string {
  return minimum !== undefined || maximum !== undefined ? 'integer' : 'any';
}

/** Joins two parts of an `allOf`. A later part's limits and texts stand before an earlier one's. */
function joinSchemas(earlier: Schema, later: Schema): Schema {
  const properties = { ...earlier.properties };
  for (const [name, schema] of Object.entries(later.properties ?? {}))
    properties[name] = { ...properties[name], ...schema };
  const required = [...new Set([...(earlier.required ?? []), ...(later.required ?? [])])];
  return {
    ...earlier,
    ...later,
    ...(Object.keys(properties).length > 0 && { properties }),
    ...(required.length > 0 && { required }),
  };
}
