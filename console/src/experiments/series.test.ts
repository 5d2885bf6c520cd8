// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import type { Metric } from './mlflow';
import { seriesOf, seriesSentence, sortedPoints } from './series';

function point(step: Metric['step'], value: Metric['value'], timestamp: Metric['timestamp'] = 1): Metric {
  return { key: 'loss', value, timestamp, ...(step !== undefined && { step }) };
}

it('orders by step, and takes the latest value of a step', () => {
  expect(seriesOf([point(2, 0.2), point(1, 0.9, 1), point(1, 0.5, 2), point(undefined, 1)])).toEqual({
    steps: [0, 1, 2],
    values: [1, 0.5, 0.2],
  });
});

it('leaves a gap for what is no finite number', () => {
  expect(seriesOf([point(1, 'NaN'), point(2, 'Infinity'), point(3, 1)]).values).toEqual([null, null, 1]);
});

it('keeps steps apart that are equal as numbers', () => {
  const [first, second] = sortedPoints([point(9223372036854775807n, 2), point(9223372036854775806n, 1)]);
  expect([first?.step, second?.step]).toEqual([9223372036854775806n, 9223372036854775807n]);
});

it('reads MLflow integers that are strings', () => {
  expect(seriesOf([point('10', 1), point('9', 2)]).steps).toEqual([9, 10]);
});

it('says what the chart shows', () => {
  expect(seriesSentence('loss', { steps: [0, 1, 2], values: [1, null, 0.5] })).toBe(
    'Chart of loss: 2 values from step 0 to 2, first 1, last 0.5, least 0.5, most 1.',
  );
  expect(seriesSentence('loss', { steps: [], values: [] })).toBe('Chart of loss: no finite values.');
});
