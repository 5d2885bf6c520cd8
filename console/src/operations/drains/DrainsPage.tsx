// SPDX-License-Identifier: Apache-2.0
// The page of all drains: those that run, and those that have ended.
import SegmentedControl, { type SegmentedControlProps } from '@cloudscape-design/components/segmented-control';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router';

import { ShortId } from '../../jobs/ShortId';
import { drainRateText } from '../letters/estimate';
import { letterFilterWords } from '../letters/letterFilter';
import { searchOf } from '../letters/search';
import { POLL_MS, useLiveQuery } from '../live/useLiveQuery';
import { Moment } from '../moments/Moment';
import { LiveQueryView } from '../states/LiveQueryView';
import { Empty } from '../states/Empty';
import { PageHead } from '../states/PageHead';
import { DrainProgress } from './DrainProgress';
import { type Drain, drainsPath } from './drains';

const route = getRouteApi('/shell/ops/drains');

const STATES: SegmentedControlProps.Option[] = [
  { id: 'all', text: 'All' },
  { id: 'running', text: 'Running' },
  { id: 'finished', text: 'Finished' },
  { id: 'cancelled', text: 'Cancelled' },
];

export default function DrainsPage() {
  const navigate = useNavigate();
  const { state } = route.useSearch();
  const query = useLiveQuery<{ drains: Drain[] }>({ path: drainsPath(state), pollMs: POLL_MS.list, keepsRows: true });
  return (
    <SpaceBetween size="m">
      <PageHead
        title="Drains"
        counter={query.data && `(${query.data.drains.length})`}
        description="Orders to replay or discard many dead letters. The workers carry them out; a restart does not stop them. Ended ones stay for a week."
      />
      <SegmentedControl
        label="State"
        selectedId={state ?? 'all'}
        options={STATES}
        onChange={({ detail }) =>
          void navigate({
            to: '/ops/drains',
            search: detail.selectedId === 'all' ? {} : { state: detail.selectedId as Drain['state'] },
          })
        }
      />
      <LiveQueryView query={query} label="the drains" action="DrainDeadLetters">
        {({ drains }) => (
          <Table
            variant="container"
            wrapLines
            items={drains}
            trackBy="drain_id"
            ariaLabels={{ tableLabel: 'Drains' }}
            columnDefinitions={COLUMNS}
            cellVerticalAlign="top"
            empty={
              <Empty
                filter={state === undefined ? null : state}
                onClear={() => void navigate({ to: '/ops/drains', search: {} })}
              >
                No orders. “Replay all” and “Discard all” on the page of dead letters give one.
              </Empty>
            }
          />
        )}
      </LiveQueryView>
    </SpaceBetween>
  );
}

const COLUMNS = [
  {
    id: 'progress',
    header: 'Progress',
    minWidth: 280,
    isRowHeader: true,
    cell: (drain: Drain) => <DrainProgress drain={drain} />,
  },
  {
    id: 'filter',
    header: 'Which letters',
    minWidth: 200,
    cell: ({ filter }: Drain) => (
      <Link to="/ops/dead-letters" search={searchOf(filter, { order: 'newest', limit: 50 })}>
        {letterFilterWords(filter)}
      </Link>
    ),
  },
  {
    id: 'rate',
    header: 'Rate',
    minWidth: 110,
    cell: ({ rate, action }: Drain) => (action === 'replay' ? drainRateText(rate) : '–'),
  },
  { id: 'by', header: 'Ordered by', minWidth: 110, cell: ({ ordered_by: by }: Drain) => by ?? 'not known' },
  { id: 'began', header: 'Began', minWidth: 130, cell: ({ began_at: at }: Drain) => <Moment at={at} /> },
  { id: 'ended', header: 'Ended', minWidth: 130, cell: ({ finished_at: at }: Drain) => <Moment at={at} /> },
  {
    id: 'id',
    header: 'Id',
    minWidth: 110,
    cell: ({ drain_id: id }: Drain) => <ShortId id={id} label="the drain's id" />,
  },
];
