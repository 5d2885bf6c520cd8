// SPDX-License-Identifier: Apache-2.0
// A query that polls: every few seconds, not while the tab is hidden, and not while updates are paused.
import { keepPreviousData, useQuery, type UseQueryResult } from '@tanstack/react-query';

import { pollEvery } from '../../api/polling';
import { requestJson } from '../../api/request';
import { useLiveSettings } from './live';

/** How often each kind of page polls; `slow` is for what seldom changes. */
export const POLL_MS = { overview: 2000, list: 5000, slow: 15_000 } as const;

/** A request without an answer after this time has failed, so that the page can say so. */
const REQUEST_TIMEOUT_MS = 15_000;

interface LiveQuery {
  /** Path and query of the GET. */
  path: string;
  pollMs: number;
  enabled?: boolean;
  /** Whether old rows stay while those of another filter load. */
  keepsRows?: boolean;
}

/**
 * Polls a document of the API. Its key is `['ops', path]`, so that
 * `invalidateQueries({ queryKey: ['ops'] })` requests all documents again that a page shows.
 */
export function useLiveQuery<Document>({
  path,
  pollMs,
  enabled = true,
  keepsRows = false,
}: LiveQuery): UseQueryResult<Document> {
  const { paused, minPeriodMs } = useLiveSettings();
  return useQuery<Document>({
    queryKey: ['ops', path],
    queryFn: ({ signal }) =>
      requestJson<Document>(path, { signal: AbortSignal.any([signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)]) }),
    enabled,
    // The next poll repeats it.
    retry: false,
    refetchInterval: paused ? false : pollEvery(Math.max(pollMs, minPeriodMs)),
    refetchOnWindowFocus: !paused,
    refetchOnReconnect: !paused,
    refetchOnMount: !paused,
    ...(keepsRows && { placeholderData: keepPreviousData }),
  });
}
