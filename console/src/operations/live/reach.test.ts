// SPDX-License-Identifier: Apache-2.0
import type { QueryCacheNotifyEvent } from '@tanstack/react-query';
import { expect, it } from 'vitest';

import { parseProblem, ProblemError, unreachableProblem } from '../../api/problem';
import { type Reach, reachAfter } from './reach';

const NOW = 1000;
const KNOWN: Reach = { asOf: 1, unreachable: false };

function event(action: object, key = 'ops'): QueryCacheNotifyEvent {
  return { type: 'updated', query: { queryKey: [key] }, action } as unknown as QueryCacheNotifyEvent;
}

it('notes when the last answer came', () => {
  expect(reachAfter(KNOWN, event({ type: 'success' }), NOW)).toEqual({ asOf: NOW, unreachable: false });
});

it('notices that no answer comes, and that one comes again', () => {
  const away = reachAfter(KNOWN, event({ type: 'error', error: new ProblemError(unreachableProblem()) }), NOW);
  expect(away).toEqual({ asOf: 1, unreachable: true });
  expect(reachAfter(away, event({ type: 'success' }), NOW).unreachable).toBe(false);
});

it('takes a refusal for an answer', () => {
  const away = { ...KNOWN, unreachable: true };
  const refusal = new ProblemError(parseProblem(503, 'Service Unavailable', '', null));
  expect(reachAfter(away, event({ type: 'error', error: refusal }), NOW).unreachable).toBe(false);
});

it('leaves other queries alone', () => {
  expect(reachAfter(KNOWN, event({ type: 'success' }, 'session'), NOW)).toBe(KNOWN);
  expect(reachAfter(KNOWN, event({ type: 'fetch' }), NOW)).toBe(KNOWN);
});
