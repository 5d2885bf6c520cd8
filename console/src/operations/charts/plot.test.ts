// SPDX-License-Identifier: Apache-2.0
import { expect, it, vi } from 'vitest';

import { chartData } from './plot';

vi.mock('uplot', () => ({ default: {} }));

const LINE = { name: 'accepted', style: 'first' as const, values: [0, 2, 3] };
const BAND = { name: 'open', style: 'band' as const, values: [0, 1, 1] };

it('draws the running minute as a line of its own', () => {
  expect(chartData({ times: [1, 2, 3], lines: [LINE], partial: true, log: false, band: BAND })).toEqual([
    [1, 2, 3],
    [0, 2, null],
    [null, 2, 3],
    [0, 1, 1],
  ]);
});

it('draws 0 on a logarithmic axis', () => {
  const [, values] = chartData({ times: [1, 2, 3], lines: [LINE], partial: false, log: true, band: undefined });
  expect(values).toEqual([0.01, 2, 3]);
});
