// SPDX-License-Identifier: Apache-2.0
// What the address of the page says: a part of the names.
import { given, textIn } from '../search';
import type { RawSearch } from '../search';

export const clientsSearch = (search: RawSearch) =>
  given({
    find: textIn(search, 'find'),
  });
