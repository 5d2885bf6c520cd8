// SPDX-License-Identifier: Apache-2.0
// Keeps rows in place under the pointer while new ones come.
import { useState } from 'react';

interface SteadyRows<Row> {
  rows: Row[];
  /** How many rows have come that are not shown yet. */
  news: number;
  /** Shows all rows in their order. */
  show: () => void;
}

/**
 * Returns rows that keep their order while `held`, because one is selected, open, or has the focus.
 *
 * Their contents go on: only rows that would move or come are held back.
 */
export function useSteadyRows<Row>(latest: Row[], idOf: (row: Row) => string, held: boolean): SteadyRows<Row> {
  const [ids, setIds] = useState<string[] | null>(null);
  if (held && ids === null) setIds(latest.map(idOf));
  if (!held && ids !== null) setIds(null);
  if (ids === null) return { rows: latest, news: 0, show: () => undefined };
  return { ...steadyRows(latest, idOf, ids), show: () => setIds(latest.map(idOf)) };
}

/** Returns the latest contents of the rows with these ids, in their order, and the number of other rows. */
export function steadyRows<Row>(latest: Row[], idOf: (row: Row) => string, ids: string[]) {
  const byId = new Map(latest.map((row) => [idOf(row), row]));
  const rows = ids.map((id) => byId.get(id)).filter((row) => row !== undefined);
  const known = new Set(ids);
  return { rows, news: latest.filter((row) => !known.has(idOf(row))).length };
}
