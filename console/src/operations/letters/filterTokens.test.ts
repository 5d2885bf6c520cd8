// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import { filterOfTokens, tokensOf } from './filterTokens';

const token = (propertyKey: string, value: string) => ({ propertyKey, operator: '=' as const, value });

it('gives back the filter that it shows', () => {
  const filter = { reason: 'refused', client: 'nightly', since: '24h' };
  expect(filterOfTokens(tokensOf(filter))).toEqual({ filter, problem: null });
});

it('lets a second value of a field replace the first', () => {
  const tokens = [token('client', 'a'), token('reason', 'expired'), token('client', ' b ')];
  expect(filterOfTokens({ tokens, operation: 'and' }).filter).toEqual({ client: 'b', reason: 'expired' });
});

it('leaves a value out that is not valid, and says why', () => {
  const read = filterOfTokens({ tokens: [token('until', 'soon'), token('op', 'set-tag')], operation: 'and' });
  expect(read.filter).toEqual({ op: 'set-tag' });
  expect(read.problem).toContain('“soon” is no time');
});
