// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import { auditPath, subjectOf } from './audit';
import { absoluteAuditFilter, auditFilterWords, readAuditTokens } from './auditFilter';
import { auditSearch } from './search';

const token = (propertyKey: string, value: string) => ({ propertyKey, operator: '=' as const, value });

it('reads a filter from its tokens', () => {
  const tokens = [token('client', 'anna'), token('decision', 'maybe'), token('since', '24h'), token('client', 'bert')];
  const { filter, problem } = readAuditTokens({ tokens, operation: 'and' });
  expect(filter).toEqual({ client: 'bert', since: '24h' });
  expect(problem).toContain('“maybe” is no decision');
});

it('asks with absolute times', () => {
  const filter = absoluteAuditFilter({ decision: 'denied', since: '1h' }, new Date('2026-11-29T14:02:40Z'));
  expect(auditPath(filter, undefined)).toBe('/v1/audit?decision=denied&since=2026-11-29T13%3A02%3A00Z&limit=100');
});

it('reads an address, and leaves out what is not valid', () => {
  expect(auditSearch({ client: 7, decision: 'x', since: '7d', until: 'soon' })).toEqual({ client: '7', since: '7d' });
});

it('says the filter in words, and what an entry is about', () => {
  expect(auditFilterWords({ client: 'anna', decision: 'denied' })).toBe('client anna, decision denied');
  expect(auditFilterWords({})).toBeNull();
  expect(subjectOf({ on: null, method: 'POST', path: '/v1/session' })).toBe('POST /v1/session');
  expect(subjectOf({ on: 'nightly', method: 'PUT', path: '/v1/clients/nightly' })).toBe('nightly');
});
