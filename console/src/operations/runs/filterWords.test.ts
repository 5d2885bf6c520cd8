// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import { filterWords, listCommand } from './filterWords';

it('says a filter in words, and as a command', () => {
  const choice = { state: 'failing', client: "anna's", order: 'newest' } as const;
  expect(filterWords(choice)).toBe("state failing, client anna's");
  expect(listCommand(choice)).toBe(`mlflow-bridge lanes list --state failing --client 'anna'\\''s' --newest`);
});

it('says nothing without a filter', () => {
  expect(filterWords({ order: 'newest' })).toBeNull();
  expect(listCommand({})).toBe('mlflow-bridge lanes list');
});
