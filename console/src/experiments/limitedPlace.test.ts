// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import { limitedPlace } from './limitedPlace';

it.each([
  ['#/experiments/7/runs/abc?x=1', { runId: 'abc' }],
  ['#/experiments/7/runs/abc/model-metrics', { runId: 'abc' }],
  ['#/experiments/7?searchFilter=', { experimentId: '7' }],
  ['#/experiments', null],
  ['#/models/x', null],
  ['', null],
])('reads %s', (hash, place) => {
  expect(limitedPlace(hash)).toEqual(place);
});
