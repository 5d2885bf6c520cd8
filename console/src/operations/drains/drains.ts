// SPDX-License-Identifier: Apache-2.0
// Orders to replay or discard many letters, which the workers carry out.
import { queryOptions } from '@tanstack/react-query';

import { pollEvery } from '../../api/polling';
import { requestJson } from '../../api/request';
import type { LetterFilter } from '../deadLetters/letterFilter';
import { type Order, orderBody } from '../deadLetters/order';

export interface Drain {
  drain_id: string;
  action: 'replay' | 'discard';
  filter: LetterFilter;
  rate: number | null;
  state: 'running' | 'finished' | 'cancelled';
  total: number;
  done: number;
  /** How many of them were not there any more. */
  skipped?: number;
  began_at: string;
  finished_at?: string | null;
  ordered_by?: string | null;
}

export type DrainState = Drain['state'];

const PATH = '/v1/dead-letters/drains';
const RUNNING_POLL_MS = 2000;
const LIST_POLL_MS = 5000;
const LIST_LIMIT = 100;

export const drainsQuery = (state: DrainState | undefined) =>
  queryOptions({
    queryKey: ['drains', state ?? null],
    queryFn: ({ signal }) => {
      const query = new URLSearchParams({ ...(state && { state }), limit: String(LIST_LIMIT) });
      return requestJson<{ drains: Drain[] }>(`${PATH}?${query}`, { signal });
    },
    refetchInterval: (query) => {
      const isRunning = query.state.data?.drains.some((drain) => drain.state === 'running');
      return pollEvery(isRunning ? RUNNING_POLL_MS : LIST_POLL_MS)(query);
    },
  });

const drainPath = (drainId: string) => `${PATH}/${encodeURIComponent(drainId)}`;

/** A drain; it is polled until it has ended. */
export const drainQuery = (drainId: string) =>
  queryOptions({
    queryKey: ['drain', drainId],
    queryFn: ({ signal }) => requestJson<Drain>(drainPath(drainId), { signal }),
    refetchInterval: (query) => {
      const hasEnded = query.state.data !== undefined && query.state.data.state !== 'running';
      return hasEnded ? false : pollEvery(RUNNING_POLL_MS)(query);
    },
  });

export const beginDrain = (order: Order): Promise<Drain> =>
  requestJson(`/v1/dead-letters/${order.action}`, { method: 'POST', body: orderBody(order) });

export const changeRate = (drainId: string, rate: number | null): Promise<Drain> =>
  requestJson(drainPath(drainId), { method: 'PATCH', body: { rate } });

export const cancelDrain = (drainId: string): Promise<undefined> =>
  requestJson(drainPath(drainId), { method: 'DELETE' });

/** Returns how far a drain is, in percent. */
export function progressPercent({ done, total, state }: Drain): number {
  if (total === 0) return state === 'running' ? 0 : 100;
  return Math.min(100, Math.floor((done / total) * 100));
}

/** Returns what a drain is and how far it is, in words: `Replay: 40 of 812 letters`. */
export function drainWords({ action, done, total }: Drain): string {
  const verb = action === 'replay' ? 'Replay' : 'Discard';
  return `${verb}: ${done.toLocaleString('en')} of ${total.toLocaleString('en')} letters`;
}
