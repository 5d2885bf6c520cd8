// SPDX-License-Identifier: Apache-2.0
// The latest calls that failed, and why.
import Header from '@cloudscape-design/components/header';
import Table from '@cloudscape-design/components/table';

import { CopyButton } from '../../feedback/CopyButton';
import { bridgeCommand } from '../commands/curl';
import { EquivalentCommands } from '../commands/EquivalentCommands';
import { durationText } from '../figures';
import { POLL_MS, useLiveQuery } from '../live/useLiveQuery';
import { Moment } from '../moments/Moment';
import { Pager } from '../paging/Pager';
import { LaneLink } from '../runs/LaneLink';
import { runIdOfLane } from '../runs/laneText';
import { LiveQueryView } from '../states/LiveQueryView';
import { answerText } from './answerText';
import { type Failure, type FailurePage, failuresPath } from './upstream';

const PAGE_SIZE = 50;

interface Props {
  upstreamId: string;
  cursor: string | undefined;
  onOpenPage: (cursor: string | undefined) => void;
}

export function Failures({ upstreamId, cursor, onOpenPage }: Props) {
  const path = failuresPath(upstreamId, cursor, PAGE_SIZE);
  const query = useLiveQuery<FailurePage>({ path, pollMs: POLL_MS.list, keepsRows: true });
  return (
    <LiveQueryView query={query} label="the failures" action="GetUpstream">
      {({ failures, next }) => (
        <>
          <Table
            variant="container"
            header={
              <Header variant="h2" description="The latest 200 calls that failed, the newest first.">
                Failures
              </Header>
            }
            ariaLabels={{ tableLabel: 'Failures' }}
            items={failures}
            wrapLines
            columnDefinitions={COLUMNS}
            empty="No call has failed. Those that do appear here."
          />
          <Pager cursor={cursor} next={next} following="older" onOpenPage={onOpenPage} />
          <EquivalentCommands command={bridgeCommand('upstream', 'failures')} call={{ method: 'GET', path }} />
        </>
      )}
    </LiveQueryView>
  );
}

const COLUMNS = [
  {
    id: 'at',
    header: 'When',
    isRowHeader: true,
    minWidth: 100,
    cell: (failure: Failure) => <Moment at={failure.at} relative={false} />,
  },
  { id: 'call', header: 'Call', minWidth: 130, cell: (failure: Failure) => failure.call },
  { id: 'run', header: 'Run', minWidth: 110, cell: (failure: Failure) => <Run lane={failure.lane} /> },
  { id: 'outcome', header: 'Outcome', minWidth: 110, cell: (failure: Failure) => failure.outcome },
  {
    id: 'answer',
    header: 'Answer',
    minWidth: 260,
    cell: answerText,
  },
  { id: 'duration', header: 'Took', minWidth: 80, cell: (failure: Failure) => durationText(failure.duration) },
  {
    id: 'id',
    header: "Upstream's request",
    minWidth: 150,
    cell: (failure: Failure) => <RequestId failure={failure} />,
  },
];

function Run({ lane }: { lane: string | null }) {
  if (lane === null) return '–';
  return <LaneLink lane={{ lane, run_id: runIdOfLane(lane), run_name: null }} />;
}

function RequestId({ failure: { upstream_request_id: id } }: { failure: Failure }) {
  if (id === null) return '–';
  return (
    <>
      <span className="id">{id}</span> <CopyButton text={id} label={`upstream's request id ${id}`} />
    </>
  );
}
