// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import { linkTarget } from './mlflowLink';

it.each([
  ['#/experiments/7/runs/abc?x=1', { runId: 'abc' }],
  ['#/experiments/7/runs/abc/model-metrics', { runId: 'abc' }],
  ['#/experiments/7?searchFilter=', { experimentId: '7' }],
  ['#/experiments', null],
  ['#/models/x', null],
  ['', null],
])('reads %s', (hash, place) => {
  expect(linkTarget(hash)).toEqual(place);
});
