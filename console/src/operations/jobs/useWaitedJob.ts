// SPDX-License-Identifier: Apache-2.0
// A job that is asked for until it is settled. The bridge keeps each request open until then (RFC 7240, `Prefer: wait`).
import { type QueryClient, useQuery, useQueryClient } from '@tanstack/react-query';

import { ProblemError } from '../../api/problem';
import { requestJson } from '../../api/request';
import type { JobDocument } from '../../jobs/jobs';
import { useLiveSettings } from '../live/live';
import { POLL_MS } from '../live/useLiveQuery';

const WAIT_S = 20;
/** The next request follows at once: the bridge has waited. */
const PAUSE_MS = 200;

export const jobPath = (jobId: string): string => `/v1/jobs/${encodeURIComponent(jobId)}`;

export function useWaitedJob(jobId: string) {
  const client = useQueryClient();
  const { paused } = useLiveSettings();
  const queryKey = ['ops', 'job', jobId];
  return useQuery<JobDocument>({
    queryKey,
    queryFn: ({ signal }) => job(client, queryKey, jobId, signal),
    retry: false,
    refetchInterval: ({ state: { data, error } }) => {
      if (paused || (error instanceof ProblemError && error.status >= 400 && error.status < 500)) return false;
      if (error) return POLL_MS.list;
      return data?.status === 'pending' ? PAUSE_MS : false;
    },
    refetchOnWindowFocus: false,
  });
}

/** Asks at once the first time, so that the page has something to show, and waits from then on. */
function job(client: QueryClient, queryKey: string[], jobId: string, signal: AbortSignal): Promise<JobDocument> {
  const known = client.getQueryData(queryKey) !== undefined;
  return requestJson(jobPath(jobId), { signal, ...(known && { headers: { Prefer: `wait=${WAIT_S}` } }) });
}
