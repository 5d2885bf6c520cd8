// SPDX-License-Identifier: Apache-2.0
// The state of the whole bridge, as `GET /v1/overview` states it.
import { POLL_MS, useLiveQuery } from '../live/useLiveQuery';

export type BridgeStatus = 'delivering' | 'idle' | 'degraded' | 'paused' | 'unavailable';

/** A reason for the bridge's state. */
export interface StatusReason {
  code: string;
  since: string | null;
  text: string;
  next: string | null;
  /** The anchor of a section of the runbook: `#no-worker-delivers`. */
  runbook: string;
}

export interface Pause {
  why: string;
  until: string | null;
  by: string;
  since: string | null;
}

/** Flow control before upstream: the rate limit, the circuit breaker and the pause. */
export interface Gate {
  breaker: 'closed' | 'open' | 'half-open';
  why: string | null;
  since: string | null;
  opens_again_at: string | null;
  rate: number | null;
  /** Above `rate` while upstream throttles. */
  configured_rate: number | null;
  burst: number | null;
  /** How many calls may be made at once now. */
  bucket: number | null;
  delivered_at: string | null;
  paused: Pause | null;
}

export interface RunningDrain {
  drain_id: string;
  action: 'replay' | 'discard';
  done: number;
  total: number;
  rate: number | null;
  ordered_by: string | null;
}

export interface Overview {
  status: BridgeStatus;
  why: StatusReason[];
  backlog: {
    lanes: number;
    /** Null while a process of an older version runs. */
    writes: number | null;
    pending_bytes: number;
    dead_bytes: number;
    oldest_accepted_at: string | null;
    oldest_due: string | null;
    horizon_at: string | null;
  };
  dead_letters: { count: number; last_hour: number };
  rates: { window: number; accepted: number; delivered: number; buried: number; refused: number; calls: number };
  lag: { p50: number | null; p95: number | null };
  gate: Gate;
  workers: { alive: number; delivering: number; versions: string[] };
  store: { durability: string; used: number; cap: number | null; faults: string[] };
  drains: RunningDrain[];
}

export const OVERVIEW_PATH = '/v1/overview';

/** Polls the overview. Several components use it, each with its own period; all share the latest answer. */
export function useOverview(pollMs: number = POLL_MS.list) {
  return useLiveQuery<Overview>({ path: OVERVIEW_PATH, pollMs });
}
