// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import { ProblemError } from '../../api/problem';
import {
  changedCount,
  isConfirmed,
  NOT_COUNTED,
  type Order,
  orderBody,
  orderCall,
  orderCommand,
  unconfirmed,
  withChangedCount,
} from './order';

const ORDER: Order = { action: 'replay', filter: { reason: 'refused', client: "it's" }, count: 1204, rate: 20 };

const conflict = (members: Record<string, unknown>, detail: string) =>
  new ProblemError({ type: null, title: 'Conflict', detail, status: 409, requestId: null, members });

it('guards each order by the number that was shown', () => {
  expect(orderBody(ORDER)).toEqual({ filter: ORDER.filter, rate: 20, count: 1204 });
  expect(orderBody({ ...ORDER, action: 'discard' })).toEqual({ filter: ORDER.filter, count: 1204 });
});

it('gives the same order as a command', () => {
  expect(orderCommand(ORDER)).toBe(
    "mlflow-bridge dead-letters replay --reason refused --client 'it'\\''s' --rate 20 --count 1204",
  );
  expect(orderCommand({ action: 'discard', filter: {}, count: 7, rate: null })).toBe(
    'mlflow-bridge dead-letters discard --all --count 7',
  );
});

it('gives the same order as a call', () => {
  expect(orderCall(ORDER)).toEqual({
    method: 'POST',
    path: '/v1/dead-letters/replay',
    body: `{"filter":{"reason":"refused","client":"it's"},"rate":20,"count":1204}`,
  });
});

it('reads the new number from a refusal', () => {
  expect(changedCount(conflict({ count: 1210 }, 'changed'))).toBe(1210);
  expect(
    changedCount(conflict({}, 'This would discard 9 dead letters. To do so, send the same with "count": 9.')),
  ).toBe(9);
  expect(changedCount(conflict({}, 'Another drain runs.'))).toBeNull();
  expect(changedCount(new Error('"count": 9'))).toBeNull();
  expect(changedCount(null)).toBeNull();
});

it('asks again with the new number when the count has changed meanwhile', () => {
  const typed = { ...unconfirmed(1204), typed: '1,204' };
  expect(isConfirmed(typed)).toBe(true);
  const again = withChangedCount(typed, 1210);
  expect(again).toEqual({ count: 1210, before: 1204, typed: '' });
  expect(isConfirmed(again)).toBe(false);
  expect(isConfirmed({ ...again, typed: '1204' })).toBe(false);
  expect(isConfirmed({ ...again, typed: '1210' })).toBe(true);
});

it.each(['', 'all', '0', '12', '-7', '7e0'])('does not take %j for 7', (typed) => {
  expect(isConfirmed({ ...unconfirmed(7), typed })).toBe(false);
});

it('confirms nothing before the bridge has counted, and not that there is nothing', () => {
  expect(isConfirmed({ ...NOT_COUNTED, typed: '0' })).toBe(false);
  expect(isConfirmed({ ...unconfirmed(0), typed: '0' })).toBe(false);
});
