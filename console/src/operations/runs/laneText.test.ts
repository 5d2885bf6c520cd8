// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import type { Lane } from './lanes';
import { laneName, laneSentence, laneStateText, nextAttemptText } from './laneText';

const NOW = Date.parse('2026-11-29T14:02:00Z');

function lane(changes: Partial<Lane> = {}): Lane {
  return {
    lane: 'a3f1c0de5b7e4c1f9d2e8a6b4c0d1e2f',
    run_id: 'a3f1c0de5b7e4c1f9d2e8a6b4c0d1e2f',
    run_name: null,
    client: 'nightly',
    pending: 120,
    bytes: 100,
    oldest_accepted_at: '2026-11-29T14:00:00Z',
    delivering: false,
    attempts: 0,
    next_attempt_at: null,
    error: null,
    dead_letters: 0,
    state: 'waiting',
    ...changes,
  };
}

it('names a lane as people know it', () => {
  expect(laneName(lane())).toBe('a3f1c0de…');
  expect(laneName(lane({ run_name: 'nightly/17' }))).toBe('nightly/17');
  expect(laneName({ lane: 'run:nightly%2F18', run_name: null })).toBe('nightly/18');
  expect(laneName({ lane: 'experiment:7', run_name: null })).toBe('Experiment 7');
  expect(laneName({ lane: 'run:%zz', run_name: null })).toBe('%zz');
});

it('says why a lane waits, and what comes next', () => {
  const failing = lane({
    attempts: 4,
    error: { reason: 'unavailable', message: '503 Service Unavailable' },
    next_attempt_at: '2026-11-29T14:02:40Z',
    state: 'failing',
  });
  expect(laneSentence(failing, NOW, 'utc')).toBe(
    'Upstream fails: 503 Service Unavailable. 4 attempts failed. The next attempt is at 14:02:40.',
  );
  expect(laneSentence(failing, NOW + 60_000, 'utc')).toContain('The next attempt is due now.');
  expect(laneSentence(lane(), NOW, 'utc')).toBe('It waits for its turn. The next attempt is due now.');
  expect(laneSentence(lane({ delivering: true }), NOW, 'utc')).toBe('A worker delivers it now.');
  const error = { reason: 'unavailable', message: 'deliveries are paused by an operator' };
  expect(laneSentence(lane({ error }), NOW, 'utc')).toBe(
    'Deliveries are paused by an operator. It waits until they are resumed.',
  );
  expect(nextAttemptText(lane({ error }), NOW)).toBe('once deliveries go on');
  expect(nextAttemptText(lane(), NOW)).toBe('with the next call');
  expect(nextAttemptText(failing, NOW)).toBeNull();
});

it('says the state in few words', () => {
  const error = { reason: 'unavailable', message: '503 Service Unavailable' };
  expect(laneStateText(lane({ state: 'failing', attempts: 1, error }))).toBe('failing: 503, 1 attempt');
  expect(laneStateText(lane())).toBe('waiting');
});
