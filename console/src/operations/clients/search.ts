// SPDX-License-Identifier: Apache-2.0
// What the address of the page says: a part of the names, and whether a new client is made.
import { readCount, given, readText } from '../search';
import type { RawSearch } from '../search';

export const clientsSearch = (search: RawSearch) =>
  given({
    find: readText(search, 'find'),
    new: readCount(search, 'new', 1, 1),
  });
