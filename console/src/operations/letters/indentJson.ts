// SPDX-License-Identifier: Apache-2.0
import { jsonPieces } from '../../api/jsonPieces';

const TOKEN = /[{}[\],:]|[^\s{}[\],:]+/g;
const INDENT = '  ';

/**
 * Returns a JSON text with one member a line.
 *
 * Only white space changes. Parsing would not keep `1.0`, `1e400` and 9223372036854775807 as they were sent.
 */
export function indentJson(text: string): string {
  let depth = 0;
  let line = '';
  const lines: string[] = [];
  const endLine = (): void => {
    if (line) lines.push(line);
    line = INDENT.repeat(depth);
  };
  const tokens = [...tokensOf(text)];
  for (const [index, token] of tokens.entries()) {
    if (token === '{' || token === '[') {
      line += token;
      depth += 1;
      if (!isClosing(tokens[index + 1])) endLine();
    } else if (isClosing(token)) {
      depth -= 1;
      if (!isOpening(tokens[index - 1])) endLine();
      line += token;
    } else {
      line += token === ':' ? ': ' : token;
      if (token === ',') endLine();
    }
  }
  return [...lines, line].join('\n');
}

function* tokensOf(text: string): Generator<string> {
  for (const piece of jsonPieces(text)) {
    if (piece.isString) yield piece.text;
    else yield* piece.text.match(TOKEN) ?? [];
  }
}

const isOpening = (token: string | undefined): boolean => token === '{' || token === '[';
const isClosing = (token: string | undefined): boolean => token === '}' || token === ']';
