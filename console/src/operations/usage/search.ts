// SPDX-License-Identifier: Apache-2.0
// Reads the query of the page's address: the client, what is counted, and whether hours or days are shown.
import { definedFields, readOneOf, readText } from '../search';
import type { RawSearch } from '../search';
import { MEASURES } from './usage';

export const usageSearch = (search: RawSearch) =>
  definedFields({
    client: readText(search, 'client'),
    by: readOneOf(search, 'by', ['hour', 'day']),
    measure: readOneOf(search, 'measure', MEASURES),
  });
