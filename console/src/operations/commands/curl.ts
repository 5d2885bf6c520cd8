// SPDX-License-Identifier: Apache-2.0
// A call of the API as a command for a POSIX shell.

export interface ApiCall {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Path and query. */
  path: string;
  /** The JSON text of the body, sent as it stands here. */
  body?: string;
  headers?: Record<string, string>;
}

/** A longer body goes into a here-document, where it needs no quotes. */
const MAX_INLINE_CHARACTERS = 400;
const END_OF_BODY = 'END-OF-BODY';

/** Returns the call for curl. `$MLFLOW_TRACKING_TOKEN` stands in place of the visitor's key. */
export function curlOf({ method, path, body, headers = {} }: ApiCall, origin: string): string {
  const lines = [
    method === 'GET'
      ? `curl -sS ${quoteForShell(origin + path)}`
      : `curl -sS -X ${method} ${quoteForShell(origin + path)}`,
    '--oauth2-bearer "$MLFLOW_TRACKING_TOKEN"',
  ];
  for (const [name, value] of Object.entries(headers)) lines.push(`-H ${quoteForShell(`${name}: ${value}`)}`);
  if (body === undefined) return lines.join(' \\\n  ');
  lines.push("-H 'Content-Type: application/json'");
  if (body.length <= MAX_INLINE_CHARACTERS && !body.includes('\n')) {
    lines.push(`--data-binary ${quoteForShell(body)}`);
    return lines.join(' \\\n  ');
  }
  lines.push(`--data-binary @- <<'${END_OF_BODY}'`);
  return `${lines.join(' \\\n  ')}\n${body}\n${END_OF_BODY}`;
}

/** Returns a command of the bridge's own, its arguments quoted where they need to be. */
export function bridgeCommand(...words: (string | number | null | undefined)[]): string {
  const present = words.filter((word) => word !== null && word !== undefined && word !== '');
  return ['mlflow-bridge', ...present.map((word) => quoteIfNeeded(String(word)))].join(' ');
}

function quoteIfNeeded(text: string): string {
  return /^[\w.:@%+=,/-]+$/.test(text) ? text : quoteForShell(text);
}

function quoteForShell(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
