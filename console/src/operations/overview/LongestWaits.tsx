// SPDX-License-Identifier: Apache-2.0
// The runs that wait longest, and why.
import { Link } from '@tanstack/react-router';

import { countText } from '../figures';
import { LaneTable } from '../runs/LaneTable';
import { laneKey, useLanes } from '../runs/lanes';
import { LiveQueryView } from '../states/LiveQueryView';
import { SteadyList } from '../states/SteadyList';

const MAX_LANES = 5;

export function LongestWaits({ laneCount }: { laneCount: number }) {
  const query = useLanes({ order: 'oldest' }, MAX_LANES);
  return (
    <LiveQueryView query={query} label="the runs that wait longest" action="GetBacklog">
      {(page) => (
        <SteadyList latest={page.lanes} idOf={laneKey} noun="run">
          {(lanes) => (
            <LaneTable
              title="Runs that wait longest"
              lanes={lanes}
              actions={<Link to="/ops/runs">All {countText(laneCount)}</Link>}
              empty="No run waits."
            />
          )}
        </SteadyList>
      )}
    </LiveQueryView>
  );
}
