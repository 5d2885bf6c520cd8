// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import { neighboursIn } from './neighbours';

it('finds the letters before and after', () => {
  expect(neighboursIn(['a', 'b', 'c'], 'b')).toEqual({ before: 'a', after: 'c' });
  expect(neighboursIn(['a', 'b'], 'b')).toEqual({ before: 'a', after: null });
});

it('leads from a letter that is not in the list to the first that is', () => {
  expect(neighboursIn(['a', 'b'], 'x')).toEqual({ before: null, after: 'a' });
  expect(neighboursIn([], 'x')).toEqual({ before: null, after: null });
});
