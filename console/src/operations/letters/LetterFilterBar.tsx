// SPDX-License-Identifier: Apache-2.0
// The fields for the filter, the order and the size of a page. The address holds all three.
import PropertyFilter from '@cloudscape-design/components/property-filter';
import Select, { type SelectProps } from '@cloudscape-design/components/select';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';

import { FILTERING_PROPERTIES, filteringOptions, filterOfTokens, tokensOf } from './filterTokens';
import type { LetterStatistics } from './letters';
import { type Listing, PAGE_SIZES, searchOf } from './search';

const ORDERS: SelectProps.Option[] = [
  { value: 'newest', label: 'Newest first' },
  { value: 'oldest', label: 'Oldest first' },
];
const SIZES: SelectProps.Option[] = PAGE_SIZES.map((size) => ({ value: String(size), label: `${size} a page` }));

interface Props {
  listing: Listing;
  statistics: LetterStatistics | undefined;
}

export function LetterFilterBar({ listing, statistics }: Props) {
  const navigate = useNavigate();
  const [problem, setProblem] = useState<string | null>(null);
  const show = (changes: Partial<Listing>) => {
    const next = { ...listing, ...changes };
    void navigate({ to: '.', search: searchOf(next.filter, next) });
  };
  const { order, limit } = listing;
  return (
    <div className="letter-filter">
      <div className="letter-filter-field" data-search="">
        <PropertyFilter
          query={tokensOf(listing.filter)}
          filteringProperties={FILTERING_PROPERTIES}
          filteringOptions={filteringOptions(statistics)}
          filteringAriaLabel="Filter the dead letters"
          filteringPlaceholder="Filter by reason, write, error code, client, run or time"
          disableFreeTextFiltering
          hideOperations
          expandToViewport
          onChange={({ detail }) => {
            const parsed = filterOfTokens(detail);
            setProblem(parsed.problem);
            show({ filter: parsed.filter });
          }}
        />
        {problem && (
          <div role="alert" className="field-problem">
            {problem}
          </div>
        )}
      </div>
      <Select
        ariaLabel="Order"
        options={ORDERS}
        selectedOption={ORDERS.find(({ value }) => value === order) ?? null}
        onChange={({ detail }) => show({ order: detail.selectedOption.value === 'oldest' ? 'oldest' : 'newest' })}
      />
      <Select
        ariaLabel="Letters a page"
        options={SIZES}
        selectedOption={SIZES.find(({ value }) => value === String(limit)) ?? null}
        onChange={({ detail }) => show({ limit: Number(detail.selectedOption.value) })}
      />
    </div>
  );
}
