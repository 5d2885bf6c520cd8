// SPDX-License-Identifier: Apache-2.0
// Lanes: the writes that wait, by run, as `GET /v1/lanes` states them.
import { requestJson } from '../../api/request';
import { POLL_MS, useLiveQuery } from '../live/useLiveQuery';
import { callPath } from '../search';
import type { LANE_STATES } from './search';

export type LaneState = (typeof LANE_STATES)[number];

export interface Lane {
  /** The run's id, or another lane: `experiment:7`, `trace:tr-1a`, `traces:7`, `run:nightly%2F17`. */
  lane: string;
  run_id: string | null;
  run_name: string | null;
  client: string | null;
  /** How many writes wait. */
  pending: number;
  bytes: number;
  oldest_accepted_at: string | null;
  delivering: boolean;
  attempts: number;
  next_attempt_at: string | null;
  error: { reason: string; message: string } | null;
  /** Null where there are too many to count those of one run. */
  dead_letters: number | null;
  state: LaneState;
}

/** Returns the id by which a list knows its lanes. */
export const laneKey = ({ lane }: Lane): string => lane;

export interface LanePage {
  lanes: Lane[];
  next: string | null;
}

/** What a list of lanes shows: a filter, an order, and the place in it. */
export interface LaneChoice {
  state?: LaneState;
  client?: string;
  order?: 'oldest' | 'newest';
  cursor?: string;
}

export const lanesPath = (choice: LaneChoice, limit: number | null): string =>
  callPath('/v1/lanes', { ...choice, limit });

export const lanePath = (lane: string): string => `/v1/lanes/${encodeURIComponent(lane)}`;

export function useLanes(choice: LaneChoice, limit: number) {
  return useLiveQuery<LanePage>({ path: lanesPath(choice, limit), pollMs: POLL_MS.list, keepsRows: true });
}

export function useLane(lane: string) {
  return useLiveQuery<Lane>({ path: lanePath(lane), pollMs: POLL_MS.overview });
}

export const attemptPath = (lane: string): string => `${lanePath(lane)}/attempt`;

export const attemptLane = (lane: string): Promise<unknown> => requestJson(attemptPath(lane), { method: 'POST' });
