// SPDX-License-Identifier: Apache-2.0
// Whether the pages of operations ask for news by themselves, and how often.
import { useSyncExternalStore } from 'react';

export interface Live {
  paused: boolean;
  /** The shortest period that the visitor wants; 0 leaves it to each page. */
  leastMs: number;
}

export const PERIODS: readonly { ms: number; text: string }[] = [
  { ms: 0, text: 'automatic' },
  { ms: 5_000, text: '5 s' },
  { ms: 15_000, text: '15 s' },
  { ms: 60_000, text: '1 min' },
];

const STORAGE_KEY = 'mlflow-bridge-period';
const listeners = new Set<() => void>();
let current: Live = { paused: false, leastMs: storedPeriod() };

export function useLive(): Live {
  return useSyncExternalStore(subscribe, () => current);
}

export function setPaused(paused: boolean): void {
  change({ ...current, paused });
}

export function togglePaused(): void {
  setPaused(!current.paused);
}

export function setPeriod(leastMs: number): void {
  try {
    localStorage.setItem(STORAGE_KEY, String(leastMs));
  } catch {
    // The browser stores nothing; the period holds until the page is loaded again.
  }
  change({ ...current, leastMs });
}

function change(next: Live): void {
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
