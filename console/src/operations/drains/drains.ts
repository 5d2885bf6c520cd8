// SPDX-License-Identifier: Apache-2.0
// Drains: orders to replay or discard many dead letters, which the workers carry out.
import { requestJson } from '../../api/request';
import { callPath } from '../search';
import type { LetterFilter } from '../letters/letterFilter';
import { type Order, orderBody } from '../letters/order';

export interface Drain {
  drain_id: string;
  action: 'replay' | 'discard';
  filter: LetterFilter;
  /** Letters a second; null: as fast as the workers can. */
  rate: number | null;
  state: 'running' | 'finished' | 'cancelled';
  total: number;
  done: number;
  /** How many letters were gone when the drain reached them. */
  skipped?: number;
  began_at: string;
  finished_at?: string | null;
  ordered_by?: string | null;
}

export type DrainState = Drain['state'];

const PATH = '/v1/dead-letters/drains';
const LIST_LIMIT = 100;

/** Returns the path of the list, the newest first. */
export const drainsPath = (state: DrainState | undefined): string => callPath(PATH, { state, limit: LIST_LIMIT });

export const drainPath = (drainId: string): string => `${PATH}/${encodeURIComponent(drainId)}`;

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
