// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import { lettersSearch, listingOf, searchOf } from './search';

it('reads an address, and leaves out what is not valid', () => {
  const search = { reason: 'nonsense', run: 123, since: '7d', until: 'soon', client: '', order: 'up', limit: 7 };
  expect(listingOf(lettersSearch(search))).toEqual({
    filter: { run_id: '123', since: '7d' },
    order: 'newest',
    limit: 50,
    cursor: undefined,
  });
});

it('gives the address of a filter, at its first page', () => {
  const listing = listingOf(lettersSearch({ run: 'a3f1', order: 'oldest', limit: 200, cursor: 'x' }));
  expect(listing).toMatchObject({ order: 'oldest', limit: 200, cursor: 'x' });
  expect(searchOf(listing.filter, listing)).toEqual({ run: 'a3f1', order: 'oldest', limit: 200 });
  expect(searchOf({}, { order: 'newest', limit: 50 })).toEqual({});
});
