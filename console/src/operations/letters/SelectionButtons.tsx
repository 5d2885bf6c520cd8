// SPDX-License-Identifier: Apache-2.0
// The buttons that replay or discard the selected letters, by their ids.
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Modal from '@cloudscape-design/components/modal';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';

import { ActionButton } from '../actions/ActionButton';
import { bridgeCommand } from '../commands/curl';
import { EquivalentCommands } from '../commands/EquivalentCommands';
import { discardLetters, type LetterSummary, replayLetters } from './letters';
import { resultText } from './letterText';

interface Props {
  letters: LetterSummary[];
  /** Called once the letters are replayed or discarded. */
  onDone: () => void;
}

export function SelectionButtons({ letters, onDone }: Props) {
  const client = useQueryClient();
  const [isDiscarding, setIsDiscarding] = useState(false);
  const ids = letters.map(({ letter_id: id }) => id);
  const callbacks = {
    onSuccess: onDone,
    onSettled: () => {
      setIsDiscarding(false);
      void client.invalidateQueries({ queryKey: ['ops'] });
    },
  };
  const replay = useMutation({ mutationFn: replayLetters, ...callbacks });
  const discard = useMutation({ mutationFn: discardLetters, ...callbacks });
  const disabledReason = letters.length === 0 ? 'Select letters first.' : null;
  return (
    <SpaceBetween direction="horizontal" size="xs" alignItems="center">
      <span role="status">{resultSentence('Replayed', replay) ?? resultSentence('Discarded', discard)}</span>
      <ActionButton
        action="ReplayDeadLetter"
        disabledReason={disabledReason}
        loading={replay.isPending}
        onClick={() => {
          discard.reset();
          replay.mutate(ids);
        }}
      >
        {`Replay ${letters.length || 'selected'}`}
      </ActionButton>
      <ActionButton
        action="DiscardDeadLetter"
        disabledReason={disabledReason}
        loading={discard.isPending}
        onClick={() => setIsDiscarding(true)}
      >
        {`Discard ${letters.length || 'selected'}`}
      </ActionButton>
      {isDiscarding && (
        <Modal
          visible
          header={`Discard ${letters.length} ${letters.length === 1 ? 'letter' : 'letters'}?`}
          onDismiss={() => setIsDiscarding(false)}
          footer={
            <Box float="right">
              <SpaceBetween direction="horizontal" size="xs">
                <Button onClick={() => setIsDiscarding(false)}>Keep them</Button>
                <Button
                  variant="primary"
                  loading={discard.isPending}
                  onClick={() => {
                    replay.reset();
                    discard.mutate(ids);
                  }}
                >
                  {`Discard ${letters.length}`}
                </Button>
              </SpaceBetween>
            </Box>
          }
        >
          <SpaceBetween size="m">
            <div>
              The writes are deleted and never reach MLflow. Their jobs become “discarded”. This cannot be undone.
            </div>
            <EquivalentCommands
              open
              command={bridgeCommand('dead-letters', 'discard', ...ids)}
              call={{ method: 'POST', path: '/v1/dead-letters/discard', body: JSON.stringify({ letter_ids: ids }) }}
            />
          </SpaceBetween>
        </Modal>
      )}
    </SpaceBetween>
  );
}

interface MutationResult {
  data: { results: unknown[] } | undefined;
  error: Error | null;
}

function resultSentence(verb: 'Replayed' | 'Discarded', { data, error }: MutationResult): string | null {
  if (error) return `Nothing was done: ${error.message}`;
  if (!data) return null;
  return resultText(verb, data.results.filter(Boolean).length, data.results.length);
}
