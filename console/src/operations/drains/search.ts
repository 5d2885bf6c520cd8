// SPDX-License-Identifier: Apache-2.0
// What the address of the page says: the state of the orders.
import { given, oneIn } from '../search';
import type { RawSearch } from '../search';

export const drainsSearch = (search: RawSearch) =>
  given({
    state: oneIn(search, 'state', ['running', 'finished', 'cancelled']),
  });
