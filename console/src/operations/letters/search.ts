// SPDX-License-Identifier: Apache-2.0
// Reads the query of the page's address: the filter, the order and the place in the list.
import { readCount, type DefinedFields, definedFields, readOneOf, type RawSearch, readText } from '../search';
import { fieldProblem, type FilterField, type LetterFilter } from './letterFilter';
import type { LetterOrder } from './letters';

export const PAGE_SIZES = [50, 100, 200] as const;
const DEFAULT_SIZE = 50;

/** Reads the address. What is not valid is left out, and so is what the page does by itself. */
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

export interface Listed {
  filter: LetterFilter;
  order: LetterOrder;
  limit: number;
  cursor: string | undefined;
}

/** Returns what is listed at an address. */
export function listedAt(search: LettersSearch): Listed {
  const { order = 'newest', limit = DEFAULT_SIZE, cursor, run, ...fields } = search;
  return { filter: run === undefined ? fields : { ...fields, run_id: run }, order, limit, cursor };
}

/** Returns the query of an address for a filter. It begins at the first page. */
export function addressOf(filter: LetterFilter, { order, limit }: Pick<Listed, 'order' | 'limit'>): LettersSearch {
  const { run_id: run, ...fields } = filter;
  return definedFields({
    ...fields,
    run,
    order: order === 'newest' ? undefined : order,
    limit: limit === DEFAULT_SIZE ? undefined : PAGE_SIZES.find((size) => size === limit),
  }) as DefinedFields<LettersSearch>;
}
