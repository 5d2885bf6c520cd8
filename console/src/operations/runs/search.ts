// SPDX-License-Identifier: Apache-2.0
// What the address of the page says: the filter, the order and the place in the list.
import { given, oneIn, readText } from '../search';
import type { RawSearch } from '../search';

export const LANE_STATES = ['waiting', 'delivering', 'failing', 'denied'] as const;

export const runsSearch = (search: RawSearch) =>
  given({
    state: oneIn(search, 'state', LANE_STATES),
    client: readText(search, 'client'),
    order: oneIn(search, 'order', ['oldest', 'newest']),
    cursor: readText(search, 'cursor'),
  });
