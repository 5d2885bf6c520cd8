// SPDX-License-Identifier: Apache-2.0
// The visitor's writes that the bridge has given up on, each with its reason and a replay.
import Button from '@cloudscape-design/components/button';
import Header from '@cloudscape-design/components/header';
import Table from '@cloudscape-design/components/table';
import { useInfiniteQuery } from '@tanstack/react-query';
import { useState } from 'react';

import { momentText } from '../api/time';
import { QueryView } from '../feedback/QueryView';
import { useSession } from '../session/SessionContext';
import { deadLettersQuery, type LetterSummary } from './jobs';
import { letterSentence } from './jobSentence';
import { LetterDialog } from './LetterDialog';
import { listCountText } from './PendingJobs';
import { ReplayButton } from './ReplayButton';
import { ShortId } from './ShortId';

export function DeadLetters({ run }: { run: string | null }) {
  const { client, via } = useSession();
  // Without a sign-in, the page lists the letters of all clients.
  const query = useInfiniteQuery(deadLettersQuery(via === 'none' ? null : client, run));
  const [openedLetterId, setOpenedLetterId] = useState<string | null>(null);
  return (
    <QueryView query={query} label="your dead letters" action="GetDeadLetter">
      {({ pages }) => {
        const letters = pages.flatMap((page) => page.letters);
        return (
          <>
            <Table
              variant="container"
              header={
                <Header
                  counter={listCountText(letters.length, query.hasNextPage)}
                  description="Writes that the bridge does not try to deliver any more. A replay puts the stored write at the end of its run's lane."
                >
                  Dead letters
                </Header>
              }
              items={letters}
              trackBy="letter_id"
              wrapLines
              columnDefinitions={columns(setOpenedLetterId)}
              empty="No dead letters. A write that MLflow refuses appears here."
            />
            {query.hasNextPage && (
              <Button loading={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
                Show more
              </Button>
            )}
            {openedLetterId && <LetterDialog letterId={openedLetterId} onClose={() => setOpenedLetterId(null)} />}
          </>
        );
      }}
    </QueryView>
  );
}

const columns = (onOpen: (letterId: string) => void) => [
  {
    id: 'buried',
    header: 'Given up at',
    minWidth: 130,
    isRowHeader: true,
    cell: (letter: LetterSummary) => momentText(letter.buried_at),
  },
  { id: 'op', header: 'Write', minWidth: 120, cell: (letter: LetterSummary) => letter.op },
  {
    id: 'run',
    header: 'Run',
    cell: (letter: LetterSummary) => <ShortId id={letter.run_id ?? letter.lane} label="run" />,
  },
  { id: 'why', header: 'Why', minWidth: 260, cell: (letter: LetterSummary) => letterSentence(letter) },
  {
    id: 'actions',
    header: 'Actions',
    minWidth: 200,
    cell: (letter: LetterSummary) => (
      <span className="form-buttons">
        <Button
          variant="inline-link"
          ariaLabel={`Details of the dead letter ${letter.letter_id}`}
          onClick={() => onOpen(letter.letter_id)}
        >
          Details
        </Button>
        <ReplayButton letterId={letter.letter_id} />
      </span>
    ),
  },
];
