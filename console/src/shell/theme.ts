// SPDX-License-Identifier: Apache-2.0
// The colour theme, light or dark: what the visitor has chosen, else what the system prefers.
import { applyMode, Mode } from '@cloudscape-design/global-styles';
import { useSyncExternalStore } from 'react';

export type Theme = 'light' | 'dark';

const STORAGE_KEY = 'mlflow-bridge-theme';
const listeners = new Set<() => void>();
let current: Theme = storedTheme() ?? (prefersDark() ? 'dark' : 'light');

/** Applies the theme to the page: before the first paint, and after each switch. */
export function applyTheme(): void {
  applyMode(current === 'dark' ? Mode.Dark : Mode.Light);
  document.documentElement.dataset['theme'] = current;
}

export function switchTheme(): void {
  current = current === 'dark' ? 'light' : 'dark';
  try {
    localStorage.setItem(STORAGE_KEY, current);
  } catch {
    // The browser stores nothing; the theme holds until the page is loaded again.
  }
  applyTheme();
  for (const listener of listeners) listener();
}

export function useTheme(): Theme {
  return useSyncExternalStore(subscribe, () => current);
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function storedTheme(): Theme | null {
  try {
    const stored = localStorage.getItem(STORAGE_KEY);
    return stored === 'light' || stored === 'dark' ? stored : null;
  } catch {
    return null;
  }
}

function prefersDark(): boolean {
  return typeof matchMedia === 'function' && matchMedia('(prefers-color-scheme: dark)').matches;
}
