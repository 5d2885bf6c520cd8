// SPDX-License-Identifier: Apache-2.0
// One page of dead letters: rows to open, to select, and to replay or discard.
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';
import { useNavigate } from '@tanstack/react-router';
import { useEffect, useState } from 'react';

import { CsvButton } from '../csv/CsvButton';
import { Empty } from '../states/Empty';
import { SteadyList } from '../states/SteadyList';
import { letterColumns } from './letterColumns';
import { absoluteFilter, isEmptyFilter, letterFilterWords } from './letterFilter';
import { type LetterPage, letterPagePath, type LetterSummary } from './letters';
import { type Listing, searchOf } from './search';
import { setShownLetters } from './neighbours';
import { SelectionButtons } from './SelectionButtons';

const letterIdOf = ({ letter_id: id }: LetterSummary): string => id;

/** Returns the path of all pages: a list as CSV has no cursor. */
const csvPath = ({ filter, order }: Listing): string => letterPagePath(absoluteFilter(filter, new Date()), { order });

interface ListProps {
  page: LetterPage;
  listing: Listing;
  openId: string | undefined;
  /** Whether the rows are still those of the filter before. */
  isPlaceholder: boolean;
}

/** The list. Its rows stay in place while a letter is selected or open. */
export function LetterList({ page, listing, openId, isPlaceholder }: ListProps) {
  // Rows of the filter before are not kept in place.
  const [isFresh, setIsFresh] = useState(!isPlaceholder);
  if (!isPlaceholder && !isFresh) setIsFresh(true);
  const [selectedIds, setSelectedIds] = useState<ReadonlySet<string>>(new Set());
  const isHeld = selectedIds.size > 0 || openId !== undefined;
  return (
    <SteadyList latest={page.letters} idOf={letterIdOf} noun="letter" held={isFresh && isHeld}>
      {(rows) => (
        <LetterTable
          rows={rows}
          listing={listing}
          openId={openId}
          selected={rows.filter((letter) => selectedIds.has(letter.letter_id))}
          onSelect={setSelectedIds}
        />
      )}
    </SteadyList>
  );
}

interface Props {
  rows: LetterSummary[];
  listing: Listing;
  openId: string | undefined;
  /** A part of `rows`, so that buttons act on visible letters only. A change of page, filter or order ends it. */
  selected: LetterSummary[];
  onSelect: (ids: ReadonlySet<string>) => void;
}

function LetterTable({ rows, listing, openId, selected, onSelect }: Props) {
  const navigate = useNavigate();
  useEffect(() => setShownLetters(rows.map(letterIdOf)), [rows]);
  const isOpen = openId !== undefined;
  const open = (letterId: string) =>
    void navigate({ to: '/ops/dead-letters/$letterId', params: { letterId }, search: (current) => current });
  return (
    <Table
      items={rows}
      trackBy="letter_id"
      variant="container"
      contentDensity="compact"
      wrapLines
      stickyHeader
      selectionType="multi"
      selectedItems={selected}
      onSelectionChange={({ detail }) => onSelect(new Set(detail.selectedItems.map(letterIdOf)))}
      ariaLabels={{
        tableLabel: 'Dead letters',
        selectionGroupLabel: 'Select letters',
        allItemsSelectionLabel: () => 'Select all letters of this page',
        itemSelectionLabel: (_, { op, letter_id: id }) => `Select ${op} ${id}`,
      }}
      header={
        <Header
          variant="h2"
          counter={selected.length > 0 ? `(${selected.length} of ${rows.length} selected)` : `(${rows.length} shown)`}
          actions={
            <SpaceBetween direction="horizontal" size="xs">
              <SelectionButtons letters={selected} onDone={() => onSelect(new Set())} />
              <CsvButton path={csvPath(listing)} fileName="dead-letters.csv" />
            </SpaceBetween>
          }
        >
          Letters
        </Header>
      }
      columnDefinitions={letterColumns(open, openId, isOpen)}
      empty={
        <Empty
          filter={isEmptyFilter(listing.filter) ? null : letterFilterWords(listing.filter)}
          onClear={() => void navigate({ to: '.', search: searchOf({}, listing) })}
        >
          No dead letters. What is given up on appears here.
        </Empty>
      }
    />
  );
}
