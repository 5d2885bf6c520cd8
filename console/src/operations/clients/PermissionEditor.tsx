// SPDX-License-Identifier: Apache-2.0
// Changes what a client may do. What another administrator has changed meanwhile is shown, not overwritten.
import Alert from '@cloudscape-design/components/alert';
import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';

import { ProblemError } from '../../api/problem';
import { requestJson } from '../../api/request';
import { ErrorPanel } from '../../feedback/ErrorPanel';
import { ActionButton } from '../actions/ActionButton';
import { useDisabledReason } from '../actions/useDisabledReason';
import { EquivalentCommands } from '../commands/EquivalentCommands';
import { type ClientDocument, clientPath, putClient } from './clients';
import { PermissionFields } from './PermissionFields';
import {
  differences,
  formOf,
  type PermissionForm,
  permissionsCommand,
  permissionsOf,
  problemsOf,
} from './permissionForm';
import { needsSignIn, SignInAgain } from './SignInAgain';

const ACTION = 'ManageClients';

export function PermissionEditor({ client: latest }: { client: ClientDocument }) {
  const queryClient = useQueryClient();
  /** The version that the form began with. */
  const [base, setBase] = useState(latest);
  const [form, setForm] = useState<PermissionForm>(() => formOf(latest));
  const [changed, setChanged] = useState<ClientDocument | null>(null);
  /** The version that was polled last. */
  const [followed, setFollowed] = useState(latest.etag);
  const notAllowedReason = useDisabledReason(ACTION);
  const begin = (client: ClientDocument) => {
    setBase(client);
    setForm(formOf(client));
    setChanged(null);
  };
  const save = useMutation({
    mutationFn: ({ etag }: { etag: string }) => putClient(base.name, permissionsOf(form), etag),
    onSuccess: (stored) => {
      begin(stored);
      void queryClient.invalidateQueries({ queryKey: ['ops'] });
    },
    onError: async (error) => {
      if (!isChangedMeanwhile(error)) return;
      setChanged(await requestJson<ClientDocument>(clientPath(base.name)));
      void queryClient.invalidateQueries({ queryKey: ['ops'] });
    },
  });
  const wanted = permissionsOf(form);
  const isDirty = differences(base, wanted).length > 0;
  // A form that nothing is typed into follows what is stored, once for each version: the list may be older than the form.
  if (latest.etag !== followed) {
    setFollowed(latest.etag);
    if (!isDirty && changed === null && !save.isPending) begin(latest);
  }
  const hasProblems = Object.keys(problemsOf(form)).length > 0;
  return (
    <Container
      header={
        <Header
          variant="h2"
          actions={
            <SpaceBetween direction="horizontal" size="xs">
              {isDirty && <Button onClick={() => begin(latest)}>Undo</Button>}
              <ActionButton
                action={ACTION}
                variant="primary"
                loading={save.isPending}
                disabledReason={whyOff(isDirty, hasProblems)}
                onClick={() => save.mutate({ etag: base.etag })}
              >
                Save
              </ActionButton>
            </SpaceBetween>
          }
        >
          Permissions and limits
        </Header>
      }
    >
      <SpaceBetween size="m">
        {changed && (
          <ChangedMeanwhile
            changes={differences(base, changed)}
            onTake={() => begin(changed)}
            onOverwrite={() => {
              setBase(changed);
              setChanged(null);
              save.mutate({ etag: changed.etag });
            }}
          />
        )}
        {save.error && !isChangedMeanwhile(save.error) && !needsSignIn(save.error) && <ErrorPanel error={save.error} />}
        <PermissionFields form={form} onChange={setForm} disabled={notAllowedReason !== null} />
        <span role="status">{save.isSuccess && !isDirty && 'Saved. It holds within five seconds.'}</span>
        <EquivalentCommands
          command={permissionsCommand(base.name, wanted)}
          call={{
            method: 'PUT',
            path: clientPath(base.name),
            headers: { 'If-Match': base.etag },
            body: JSON.stringify(wanted),
          }}
        />
      </SpaceBetween>
      <SignInAgain asked={save} />
    </Container>
  );
}

interface ChangedProps {
  changes: string[];
  onTake: () => void;
  onOverwrite: () => void;
}

function ChangedMeanwhile({ changes, onTake, onOverwrite }: ChangedProps) {
  return (
    <Alert
      type="warning"
      header="The client was changed meanwhile, so nothing is saved"
      action={
        <SpaceBetween direction="horizontal" size="xs">
          <Button onClick={onTake}>Take the new state</Button>
          <Button onClick={onOverwrite}>Save mine over it</Button>
        </SpaceBetween>
      }
    >
      <ul className="changes">
        {changes.map((change) => (
          <li key={change}>{change}</li>
        ))}
        {changes.length === 0 && <li>Its permissions are as before.</li>}
      </ul>
    </Alert>
  );
}

const isChangedMeanwhile = (error: Error | null): boolean => error instanceof ProblemError && error.status === 412;

function whyOff(isDirty: boolean, hasProblems: boolean): string | null {
  if (!isDirty) return 'Nothing is changed.';
  return hasProblems ? 'Correct what is marked first.' : null;
}
