// SPDX-License-Identifier: Apache-2.0
// A link to the page of a lane.
import { useRouter } from '@tanstack/react-router';

import { RowLink } from '../states/RowLink';
import type { Lane } from './lanes';
import { laneName, shortId } from './laneText';

export function LaneLink({ lane }: { lane: Pick<Lane, 'lane' | 'run_name' | 'run_id'> }) {
  const router = useRouter();
  const target = { to: '/ops/runs/$lane', params: { lane: lane.lane } } as const;
  const name = laneName(lane);
  return (
    <>
      <RowLink href={router.buildLocation(target).href} title={lane.lane} onFollow={() => void router.navigate(target)}>
        {name}
      </RowLink>
      {lane.run_id && name !== shortId(lane.run_id) && <span className="id lane-id"> {shortId(lane.run_id)}</span>}
    </>
  );
}
