// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import { isSilent, versionsOf } from './worker';

it('names different versions once each', () => {
  expect(versionsOf([{ version: '0.2.0' }, { version: '0.1.9' }, { version: '0.2.0' }])).toEqual(['0.1.9', '0.2.0']);
  expect(versionsOf([{ version: null }])).toEqual(['unknown']);
});

it('notices a worker that does not report', () => {
  const now = Date.parse('2026-11-29T14:00:30Z');
  expect(isSilent({ reported_at: '2026-11-29T14:00:28Z' }, now)).toBe(false);
  expect(isSilent({ reported_at: '2026-11-29T14:00:00Z' }, now)).toBe(true);
});
