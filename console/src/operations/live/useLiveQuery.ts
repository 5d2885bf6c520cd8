// SPDX-License-Identifier: Apache-2.0
// A query that is asked again by itself: every few seconds, not while the tab is hidden, and not while paused.
import { keepPreviousData, useQuery, type UseQueryResult } from '@tanstack/react-query';

import { pollEvery } from '../../api/polling';
import { requestJson } from '../../api/request';
import { useLive } from './live';

/** How often each kind of page asks. */
export const POLL = { overview: 2000, list: 5000, rest: 15_000 } as const;

/** An answer that takes longer is taken for none, so that the page says so. */
const PATIENCE_MS = 15_000;

interface LiveQuery {
  /** Path and query of the GET. */
  path: string;
  pollMs: number;
  enabled?: boolean;
  /** Whether old rows stay while those of another filter load. */
  keepsRows?: boolean;
}

/**
 * Asks for a document of the API. Its key is `['ops', path]`, so that
 * `invalidateQueries({ queryKey: ['ops'] })` asks for all that is shown.
 */
export function useLiveQuery<Document>({
  path,
  pollMs,
  enabled = true,
  keepsRows = false,
}: LiveQuery): UseQueryResult<Document> {
  const { paused, leastMs } = useLive();
  const result = useQuery<Document>({
    queryKey: ['ops', path],
    queryFn: ({ signal }) =>
      requestJson<Document>(path, { signal: AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]) }),
    enabled,
    // The next poll repeats it.
    retry: false,
    refetchInterval: paused ? false : pollEvery(Math.max(pollMs, leastMs)),
    refetchOnWindowFocus: !paused,
    refetchOnReconnect: !paused,
    refetchOnMount: !paused,
    ...(keepsRows && { placeholderData: keepPreviousData }),
  });
  return result;
}
