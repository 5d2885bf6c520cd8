// SPDX-License-Identifier: Apache-2.0
// The visitor's own jobs and dead letters, as docs/reference/endpoints.md describes them.
import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query';

import { pollEvery } from '../api/polling';
import { requestJson } from '../api/request';

export interface JobDocument {
  job_id: string;
  status: 'pending' | 'delivered' | 'dead' | 'discarded';
  lane: string;
  run_id: string | null;
  op: string;
  accepted_at: string;
  settled_at: string | null;
  attempts: number;
  next_attempt_at: string | null;
  error: { reason: string; message: string } | null;
  upstream: { status: number; error_code: string | null; message: string | null; request_id: string | null } | null;
}

export interface LetterSummary {
  letter_id: string;
  job_id: string;
  lane: string;
  run_id: string | null;
  op: string;
  client: string;
  reason: string;
  message: string;
  status: number | null;
  accepted_at: string;
  buried_at: string;
}

export interface LetterDocument extends LetterSummary {
  write: unknown;
  attempt_count: number;
  attempts: unknown[];
  upstream: JobDocument['upstream'];
}

interface JobPage {
  jobs: JobDocument[];
  next: string | null;
}

interface LetterPage {
  letters: LetterSummary[];
  next: string | null;
}

const PAGE_SIZE = 50;
const POLL_MS = 5000;

/** Returns the address of a page of a list; fields that are null are left out. */
function listPath(path: string, fields: Record<string, string | null>): string {
  const query = new URLSearchParams({ limit: String(PAGE_SIZE) });
  for (const [name, value] of Object.entries(fields)) if (value !== null) query.set(name, value);
  return `${path}?${query}`;
}

/** Pending jobs: all of the visitor's, or those of one run. */
export const pendingJobsQuery = (run: string | null) =>
  infiniteQueryOptions({
    queryKey: ['jobs', 'pending', run],
    queryFn: ({ pageParam, signal }) => {
      const filter = run === null ? { mine: 'pending' } : { run_id: run, status: 'pending' };
      return requestJson<JobPage>(listPath('/v1/jobs', { ...filter, cursor: pageParam }), { signal });
    },
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
    refetchInterval: pollEvery(POLL_MS),
  });

/** Dead letters, the oldest first: all of the visitor's, or those of one run. */
export const deadLettersQuery = (client: string | null, run: string | null) =>
  infiniteQueryOptions({
    queryKey: ['dead-letters', client, run],
    queryFn: ({ pageParam, signal }) =>
      // An operator may see all letters; `client` limits the page to the visitor's own.
      requestJson<LetterPage>(listPath('/v1/dead-letters', { client, run_id: run, cursor: pageParam }), { signal }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
    refetchInterval: pollEvery(POLL_MS),
  });

export const letterQuery = (letterId: string) =>
  queryOptions({
    queryKey: ['dead-letter', letterId],
    queryFn: ({ signal }) =>
      requestJson<LetterDocument>(`/v1/dead-letters/${encodeURIComponent(letterId)}`, { signal }),
  });

export const jobQuery = (jobId: string) =>
  queryOptions({
    queryKey: ['job', jobId],
    queryFn: ({ signal }) => requestJson<JobDocument>(`/v1/jobs/${encodeURIComponent(jobId)}`, { signal }),
    refetchInterval: ({ state }) => (state.data?.status === 'pending' ? POLL_MS : false),
  });

export const replayLetter = (letterId: string): Promise<{ job_id: string }> =>
  requestJson(`/v1/dead-letters/${encodeURIComponent(letterId)}/replay`, { method: 'POST' });
