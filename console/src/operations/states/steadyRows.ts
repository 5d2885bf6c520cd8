// SPDX-License-Identifier: Apache-2.0
// Keeps rows in place under the pointer while new ones come.
import { useState } from 'react';

interface SteadyRows<Row> {
  rows: Row[];
  /** How many rows are new and not shown yet. */
  newCount: number;
  /** Shows all rows in their order. */
  show: () => void;
}

/**
 * Returns rows that keep their order while `held`, because one is selected, open, or has the focus.
 *
 * The contents of the rows stay up to date. Rows that would move stay in place, and new rows are not shown.
 */
export function useSteadyRows<Row>(latest: Row[], idOf: (row: Row) => string, held: boolean): SteadyRows<Row> {
  const [ids, setIds] = useState<string[] | null>(null);
  if (held && ids === null) setIds(latest.map(idOf));
  if (!held && ids !== null) setIds(null);
  if (ids === null) return { rows: latest, newCount: 0, show: () => undefined };
  return { ...steadyRows(latest, idOf, ids), show: () => setIds(latest.map(idOf)) };
}

/** Returns the latest contents of the rows with these ids, in their order, and the number of other rows. */
export function steadyRows<Row>(latest: Row[], idOf: (row: Row) => string, ids: string[]) {
  const byId = new Map(latest.map((row) => [idOf(row), row]));
  const rows = ids.map((id) => byId.get(id)).filter((row) => row !== undefined);
  const shownIds = new Set(ids);
  return { rows, newCount: latest.filter((row) => !shownIds.has(idOf(row))).length };
}
