// SPDX-License-Identifier: Apache-2.0
// The filter of the audit trail as tokens, and in words.
import type { PropertyFilterProps } from '@cloudscape-design/components/property-filter';

import { absoluteTime, timeProblem } from '../letters/letterFilter';
import { AUDIT_FIELDS, type AuditEntry, type AuditField, type AuditFilter, DECISIONS } from './audit';

const LABELS: Record<AuditField, string> = {
  client: 'Client',
  action: 'Action',
  decision: 'Decision',
  request_id: 'Request id',
  since: 'Since',
  until: 'Before',
};

export const AUDIT_PROPERTIES: PropertyFilterProps.FilteringProperty[] = AUDIT_FIELDS.map((key) => ({
  key,
  propertyLabel: LABELS[key],
  groupValuesLabel: LABELS[key],
  operators: ['='],
}));

/** Returns the values that the field offers: decisions, spans of time, and values of the listed entries. */
export function auditOptions(entries: AuditEntry[]): PropertyFilterProps.FilteringOption[] {
  const values: [AuditField, string[]][] = [
    ['decision', [...DECISIONS]],
    ['since', ['1h', '24h', '7d']],
    ['client', entries.map(({ client }) => client)],
    ['action', entries.flatMap(({ action }) => action ?? [])],
  ];
  return values.flatMap(([propertyKey, each]) => [...new Set(each)].map((value) => ({ propertyKey, value })));
}

/** Returns a filter as the tokens that the field shows. */
export function auditTokens(filter: AuditFilter): PropertyFilterProps.Query {
  const tokens = Object.entries(filter).map(([propertyKey, value]) => ({ propertyKey, operator: '=' as const, value }));
  return { tokens, operation: 'and' };
}

/** Reads the tokens. A second value of a field replaces the first; one that is not valid is left out. */
export function readAuditTokens({ tokens }: PropertyFilterProps.Query): {
  filter: AuditFilter;
  problem: string | null;
} {
  const filter: AuditFilter = {};
  let problem: string | null = null;
  for (const { propertyKey, value } of tokens) {
    const field = AUDIT_FIELDS.find((each) => each === propertyKey);
    const text = typeof value === 'string' ? value.trim() : '';
    if (!field || !text) continue;
    const valueProblem = auditProblem(field, text);
    if (valueProblem) problem = valueProblem;
    else filter[field] = text;
  }
  return { filter, problem };
}

/** Returns why the value of a field is not valid, null if it is valid. */
export function auditProblem(field: AuditField, value: string): string | null {
  if (field === 'since' || field === 'until') return timeProblem(field, value);
  if (field === 'decision' && !DECISIONS.some((each) => each === value)) {
    return `“${value}” is no decision. Choose one of ${DECISIONS.join(', ')}.`;
  }
  return null;
}

/** Returns the filter with absolute times. */
export function absoluteAuditFilter(filter: AuditFilter, now: Date): AuditFilter {
  const { since, until } = filter;
  return {
    ...filter,
    ...(since && { since: absoluteTime(since, now) }),
    ...(until && { until: absoluteTime(until, now) }),
  };
}

/** Returns the filter in words, null for an empty one. */
export function auditFilterWords(filter: AuditFilter): string | null {
  const words = Object.entries(filter).map(([name, value]) => `${LABELS[name as AuditField].toLowerCase()} ${value}`);
  return words.join(', ') || null;
}
