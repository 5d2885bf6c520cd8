// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import { callPath, definedFields, readCount, readOneOf, readText } from './search';

it('reads ids that look like numbers or booleans as texts', () => {
  expect(readText({ client: 123 }, 'client')).toBe('123');
  expect(readText({ client: true }, 'client')).toBe('true');
  expect(readText({ client: ' ' }, 'client')).toBeUndefined();
  expect(readText({ client: ['a'] }, 'client')).toBeUndefined();
});

it('drops what is not one of the values', () => {
  expect(readOneOf({ order: 'newest' }, 'order', ['oldest', 'newest'])).toBe('newest');
  expect(readOneOf({ order: 'sideways' }, 'order', ['oldest', 'newest'])).toBeUndefined();
});

it('reads whole numbers within limits', () => {
  expect(readCount({ limit: '50' }, 'limit', 1, 100)).toBe(50);
  expect(readCount({ limit: 101 }, 'limit', 1, 100)).toBeUndefined();
  expect(readCount({ limit: 'ten' }, 'limit', 1, 100)).toBeUndefined();
  expect(readCount({}, 'limit', 0, 100)).toBeUndefined();
});

it('leaves out what has no value', () => {
  expect(definedFields({ client: undefined, order: 'newest' })).toEqual({ order: 'newest' });
  expect(callPath('/v1/lanes', { client: 'a b', cursor: null, state: undefined, limit: 100 })).toBe(
    '/v1/lanes?client=a+b&limit=100',
  );
  expect(callPath('/v1/lanes', {})).toBe('/v1/lanes');
});
