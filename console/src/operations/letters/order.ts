// SPDX-License-Identifier: Apache-2.0
// An order to replay or discard all letters of a filter. It carries the count that the visitor has confirmed.
import { ProblemError } from '../../api/problem';
import { type ApiCall, bridgeCommand } from '../commands/curl';
import { filterOptions, type LetterFilter } from './letterFilter';

export type DrainAction = 'replay' | 'discard';

export interface Order {
  action: DrainAction;
  /** With absolute times, so that it selects the same letters whenever it is sent. */
  filter: LetterFilter;
  /** How many letters the visitor was shown. The bridge refuses the order if there are more or fewer. */
  count: number;
  /** Letters a second; null: as fast as the workers can. */
  rate: number | null;
}

/** Returns the body of the order's request. */
export function orderBody({ action, filter, count, rate }: Order): Record<string, unknown> {
  return action === 'replay' ? { filter, rate, count } : { filter, count };
}

/** Returns the order as a command. */
export function orderCommand({ action, filter, count, rate }: Order): string {
  const words: (string | number)[] = ['dead-letters', action, ...filterOptions(filter)];
  if (action === 'replay' && rate !== null) words.push('--rate', rate);
  words.push('--count', count);
  return bridgeCommand(...words);
}

/** Returns the order as a call of the API. */
export function orderCall(order: Order): ApiCall {
  return { method: 'POST', path: `/v1/dead-letters/${order.action}`, body: JSON.stringify(orderBody(order)) };
}

/** Returns the number of letters that the refusal of an order states; null where the number is not the cause. */
export function changedCount(error: Error | null): number | null {
  if (!(error instanceof ProblemError) || error.status !== 409) return null;
  const { count } = error.problem.members ?? {};
  if (typeof count === 'number') return count;
  // Without the member `count`, the number is in the message only.
  const stated = /"count": (\d+)/.exec(error.message);
  return stated ? Number(stated[1]) : null;
}

/** The state of the dialog that confirms an order by the number of its letters. */
export interface Confirmation {
  /** The number to confirm; null until the bridge has counted. */
  count: number | null;
  /** The number that was shown before, where it has changed meanwhile. */
  before: number | null;
  /** The number as the visitor types it. */
  typed: string;
}

/** The state before the bridge has counted the letters. */
export const NOT_COUNTED: Confirmation = { count: null, before: null, typed: '' };

/** The state once the bridge has counted the letters. */
export const unconfirmed = (count: number): Confirmation => ({ ...NOT_COUNTED, count });

/** Returns the state after the bridge has refused the order: the visitor has to confirm the new number. */
export function withChangedCount({ count: before }: Confirmation, count: number): Confirmation {
  return { count, before, typed: '' };
}

/** Returns whether the number that was typed is the number of letters. Commas and spaces between digits are ignored. */
export function isConfirmed({ count, typed }: Confirmation): boolean {
  const digits = typed.replaceAll(/[\s,.']/g, '');
  return count !== null && count > 0 && /^\d+$/.test(digits) && Number(digits) === count;
}

/** Returns why the order cannot be sent yet, null if it can. */
export function orderDisabledReason(
  action: DrainAction,
  confirmation: Confirmation,
  order: Order | null,
): string | null {
  const { count } = confirmation;
  if (count === null) return 'The letters are not counted yet.';
  if (count === 0) return 'There are no such letters.';
  if (order === null) return 'The rate is not a number.';
  return action === 'replay' || isConfirmed(confirmation) ? null : `Type ${count.toLocaleString('en')} first.`;
}
