// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import { laneFilterWords, listCommand } from './laneFilterWords';

it('says a filter in words, and as a command', () => {
  const choice = { state: 'failing', client: "anna's", order: 'newest' } as const;
  expect(laneFilterWords(choice)).toBe("state failing, client anna's");
  expect(listCommand(choice)).toBe(`mlflow-bridge lanes list --state failing --client 'anna'\\''s' --newest`);
});

it('says nothing without a filter', () => {
  expect(laneFilterWords({ order: 'newest' })).toBeNull();
  expect(listCommand({})).toBe('mlflow-bridge lanes list');
});
