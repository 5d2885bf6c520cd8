// SPDX-License-Identifier: Apache-2.0
// The MLflow servers to which writes are delivered, as `GET /v1/upstreams` states them.
import { requestJson } from '../../api/request';
import type { Gate } from '../overview/overview';
import { callPath } from '../search';

export interface Upstream {
  id: string;
  /** Account numbers in it are masked. */
  name: string;
  kind: 'tracking-server' | 'app' | 'mlflow';
  region: string | null;
  gate: Gate;
  /** How often the circuit breaker has opened. */
  trips: number;
  failures: number;
  /** By outcome, of the last hour. */
  outcomes: Record<string, number>;
}

export interface Failure {
  at: string;
  /** `POST runs/log-batch` */
  call: string;
  lane: string | null;
  status: number | null;
  error_code: string | null;
  outcome: string;
  /** In seconds. */
  duration: number;
  request_id: string | null;
  upstream_request_id: string | null;
  message: string;
}

export interface FailurePage {
  failures: Failure[];
  next: string | null;
}

export interface Probe {
  reachable: boolean;
  checks: { name: string; ok: boolean; verdict?: string; detail: string; advice: string | null }[];
}

export interface PauseOrder {
  paused: boolean;
  why?: string;
  until?: string | null;
}

export const UPSTREAMS_PATH = '/v1/upstreams';

const upstreamPath = (id: string): string => `${UPSTREAMS_PATH}/${encodeURIComponent(id)}`;

export const probePath = (id: string): string => `${upstreamPath(id)}/probe`;
export const pausePath = (id: string): string => `${upstreamPath(id)}/pause`;
export const failuresPath = (id: string, cursor: string | undefined, limit: number): string =>
  callPath(`${upstreamPath(id)}/failures`, { cursor, limit });

export const probe = (id: string): Promise<Probe> => requestJson(probePath(id), { method: 'POST' });

export const putPause = (id: string, order: PauseOrder): Promise<Upstream> =>
  requestJson(pausePath(id), { method: 'PUT', body: order });
