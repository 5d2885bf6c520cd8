// SPDX-License-Identifier: Apache-2.0
// What the address of the dead letters' page states.
import { filterOfSearch, type LetterFilter } from './letterFilter';
import type { LetterOrder } from './letters';

export const PAGE_SIZES = [50, 100, 200] as const;
const DEFAULT_SIZE = 50;

export interface LetterSearch extends LetterFilter {
  order?: LetterOrder;
  limit?: number;
  cursor?: string;
}

/** Reads the address. What is not valid is left out, and so is what the page does by itself. */
export function letterSearch(search: Record<string, unknown>): LetterSearch {
  const { order, limit, cursor } = search;
  return {
    ...filterOfSearch(search),
    ...(order === 'oldest' && { order }),
    ...(PAGE_SIZES.some((size) => size === limit && size !== DEFAULT_SIZE) && { limit: limit as number }),
    ...((typeof cursor === 'string' || typeof cursor === 'number') && { cursor: String(cursor) }),
  };
}

/** Returns what is listed at an address. */
export function listedBy({ order = 'newest', limit = DEFAULT_SIZE, cursor, ...filter }: LetterSearch) {
  return { filter: filter as LetterFilter, order, limit, cursor };
}
