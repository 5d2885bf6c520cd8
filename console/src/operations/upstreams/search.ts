// SPDX-License-Identifier: Apache-2.0
// Reads the query of the page's address: the upstream and the place in its failures.
import { definedFields, readText } from '../search';
import type { RawSearch } from '../search';

export const upstreamsSearch = (search: RawSearch) =>
  definedFields({
    id: readText(search, 'id'),
    cursor: readText(search, 'cursor'),
  });
