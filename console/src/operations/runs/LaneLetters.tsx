// SPDX-License-Identifier: Apache-2.0
// The dead letters of a lane.
import Header from '@cloudscape-design/components/header';
import Table from '@cloudscape-design/components/table';
import { Link, useRouter } from '@tanstack/react-router';

import type { LetterSummary } from '../../jobs/jobs';
import { letterSentence } from '../../jobs/jobSentence';
import { POLL_MS, useLiveQuery } from '../live/useLiveQuery';
import { Moment } from '../moments/Moment';
import { callPath } from '../search';
import { LiveQueryView } from '../states/LiveQueryView';
import { RowLink } from '../states/RowLink';
import { shortId } from './laneText';

const MAX_LETTERS = 20;

interface LetterPage {
  letters: LetterSummary[];
  next: string | null;
}

export function LaneLetters({ lane, runId }: { lane: string; runId: string | null }) {
  const query = useLiveQuery<LetterPage>({
    path: callPath(
      '/v1/dead-letters',
      runId === null ? { lane, limit: MAX_LETTERS } : { run_id: runId, limit: MAX_LETTERS },
    ),
    pollMs: POLL_MS.list,
  });
  return (
    <LiveQueryView query={query} label="the dead letters of the run" action="GetDeadLetter">
      {({ letters, next }) => (
        <Table
          variant="container"
          header={
            <Header
              variant="h2"
              counter={`(${letters.length}${next ? '+' : ''})`}
              actions={
                runId && letters.length > 0 ? (
                  <Link to="/ops/dead-letters" search={{ run: runId }}>
                    Replay or discard them
                  </Link>
                ) : undefined
              }
            >
              Its dead letters
            </Header>
          }
          ariaLabels={{ tableLabel: 'Dead letters of the run' }}
          items={letters}
          trackBy="letter_id"
          wrapLines
          columnDefinitions={COLUMNS}
          empty="None of its writes is a dead letter now."
        />
      )}
    </LiveQueryView>
  );
}

const COLUMNS = [
  {
    id: 'letter',
    header: 'Dead letter',
    isRowHeader: true,
    minWidth: 130,
    cell: (letter: LetterSummary) => <LetterLink letterId={letter.letter_id} />,
  },
  { id: 'op', header: 'Write', cell: (letter: LetterSummary) => letter.op },
  {
    id: 'buried',
    header: 'Given up at',
    minWidth: 170,
    cell: (letter: LetterSummary) => <Moment at={letter.buried_at} />,
  },
  { id: 'why', header: 'Why', minWidth: 300, cell: (letter: LetterSummary) => letterSentence(letter) },
];

function LetterLink({ letterId }: { letterId: string }) {
  const router = useRouter();
  const target = { to: '/ops/dead-letters/$letterId', params: { letterId } } as const;
  return (
    <RowLink href={router.buildLocation(target).href} title={letterId} onFollow={() => void router.navigate(target)}>
      <span className="id">{shortId(letterId)}</span>
    </RowLink>
  );
}
