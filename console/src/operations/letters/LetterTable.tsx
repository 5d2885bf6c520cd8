// SPDX-License-Identifier: Apache-2.0
// One page of dead letters: rows to open, to select, and to replay or discard.
import Button from '@cloudscape-design/components/button';
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';
import { useNavigate } from '@tanstack/react-router';
import { useEffect, useState } from 'react';

import { CsvButton } from '../csv/CsvButton';
import { Pager } from '../paging/Pager';
import { Empty } from '../states/Empty';
import { useSteadyRows } from '../states/rows';
import { letterColumns } from './letterColumns';
import { absoluteFilter, filterWords, isEmptyFilter } from './letterFilter';
import { type LetterPage, letterPagePath, type LetterSummary } from './letters';
import { addressOf, type Listed } from './search';
import { setShownLetters } from './neighbours';
import { SelectionButtons } from './SelectionButtons';

const idOf = ({ letter_id: id }: LetterSummary): string => id;

/** Returns the path of all pages: a list as CSV has no cursor. */
const csvPath = ({ filter, order }: Listed): string => letterPagePath(absoluteFilter(filter, new Date()), { order });

interface Props {
  page: LetterPage;
  listed: Listed;
  openId: string | undefined;
}

export function LetterTable({ page, listed, openId }: Props) {
  const navigate = useNavigate();
  const [selectedIds, setSelectedIds] = useState<ReadonlySet<string>>(new Set());
  const { rows, news, show } = useSteadyRows(page.letters, idOf, selectedIds.size > 0 || openId !== undefined);
  useEffect(() => setShownLetters(rows.map(idOf)), [rows]);
  // Only what can be seen is acted on: a selection ends with the page, the filter and the order.
  const selected = rows.filter((letter) => selectedIds.has(letter.letter_id));
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
      onSelectionChange={({ detail }) => setSelectedIds(new Set(detail.selectedItems.map(idOf)))}
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
              <SelectionButtons
                letters={selected}
                onDone={() => {
                  setSelectedIds(new Set());
                  show();
                }}
              />
              <CsvButton path={csvPath(listed)} file="dead-letters.csv" />
            </SpaceBetween>
          }
        >
          Letters
        </Header>
      }
      filter={news > 0 && <Button onClick={show}>{`${news.toLocaleString('en')} new: show them`}</Button>}
      columnDefinitions={letterColumns(open, openId, isOpen)}
      empty={
        <Empty
          filter={isEmptyFilter(listed.filter) ? null : filterWords(listed.filter)}
          onClear={() => void navigate({ to: '.', search: addressOf({}, listed) })}
        >
          No dead letters. What is given up on appears here.
        </Empty>
      }
      footer={
        <Pager
          key={JSON.stringify(addressOf(listed.filter, listed))}
          cursor={listed.cursor}
          next={page.next}
          following={listed.order === 'newest' ? 'older' : 'newer'}
          onGo={(cursor) =>
            void navigate({
              to: '/ops/dead-letters',
              search: { ...addressOf(listed.filter, listed), ...(cursor !== undefined && { cursor }) },
            })
          }
        />
      }
    />
  );
}
