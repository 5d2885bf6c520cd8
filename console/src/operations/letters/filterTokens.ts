// SPDX-License-Identifier: Apache-2.0
// The filter of dead letters as the tokens of the filter's field.
import type { PropertyFilterProps } from '@cloudscape-design/components/property-filter';

import { FIELD_LABELS, fieldProblem, type FilterField, type LetterFilter, REASONS } from './letterFilter';
import type { LetterStatistics } from './letters';

const SPANS = ['1h', '6h', '24h', '7d'];

export const FILTERING_PROPERTIES: PropertyFilterProps.FilteringProperty[] = Object.entries(FIELD_LABELS).map(
  ([key, propertyLabel]) => ({ key, propertyLabel, groupValuesLabel: propertyLabel, operators: ['='] }),
);

/** Returns the values that the field offers: reasons, spans of time, and values of the listed letters. */
export function filteringOptions(statistics: LetterStatistics | undefined): PropertyFilterProps.FilteringOption[] {
  const values: Partial<Record<FilterField, string[]>> = {
    reason: [...REASONS],
    since: SPANS,
    client: Object.keys(statistics?.by_client ?? {}),
    op: (statistics?.groups ?? []).map(({ op }) => op),
    error_code: (statistics?.groups ?? []).flatMap(({ error_code: code }) => code ?? []),
  };
  return Object.entries(values).flatMap(([propertyKey, each]) =>
    [...new Set(each)].map((value) => ({ propertyKey, value })),
  );
}

/** Returns a filter as the tokens that the field shows. */
export function tokensOf(filter: LetterFilter): PropertyFilterProps.Query {
  const tokens = Object.entries(filter).map(([propertyKey, value]) => ({ propertyKey, operator: '=' as const, value }));
  return { tokens, operation: 'and' };
}

interface ReadTokens {
  filter: LetterFilter;
  /** Why a typed value is not valid, and so not part of the filter. */
  problem: string | null;
}

/** Reads the tokens. Each field has one value: a second one replaces the first. */
export function filterOfTokens({ tokens }: PropertyFilterProps.Query): ReadTokens {
  const filter: LetterFilter = {};
  let problem: string | null = null;
  for (const { propertyKey, value } of tokens) {
    const field = propertyKey as FilterField | undefined;
    if (field === undefined || typeof value !== 'string') continue;
    const valueProblem = fieldProblem(field, value.trim());
    if (valueProblem) problem = valueProblem;
    else if (value.trim()) filter[field] = value.trim();
  }
  return { filter, problem };
}
