// SPDX-License-Identifier: Apache-2.0
// The progress of a drain, with buttons to change its rate and to cancel its rest.
import Button from '@cloudscape-design/components/button';
import FormField from '@cloudscape-design/components/form-field';
import Input, { type InputProps } from '@cloudscape-design/components/input';
import ProgressBar from '@cloudscape-design/components/progress-bar';
import SpaceBetween from '@cloudscape-design/components/space-between';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { type FormEvent, useEffect, useRef, useState } from 'react';

import { ActionButton } from '../actions/ActionButton';
import { drainRateText, parseRate, RATE_PROBLEM, remainingText } from '../letters/estimate';
import { POLL_MS, useLiveQuery } from '../live/useLiveQuery';
import { cancelDrain, changeRate, type Drain, drainPath, drainWords, progressPercent } from './drains';

const ACTION = 'DrainDeadLetters';

/** Polls a drain until it has ended, and keeps its last state. */
export function DrainProgress({ drain: initial }: { drain: Drain }) {
  const [ended, setEnded] = useState<Drain | null>(null);
  const query = useLiveQuery<Drain>({
    path: drainPath(initial.drain_id),
    pollMs: POLL_MS.overview,
    enabled: ended === null && initial.state === 'running',
  });
  const drain = ended ?? query.data ?? initial;
  if (drain.state !== 'running' && ended === null) setEnded(drain);
  if (drain.state !== 'running') return <EndedDrain drain={drain} />;
  return (
    <SpaceBetween size="xs">
      <ProgressBar
        value={progressPercent(drain)}
        label={drainWords(drain)}
        description={[drainRateText(drain.rate), remainingText(drain)].filter(Boolean).join(' · ')}
      />
      <DrainControls drain={drain} />
    </SpaceBetween>
  );
}

export function DrainControls({ drain }: { drain: Drain }) {
  const client = useQueryClient();
  const [isRateFormOpen, setIsRateFormOpen] = useState(false);
  const cancel = useMutation({
    mutationFn: () => cancelDrain(drain.drain_id),
    onSettled: () => void client.invalidateQueries({ queryKey: ['ops'] }),
  });
  if (isRateFormOpen) return <RateForm drain={drain} onClose={() => setIsRateFormOpen(false)} />;
  return (
    <SpaceBetween direction="horizontal" size="xs" alignItems="center">
      {drain.action === 'replay' && (
        <ActionButton
          action={ACTION}
          ariaLabel={`Change the rate of the drain ${drain.drain_id}`}
          onClick={() => setIsRateFormOpen(true)}
        >
          Change the rate
        </ActionButton>
      )}
      <ActionButton
        action={ACTION}
        ariaLabel={`Cancel the rest of the drain ${drain.drain_id}`}
        loading={cancel.isPending}
        onClick={() => cancel.mutate()}
      >
        Cancel the rest
      </ActionButton>
      {cancel.error && <span role="alert">Not cancelled: {cancel.error.message}</span>}
    </SpaceBetween>
  );
}

function RateForm({ drain, onClose }: { drain: Drain; onClose: () => void }) {
  const client = useQueryClient();
  const [typed, setTyped] = useState(drain.rate === null ? '' : String(drain.rate));
  const field = useRef<InputProps.Ref>(null);
  useEffect(() => field.current?.select(), []);
  const change = useMutation({
    mutationFn: (rate: number | null) => changeRate(drain.drain_id, rate),
    onSuccess: onClose,
    onSettled: () => void client.invalidateQueries({ queryKey: ['ops'] }),
  });
  const rate = parseRate(typed);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (rate !== undefined) change.mutate(rate);
  };
  return (
    <form onSubmit={submit}>
      <FormField
        label="New rate, in letters a second"
        description="Empty: as fast as the workers can."
        errorText={rate === undefined ? RATE_PROBLEM : (change.error?.message ?? '')}
        secondaryControl={
          <span className="form-buttons">
            <Button formAction="submit" loading={change.isPending} disabled={rate === undefined}>
              Set
            </Button>
            <Button formAction="none" variant="link" onClick={onClose}>
              Keep
            </Button>
          </span>
        }
      >
        <Input
          ref={field}
          inputMode="decimal"
          name="rate"
          value={typed}
          onChange={({ detail }) => setTyped(detail.value)}
        />
      </FormField>
    </form>
  );
}

function EndedDrain({ drain }: { drain: Drain }) {
  const { state, skipped = 0 } = drain;
  const isFinished = state === 'finished';
  return (
    <div role="status">
      <StatusIndicator type={isFinished ? 'success' : 'stopped'}>
        {isFinished ? 'Finished' : 'Cancelled'}
      </StatusIndicator>{' '}
      {drainWords(drain)}.{!isFinished && ' What is done stays done.'}
      {skipped > 0 && ` ${skipped.toLocaleString('en')} were not there any more.`}
    </div>
  );
}
