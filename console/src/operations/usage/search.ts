// SPDX-License-Identifier: Apache-2.0
// What the address of the page says: the client, and whether hours or days are shown.
import { given, oneIn, textIn } from '../search';
import type { RawSearch } from '../search';

export const usageSearch = (search: RawSearch) =>
  given({
    client: textIn(search, 'client'),
    by: oneIn(search, 'by', ['hour', 'day']),
  });
