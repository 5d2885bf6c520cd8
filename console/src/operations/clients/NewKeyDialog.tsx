// SPDX-License-Identifier: Apache-2.0
// The dialog that creates a key of a client.
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import FormField from '@cloudscape-design/components/form-field';
import Modal from '@cloudscape-design/components/modal';
import RadioGroup from '@cloudscape-design/components/radio-group';
import Select, { type SelectProps } from '@cloudscape-design/components/select';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useState } from 'react';

import { bridgeCommand } from '../commands/curl';
import { EquivalentCommands } from '../commands/EquivalentCommands';
import { clientPath } from './clients';
import { expiryOf, type KeyKind, type KeyOrder, LIFETIMES } from './keys';

interface Props {
  client: string;
  isPending: boolean;
  error: Error | null;
  onCreate: (order: KeyOrder) => void;
  onClose: () => void;
}

const OPTIONS: SelectProps.Option[] = LIFETIMES.map(({ days, text }) => ({ value: String(days), label: text }));
const DEFAULT_DAYS = 90;

export function NewKeyDialog({ client, isPending, error, onCreate, onClose }: Props) {
  const [kind, setKind] = useState<KeyKind>('bearer');
  const [days, setDays] = useState<number | null>(DEFAULT_DAYS);
  const [now] = useState(() => new Date());
  const order = { kind, expires_at: expiryOf(days, now) };
  const lifetime = days === null ? [] : ['--expires', `${days}d`];
  const command = bridgeCommand('keys', 'create', client, ...lifetime, kind === 'sigv4' ? '--sigv4' : null);
  return (
    <Modal
      visible
      header={`New key of ${client}`}
      onDismiss={onClose}
      footer={
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs">
            <Button onClick={onClose}>Cancel</Button>
            <Button variant="primary" loading={isPending} onClick={() => onCreate(order)}>
              Make the key
            </Button>
          </SpaceBetween>
        </Box>
      }
    >
      <SpaceBetween size="m">
        <FormField label="For">
          <RadioGroup
            value={kind}
            onChange={({ detail }) => setKind(detail.value as KeyKind)}
            items={[
              { value: 'bearer', label: "MLflow's client, curl, other HTTP clients", description: 'A bearer token.' },
              {
                value: 'sigv4',
                label: "AWS's plugin for MLflow",
                description: 'An access key that signs requests (AWS Signature Version 4).',
              },
            ]}
          />
        </FormField>
        <FormField label="Ends after">
          <Select
            options={OPTIONS}
            selectedOption={OPTIONS.find(({ value }) => value === String(days)) ?? null}
            onChange={({ detail }) =>
              setDays(LIFETIMES.find((each) => String(each.days) === detail.selectedOption.value)?.days ?? null)
            }
          />
        </FormField>
        {error && <div role="alert">No key was made: {error.message}</div>}
        <EquivalentCommands
          open
          command={command}
          call={{ method: 'POST', path: `${clientPath(client)}/keys`, body: JSON.stringify(order) }}
        />
      </SpaceBetween>
    </Modal>
  );
}
