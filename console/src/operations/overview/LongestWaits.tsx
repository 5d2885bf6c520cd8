// SPDX-License-Identifier: Apache-2.0
// The runs that wait longest, and why.
import { Link } from '@tanstack/react-router';

import { countText } from '../figures';
import { LaneTable } from '../runs/LaneTable';
import { useLanes } from '../runs/lanes';
import { Answered } from '../states/Answered';

const SHOWN = 5;

export function LongestWaits({ lanes }: { lanes: number }) {
  const query = useLanes({ order: 'oldest' }, SHOWN);
  return (
    <Answered query={query} what="the runs that wait longest" action="GetBacklog">
      {(page) => (
        <LaneTable
          title="Runs that wait longest"
          lanes={page.lanes}
          actions={<Link to="/ops/runs">All {countText(lanes)}</Link>}
          empty="No run waits."
        />
      )}
    </Answered>
  );
}
