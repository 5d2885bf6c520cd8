// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import { interpretationsOf, termsOf } from './lookUp';

const kindsOf = (...terms: string[]) => interpretationsOf(terms, undefined).map(({ kind }) => kind);

it('reads ids that were pasted, each once', () => {
  expect(termsOf(' AQ1\nAQ2, AQ1\r\n\n')).toEqual(['AQ1', 'AQ2']);
  expect(termsOf('  ')).toEqual([]);
});

it('looks for one term as all that its form allows', () => {
  expect(kindsOf('a3f1c0de5b7e4c1f9d2e8a6b4c0d1e2f')).toEqual(['run', 'request', 'idempotency-key']);
  expect(kindsOf('nightly/17')).toEqual(['named-run', 'request', 'idempotency-key']);
  expect(kindsOf(`AQ${'x'.repeat(50)}`)).toEqual(['ids', 'named-run', 'request', 'idempotency-key']);
});

it('reads many terms as ids of jobs', () => {
  expect(kindsOf('AQ1', 'AQ2')).toEqual(['ids']);
  expect(kindsOf()).toEqual([]);
});
