// SPDX-License-Identifier: Apache-2.0
// The runs that wait longest, and why.
import { Link } from '@tanstack/react-router';

import { countText } from '../figures';
import { LaneTable } from '../runs/LaneTable';
import { laneOf, useLanes } from '../runs/lanes';
import { Answered } from '../states/Answered';
import { Steady } from '../states/Steady';

const SHOWN = 5;

export function LongestWaits({ lanes }: { lanes: number }) {
  const query = useLanes({ order: 'oldest' }, SHOWN);
  return (
    <Answered query={query} label="the runs that wait longest" action="GetBacklog">
      {(page) => (
        <Steady latest={page.lanes} idOf={laneOf} noun="run">
          {(shown) => (
            <LaneTable
              title="Runs that wait longest"
              lanes={shown}
              actions={<Link to="/ops/runs">All {countText(lanes)}</Link>}
              empty="No run waits."
            />
          )}
        </Steady>
      )}
    </Answered>
  );
}
