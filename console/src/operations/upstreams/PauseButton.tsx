// SPDX-License-Identifier: Apache-2.0
// The buttons that pause the deliveries to an upstream, with a reason and an end, and that resume them.
import Button from '@cloudscape-design/components/button';
import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import Modal from '@cloudscape-design/components/modal';
import Select from '@cloudscape-design/components/select';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';

import { ErrorPanel } from '../../feedback/ErrorPanel';
import { ActionButton } from '../actions/ActionButton';
import { bridgeCommand } from '../commands/curl';
import { EquivalentCommands } from '../commands/EquivalentCommands';
import { buildPauseOrder, PAUSE_DURATIONS, pauseOptions } from './pauseChoice';
import { pausePath, putPause, type Upstream } from './upstream';

const ACTION = 'ManageUpstream';

export function PauseButton({ upstream }: { upstream: Upstream }) {
  const [isDialogOpen, setIsDialogOpen] = useState(false);
  const pauseMutation = usePauseMutation(upstream.id);
  if (upstream.gate.paused) {
    return (
      <>
        <ActionButton
          action={ACTION}
          variant="primary"
          loading={pauseMutation.isPending}
          onClick={() => pauseMutation.mutate(null)}
        >
          Resume deliveries
        </ActionButton>
        {pauseMutation.error && <span role="alert">Not resumed: {pauseMutation.error.message}</span>}
      </>
    );
  }
  return (
    <>
      <ActionButton action={ACTION} onClick={() => setIsDialogOpen(true)}>
        Pause deliveries…
      </ActionButton>
      {isDialogOpen && <PauseDialog upstream={upstream} onClose={() => setIsDialogOpen(false)} />}
    </>
  );
}

function usePauseMutation(upstreamId: string, onDone?: () => void) {
  const client = useQueryClient();
  return useMutation({
    // Null resumes the deliveries.
    mutationFn: (pause: { why: string; minutes: number | null } | null) =>
      putPause(upstreamId, pause ? buildPauseOrder(pause.why, pause.minutes, Date.now()) : { paused: false }),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ['ops'] });
      onDone?.();
    },
  });
}

const [DEFAULT_DURATION] = PAUSE_DURATIONS;

function PauseDialog({ upstream, onClose }: { upstream: Upstream; onClose: () => void }) {
  const [why, setWhy] = useState('');
  const [duration, setDuration] = useState<string | undefined>(DEFAULT_DURATION?.value);
  const [isReasonMissing, setIsReasonMissing] = useState(false);
  const chosenDuration = PAUSE_DURATIONS.find(({ value }) => value === duration);
  const minutes = chosenDuration?.minutes ?? null;
  // The shown command keeps its end while a reason is typed. The pause itself begins when the order is sent.
  const [openedAt] = useState(() => Date.now());
  const pauseMutation = usePauseMutation(upstream.id, onClose);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setIsReasonMissing(!why.trim());
    if (why.trim()) pauseMutation.mutate({ why, minutes });
  };
  return (
    <Modal visible header="Pause deliveries" onDismiss={onClose}>
      <form onSubmit={submit}>
        <SpaceBetween size="m">
          <div>
            All workers stop delivering to <span className="id">{upstream.name}</span>. Reads go on, and new writes are
            accepted and wait. The pause survives restarts.
          </div>
          <FormField
            label="Why"
            description="Everybody who looks at the overview sees it."
            errorText={isReasonMissing ? 'Say why.' : undefined}
          >
            <Input value={why} onChange={({ detail }) => setWhy(detail.value)} />
          </FormField>
          <FormField label="For how long">
            <Select
              selectedOption={chosenDuration ? { value: chosenDuration.value, label: chosenDuration.label } : null}
              options={PAUSE_DURATIONS.map(({ value, label }) => ({ value, label }))}
              onChange={({ detail }) => setDuration(detail.selectedOption.value)}
            />
          </FormField>
          <EquivalentCommands
            open
            command={bridgeCommand('upstream', 'pause', ...pauseOptions(why, minutes))}
            call={{
              method: 'PUT',
              path: pausePath(upstream.id),
              body: JSON.stringify(buildPauseOrder(why, minutes, openedAt)),
            }}
          />
          {pauseMutation.error && <ErrorPanel error={pauseMutation.error} />}
          <span className="form-buttons">
            <Button variant="primary" formAction="submit" loading={pauseMutation.isPending}>
              Pause deliveries
            </Button>
            <Button variant="link" formAction="none" onClick={onClose}>
              Cancel
            </Button>
          </span>
        </SpaceBetween>
      </form>
    </Modal>
  );
}
