// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import { momentText } from '../../api/time';
import { absoluteFilter, fieldProblem, filterOptions, letterFilterWords } from './letterFilter';

const NOW = new Date('2026-11-29T14:02:40.512Z');
const SINCE = '2026-11-28T14:02:00Z';

it('says a filter in words', () => {
  expect(letterFilterWords({ client: 'nightly', reason: 'refused', since: '24h' })).toBe(
    'reason refused, client nightly, given up in the last 24 hours',
  );
  expect(letterFilterWords({ since: '1d', until: SINCE })).toBe(
    `given up in the last 1 day, given up before ${momentText(SINCE)}`,
  );
});

it('says that an empty filter means all', () => {
  expect(letterFilterWords({})).toBe('all dead letters, without a filter');
  expect(filterOptions({})).toEqual(['--all']);
});

it('gives the options of the command', () => {
  expect(filterOptions({ run_id: 'a3f1', error_code: 'INVALID_PARAMETER_VALUE', client: "it's" })).toEqual([
    '--error-code',
    'INVALID_PARAMETER_VALUE',
    '--client',
    "it's",
    '--run',
    'a3f1',
  ]);
});

it('makes spans absolute, by the minute', () => {
  expect(absoluteFilter({ reason: 'refused', since: '24h' }, NOW)).toEqual({ reason: 'refused', since: SINCE });
  expect(absoluteFilter({ until: '2026-11-28T15:02:00+01:00' }, NOW)).toEqual({ until: SINCE });
});

it.each([
  ['reason', 'lost', 'is no reason'],
  ['since', 'yesterday', 'is no time'],
  ['until', '24h', 'is no time'],
  ['since', '2026-13-40', 'is no time'],
] as const)('refuses %s = %s', (field, value, problem) => {
  expect(fieldProblem(field, value)).toContain(problem);
});
