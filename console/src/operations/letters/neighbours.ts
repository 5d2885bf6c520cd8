// SPDX-License-Identifier: Apache-2.0
// The letters before and after an open one, as the list beside it shows them.
import { useSyncExternalStore } from 'react';

export interface Neighbours {
  before: string | null;
  after: string | null;
}

const listeners = new Set<() => void>();
let shownIds: readonly string[] = [];

/** Stores the ids of the letters that the list shows, in its order. */
export function setShownLetters(ids: readonly string[]): void {
  if (ids.length === shownIds.length && ids.every((id, index) => id === shownIds[index])) return;
  shownIds = ids;
  for (const listener of listeners) listener();
}

export function useNeighbours(letterId: string): Neighbours {
  return neighboursIn(
    useSyncExternalStore(subscribe, () => shownIds),
    letterId,
  );
}

/** Returns the letters before and after one; for a letter that is not in the list, the first one comes after it. */
export function neighboursIn(ids: readonly string[], letterId: string): Neighbours {
  const index = ids.indexOf(letterId);
  if (index === -1) return { before: null, after: ids[0] ?? null };
  return { before: ids[index - 1] ?? null, after: ids[index + 1] ?? null };
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
