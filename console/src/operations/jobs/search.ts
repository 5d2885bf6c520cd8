// SPDX-License-Identifier: Apache-2.0
// Reads the query of the page's address: what is looked for, and the client of an idempotency key.
import { definedFields, readText } from '../search';
import type { RawSearch } from '../search';

export const jobsSearch = (search: RawSearch) =>
  definedFields({
    find: readText(search, 'find'),
    client: readText(search, 'client'),
  });
