// SPDX-License-Identifier: Apache-2.0
// Reads the query of the page's address: a part of the names, and whether a new client is made.
import { definedFields, readCount, readText } from '../search';
import type { RawSearch } from '../search';

export const clientsSearch = (search: RawSearch) =>
  definedFields({
    find: readText(search, 'find'),
    new: readCount(search, 'new', 1, 1),
  });
