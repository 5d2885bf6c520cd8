// SPDX-License-Identifier: Apache-2.0
// The dialogs that rotate or revoke a key.
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import Modal from '@cloudscape-design/components/modal';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { type ReactNode, useState } from 'react';

import { type ApiCall, bridgeCommand } from '../commands/curl';
import { EquivalentCommands } from '../commands/EquivalentCommands';
import { keyPath } from './keys';

interface Props {
  client: string;
  keyId: string;
  isPending: boolean;
  error: Error | null;
  onClose: () => void;
}

const HOUR_S = 3600;
const MAX_HOURS = 24 * 365;
const DEFAULT_HOURS = '24';

export function RotateDialog({ onRotate, ...props }: Props & { onRotate: (overlapSeconds: number) => void }) {
  const [typed, setTyped] = useState(DEFAULT_HOURS);
  const hours = typed.trim() === '' ? Number.NaN : Number(typed);
  const isValid = hours >= 0 && hours <= MAX_HOURS;
  const overlapSeconds = isValid ? hours * HOUR_S : 0;
  return (
    <KeyDialog
      {...props}
      title="Rotate the key"
      button="Make the new key"
      isReady={isValid}
      onConfirm={() => onRotate(overlapSeconds)}
      command={bridgeCommand(
        'keys',
        'rotate',
        props.client,
        '--overlap',
        `${typed}h`,
        isSigningKey(props.keyId) ? '--sigv4' : null,
      )}
      call={{
        method: 'POST',
        path: `${keyPath(props.keyId)}/rotate`,
        body: JSON.stringify({ overlap: overlapSeconds }),
      }}
    >
      <div>A new key of the same kind is made. The old one works until the overlap has passed.</div>
      <FormField
        label="Overlap, in hours"
        description="Long enough to give the new key to each program that has the old one."
        errorText={isValid ? '' : `Type a number from 0 to ${MAX_HOURS.toLocaleString('en')}.`}
      >
        <Input inputMode="decimal" name="overlap" value={typed} onChange={({ detail }) => setTyped(detail.value)} />
      </FormField>
    </KeyDialog>
  );
}

/** Returns whether a key signs requests: the ids of such keys have a prefix. */
const isSigningKey = (keyId: string): boolean => keyId.startsWith('MBKA');

export function RevokeDialog({ onRevoke, ...props }: Props & { onRevoke: () => void }) {
  const [typed, setTyped] = useState('');
  return (
    <KeyDialog
      {...props}
      title="Revoke the key"
      button="Revoke it"
      isReady={typed.trim() === props.keyId}
      onConfirm={onRevoke}
      command={bridgeCommand('keys', 'revoke', props.keyId)}
      call={{ method: 'DELETE', path: keyPath(props.keyId) }}
    >
      <div>
        Within five seconds no request with it is accepted, and the sessions that it has opened end. This cannot be
        undone.
      </div>
      <FormField label={`Type ${props.keyId} to confirm`}>
        <Input name="key-id" value={typed} onChange={({ detail }) => setTyped(detail.value)} />
      </FormField>
    </KeyDialog>
  );
}

interface DialogProps extends Props {
  title: string;
  button: string;
  isReady: boolean;
  onConfirm: () => void;
  command: string;
  call: ApiCall;
  children: ReactNode;
}

function KeyDialog({
  title,
  button,
  isReady,
  isPending,
  error,
  onConfirm,
  onClose,
  command,
  call,
  keyId,
  children,
}: DialogProps) {
  return (
    <Modal
      visible
      header={`${title} ${keyId}`}
      onDismiss={onClose}
      footer={
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs">
            <Button onClick={onClose}>Cancel</Button>
            <Button variant="primary" disabled={!isReady} loading={isPending} onClick={onConfirm}>
              {button}
            </Button>
          </SpaceBetween>
        </Box>
      }
    >
      <SpaceBetween size="m">
        {children}
        {error && <div role="alert">Nothing was changed: {error.message}</div>}
        <EquivalentCommands open command={command} call={call} />
      </SpaceBetween>
    </Modal>
  );
}
