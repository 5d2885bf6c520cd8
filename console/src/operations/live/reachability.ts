// SPDX-License-Identifier: Apache-2.0
// Whether the bridge answers, and when it last did. The results of all queries of operations show both.
import { type QueryCacheNotifyEvent, type QueryClient, useQueryClient } from '@tanstack/react-query';
import { useEffect, useSyncExternalStore } from 'react';

import { ProblemError } from '../../api/problem';

export interface Reachability {
  /** When the last answer came; null before the first one. */
  lastAnswerAt: number | null;
  /** Whether the latest request had no answer. */
  unreachable: boolean;
}

const listeners = new Set<() => void>();
let current: Reachability = { lastAnswerAt: null, unreachable: false };

export function useReachability(): Reachability {
  return useSyncExternalStore(subscribe, () => current);
}

/** Watches the queries for as long as a page of operations is open. */
export function useReachabilityWatch(): void {
  const client = useQueryClient();
  useEffect(() => watch(client), [client]);
}

/** Returns the reachability after an event of the query cache; the same object where the event changes nothing. */
export function reachabilityAfter(before: Reachability, event: QueryCacheNotifyEvent, now: number): Reachability {
  if (event.type !== 'updated' || event.query.queryKey[0] !== 'ops') return before;
  if (event.action.type === 'success') return { lastAnswerAt: now, unreachable: false };
  if (event.action.type !== 'error') return before;
  const error: unknown = event.action.error;
  if (!(error instanceof ProblemError)) return before;
  if (error.isUnreachable) return before.unreachable ? before : { ...before, unreachable: true };
  return before.unreachable ? { ...before, unreachable: false } : before;
}

function watch(client: QueryClient): () => void {
  return client.getQueryCache().subscribe((event) => {
    const next = reachabilityAfter(current, event, Date.now());
    if (next === current) return;
    current = next;
    for (const listener of listeners) listener();
  });
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
