// SPDX-License-Identifier: Apache-2.0

/** A part of a JSON text: a string with its quotes, or what stands between two strings. */
export interface JsonPiece {
  text: string;
  isString: boolean;
}

/**
 * Yields the pieces of a JSON text, in their order.
 *
 * A regular expression for strings overflows the stack on a string of some megabytes.
 */
export function* jsonPieces(text: string): Generator<JsonPiece> {
  let begin = 0;
  while (begin < text.length) {
    const quote = text.indexOf('"', begin);
    const opening = quote < 0 ? text.length : quote;
    if (opening > begin) yield { text: text.slice(begin, opening), isString: false };
    begin = endOfString(text, opening);
    if (begin > opening) yield { text: text.slice(opening, begin), isString: true };
  }
}

function endOfString(text: string, opening: number): number {
  let closing = text.indexOf('"', opening + 1);
  while (closing >= 0 && isEscaped(text, closing)) closing = text.indexOf('"', closing + 1);
  return closing < 0 ? text.length : closing + 1;
}

function isEscaped(text: string, index: number): boolean {
  let backslashes = 0;
  while (text[index - 1 - backslashes] === '\\') backslashes += 1;
  return backslashes % 2 === 1;
}
