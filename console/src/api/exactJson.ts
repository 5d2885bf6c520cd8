// SPDX-License-Identifier: Apache-2.0
// Reads and writes JSON with exact integers.
//
// Steps and timestamps go to 2^63 - 1, which a JavaScript number rounds. Integers that a number cannot hold become
// `bigint` here. Not every browser passes the source text of a number to `JSON.parse`'s reviver, so
// this module marks such integers in the text first.

/** A value of a JSON document, with `bigint` for integers beyond 2^53. */
export type Json = null | boolean | number | bigint | string | Json[] | { [name: string]: Json };

const INTEGER_MARK = '\u0000integer:';
const STRING_OR_NUMBER = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
/** 2^53 has 16 digits: a text without such a number has no integer that a number cannot hold. */
const LONG_NUMBER = /\d{16}/;

/** Parses a JSON text. Throws `SyntaxError` for a text that is not JSON. */
export function parseExactJson(text: string): Json {
  if (!LONG_NUMBER.test(text)) return JSON.parse(text) as Json;
  // `JSON.parse` refuses a raw U+0000, so a string of the document never begins with the mark.
  const marked = text.replace(STRING_OR_NUMBER, (token) =>
    isUnsafeInteger(token) ? JSON.stringify(INTEGER_MARK + token) : token,
  );
  return JSON.parse(marked, (_name, value: unknown) =>
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

function isUnsafeInteger(token: string): boolean {
  return /^-?\d+$/.test(token) && !Number.isSafeInteger(Number(token));
}
