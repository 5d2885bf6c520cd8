// SPDX-License-Identifier: Apache-2.0
// Reads the query of the page's address: the filter, the order and the place in the list.
import { type DefinedFields, definedFields, type RawSearch, readCount, readOneOf, readText } from '../search';
import { fieldProblem, type FilterField, type LetterFilter } from './letterFilter';
import type { LetterOrder } from './letters';

export const PAGE_SIZES = [50, 100, 200] as const;
const DEFAULT_SIZE = 50;

/** Reads the query. Values that are not valid are left out. */
export function lettersSearch(search: RawSearch) {
  const readValid = (name: string, field = name as FilterField): string | undefined => {
    const text = readText(search, name);
    return text !== undefined && fieldProblem(field, text) === null ? text : undefined;
  };
  const limit = readCount(search, 'limit', PAGE_SIZES[0], PAGE_SIZES[2]);
  return definedFields({
    reason: readValid('reason'),
    op: readValid('op'),
    error_code: readValid('error_code'),
    client: readValid('client'),
    run: readValid('run', 'run_id'),
    lane: readValid('lane'),
    since: readValid('since'),
    until: readValid('until'),
    order: readOneOf(search, 'order', ['oldest', 'newest']),
    limit: PAGE_SIZES.find((size) => size === limit),
    cursor: readText(search, 'cursor'),
  });
}

export type LettersSearch = ReturnType<typeof lettersSearch>;

/** What the list shows: the letters of a filter, in an order, and the place in it. */
export interface Listing {
  filter: LetterFilter;
  order: LetterOrder;
  limit: number;
  cursor: string | undefined;
}

/** Returns what the list shows at an address. */
export function listingOf(search: LettersSearch): Listing {
  const { order = 'newest', limit = DEFAULT_SIZE, cursor, run, ...fields } = search;
  return { filter: run === undefined ? fields : { ...fields, run_id: run }, order, limit, cursor };
}

/** Returns the query of an address for a filter and an order, at the first page. Defaults are left out. */
export function searchOf(filter: LetterFilter, { order, limit }: Pick<Listing, 'order' | 'limit'>): LettersSearch {
  const { run_id: run, ...fields } = filter;
  return definedFields({
    ...fields,
    run,
    order: order === 'newest' ? undefined : order,
    limit: limit === DEFAULT_SIZE ? undefined : PAGE_SIZES.find((size) => size === limit),
  }) as DefinedFields<LettersSearch>;
}
