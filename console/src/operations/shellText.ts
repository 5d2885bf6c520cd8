// SPDX-License-Identifier: Apache-2.0
// Commands for a POSIX shell: quoting, and calls of the bridge with curl. A key is never in them, `$KEY` is.

/** Beyond this, a body goes into a here-document: terminals show long words badly. */
const MAX_QUOTED_CHARACTERS = 1000;
const SAFE_WORD = /^[\w.:@%+=,/-]+$/;

export interface ShellCall {
  method: string;
  /** Path and query. */
  path: string;
  /** The exact text of the body. */
  body?: string;
  headers?: Record<string, string>;
}

/** Returns a text as one word of a POSIX shell. */
export function shellWord(text: string): string {
  return SAFE_WORD.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** Returns an option of a command with its value. A value that begins with `-` is not read as an option. */
export function option(name: string, value: string): string {
  return value.startsWith('-') ? `${name}=${shellWord(value)}` : `${name} ${shellWord(value)}`;
}

/** Returns a call as a command for curl. The body is sent byte for byte. */
export function curlOf({ method, path, body, headers = {} }: ShellCall, origin: string): string {
  const words = [`curl -sS${method === 'GET' ? '' : ` -X ${method}`}`, '--oauth2-bearer "$KEY"'];
  for (const [name, value] of Object.entries(headers)) words.push(`-H ${shellWord(`${name}: ${value}`)}`);
  if (body !== undefined) words.push("-H 'Content-Type: application/json'");
  words.push(shellWord(origin + path));
  if (body === undefined) return words.join(' \\\n  ');
  if (body.length <= MAX_QUOTED_CHARACTERS) return [...words, `--data-binary ${quoted(body)}`].join(' \\\n  ');
  const end = endMark(body);
  return `${[...words, `--data-binary @- <<'${end}'`].join(' \\\n  ')}\n${body}\n${end}`;
}

/** A body that begins with `@` would name a file, but a JSON document never does. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Returns a word that is no line of the text. */
function endMark(text: string): string {
  const lines = new Set(text.split('\n'));
  let mark = 'END';
  while (lines.has(mark)) mark += '_';
  return mark;
}
