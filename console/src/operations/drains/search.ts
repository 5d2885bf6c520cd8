// SPDX-License-Identifier: Apache-2.0
// Reads the query of the page's address: the state of the orders.
import { definedFields, readOneOf } from '../search';
import type { RawSearch } from '../search';

export const drainsSearch = (search: RawSearch) =>
  definedFields({
    state: readOneOf(search, 'state', ['running', 'finished', 'cancelled']),
  });
