// SPDX-License-Identifier: Apache-2.0
// What the address of the page says: the upstream and the place in its failures.
import { given, readText } from '../search';
import type { RawSearch } from '../search';

export const upstreamsSearch = (search: RawSearch) =>
  given({
    id: readText(search, 'id'),
    cursor: readText(search, 'cursor'),
  });
