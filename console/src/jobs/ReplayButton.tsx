// SPDX-License-Identifier: Apache-2.0
// Puts a dead letter back into its lane.
import Button from '@cloudscape-design/components/button';
import { useMutation, useQueryClient } from '@tanstack/react-query';

import { useIsAllowed, useSession } from '../session/SessionContext';
import { allowCommand } from '../feedback/allowCommand';
import { replayLetter } from './jobs';

const ACTION = 'ReplayDeadLetter';

export function ReplayButton({ letterId }: { letterId: string }) {
  const queryClient = useQueryClient();
  const session = useSession();
  const isAllowed = useIsAllowed(ACTION);
  const replay = useMutation({
    mutationFn: () => replayLetter(letterId),
    onSettled: () => {
      void queryClient.invalidateQueries({ queryKey: ['dead-letters'] });
      void queryClient.invalidateQueries({ queryKey: ['jobs'] });
    },
  });
  return (
    <>
      <Button
        variant="inline-link"
        ariaLabel={`Replay the dead letter ${letterId}`}
        loading={replay.isPending}
        disabled={!isAllowed || replay.isSuccess}
        disabledReason={
          isAllowed
            ? 'It is in its lane again.'
            : `This needs the action ${ACTION}. Ask an operator: ${allowCommand(session, ACTION)}`
        }
        onClick={() => replay.mutate()}
      >
        Replay
      </Button>
      <span role="status">
        {replay.data && ` Replayed as job ${replay.data.job_id}.`}
        {replay.error && ` Not replayed: ${replay.error.message}`}
      </span>
    </>
  );
}
