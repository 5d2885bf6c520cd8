// SPDX-License-Identifier: Apache-2.0
// What the address of the page says: the filter, the order and the place in the list.
import { given, momentIn, oneIn, textIn } from '../search';
import type { RawSearch } from '../search';

export const lettersSearch = (search: RawSearch) =>
  given({
    reason: textIn(search, 'reason'),
    client: textIn(search, 'client'),
    run: textIn(search, 'run'),
    op: textIn(search, 'op'),
    error_code: textIn(search, 'error_code'),
    since: momentIn(search, 'since'),
    until: momentIn(search, 'until'),
    order: oneIn(search, 'order', ['oldest', 'newest']),
    cursor: textIn(search, 'cursor'),
  });
