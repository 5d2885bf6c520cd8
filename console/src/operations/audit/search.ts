// SPDX-License-Identifier: Apache-2.0
// What the address of the page says: the filter and the place in the list.
import { given, momentIn, textIn } from '../search';
import type { RawSearch } from '../search';

export const auditSearch = (search: RawSearch) =>
  given({
    client: textIn(search, 'client'),
    action: textIn(search, 'action'),
    decision: textIn(search, 'decision'),
    request_id: textIn(search, 'request_id'),
    since: momentIn(search, 'since'),
    until: momentIn(search, 'until'),
    cursor: textIn(search, 'cursor'),
  });
