// SPDX-License-Identifier: Apache-2.0
// A JSON Schema as a list of its fields.
import { type OpenApiDocument, resolveReference, type Schema } from './openapi';
import { limitTexts, MAX_DEPTH, mergeSchema, typeText } from './schema';

interface Props {
  schema: Schema;
  document: OpenApiDocument;
  depth?: number;
}

export function SchemaView({ schema, document, depth = 0 }: Props) {
  const mergedSchema = mergeSchema(schema, document);
  // The fields of an array are those of its elements.
  const fieldSchema =
    mergedSchema.type === 'array' && mergedSchema.items ? mergeSchema(mergedSchema.items, document) : mergedSchema;
  const alternatives = fieldSchema.properties ? [] : (fieldSchema.oneOf ?? fieldSchema.anyOf ?? []);
  if (depth >= MAX_DEPTH) return null;
  return (
    <>
      {mergedSchema.description && depth === 0 && <p className="prose">{mergedSchema.description}</p>}
      {fieldSchema.properties && (
        <ul className="schema">
          {Object.entries(fieldSchema.properties).map(([name, field]) => (
            <Field
              key={name}
              name={name}
              schema={field}
              required={fieldSchema.required?.includes(name) ?? false}
              document={document}
              depth={depth}
            />
          ))}
        </ul>
      )}
      {alternatives
        .filter((each) => hasFields(each, document))
        .map((each, index) => (
          <details key={index} className="schema-alternative">
            <summary>One of: {alternativeName(each, document)}</summary>
            <SchemaView schema={each} document={document} depth={depth + 1} />
          </details>
        ))}
    </>
  );
}

function Field({
  name,
  schema,
  required,
  document,
  depth,
}: {
  name: string;
  schema: Schema;
  required: boolean;
  document: OpenApiDocument;
  depth: number;
}) {
  const mergedSchema = mergeSchema(schema, document);
  return (
    <li>
      <code>{name}</code> <span className="schema-type">{typeText(schema, document)}</span>
      {required && ' required'}
      {limitTexts(mergedSchema).map((limit) => `, ${limit}`)}
      {mergedSchema.description && <div>{mergedSchema.description}</div>}
      {hasFields(schema, document) && <SchemaView schema={schema} document={document} depth={depth + 1} />}
    </li>
  );
}

function hasFields(schema: Schema, document: OpenApiDocument): boolean {
  const mergedSchema = mergeSchema(schema, document);
  const fieldSchema = mergedSchema.items ? mergeSchema(mergedSchema.items, document) : mergedSchema;
  return Boolean(
    fieldSchema.properties ??
      (fieldSchema.oneOf ?? fieldSchema.anyOf)?.some((each) => mergeSchema(each, document).properties),
  );
}

/** Returns the name of an alternative: its distinguishing constant, else its title. */
function alternativeName(schema: Schema, document: OpenApiDocument): string {
  const mergedSchema = mergeSchema(schema, document);
  const constant = Object.values(mergedSchema.properties ?? {}).find((field) => field.const !== undefined);
  return constant
    ? String(constant.const)
    : (resolveReference(schema, document).title ?? mergedSchema.title ?? 'object');
}
