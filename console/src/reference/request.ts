// SPDX-License-Identifier: Apache-2.0
// The request that "try it" sends, and the same one for curl.
import type { Call, Parameter } from './openapi';

export interface TriedRequest {
  method: string;
  /** Path and query. */
  path: string;
  headers: Record<string, string>;
  body: string | null;
}

/** Builds the request of a call. `values` has the values of its parameters, by their names. */
export function buildRequest(
  { method, path, operation }: Call,
  values: Record<string, string>,
  body: { type: string; text: string } | null,
): TriedRequest {
  const filledParameters = (operation.parameters ?? []).filter(({ name }) => values[name]);
  const valueOf = ({ name }: Parameter): string => values[name] ?? '';
  const query = new URLSearchParams();
  const headers: Record<string, string> = {};
  let filledPath = path;
  for (const parameter of filledParameters) {
    const value = valueOf(parameter);
    if (parameter.in === 'path') filledPath = filledPath.replace(`{${parameter.name}}`, encodeURIComponent(value));
    if (parameter.in === 'query') query.set(parameter.name, value);
    if (parameter.in === 'header') headers[parameter.name] = value;
  }
  if (body) headers['Content-Type'] = body.type;
  return { method, path: query.size > 0 ? `${filledPath}?${query}` : filledPath, headers, body: body?.text ?? null };
}

/** Returns the names of required parameters that have no value. */
export function missingParameters({ operation }: Call, values: Record<string, string>): string[] {
  return (operation.parameters ?? []).filter(({ name, required }) => required && !values[name]).map(({ name }) => name);
}

/** Returns the request as a command for a POSIX shell, with `$KEY` in place of the visitor's key. */
export function curlCommand({ method, path, headers, body }: TriedRequest, origin: string): string {
  const lines = [`curl -sS -X ${method} ${quoteForShell(origin + path)}`, '--oauth2-bearer "$KEY"'];
  for (const [name, value] of Object.entries(headers)) lines.push(`-H ${quoteForShell(`${name}: ${value}`)}`);
  if (body !== null) lines.push(`--data-binary ${quoteForShell(body)}`);
  return lines.join(' \\\n  ');
}

function quoteForShell(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
