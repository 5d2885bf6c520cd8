// SPDX-License-Identifier: Apache-2.0
// Deletes a client with all its keys.
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import Modal from '@cloudscape-design/components/modal';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';

import { ActionButton } from '../actions/ActionButton';
import { bridgeCommand } from '../commands/curl';
import { EquivalentCommands } from '../commands/EquivalentCommands';
import { type ClientDocument, clientPath, deleteClient } from './clients';
import { needsNewSignIn, SignInAgain } from './SignInAgain';

export function DeleteClient({ client }: { client: ClientDocument }) {
  const queryClient = useQueryClient();
  const navigate = useNavigate();
  const [isOpen, setIsOpen] = useState(false);
  const [typed, setTyped] = useState('');
  const remove = useMutation({
    mutationFn: (etag: string) => deleteClient(client.name, etag),
    onSuccess: () => {
      void navigate({ to: '/ops/clients' });
      void queryClient.invalidateQueries({ queryKey: ['ops'] });
    },
  });
  const close = () => {
    setIsOpen(false);
    remove.reset();
  };
  return (
    <>
      <ActionButton action="ManageClients" onClick={() => setIsOpen(true)}>
        Delete…
      </ActionButton>
      {isOpen && !needsNewSignIn(remove.error) && (
        <Modal
          visible
          header={`Delete the client ${client.name}?`}
          onDismiss={close}
          footer={
            <Box float="right">
              <SpaceBetween direction="horizontal" size="xs">
                <Button onClick={close}>Keep it</Button>
                <Button
                  variant="primary"
                  disabled={typed.trim() !== client.name}
                  loading={remove.isPending}
                  onClick={() => remove.mutate(client.etag)}
                >
                  Delete it
                </Button>
              </SpaceBetween>
            </Box>
          }
        >
          <SpaceBetween size="m">
            <div>
              Its keys end within five seconds: {client.keys.toLocaleString('en')}. Its accepted writes are delivered
              all the same.
            </div>
            <FormField label={`Type ${client.name} to confirm`}>
              <Input name="client-name" value={typed} onChange={({ detail }) => setTyped(detail.value)} />
            </FormField>
            {remove.error && <div role="alert">Nothing was changed: {remove.error.message}</div>}
            <EquivalentCommands
              open
              command={bridgeCommand('keys', 'revoke', '--client', client.name)}
              call={{ method: 'DELETE', path: clientPath(client.name), headers: { 'If-Match': client.etag } }}
            />
          </SpaceBetween>
        </Modal>
      )}
      <SignInAgain mutation={remove} />
    </>
  );
}
