// SPDX-License-Identifier: Apache-2.0
// The parts of an OpenAPI 3.1 document that the reference shows.
import { queryOptions } from '@tanstack/react-query';

import type { Json } from '../api/exactJson';
import { requestJson } from '../api/request';

export interface Schema {
  $ref?: string;
  title?: string;
  description?: string;
  type?: string | string[];
  format?: string;
  enum?: Json[];
  const?: Json;
  default?: Json;
  example?: Json;
  examples?: Json[];
  pattern?: string;
  minimum?: Json;
  maximum?: Json;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  additionalProperties?: boolean | Schema;
  allOf?: Schema[];
  anyOf?: Schema[];
  oneOf?: Schema[];
}

export interface Parameter {
  name: string;
  in: 'path' | 'query' | 'header' | 'cookie';
  required?: boolean;
  description?: string;
  schema?: Schema;
  example?: Json;
}

export interface MediaType {
  schema?: Schema;
  example?: Json;
  examples?: Record<string, { value?: Json; summary?: string }>;
}

export type Content = Record<string, MediaType>;

export interface Answer {
  description?: string;
  content?: Content;
}

export interface Operation {
  summary?: string;
  description?: string;
  tags?: string[];
  parameters?: Parameter[];
  requestBody?: { description?: string; required?: boolean; content: Content };
  responses: Record<string, Answer>;
}

export interface OpenApiDocument {
  info: { title: string; version: string; summary?: string; description?: string };
  paths: Record<string, Record<string, Operation | Parameter[] | string>>;
  components?: {
    schemas?: Record<string, Schema>;
    securitySchemes?: Record<string, { type: string; description?: string }>;
  };
}

/** An operation with its method and path. */
export interface Call {
  /** Names the operation in addresses: `get-v1-jobs-job_id`. */
  id: string;
  method: string;
  path: string;
  operation: Operation;
  group: string;
}

const METHODS = ['get', 'post', 'put', 'patch', 'delete', 'head', 'options'];

export const openApiQuery = queryOptions({
  queryKey: ['openapi'],
  queryFn: ({ signal }) => requestJson<OpenApiDocument>('/openapi.json', { signal }),
  staleTime: Number.POSITIVE_INFINITY,
});

/** Returns all operations in the order of the document. */
export function callsOf(document: OpenApiDocument): Call[] {
  return Object.entries(document.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => method in item).map((method) => {
      const operation = item[method] as Operation;
      const shared = (item['parameters'] ?? []) as Parameter[];
      return {
        id: `${method}${path.replaceAll(/[^\w]+/g, '-')}`.replace(/-$/, ''),
        method: method.toUpperCase(),
        path,
        operation: { ...operation, parameters: [...shared, ...(operation.parameters ?? [])] },
        group: operation.tags?.[0] ?? groupOfPath(path),
      };
    }),
  );
}

/** Returns the calls that hold each word of a text in their method, path or texts. */
export function matchingCalls(calls: Call[], text: string): Call[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return calls.filter(({ method, path, operation }) => {
    const searched = `${method} ${path} ${operation.summary ?? ''} ${operation.description ?? ''}`.toLowerCase();
    return words.every((word) => searched.includes(word));
  });
}

/** Returns the schema that a reference names, or the schema itself. */
export function resolveReference(schema: Schema, document: OpenApiDocument): Schema {
  if (!schema.$ref) return schema;
  const name = schema.$ref.split('/').at(-1) ?? '';
  return document.components?.schemas?.[name] ?? {};
}

function groupOfPath(path: string): string {
  if (path.startsWith('/api/') || path.startsWith('/ajax-api/')) return "MLflow's calls, queued";
  if (path.startsWith('/v1/dead-letters')) return 'Dead letters';
  return path.startsWith('/v1/') ? "The bridge's own calls" : 'Operations';
}
