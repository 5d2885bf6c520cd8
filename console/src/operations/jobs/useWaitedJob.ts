// SPDX-License-Identifier: Apache-2.0
// Polls a job until it is settled. The bridge keeps each request open for some time (RFC 7240, `Prefer: wait`).
import { type QueryClient, useQuery, useQueryClient } from '@tanstack/react-query';

import { ProblemError } from '../../api/problem';
import { requestJson } from '../../api/request';
import type { JobDocument } from '../../jobs/jobs';
import { useLiveSettings } from '../live/live';
import { POLL_MS } from '../live/useLiveQuery';

const WAIT_S = 20;
/** The next request follows almost at once, because the bridge has waited before it answers. */
const NEXT_REQUEST_MS = 200;

export const jobPath = (jobId: string): string => `/v1/jobs/${encodeURIComponent(jobId)}`;

export function useWaitedJob(jobId: string) {
  const client = useQueryClient();
  const { paused } = useLiveSettings();
  const queryKey = ['ops', 'job', jobId];
  return useQuery<JobDocument>({
    queryKey,
    queryFn: ({ signal }) => fetchJob(client, queryKey, jobId, signal),
    retry: false,
    refetchInterval: ({ state: { data, error } }) => {
      if (paused || (error instanceof ProblemError && error.status >= 400 && error.status < 500)) return false;
      if (error) return POLL_MS.list;
      return data?.status === 'pending' ? NEXT_REQUEST_MS : false;
    },
    refetchOnWindowFocus: false,
  });
}

/** Fetches the job: at once the first time, so that the page has something to show, and with a wait from then on. */
function fetchJob(client: QueryClient, queryKey: string[], jobId: string, signal: AbortSignal): Promise<JobDocument> {
  const isKnown = client.getQueryData(queryKey) !== undefined;
  return requestJson(jobPath(jobId), { signal, ...(isKnown && { headers: { Prefer: `wait=${WAIT_S}` } }) });
}
