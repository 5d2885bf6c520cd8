// SPDX-License-Identifier: Apache-2.0
// How the bridge is doing in all.
import { queryOptions } from '@tanstack/react-query';

import { parseExactJson } from '../api/exactJson';
import { pollEvery } from '../api/polling';
import { ProblemError, problemOf } from '../api/problem';
import { requestJson } from '../api/request';

export interface Backlog {
  lanes: number;
  bytes: number;
  dead_letters: number;
  oldest_due: string | null;
  oldest_accepted_at: string | null;
}

export interface Readiness {
  status: 'ready' | 'degraded' | 'unavailable';
  [part: string]: unknown;
}

const POLL_MS = 5000;

export const backlogQuery = queryOptions({
  queryKey: ['backlog', 'all'],
  queryFn: ({ signal }) => requestJson<Backlog>('/v1/backlog', { signal }),
  refetchInterval: pollEvery(POLL_MS),
});

/** Asked for once: the check probes upstream, and is not meant for polling. */
export const readinessQuery = queryOptions({
  queryKey: ['readiness'],
  queryFn: ({ signal }) => readiness(signal),
  staleTime: Number.POSITIVE_INFINITY,
});

/** Returns the report. It comes with status 503 where the bridge is unavailable. */
async function readiness(signal: AbortSignal): Promise<Readiness> {
  const response = await fetch('/readyz', { signal, cache: 'no-cache', headers: { Accept: 'application/json' } });
  const text = await response.text();
  if (!response.ok && response.status !== 503) {
    throw new ProblemError(problemOf(response.status, response.statusText, text, response.headers.get('X-Request-Id')));
  }
  return parseExactJson(text) as Readiness;
}
