// SPDX-License-Identifier: Apache-2.0
// The buttons that replay or discard the open letter.
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Modal from '@cloudscape-design/components/modal';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';

import { ActionButton } from '../actions/ActionButton';
import { bridgeCommand } from '../commands/curl';
import { EquivalentCommands } from '../commands/EquivalentCommands';
import { discardLetter, letterPath, replayLetter } from './letters';

export function LetterActions({ letterId }: { letterId: string }) {
  const client = useQueryClient();
  const [isDiscarding, setIsDiscarding] = useState(false);
  const onSettled = () => {
    setIsDiscarding(false);
    void client.invalidateQueries({ queryKey: ['ops'] });
  };
  const replay = useMutation({ mutationFn: () => replayLetter(letterId), onSettled });
  const discard = useMutation({ mutationFn: () => discardLetter(letterId), onSettled });
  const isDone = replay.isSuccess || discard.isSuccess;
  const error = replay.error ?? discard.error;
  return (
    <div className="letter-actions">
      {!isDone && (
        <SpaceBetween direction="horizontal" size="xs">
          {/* A replay needs no confirmation: it is safe to repeat and easy to undo. */}
          <ActionButton
            action="ReplayDeadLetter"
            variant="primary"
            loading={replay.isPending}
            onClick={() => replay.mutate()}
          >
            Replay
          </ActionButton>
          <ActionButton action="DiscardDeadLetter" loading={discard.isPending} onClick={() => setIsDiscarding(true)}>
            Discard…
          </ActionButton>
        </SpaceBetween>
      )}
      <span role="status">
        {replay.data && (
          <>
            Replayed: it is job{' '}
            <Link to="/ops/jobs/$jobId" params={{ jobId: replay.data.job_id }} className="id">
              {replay.data.job_id}
            </Link>{' '}
            at the end of its run's lane.
          </>
        )}
        {discard.isSuccess && 'Discarded. Its job is “discarded”.'}
        {error && `Not done: ${error.message}`}
      </span>
      {isDiscarding && (
        <Modal
          visible
          header="Discard this letter?"
          onDismiss={() => setIsDiscarding(false)}
          footer={
            <Box float="right">
              <SpaceBetween direction="horizontal" size="xs">
                <Button onClick={() => setIsDiscarding(false)}>Keep it</Button>
                <Button variant="primary" loading={discard.isPending} onClick={() => discard.mutate()}>
                  Discard it
                </Button>
              </SpaceBetween>
            </Box>
          }
        >
          <SpaceBetween size="m">
            <div>The write is deleted and never reaches MLflow. This cannot be undone.</div>
            <EquivalentCommands
              open
              command={bridgeCommand('dead-letters', 'discard', letterId)}
              call={{ method: 'DELETE', path: letterPath(letterId) }}
            />
          </SpaceBetween>
        </Modal>
      )}
    </div>
  );
}
