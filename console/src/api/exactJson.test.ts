// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';

import { formatExactJson, parseExactJson, prettyJson } from './exactJson';

describe('parseExactJson', () => {
  it('reads a string of 20 million characters beside a large integer', () => {
    const profile = 'a "quoted" \\ part, 12345678901234567890; '.repeat(500_000);
    const text = `{"profile":${JSON.stringify(profile)},"step":9223372036854775807}`;

    expect(parseExactJson(text)).toStrictEqual({ profile, step: 9223372036854775807n });
  });

  it('keeps a string that looks like a marked integer', () => {
    const text = String.raw`{"tag":"\u0000integer:7","other":"integer x 7","step":9223372036854775807}`;

    const value = parseExactJson(text);

    expect(value).toStrictEqual({ tag: '\u0000integer:7', other: 'integer x 7', step: 9223372036854775807n });
    expect(formatExactJson(value, 0)).toBe(text);
  });

  it('keeps the largest step exact', () => {
    expect(parseExactJson('{"step":9223372036854775807,"n":-9223372036854775808}')).toEqual({
      step: 9223372036854775807n,
      n: -9223372036854775808n,
    });
  });

  it('leaves numbers alone that a number holds', () => {
    expect(parseExactJson('[9007199254740991, 0.1234567890123456789, 1e30]')).toEqual([
      9007199254740991, 0.12345678901234568, 1e30,
    ]);
  });

  it('leaves digits in strings alone', () => {
    const text = '{"a":"\\"9223372036854775807","9223372036854775807":"x"}';
    expect(parseExactJson(text)).toEqual(JSON.parse(text));
  });

  it('refuses what is not JSON', () => {
    expect(() => parseExactJson('{"a":9223372036854775807')).toThrow(SyntaxError);
  });
});

describe('formatExactJson', () => {
  it('writes what was read', () => {
    const text = '{"step":9223372036854775807,"values":[1.5,null,true,"9223372036854775807"]}';
    expect(formatExactJson(parseExactJson(text), 0)).toBe(text);
  });
});

describe('prettyJson', () => {
  it('returns a text that is not JSON as it is', () => {
    expect(prettyJson('<html>')).toBe('<html>');
  });
});
