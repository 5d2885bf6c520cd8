// SPDX-License-Identifier: Apache-2.0
// Dead letters of all clients, as docs/reference/endpoints.md describes them.
import { queryOptions } from '@tanstack/react-query';

import { requestJson } from '../../api/request';
import type { JobDocument } from '../../jobs/jobs';
import { callPath } from '../search';
import type { LetterFilter } from './letterFilter';
import type { DrainAction } from './order';

export interface LetterSummary {
  letter_id: string;
  job_id: string;
  lane: string;
  run_id: string | null;
  op: string;
  client: string;
  request_id: string | null;
  reason: string;
  message: string;
  error_code: string | null;
  status: number | null;
  accepted_at: string;
  buried_at: string;
}

export interface Attempt {
  at: string;
  writes: number;
  reason: string;
  message: string;
  status: number | null;
  error_code: string | null;
}

export interface Letter extends LetterSummary {
  write: {
    path: string;
    body: unknown;
    /** The exact text of the body; null where it is not JSON. */
    body_text: string | null;
    workspace: string | null;
    /** The body, where it is not JSON. */
    base64: string | null;
  };
  attempt_count: number;
  attempts: Attempt[];
  upstream: JobDocument['upstream'];
  trail?: { request_id: string | null; job_id: string; upstream_request_id: string | null };
}

export interface LetterPage {
  letters: LetterSummary[];
  next: string | null;
}

/** Letters with the same cause. */
export interface Cause {
  reason: string;
  op: string;
  error_code: string | null;
  message: string;
  count: number;
  first: string;
  last: string;
  /** The id of one of them. */
  sample: string;
}

export interface LetterStatistics {
  /** How many letters the filter selects, exactly. */
  count: number;
  by_reason: Record<string, number>;
  by_client: Record<string, number>;
  /** The causes of the latest letters. */
  groups: Cause[];
  /** Whether there are more letters than those that were grouped. */
  sampled: boolean;
}

export interface Conflicts {
  /** How many writes to the same lane came after the letter's. */
  later_writes: number;
  overwrites: { kind: string; key: string; stored: string | null; letter: string | null }[];
  /** Whether MLflow was asked. */
  checked: boolean;
  why: string | null;
}

export interface Replayed {
  letter_id: string;
  job_id: string;
}

export type LetterOrder = 'newest' | 'oldest';

const PATH = '/v1/dead-letters';
const CONFLICTS_STALE_MS = 15_000;

/** Returns the path of a page of the list. */
export function letterPagePath(
  filter: LetterFilter,
  page: { order: LetterOrder; limit?: number; cursor?: string | undefined },
) {
  return callPath(PATH, { ...filter, ...page });
}

export const statisticsPath = (filter: LetterFilter): string => callPath(`${PATH}/summary`, { ...filter });

export const letterPath = (letterId: string): string => `${PATH}/${encodeURIComponent(letterId)}`;

/** What a replay would overwrite. It costs calls of MLflow, so it is not polled. */
export const conflictsQuery = (letterId: string) =>
  queryOptions({
    queryKey: ['ops', `${letterPath(letterId)}/conflicts`],
    queryFn: ({ signal }) => requestJson<Conflicts>(`${letterPath(letterId)}/conflicts`, { signal }),
    staleTime: CONFLICTS_STALE_MS,
    refetchOnWindowFocus: false,
  });

export const replayLetter = (letterId: string): Promise<Replayed> =>
  requestJson(`${letterPath(letterId)}/replay`, { method: 'POST' });

export const discardLetter = (letterId: string): Promise<undefined> =>
  requestJson(letterPath(letterId), { method: 'DELETE' });

export const replayLetters = (letterIds: string[]): Promise<{ results: (Replayed | null)[] }> =>
  requestJson(`${PATH}/replay`, { method: 'POST', body: { letter_ids: letterIds } });

export const discardLetters = (letterIds: string[]): Promise<{ results: boolean[] }> =>
  requestJson(`${PATH}/discard`, { method: 'POST', body: { letter_ids: letterIds } });

/** Returns how many letters an order would drain. Changes nothing. */
export const dryRun = (action: DrainAction, filter: LetterFilter): Promise<{ count: number }> =>
  requestJson(`${PATH}/${action}`, { method: 'POST', body: { filter, dry_run: true } });
