// SPDX-License-Identifier: Apache-2.0
// What the address of the page says: the state of the orders.
import { given, textIn } from '../search';
import type { RawSearch } from '../search';

export const drainsSearch = (search: RawSearch) =>
  given({
    state: textIn(search, 'state'),
  });
