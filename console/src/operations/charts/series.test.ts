// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import { chartSentence, percentilesOf, perSecond, type SeriesDocument, timesOf, valuesOf } from './series';

const DOCUMENT: SeriesDocument = {
  step: 60,
  begin: '2026-11-29T14:00:00Z',
  partial: true,
  series: {
    accepted: { kind: 'counter', values: [60, null, 30] },
    lag: { kind: 'histogram', p50: [0.1], p95: [0.9] },
  },
};
const BEGIN = Date.parse(DOCUMENT.begin);

it('divides the running minute by the part of it that has passed', () => {
  expect(perSecond(DOCUMENT, 'accepted', BEGIN + 150_000)).toEqual([1, null, 1]);
  expect(perSecond({ ...DOCUMENT, partial: false }, 'accepted', BEGIN + 150_000)).toEqual([1, null, 0.5]);
});

it('says nothing about a minute that has just begun', () => {
  expect(perSecond(DOCUMENT, 'accepted', BEGIN + 125_000)).toEqual([1, null, null]);
});

it('has no values for what the bridge does not know', () => {
  expect(valuesOf(DOCUMENT, 'unknown')).toEqual([]);
  expect(valuesOf(DOCUMENT, 'lag')).toEqual([]);
  expect(percentilesOf(DOCUMENT, 'lag').p95).toEqual([0.9]);
});

it('knows when each value was', () => {
  expect(timesOf(DOCUMENT, 2)).toEqual([BEGIN / 1000, BEGIN / 1000 + 60]);
});

it('says a chart in a sentence', () => {
  const lines = [
    { name: 'accepted', values: [1, null, 12.54] },
    { name: 'buried', values: [null] },
  ];
  expect(chartSentence('Writes per second', lines, 60)).toBe(
    'Writes per second, the last 60 minutes: accepted latest 12.5, highest 12.5; buried has no values.',
  );
});
