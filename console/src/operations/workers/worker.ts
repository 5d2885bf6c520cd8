// SPDX-License-Identifier: Apache-2.0
// A worker, as `GET /v1/workers` states it. Fields are null where a worker of an older version does not report them.

export interface Worker {
  name: string;
  host: string;
  pid: number | null;
  version: string | null;
  started_at: string | null;
  reported_at: string;
  concurrency: number | null;
  /** How many lanes it delivers now. */
  delivering: number | null;
  last_error: { at: string; text: string } | null;
}

/** A worker that has not reported for this long may be gone. */
const SILENT_MS = 15_000;

export function isSilent({ reported_at: at }: Pick<Worker, 'reported_at'>, now: number): boolean {
  return now - Date.parse(at) > SILENT_MS;
}

/** Returns the different versions, in their order. */
export function versionsOf(workers: Pick<Worker, 'version'>[]): string[] {
  return [...new Set(workers.map(({ version }) => version ?? 'unknown'))].toSorted();
}
