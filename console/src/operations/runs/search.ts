// SPDX-License-Identifier: Apache-2.0
// Reads the query of the page's address: the filter, the order and the place in the list.
import { definedFields, readOneOf, readText } from '../search';
import type { RawSearch } from '../search';

export const LANE_STATES = ['waiting', 'delivering', 'failing', 'denied'] as const;

export const runsSearch = (search: RawSearch) =>
  definedFields({
    state: readOneOf(search, 'state', LANE_STATES),
    client: readText(search, 'client'),
    order: readOneOf(search, 'order', ['oldest', 'newest']),
    cursor: readText(search, 'cursor'),
  });
