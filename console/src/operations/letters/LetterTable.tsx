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
import { absoluteFilter, filterWords, isEmptyFilter } from './letterFilter';
import { type LetterPage, letterPagePath, type LetterSummary } from './letters';
import { addressOf, type Listed } from './search';
import { setShownLetters } from './neighbours';
import { SelectionButtons } from './SelectionButtons';

const idOf = ({ letter_id: id }: LetterSummary): string => id;

/** Returns the path of all pages: a list as CSV has no cursor. */
const csvPath = ({ filter, order }: Listed): string => letterPagePath(absoluteFilter(filter, new Date()), { order });

interface ListProps {
  page: LetterPage;
  listed: Listed;
  openId: string | undefined;
  /** Whether the rows are still those of what was listed before. */
  isPlaceholder: boolean;
}

/** The rows stay in place while a letter is selected or open. */
export function LetterList({ page, listed, openId, isPlaceholder }: ListProps) {
  const [isFresh, setIsFresh] = useState(!isPlaceholder);
  if (!isPlaceholder && !isFresh) setIsFresh(true);
  const [selectedIds, setSelectedIds] = useState<ReadonlySet<string>>(new Set());
  const isHeld = selectedIds.size > 0 || openId !== undefined;
  return (
    <SteadyList latest={page.letters} idOf={idOf} noun="letter" held={isFresh && isHeld}>
      {(rows) => (
        <LetterTable
          rows={rows}
          listed={listed}
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
  listed: Listed;
  openId: string | undefined;
  /** Only what can be seen is acted on: a selection ends with the page, the filter and the order. */
  selected: LetterSummary[];
  onSelect: (ids: ReadonlySet<string>) => void;
}

function LetterTable({ rows, listed, openId, selected, onSelect }: Props) {
  const navigate = useNavigate();
  useEffect(() => setShownLetters(rows.map(idOf)), [rows]);
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
      onSelectionChange={({ detail }) => onSelect(new Set(detail.selectedItems.map(idOf)))}
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
              <CsvButton path={csvPath(listed)} fileName="dead-letters.csv" />
            </SpaceBetween>
          }
        >
          Letters
        </Header>
      }
      columnDefinitions={letterColumns(open, openId, isOpen)}
      empty={
        <Empty
          filter={isEmptyFilter(listed.filter) ? null : filterWords(listed.filter)}
          onClear={() => void navigate({ to: '.', search: addressOf({}, listed) })}
        >
          No dead letters. What is given up on appears here.
        </Empty>
      }
    />
  );
}
