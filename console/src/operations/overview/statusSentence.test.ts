// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import type { Overview } from './overview';
import { figuresSentence, statusSentence } from './statusSentence';

const GATE = { breaker: 'closed', rate: 25, paused: null } as Overview['gate'];
const RATES = { window: 60, accepted: 12.5, delivered: 11.9, buried: 0, refused: 0, calls: 3.1 };

function overview(changes: Partial<Overview>): Overview {
  return {
    status: 'delivering',
    why: [],
    gate: GATE,
    rates: RATES,
    dead_letters: { count: 0, last_hour: 0 },
    ...changes,
  } as Overview;
}

const why = (text: string) => [{ code: 'breaker-open', since: null, text, next: null, runbook: '#x' }];

it('says the state and its cause', () => {
  expect(statusSentence(overview({ status: 'degraded', why: why('Upstream answers 503.') }))).toBe(
    'Degraded: Upstream answers 503.',
  );
  expect(statusSentence(overview({ status: 'idle' }))).toBe('Up to date: MLflow has all writes.');
  expect(statusSentence(overview({ status: 'idle', dead_letters: { count: 33, last_hour: 2 } }))).toBe(
    'Up to date: MLflow has all writes but 33 dead letters.',
  );
  expect(statusSentence(overview({ status: 'unavailable' }))).toBe('Unavailable: writes are not accepted.');
});

it('says why deliveries are paused', () => {
  const paused = { why: 'Maintenance until noon', until: null, by: 'anna', since: '2026-11-29T14:00:00Z' };
  expect(statusSentence(overview({ status: 'paused', gate: { ...GATE, paused } }))).toBe(
    'Paused: Maintenance until noon.',
  );
});

it('adds the figures that say whether it works', () => {
  expect(figuresSentence(overview({}))).toBe('11.9/s writes go to MLflow, in 3.1/s calls of 25/s allowed.');
  expect(figuresSentence(overview({ gate: { ...GATE, rate: null } }))).toBe(
    '11.9/s writes go to MLflow, in 3.1/s calls.',
  );
  expect(figuresSentence(overview({ status: 'degraded' }))).toBeNull();
});

it('shows a state that it does not know', () => {
  expect(statusSentence(overview({ status: 'dreaming' as Overview['status'] }))).toBe('dreaming.');
});
