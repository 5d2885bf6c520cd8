// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import { drainRateText, estimateText, parseRate, remainingText } from './estimate';

it.each([
  [1204, 20, 'about 60 seconds'],
  [1204, 5, 'about 4 minutes'],
  [1800, 20, 'about 90 seconds'],
  [100_000, 1, 'about 28 hours'],
  [1_000_000, 0.5, 'about 23 days'],
  [10, 20, 'less than a second'],
  [20, 20, 'about 1 second'],
  [7, null, 'as fast as the workers can'],
  [0, 20, 'nothing to do'],
])('estimates %d letters at %s a second: %s', (letters, rate, text) => {
  expect(estimateText(letters, rate)).toBe(text);
});

it('estimates the rest of a drain', () => {
  expect(remainingText({ done: 40, total: 812, rate: 20 })).toBe('about 39 seconds left');
  expect(remainingText({ done: 812, total: 812, rate: 20 })).toBeNull();
  expect(remainingText({ done: 900, total: 812, rate: 20 })).toBeNull();
  expect(remainingText({ done: 40, total: 812, rate: null })).toBeNull();
});

it.each([
  ['20', 20],
  [' 0.5 ', 0.5],
  ['', null],
  ['0', undefined],
  ['-1', undefined],
  ['fast', undefined],
  ['1e9', undefined],
])('reads the rate %j', (typed, rate) => {
  expect(parseRate(typed)).toBe(rate);
});

it('says a rate in words', () => {
  expect(drainRateText(1500)).toBe('1,500 a second');
  expect(drainRateText(null)).toBe('as fast as the workers can');
});
