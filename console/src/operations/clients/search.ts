// SPDX-License-Identifier: Apache-2.0
// What the address of the page says: a part of the names, and whether a new client is made.
import { countIn, given, textIn } from '../search';
import type { RawSearch } from '../search';

export const clientsSearch = (search: RawSearch) =>
  given({
    find: textIn(search, 'find'),
    new: countIn(search, 'new', 1, 1),
  });
