// SPDX-License-Identifier: Apache-2.0
// Lanes in a table: what waits, since when, why, and what comes next.
import Header from '@cloudscape-design/components/header';
import Table from '@cloudscape-design/components/table';
import type { ReactNode } from 'react';

import { countText, sizeText } from '../figures';
import { Moment } from '../moments/Moment';
import { useNow } from '../moments/useNow';
import { StatusMark } from '../states/StatusMark';
import { LaneLink } from './LaneLink';
import type { Lane } from './lanes';
import { laneStateText, laneStateType, nextAttemptText } from './laneText';
import { AttemptButton } from './AttemptButton';

interface Props {
  title: string;
  lanes: Lane[];
  counter?: string;
  actions?: ReactNode;
  empty: ReactNode;
}

export function LaneTable({ title, lanes, counter, actions, empty }: Props) {
  return (
    <Table
      variant="container"
      header={
        <Header variant="h2" actions={actions} {...(counter && { counter })}>
          {title}
        </Header>
      }
      ariaLabels={{ tableLabel: title }}
      items={lanes}
      trackBy="lane"
      wrapLines
      columnDefinitions={COLUMNS}
      empty={empty}
    />
  );
}

const COLUMNS = [
  { id: 'run', header: 'Run', isRowHeader: true, minWidth: 170, cell: (lane: Lane) => <LaneLink lane={lane} /> },
  { id: 'client', header: 'Client', cell: (lane: Lane) => lane.client ?? '–' },
  {
    id: 'writes',
    header: 'Writes',
    minWidth: 130,
    cell: (lane: Lane) => (
      <>
        {countText(lane.pending)} <span className="note">{sizeText(lane.bytes)}</span>
      </>
    ),
  },
  {
    id: 'oldest',
    header: 'Oldest',
    minWidth: 130,
    cell: (lane: Lane) => <Moment at={lane.oldest_accepted_at} relative="alone" />,
  },
  {
    id: 'state',
    header: 'State',
    minWidth: 210,
    cell: (lane: Lane) => <StatusMark type={laneStateType(lane.state)}>{laneStateText(lane)}</StatusMark>,
  },
  { id: 'next', header: 'Next attempt', minWidth: 130, cell: (lane: Lane) => <NextAttempt lane={lane} /> },
  { id: 'try', header: 'Do', minWidth: 105, cell: (lane: Lane) => <AttemptButton lane={lane} inTable /> },
];

function NextAttempt({ lane }: { lane: Lane }) {
  const now = useNow();
  if (lane.delivering) return 'runs now';
  // While the circuit breaker is open, that is the call that tries upstream.
  const text = nextAttemptText(lane, now);
  if (text) return text;
  return <Moment at={lane.next_attempt_at} relative="alone" />;
}
