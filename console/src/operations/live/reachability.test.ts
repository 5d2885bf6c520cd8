// SPDX-License-Identifier: Apache-2.0
import type { QueryCacheNotifyEvent } from '@tanstack/react-query';
import { expect, it } from 'vitest';

import { parseProblem, ProblemError, unreachableProblem } from '../../api/problem';
import { type Reachability, reachabilityAfter } from './reachability';

const NOW = 1000;
const KNOWN: Reachability = { lastAnswerAt: 1, unreachable: false };

function event(action: object, key = 'ops'): QueryCacheNotifyEvent {
  return { type: 'updated', query: { queryKey: [key] }, action } as unknown as QueryCacheNotifyEvent;
}

it('notes when the last answer came', () => {
  expect(reachabilityAfter(KNOWN, event({ type: 'success' }), NOW)).toEqual({ lastAnswerAt: NOW, unreachable: false });
});

it('notices that no answer comes, and that one comes again', () => {
  const away = reachabilityAfter(KNOWN, event({ type: 'error', error: new ProblemError(unreachableProblem()) }), NOW);
  expect(away).toEqual({ lastAnswerAt: 1, unreachable: true });
  expect(reachabilityAfter(away, event({ type: 'success' }), NOW).unreachable).toBe(false);
});

it('takes a refusal for an answer', () => {
  const away = { ...KNOWN, unreachable: true };
  const refusal = new ProblemError(parseProblem(503, 'Service Unavailable', '', null));
  expect(reachabilityAfter(away, event({ type: 'error', error: refusal }), NOW).unreachable).toBe(false);
});

it('leaves other queries alone', () => {
  expect(reachabilityAfter(KNOWN, event({ type: 'success' }, 'session'), NOW)).toBe(KNOWN);
  expect(reachabilityAfter(KNOWN, event({ type: 'fetch' }), NOW)).toBe(KNOWN);
});
