// SPDX-License-Identifier: Apache-2.0
// What the address of the page says: what is looked for, and the client of an idempotency key.
import { given, readText } from '../search';
import type { RawSearch } from '../search';

export const jobsSearch = (search: RawSearch) =>
  given({
    find: readText(search, 'find'),
    client: readText(search, 'client'),
  });
