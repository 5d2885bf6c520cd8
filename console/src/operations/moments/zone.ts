// SPDX-License-Identifier: Apache-2.0
// The zone of all times in operations: the browser's, or UTC.
import { useSyncExternalStore } from 'react';

import type { Zone } from '../../api/time';

const STORAGE_KEY = 'mlflow-bridge-zone';
const listeners = new Set<() => void>();
let current: Zone = storedZone();

export function useZone(): Zone {
  return useSyncExternalStore(subscribe, () => current);
}

export function switchZone(): void {
  current = current === 'utc' ? 'local' : 'utc';
  try {
    localStorage.setItem(STORAGE_KEY, current);
  } catch {
    // The browser stores nothing; the zone holds until the page is loaded again.
  }
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function storedZone(): Zone {
  try {
    return localStorage.getItem(STORAGE_KEY) === 'utc' ? 'utc' : 'local';
  } catch {
    return 'local';
  }
}
