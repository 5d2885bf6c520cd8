// SPDX-License-Identifier: Apache-2.0
// The durations of a pause, and the order that each makes.
import type { PauseOrder } from './upstream';

export const PAUSE_DURATIONS: readonly { value: string; label: string; minutes: number | null }[] = [
  { value: '15', label: 'for 15 minutes', minutes: 15 },
  { value: '60', label: 'for 1 hour', minutes: 60 },
  { value: '240', label: 'for 4 hours', minutes: 240 },
  { value: '1440', label: 'for 24 hours', minutes: 1440 },
  { value: 'open', label: 'until an operator resumes', minutes: null },
];

const MINUTE_MS = 60_000;

/** Returns the order of a pause from now on; with null minutes it has no end. The end is a whole second. */
export function buildPauseOrder(why: string, minutes: number | null, now: number): PauseOrder {
  return { paused: true, why: why.trim(), until: minutes === null ? null : isoSecond(now + minutes * MINUTE_MS) };
}

const isoSecond = (moment: number): string => new Date(moment).toISOString().replace(/\.\d+Z$/, 'Z');

/** Returns the options of `mlflow-bridge upstream pause` that give the same order. */
export function pauseOptions(why: string, minutes: number | null): string[] {
  return ['--why', why.trim() || 'REASON', ...(minutes === null ? [] : ['--for', `${minutes}m`])];
}
