// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import { steadyRows } from './steadyRows';

const idOf = (row: { id: string }) => row.id;

it('keeps the order, renews the contents, and counts what is new', () => {
  const latest = [
    { id: 'c', n: 2 },
    { id: 'b', n: 2 },
    { id: 'a', n: 2 },
  ];
  expect(steadyRows(latest, idOf, ['a', 'b'])).toEqual({
    rows: [
      { id: 'a', n: 2 },
      { id: 'b', n: 2 },
    ],
    newCount: 1,
  });
});

it('drops rows that are gone', () => {
  expect(steadyRows([{ id: 'b' }], idOf, ['a', 'b'])).toEqual({ rows: [{ id: 'b' }], newCount: 0 });
});
