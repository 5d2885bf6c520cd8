// SPDX-License-Identifier: Apache-2.0
// A button that makes the next attempt of a lane due now, whatever its delay.
import { useMutation, useQueryClient } from '@tanstack/react-query';

import { ActionButton } from '../actions/ActionButton';
import { attemptLane, type Lane } from './lanes';
import { laneName } from './laneText';

export function AttemptButton({ lane, inTable = false }: { lane: Lane; inTable?: boolean }) {
  const client = useQueryClient();
  const attempt = useMutation({
    mutationFn: () => attemptLane(lane.lane),
    onSettled: () => client.invalidateQueries({ queryKey: ['ops'] }),
  });
  return (
    <>
      <ActionButton
        action="AttemptLane"
        variant={inTable ? 'inline-link' : 'normal'}
        ariaLabel={`Try now: ${laneName(lane)}`}
        loading={attempt.isPending}
        disabledReason={lane.delivering ? 'A worker delivers it now.' : null}
        onClick={() => attempt.mutate()}
      >
        Try now
      </ActionButton>
      <span role="status">
        {attempt.isSuccess && !inTable && ' The next attempt is due.'}
        {attempt.error && ` Not tried: ${attempt.error.message}`}
      </span>
    </>
  );
}
