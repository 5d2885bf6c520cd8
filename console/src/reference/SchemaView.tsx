// SPDX-License-Identifier: Apache-2.0
// A JSON Schema as a list of its fields.
import { type Description, resolved, type Schema } from './openapi';
import { limitTexts, MAX_DEPTH, merged, typeText } from './schema';

interface Props {
  schema: Schema;
  description: Description;
  depth?: number;
}

export function SchemaView({ schema, description, depth = 0 }: Props) {
  const own = merged(schema, description);
  const inner = own.type === 'array' && own.items ? merged(own.items, description) : own;
  const alternatives = inner.properties ? [] : (inner.oneOf ?? inner.anyOf ?? []);
  if (depth >= MAX_DEPTH) return null;
  return (
    <>
      {own.description && depth === 0 && <p className="prose">{own.description}</p>}
      {inner.properties && (
        <ul className="schema">
          {Object.entries(inner.properties).map(([name, field]) => (
            <Field
              key={name}
              name={name}
              schema={field}
              required={inner.required?.includes(name) ?? false}
              description={description}
              depth={depth}
            />
          ))}
        </ul>
      )}
      {alternatives
        .filter((each) => hasFields(each, description))
        .map((each, index) => (
          <details key={index} className="schema-alternative">
            <summary>One of: {alternativeName(each, description)}</summary>
            <SchemaView schema={each} description={description} depth={depth + 1} />
          </details>
        ))}
    </>
  );
}

function Field({
  name,
  schema,
  required,
  description,
  depth,
}: {
  name: string;
  schema: Schema;
  required: boolean;
  description: Description;
  depth: number;
}) {
  const own = merged(schema, description);
  return (
    <li>
      <code>{name}</code> <span className="schema-type">{typeText(schema, description)}</span>
      {required && ' required'}
      {limitTexts(own).map((limit) => `, ${limit}`)}
      {own.description && <div>{own.description}</div>}
      {hasFields(schema, description) && <SchemaView schema={schema} description={description} depth={depth + 1} />}
    </li>
  );
}

function hasFields(schema: Schema, description: Description): boolean {
  const own = merged(schema, description);
  const inner = own.items ? merged(own.items, description) : own;
  return Boolean(
    inner.properties ?? (inner.oneOf ?? inner.anyOf)?.some((each) => merged(each, description).properties),
  );
}

/** Returns the name of an alternative: its distinguishing constant, else its title. */
function alternativeName(schema: Schema, description: Description): string {
  const own = merged(schema, description);
  const constant = Object.values(own.properties ?? {}).find((field) => field.const !== undefined);
  return constant ? String(constant.const) : (resolved(schema, description).title ?? own.title ?? 'object');
}
