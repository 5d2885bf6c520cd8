// SPDX-License-Identifier: Apache-2.0
// The running drains, above the list of letters that they empty.
import SpaceBetween from '@cloudscape-design/components/space-between';

import { useIsAllowed } from '../../session/SessionContext';
import { DrainProgress } from '../drains/DrainProgress';
import { type Drain, drainsPath } from '../drains/drains';
import { POLL_MS, useLiveQuery } from '../live/useLiveQuery';

export function RunningDrains() {
  const enabled = useIsAllowed('DrainDeadLetters');
  const { data } = useLiveQuery<{ drains: Drain[] }>({ path: drainsPath('running'), pollMs: POLL_MS.list, enabled });
  const drains = data?.drains ?? [];
  if (drains.length === 0) return null;
  return (
    <section aria-label="Orders that run" className="running-drains">
      <SpaceBetween size="m">
        {drains.map((drain) => (
          <DrainProgress key={drain.drain_id} drain={drain} />
        ))}
      </SpaceBetween>
    </section>
  );
}
