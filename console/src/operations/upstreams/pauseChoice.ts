// SPDX-License-Identifier: Apache-2.0
// For how long deliveries are paused.
import type { PauseOrder } from './upstream';

export const LENGTHS: readonly { value: string; label: string; minutes: number | null }[] = [
  { value: '15', label: 'for 15 minutes', minutes: 15 },
  { value: '60', label: 'for 1 hour', minutes: 60 },
  { value: '240', label: 'for 4 hours', minutes: 240 },
  { value: '1440', label: 'for 24 hours', minutes: 1440 },
  { value: 'open', label: 'until an operator resumes', minutes: null },
];

const MINUTE_MS = 60_000;

/** Returns the order, its end a whole second so that it reads well. */
export function pauseOrder(why: string, minutes: number | null, now: number): PauseOrder {
  return { paused: true, why: why.trim(), until: minutes === null ? null : isoSecond(now + minutes * MINUTE_MS) };
}

const isoSecond = (moment: number): string => new Date(moment).toISOString().replace(/\.\d+Z$/, 'Z');

/** Returns the options of `mlflow-bridge upstream pause` that order the same. */
export function pauseOptions(why: string, minutes: number | null): string[] {
  return ['--why', why.trim() || 'REASON', ...(minutes === null ? [] : ['--for', `${minutes}m`])];
}
