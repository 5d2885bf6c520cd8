// SPDX-License-Identifier: Apache-2.0
// The visitor's settings for updates: whether the pages of operations poll, and how often.
import { useSyncExternalStore } from 'react';

export interface LiveSettings {
  paused: boolean;
  /** The shortest period between two polls of a page; with 0 each page has its own. */
  minPeriodMs: number;
}

export const PERIODS: readonly { ms: number; text: string }[] = [
  { ms: 0, text: 'automatic' },
  { ms: 5_000, text: '5 s' },
  { ms: 15_000, text: '15 s' },
  { ms: 60_000, text: '1 min' },
];

const STORAGE_KEY = 'mlflow-bridge-period';
const listeners = new Set<() => void>();
let current: LiveSettings = { paused: false, minPeriodMs: storedPeriod() };

export function useLiveSettings(): LiveSettings {
  return useSyncExternalStore(subscribe, () => current);
}

export function setPaused(paused: boolean): void {
  replaceSettings({ ...current, paused });
}

export function togglePaused(): void {
  setPaused(!current.paused);
}

export function setPeriod(minPeriodMs: number): void {
  try {
    localStorage.setItem(STORAGE_KEY, String(minPeriodMs));
  } catch {
    // The browser stores nothing; the period holds until the page is loaded again.
  }
  replaceSettings({ ...current, minPeriodMs });
}

function replaceSettings(next: LiveSettings): void {
  current = next;
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function storedPeriod(): number {
  try {
    const stored = Number(localStorage.getItem(STORAGE_KEY));
    return PERIODS.some(({ ms }) => ms === stored) ? stored : 0;
  } catch {
    return 0;
  }
}
