// SPDX-License-Identifier: Apache-2.0
// MLflow's own calls, for clients that are limited to experiments.
import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query';

import { pollEvery } from '../api/polling';
import { requestJson } from '../api/request';

/** MLflow's integers are JSON numbers or, in some answers, strings. */
export type Integer = number | bigint | string;

export interface Experiment {
  experiment_id: string;
  name: string;
  lifecycle_stage: string;
  creation_time?: Integer;
  last_update_time?: Integer;
}

export interface Metric {
  key: string;
  /** A number, or `NaN`, `Infinity` or `-Infinity` as a string. */
  value: number | string;
  timestamp: Integer;
  step?: Integer;
}

/** A param or a tag. */
export interface Pair {
  key: string;
  value: string;
}

export interface Run {
  info: {
    run_id: string;
    run_name?: string;
    experiment_id: string;
    status: string;
    start_time?: Integer;
    end_time?: Integer;
  };
  data: { metrics?: Metric[]; params?: Pair[]; tags?: Pair[] };
}

const API = '/api/2.0/mlflow';
const PAGE_SIZE = 50;
const HISTORY_PAGE_SIZE = 5000;
/** A chart of more points than this is no clearer, and slow to load. */
const MAX_HISTORY_POINTS = 25_000;
const POLL_MS = 15_000;

export const experimentQuery = (experimentId: string) =>
  queryOptions({
    queryKey: ['experiment', experimentId],
    queryFn: async ({ signal }) => {
      const path = `${API}/experiments/get?experiment_id=${encodeURIComponent(experimentId)}`;
      return (await requestJson<{ experiment: Experiment }>(path, { signal })).experiment;
    },
  });

export const runsQuery = (experimentId: string) =>
  infiniteQueryOptions({
    queryKey: ['runs', experimentId],
    queryFn: ({ pageParam, signal }) =>
      requestJson<{ runs?: Run[]; next_page_token?: string }>(`${API}/runs/search`, {
        method: 'POST',
        body: {
          experiment_ids: [experimentId],
          max_results: PAGE_SIZE,
          order_by: ['attributes.start_time DESC'],
          ...(pageParam && { page_token: pageParam }),
        },
        signal,
      }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_page_token || null,
    refetchInterval: pollEvery(POLL_MS),
  });

export const runQuery = (runId: string) =>
  queryOptions({
    queryKey: ['run', runId],
    queryFn: async ({ signal }) => {
      const path = `${API}/runs/get?run_id=${encodeURIComponent(runId)}`;
      return (await requestJson<{ run: Run }>(path, { signal })).run;
    },
    refetchInterval: pollEvery(POLL_MS),
  });

export interface History {
  points: Metric[];
  /** Whether the metric has more points than these. */
  isTruncated: boolean;
}

export const historyQuery = (runId: string, key: string) =>
  queryOptions({
    queryKey: ['history', runId, key],
    queryFn: ({ signal }) => fetchHistory(runId, key, signal),
    refetchInterval: pollEvery(POLL_MS),
  });

async function fetchHistory(runId: string, key: string, signal: AbortSignal): Promise<History> {
  const points: Metric[] = [];
  let nextPageToken: string | undefined;
  do {
    const query = new URLSearchParams({ run_id: runId, metric_key: key, max_results: String(HISTORY_PAGE_SIZE) });
    if (nextPageToken) query.set('page_token', nextPageToken);
    // Each page names the next one.
    // oxlint-disable-next-line no-await-in-loop
    const page = await requestJson<{ metrics?: Metric[]; next_page_token?: string }>(
      `${API}/metrics/get-history?${query}`,
      { signal },
    );
    points.push(...(page.metrics ?? []));
    nextPageToken = page.next_page_token;
  } while (nextPageToken && points.length < MAX_HISTORY_POINTS);
  return { points, isTruncated: Boolean(nextPageToken) };
}
