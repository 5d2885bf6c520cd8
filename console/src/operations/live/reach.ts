// SPDX-License-Identifier: Apache-2.0
// Whether the bridge answers, and when it last did: read off all queries of operations.
import { type QueryCacheNotifyEvent, type QueryClient, useQueryClient } from '@tanstack/react-query';
import { useEffect, useSyncExternalStore } from 'react';

import { ProblemError } from '../../api/problem';

export interface Reach {
  /** When the last answer came; null before the first one. */
  asOf: number | null;
  /** Whether the latest request had no answer. */
  unreachable: boolean;
}

const listeners = new Set<() => void>();
let current: Reach = { asOf: null, unreachable: false };

export function useReach(): Reach {
  return useSyncExternalStore(subscribe, () => current);
}

/** Watches the queries while operations are open. */
export function useWatchedReach(): void {
  const client = useQueryClient();
  useEffect(() => watch(client), [client]);
}

/** Returns what is known after an event, the same object where it says nothing. */
export function reachAfter(reach: Reach, event: QueryCacheNotifyEvent, now: number): Reach {
  if (event.type !== 'updated' || event.query.queryKey[0] !== 'ops') return reach;
  if (event.action.type === 'success') return { asOf: now, unreachable: false };
  if (event.action.type !== 'error') return reach;
  const error: unknown = event.action.error;
  if (!(error instanceof ProblemError)) return reach;
  if (error.status === 0) return reach.unreachable ? reach : { ...reach, unreachable: true };
  return reach.unreachable ? { ...reach, unreachable: false } : reach;
}

function watch(client: QueryClient): () => void {
  return client.getQueryCache().subscribe((event) => {
    const next = reachAfter(current, event, Date.now());
    if (next === current) return;
    current = next;
    for (const listener of listeners) listener();
  });
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
