// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import { momentText, spanText } from './time';

it.each([
  [-5, '0 seconds'],
  [1000, '1 second'],
  [59_400, '59 seconds'],
  [60_000, '1 minute'],
  [4.5 * 60_000, '4 minutes'],
  [3_600_000, '1 hour'],
  [3 * 86_400_000, '3 days'],
])('reads %d ms as %s', (milliseconds, text) => {
  expect(spanText(milliseconds)).toBe(text);
});

it('returns what is no moment as it is', () => {
  expect(momentText('soon')).toBe('soon');
});
