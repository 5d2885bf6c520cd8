// SPDX-License-Identifier: Apache-2.0
// Pauses the deliveries to an upstream, with why and until when, and resumes them.
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
import { LENGTHS, pauseOptions, pauseOrder } from './pauseChoice';
import { orderPause, pausePath, type Upstream } from './upstream';

const ACTION = 'ManageUpstream';

export function PauseButton({ upstream }: { upstream: Upstream }) {
  const [asks, setAsks] = useState(false);
  const order = usePauseOrder(upstream.id);
  if (upstream.gate.paused) {
    return (
      <>
        <ActionButton action={ACTION} variant="primary" loading={order.isPending} onClick={() => order.mutate(null)}>
          Resume deliveries
        </ActionButton>
        {order.error && <span role="alert">Not resumed: {order.error.message}</span>}
      </>
    );
  }
  return (
    <>
      <ActionButton action={ACTION} onClick={() => setAsks(true)}>
        Pause deliveries…
      </ActionButton>
      {asks && <PauseDialog upstream={upstream} onClose={() => setAsks(false)} />}
    </>
  );
}

function usePauseOrder(upstreamId: string, onDone?: () => void) {
  const client = useQueryClient();
  return useMutation({
    // Null resumes.
    mutationFn: (pause: { why: string; minutes: number | null } | null) =>
      orderPause(upstreamId, pause ? pauseOrder(pause.why, pause.minutes, Date.now()) : { paused: false }),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ['ops'] });
      onDone?.();
    },
  });
}

const [FIRST_LENGTH] = LENGTHS;

function PauseDialog({ upstream, onClose }: { upstream: Upstream; onClose: () => void }) {
  const [why, setWhy] = useState('');
  const [length, setLength] = useState<string | undefined>(FIRST_LENGTH?.value);
  const [missing, setMissing] = useState(false);
  const chosen = LENGTHS.find(({ value }) => value === length);
  const minutes = chosen?.minutes ?? null;
  // What is shown keeps its end while a reason is typed; what is sent begins when it is sent.
  const [openedAt] = useState(() => Date.now());
  const order = usePauseOrder(upstream.id, onClose);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setMissing(!why.trim());
    if (why.trim()) order.mutate({ why, minutes });
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
            errorText={missing ? 'Say why.' : undefined}
          >
            <Input value={why} onChange={({ detail }) => setWhy(detail.value)} />
          </FormField>
          <FormField label="For how long">
            <Select
              selectedOption={chosen ? { value: chosen.value, label: chosen.label } : null}
              options={LENGTHS.map(({ value, label }) => ({ value, label }))}
              onChange={({ detail }) => setLength(detail.selectedOption.value)}
            />
          </FormField>
          <EquivalentCommands
            open
            command={bridgeCommand('upstream', 'pause', ...pauseOptions(why, minutes))}
            call={{
              method: 'PUT',
              path: pausePath(upstream.id),
              body: JSON.stringify(pauseOrder(why, minutes, openedAt)),
            }}
          />
          {order.error && <ErrorPanel error={order.error} />}
          <span className="form-buttons">
            <Button variant="primary" formAction="submit" loading={order.isPending}>
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
