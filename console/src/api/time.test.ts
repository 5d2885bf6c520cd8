// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import { momentText, relativeText, shortMomentText, spanText } from './time';

it.each([
  [-5, '0 seconds'],
  [1000, '1 second'],
  [59_400, '59 seconds'],
  [60_000, '1 minute'],
  [4.5 * 60_000, '4 minutes'],
  [3_600_000, '1 hour'],
  [3 * 86_400_000 - 1000, '71 hours'],
  [3 * 86_400_000, '3 days'],
])('reads %d ms as %s', (milliseconds, text) => {
  expect(spanText(milliseconds)).toBe(text);
});

it('returns what is no moment as it is', () => {
  expect(momentText('soon')).toBe('soon');
});

it('reads distances from now', () => {
  const now = Date.parse('2026-11-29T14:00:00Z');
  expect(relativeText('2026-11-29T13:56:00Z', now)).toBe('4 minutes ago');
  expect(relativeText('2026-11-29T14:00:12Z', now)).toBe('in 12 seconds');
  expect(relativeText('2026-11-29T14:00:00.400Z', now)).toBe('now');
});

it('reads moments in UTC', () => {
  expect(momentText('2026-11-29T14:02:40Z', 'utc')).toBe('2026-11-29 14:02:40 UTC');
  const now = Date.parse('2026-11-29T23:00:00Z');
  expect(shortMomentText('2026-11-29T14:02:40Z', now, 'utc')).toBe('14:02:40');
  expect(shortMomentText('2026-11-28T14:02:40Z', now, 'utc')).toBe('2026-11-28 14:02:40');
});
