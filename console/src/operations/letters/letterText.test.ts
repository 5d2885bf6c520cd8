// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import { filterOfCause } from './Causes';
import { letterTitle, resultText } from './letterText';

it('names the reason and the answer', () => {
  expect(letterTitle({ reason: 'refused', status: 400, error_code: 'INVALID_PARAMETER_VALUE' })).toBe(
    'Refused by upstream, 400 INVALID_PARAMETER_VALUE',
  );
  expect(letterTitle({ reason: 'newer', status: null, error_code: null })).toBe('Given up: newer');
});

it('says what was not there any more', () => {
  expect(resultText('Replayed', 2, 2)).toBe('Replayed 2 letters.');
  expect(resultText('Discarded', 1, 2)).toContain('1 letter was not there any more');
});

it('filters to a cause within what is shown', () => {
  const cause = {
    reason: 'expired',
    op: 'set-tag',
    error_code: null,
    message: '',
    count: 2,
    first: '',
    last: '',
    sample: 'a',
  };
  expect(filterOfCause(cause, { client: 'nightly', reason: 'refused' })).toEqual({
    client: 'nightly',
    reason: 'expired',
    op: 'set-tag',
  });
});
