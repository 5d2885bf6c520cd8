// SPDX-License-Identifier: Apache-2.0
// Reads and writes JSON with exact integers.
//
// Steps and timestamps go to 2^63 - 1, which a JavaScript number rounds. Integers that a number cannot hold become
// `bigint` here. Not every browser passes the source text of a number to `JSON.parse`'s reviver, so
// this module marks such integers in the text first.

/** A value of a JSON document, with `bigint` for integers beyond 2^53. */
export type Json = null | boolean | number | bigint | string | Json[] | { [name: string]: Json };

const INTEGER_MARK = '\u0000integer:';
const NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
/** 2^53 has 16 digits: a text without such a number has no integer that a number cannot hold. */
const LONG_NUMBER = /\d{16}/;

/** Parses a JSON text. Throws `SyntaxError` for a text that is not JSON. */
export function parseExactJson(text: string): Json {
  if (!LONG_NUMBER.test(text)) return JSON.parse(text) as Json;
  // `JSON.parse` refuses a raw U+0000, so a string of the document never begins with the mark.
  return JSON.parse(markUnsafeIntegers(text), (_name, value: unknown) =>
    typeof value === 'string' && value.startsWith(INTEGER_MARK) ? BigInt(value.slice(INTEGER_MARK.length)) : value,
  ) as Json;
}

/** Returns the JSON text of a value, indented for reading, or on one line. */
export function formatExactJson(value: unknown, indent = 2): string {
  const marked = JSON.stringify(
    value,
    (_name, member: unknown) => (typeof member === 'bigint' ? INTEGER_MARK + member.toString() : member),
    indent,
  );
  return (marked ?? '').replaceAll(/"\\u0000integer:(-?\d+)"/g, '$1');
}

/** Returns a JSON text indented, and a text that is not JSON as it is. */
export function prettyJson(text: string): string {
  try {
    return formatExactJson(parseExactJson(text));
  } catch {
    return text;
  }
}

/** Returns the text with strings in place of integers that a number cannot hold. */
function markUnsafeIntegers(text: string): string {
  const parts: string[] = [];
  let begin = 0;
  while (begin < text.length) {
    const quote = text.indexOf('"', begin);
    const opening = quote < 0 ? text.length : quote;
    const outside = text.slice(begin, opening);
    parts.push(
      outside.replace(NUMBER, (token) => (isUnsafeInteger(token) ? JSON.stringify(INTEGER_MARK + token) : token)),
    );
    begin = endOfString(text, opening);
    parts.push(text.slice(opening, begin));
  }
  return parts.join('');
}

/** Returns the index after a string. A regular expression for it overflows the stack on a string of some megabytes. */
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

function isUnsafeInteger(token: string): boolean {
  return /^-?\d+$/.test(token) && !Number.isSafeInteger(Number(token));
}
