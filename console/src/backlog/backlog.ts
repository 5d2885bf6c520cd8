// SPDX-License-Identifier: Apache-2.0
// The visitor's own writes that MLflow has not got yet, as `GET /v1/backlog/mine` states them.
import { queryOptions } from '@tanstack/react-query';

import { pollEvery } from '../api/polling';
import { requestJson } from '../api/request';

export interface OwnBacklog {
  writes: number;
  lanes: number;
  bytes: number;
  oldest_accepted_at: string | null;
  /** False where more wait than were counted. */
  is_complete?: boolean;
  upstream: {
    delivering: boolean;
    reason: string | null;
    /** When a write was delivered last. */
    since: string | null;
    next_attempt_at: string | null;
  };
}

const POLL_MS = 5000;

/** Polled every five seconds while the tab is visible, until the session ends. */
export const ownBacklogQuery = queryOptions({
  queryKey: ['backlog', 'mine'],
  queryFn: ({ signal }) => requestJson<OwnBacklog>('/v1/backlog/mine', { signal }),
  refetchInterval: pollEvery(POLL_MS),
  retry: false,
});
