// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import { durationText, quantityText, rateText, shareText, sizeText } from './figures';

it.each([
  [0, '0 bytes'],
  [1000, '1,000 bytes'],
  [44_032, '43 KiB'],
  [2_958_161, '2.82 MiB'],
  [2 ** 31, '2 GiB'],
])('reads %d bytes as %s', (bytes, text) => {
  expect(sizeText(bytes)).toBe(text.replace(' ', '\u00a0'));
});

it.each([
  [0, '0 s'],
  [0.004, '4 ms'],
  [0.12, '0.12 s'],
  [59.96, '60 s'],
  [252, '4.2 min'],
  [259_200, '3 days'],
])('reads %d seconds as %s', (seconds, text) => {
  expect(durationText(seconds)).toBe(text.replace(' ', '\u00a0'));
});

it('reads rates, shares and counts', () => {
  expect(rateText(12.54)).toBe('12.5/s');
  expect(rateText(0)).toBe('0/s');
  expect(shareText(2_958_161, 2 ** 31)).toBe('0.14\u00a0%');
  expect(quantityText(1, 'run')).toBe('1 run');
  expect(quantityText(1204, 'run')).toBe('1,204 runs');
});
