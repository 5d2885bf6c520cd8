// SPDX-License-Identifier: Apache-2.0
// Whether single keys do something. Speech input and tremor press keys by mistake, so they can be switched off.
import { useSyncExternalStore } from 'react';

const STORAGE_KEY = 'mlflow-bridge-single-keys';
const listeners = new Set<() => void>();
let areOn = storedChoice();

export const singleKeysAreOn = (): boolean => areOn;

export function useSingleKeys(): boolean {
  return useSyncExternalStore(subscribe, singleKeysAreOn);
}

export function setSingleKeys(next: boolean): void {
  areOn = next;
  try {
    localStorage.setItem(STORAGE_KEY, next ? 'on' : 'off');
  } catch {
    // The browser stores nothing; the choice holds until the page is loaded again.
  }
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function storedChoice(): boolean {
  try {
    return localStorage.getItem(STORAGE_KEY) !== 'off';
  } catch {
    return true;
  }
}
