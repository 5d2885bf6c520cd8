// SPDX-License-Identifier: Apache-2.0
// The attempts to deliver a letter, the latest last.
import Table from '@cloudscape-design/components/table';

import { Moment } from '../moments/Moment';
import type { Attempt, Letter } from './letters';

export function AttemptTable({ letter: { attempts, attempt_count: count } }: { letter: Letter }) {
  return (
    <Table
      variant="embedded"
      contentDensity="compact"
      wrapLines
      items={attempts}
      ariaLabels={{ tableLabel: 'Attempts' }}
      columnDefinitions={COLUMNS}
      empty="No attempt is recorded."
      {...(count > attempts.length && { footer: `The latest ${attempts.length} of ${count.toLocaleString('en')}.` })}
    />
  );
}

const COLUMNS = [
  { id: 'at', header: 'When', isRowHeader: true, cell: ({ at }: Attempt) => <Moment at={at} relative={false} /> },
  {
    id: 'writes',
    header: 'Call',
    cell: ({ writes }: Attempt) => (writes === 1 ? 'alone' : `with ${(writes - 1).toLocaleString('en')} others`),
  },
  {
    id: 'outcome',
    header: 'Outcome',
    cell: ({ reason, status, error_code: code }: Attempt) => [reason, status, code].filter(Boolean).join(' '),
  },
  { id: 'message', header: 'Message', minWidth: 160, cell: ({ message }: Attempt) => message },
];
