// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import { indentJson } from './indentJson';

it('changes white space alone', () => {
  const text = '{"a":[1.0,1e400,9223372036854775807,"x, {y}: \\"z\\""],"b":{},"c":[],"d":{"e":null}}';
  expect(indentJson(text)).toBe(`{
  "a": [
    1.0,
    1e400,
    9223372036854775807,
    "x, {y}: \\"z\\""
  ],
  "b": {},
  "c": [],
  "d": {
    "e": null
  }
}`);
});

it('keeps a text that is one value', () => {
  expect(indentJson(' "a b" ')).toBe('"a b"');
  expect(indentJson('')).toBe('');
});

it('keeps a string of 16 million characters', () => {
  const profile = JSON.stringify('a "quoted" part: [1, {2}]; '.repeat(600_000));
  expect(indentJson(`{"profile":${profile}}`)).toBe(`{\n  "profile": ${profile}\n}`);
});
