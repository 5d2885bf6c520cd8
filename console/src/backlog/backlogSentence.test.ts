// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import { clockText } from '../api/time';
import type { OwnBacklog } from './backlog';
import { backlogSentence, backlogState, stateAnnouncement } from './backlogSentence';

const NOW = Date.parse('2026-11-29T14:00:00Z');
const NEXT = '2026-11-29T14:02:40Z';

function backlog(changes: Partial<OwnBacklog> = {}, upstream: Partial<OwnBacklog['upstream']> = {}): OwnBacklog {
  return {
    writes: 120,
    lanes: 3,
    bytes: 4096,
    oldest_accepted_at: '2026-11-29T13:56:00Z',
    ...changes,
    upstream: { delivering: true, reason: null, since: null, next_attempt_at: null, ...upstream },
  };
}

it('says how far MLflow is behind, why, and what comes next', () => {
  expect(backlogSentence(backlog({}, { reason: 'throttled', next_attempt_at: NEXT }), NOW)).toBe(
    `MLflow is 4 minutes behind: 120 of your writes wait (throttled), next attempt ${clockText(NEXT)}`,
  );
});

it('has a form for one write', () => {
  expect(backlogSentence(backlog({ writes: 1 }), NOW)).toContain('1 of your writes waits');
});

it('reports a reason that it does not know in the words of the bridge', () => {
  expect(backlogSentence(backlog({}, { reason: 'sun-spots' }), NOW)).toContain('(sun spots)');
});

it.each([
  [backlog(), 'behind'],
  [backlog({ oldest_accepted_at: '2026-11-29T13:59:55Z' }), 'current'],
  [backlog({ writes: 0, oldest_accepted_at: null }), 'current'],
  [backlog({ writes: 0, oldest_accepted_at: null }, { delivering: false }), 'stopped'],
])('knows the state', (given, state) => {
  expect(backlogState(given, NOW)).toBe(state);
});

it('announces states without figures', () => {
  expect(stateAnnouncement('behind', 'throttled')).toBe('MLflow is behind (throttled).');
  expect(stateAnnouncement('current', null)).toBe('MLflow has all of your writes.');
});
