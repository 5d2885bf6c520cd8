// SPDX-License-Identifier: Apache-2.0
// What the address of the page says: the client, what is counted, and whether hours or days are shown.
import { given, oneIn, readText } from '../search';
import type { RawSearch } from '../search';
import { MEASURES } from './usage';

export const usageSearch = (search: RawSearch) =>
  given({
    client: readText(search, 'client'),
    by: oneIn(search, 'by', ['hour', 'day']),
    measure: oneIn(search, 'measure', MEASURES),
  });
