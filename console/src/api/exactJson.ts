// SPDX-License-Identifier: Apache-2.0
// Reads and writes JSON with exact integers.
//
// Steps and timestamps go to 2^63 - 1, which a JavaScript number rounds. Integers that a number cannot hold become
// `bigint` here. Not every browser passes the source text of a number to `JSON.parse`'s reviver, so
// this module marks such integers in the text first.

import { jsonPieces } from './jsonPieces';

/** A value of a JSON document, with `bigint` for integers beyond 2^53. */
export type Json = null | boolean | number | bigint | string | Json[] | { [name: string]: Json };

const NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
/** 2^53 has 16 digits: a text without such a number has no integer that a number cannot hold. */
const LONG_NUMBER = /\d{16}/;

/** Parses a JSON text. Throws `SyntaxError` for a text that is not JSON. */
export function parseExactJson(text: string): Json {
  if (!LONG_NUMBER.test(text)) return JSON.parse(text) as Json;
  const mark = newMark();
  return JSON.parse(markUnsafeIntegers(text, mark), (_name, value: unknown) =>
    typeof value === 'string' && value.startsWith(mark) ? BigInt(value.slice(mark.length)) : value,
  ) as Json;
}

/** Returns the JSON text of a value, indented for reading, or on one line. */
export function formatExactJson(value: unknown, indent = 2): string {
  const mark = newMark();
  const marked = JSON.stringify(
    value,
    (_name, member: unknown) => (typeof member === 'bigint' ? mark + member.toString() : member),
    indent,
  );
  return (marked ?? '').replaceAll(new RegExp(`"${mark}(-?\\d+)"`, 'g'), '$1');
}

/** Returns a JSON text indented, and a text that is not JSON as it is. */
export function prettyJson(text: string): string {
  try {
    return formatExactJson(parseExactJson(text));
  } catch {
    return text;
  }
}

/** Returns the beginning of the strings that stand for integers. Random, so that no string of a document has it. */
function newMark(): string {
  return `integer ${Math.random().toString(36).slice(2)} `;
}

/** Returns the text with strings in place of integers that a number cannot hold. */
function markUnsafeIntegers(text: string, mark: string): string {
  const marked: string[] = [];
  for (const piece of jsonPieces(text)) {
    marked.push(
      piece.isString
        ? piece.text
        : piece.text.replace(NUMBER, (token) => (isUnsafeInteger(token) ? JSON.stringify(mark + token) : token)),
    );
  }
  return marked.join('');
}

function isUnsafeInteger(token: string): boolean {
  return /^-?\d+$/.test(token) && !Number.isSafeInteger(Number(token));
}
