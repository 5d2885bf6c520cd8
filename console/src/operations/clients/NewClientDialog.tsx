// SPDX-License-Identifier: Apache-2.0
// Creates a client. Its keys are made on its own page.
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import Modal from '@cloudscape-design/components/modal';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';

import { ProblemError } from '../../api/problem';
import { EquivalentCommands } from '../commands/EquivalentCommands';
import { clientPath, putClient } from './clients';
import { PermissionFields } from './PermissionFields';
import { formOf, NEW_CLIENT, permissionsCommand, permissionsOf, problemsOf } from './permissionForm';
import { needsNewSignIn, SignInAgain } from './SignInAgain';

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.@|:+-]{0,127}$/;

export function NewClientDialog({ onClose }: { onClose: () => void }) {
  const queryClient = useQueryClient();
  const navigate = useNavigate();
  const [name, setName] = useState('');
  const [form, setForm] = useState(() => formOf(NEW_CLIENT));
  const create = useMutation({
    mutationFn: (wanted: string) => putClient(wanted, permissionsOf(form), null),
    onSuccess: (created) => {
      void queryClient.invalidateQueries({ queryKey: ['ops'] });
      void navigate({ to: '/ops/clients/$name', params: { name: created.name } });
    },
  });
  const isValid = NAME.test(name.trim());
  const isReady = isValid && Object.keys(problemsOf(form)).length === 0;
  return (
    <>
      <Modal
        visible={!needsNewSignIn(create.error)}
        size="large"
        header="New client"
        onDismiss={onClose}
        footer={
          <Box float="right">
            <SpaceBetween direction="horizontal" size="xs">
              <Button onClick={onClose}>Cancel</Button>
              <Button
                variant="primary"
                disabled={!isReady}
                loading={create.isPending}
                onClick={() => create.mutate(name.trim())}
              >
                Create the client
              </Button>
            </SpaceBetween>
          </Box>
        }
      >
        <SpaceBetween size="m">
          <FormField
            label="Name"
            description="Of a program, a team or a person. Clients of tokens are named oidc:SUBJECT or alb:SUBJECT."
            errorText={name && !isValid ? 'A name has up to 128 letters, digits and any of _.@|:+-' : ''}
          >
            <Input name="client" value={name} onChange={({ detail }) => setName(detail.value)} />
          </FormField>
          <PermissionFields form={form} onChange={setForm} />
          {create.error && <div role="alert">Not created: {refusal(create.error)}</div>}
          {isReady && (
            <EquivalentCommands
              open
              command={permissionsCommand(name.trim(), permissionsOf(form)).replace('keys update', 'keys create')}
              call={{
                method: 'PUT',
                path: clientPath(name.trim()),
                headers: { 'If-None-Match': '*' },
                body: JSON.stringify(permissionsOf(form)),
              }}
            />
          )}
        </SpaceBetween>
      </Modal>
      <SignInAgain mutation={create} />
    </>
  );
}

function refusal(error: Error): string {
  const exists = error instanceof ProblemError && error.status === 412;
  return exists
    ? 'there is a client with this name already. Choose another name, or change that client.'
    : error.message;
}
