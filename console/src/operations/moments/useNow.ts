// SPDX-License-Identifier: Apache-2.0
// The clock of the page. One timer updates all ages together, once a second.
import { useSyncExternalStore } from 'react';

const TICK_MS = 1000;
const MINUTE_MS = 60_000;
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;
let now = Date.now();

export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}

/** Returns the beginning of the running minute. A component that uses it renders once a minute, not once a second. */
export function useMinute(): number {
  return useSyncExternalStore(subscribe, () => Math.floor(now / MINUTE_MS) * MINUTE_MS);
}

function subscribe(listener: () => void): () => void {
  if (listeners.size === 0) {
    now = Date.now();
    timer = setInterval(tick, TICK_MS);
  }
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) clearInterval(timer);
  };
}

function tick(): void {
  now = Date.now();
  for (const listener of listeners) listener();
}
