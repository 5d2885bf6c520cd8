// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import {
  barsOf,
  type ClientUsageDocument,
  type Counts,
  sortedByMeasure,
  summedBars,
  usagePath,
  type UsageStep,
} from './usage';
import { measureText } from './usageText';

const NONE: Counts = {
  requests: 0,
  writes: 0,
  bytes: 0,
  denied: 0,
  limited: 0,
  refused: 0,
  prompt_tokens: 0,
  completion_tokens: 0,
  models: {},
};
const PAGE = { step: 3600, begin: '2026-11-29T10:00:00Z', clients: [] };
const NOW = new Date('2026-11-29T13:30:00Z');

const step = (at: string, requests: number): UsageStep => ({ ...NONE, at, requests });
const client = (name: string, hours: UsageStep[]): ClientUsageDocument => ({
  client: name,
  hours,
  total: { ...NONE, requests: hours.reduce((sum, each) => sum + each.requests, 0) },
});

it('shows hours without a request as such', () => {
  const bars = barsOf([step('2026-11-29T11:00:00Z', 5)], 'requests', PAGE, NOW);
  expect(bars.map(({ value }) => value)).toEqual([0, 5, 0, 0]);
  expect(bars[1]?.at).toBe('2026-11-29T11:00:00.000Z');
});

it('adds up clients', () => {
  const clients = [
    client('a', [step('2026-11-29T10:00:00Z', 1)]),
    client('b', [step('2026-11-29T10:00:00Z', 2), step('2026-11-29T13:00:00Z', 4)]),
  ];
  expect(summedBars(clients, 'requests', PAGE, NOW).map(({ value }) => value)).toEqual([3, 0, 0, 4]);
  expect(summedBars([], 'requests', PAGE, NOW)).toHaveLength(4);
  expect(sortedByMeasure(clients, 'requests').map((each) => each.client)).toEqual(['b', 'a']);
  expect(sortedByMeasure(clients, 'writes').map((each) => each.client)).toEqual(['a', 'b']);
});

it('asks for hours or days', () => {
  expect(usagePath('hour', undefined)).toBe('/v1/usage?hours=24&limit=1000');
  expect(usagePath('day', 'a b')).toBe('/v1/usage?client=a+b&days=30&limit=1000');
});

it('reads bytes as a size, and counts as numbers', () => {
  expect(measureText('bytes', 2048)).toBe('2\u00a0KiB');
  expect(measureText('requests', 2048)).toBe('2,048');
});
