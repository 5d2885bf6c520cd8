// SPDX-License-Identifier: Apache-2.0
// The columns of the list. Some are left out while a letter is open beside the list.
import Badge from '@cloudscape-design/components/badge';
import type { TableProps } from '@cloudscape-design/components/table';

import { Moment } from '../moments/Moment';
import { RowLink } from '../states/RowLink';
import type { LetterSummary } from './letters';

const SHOWN_CHARACTERS = 8;

export function letterColumns(
  onOpen: (letterId: string) => void,
  openId: string | undefined,
  isNarrow: boolean,
): TableProps.ColumnDefinition<LetterSummary>[] {
  return [whenColumn(onOpen, openId), ...(isNarrow ? [] : PLACE_COLUMNS), WHY_COLUMN];
}

const whenColumn = (
  onOpen: (letterId: string) => void,
  openId: string | undefined,
): TableProps.ColumnDefinition<LetterSummary> => ({
  id: 'buried',
  header: 'Given up',
  isRowHeader: true,
  minWidth: 110,
  cell: ({ letter_id: id, buried_at: at }) => (
    <RowLink
      href={`/app/ops/dead-letters/${encodeURIComponent(id)}${window.location.search}`}
      onFollow={() => onOpen(id)}
      {...(id === openId && { title: 'This letter is open' })}
    >
      {id === openId && <span aria-hidden="true">▸ </span>}
      <Moment at={at} relative={false} />
    </RowLink>
  ),
});

const PLACE_COLUMNS: TableProps.ColumnDefinition<LetterSummary>[] = [
  {
    id: 'op',
    header: 'Write',
    minWidth: 130,
    cell: ({ op }) => <span className="letter-word">{op}</span>,
  },
  {
    id: 'run',
    header: 'Run',
    minWidth: 110,
    cell: ({ run_id: run, lane }) => (
      <span className="id letter-word" title={run ?? lane}>
        {(run ?? lane).slice(0, SHOWN_CHARACTERS)}
        {(run ?? lane).length > SHOWN_CHARACTERS && '…'}
      </span>
    ),
  },
  { id: 'client', header: 'Client', minWidth: 100, cell: ({ client }) => client },
];

const WHY_COLUMN: TableProps.ColumnDefinition<LetterSummary> = {
  id: 'why',
  header: 'Why',
  minWidth: 220,
  cell: ({ reason, status, error_code: code, message }) => (
    <>
      <Badge color={reason === 'refused' ? 'red' : 'grey'}>{reason}</Badge> {status} {code && <code>{code}</code>}
      <span className="letter-message">{message}</span>
    </>
  ),
};
