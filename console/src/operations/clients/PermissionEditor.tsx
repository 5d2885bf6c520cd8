// SPDX-License-Identifier: Apache-2.0
// Changes the permissions and limits of a client. Changes that another administrator has made meanwhile are shown, not
// overwritten.
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
import { needsNewSignIn, SignInAgain } from './SignInAgain';

const ACTION = 'ManageClients';

export function PermissionEditor({ client: latest }: { client: ClientDocument }) {
  const queryClient = useQueryClient();
  /** The stored version that the form was filled from. */
  const [base, setBase] = useState(latest);
  const [form, setForm] = useState<PermissionForm>(() => formOf(latest));
  /** The version that another administrator has stored since, once a save was refused for it. */
  const [conflicting, setConflicting] = useState<ClientDocument | null>(null);
  /** The etag of the version that was polled last. */
  const [lastPolledEtag, setLastPolledEtag] = useState(latest.etag);
  const notAllowedReason = useDisabledReason(ACTION);
  const fillForm = (client: ClientDocument) => {
    setBase(client);
    setForm(formOf(client));
    setConflicting(null);
  };
  const save = useMutation({
    mutationFn: ({ etag }: { etag: string }) => putClient(base.name, permissionsOf(form), etag),
    onSuccess: (stored) => {
      fillForm(stored);
      void queryClient.invalidateQueries({ queryKey: ['ops'] });
    },
    onError: async (error) => {
      if (!isChangedMeanwhile(error)) return;
      setConflicting(await requestJson<ClientDocument>(clientPath(base.name)));
      void queryClient.invalidateQueries({ queryKey: ['ops'] });
    },
  });
  const edited = permissionsOf(form);
  const isDirty = differences(base, edited).length > 0;
  // A form without changes is filled again from each new version. A version is used once, because a poll that was
  // answered before a save may bring an older one.
  if (latest.etag !== lastPolledEtag) {
    setLastPolledEtag(latest.etag);
    if (!isDirty && conflicting === null && !save.isPending) fillForm(latest);
  }
  const hasProblems = Object.keys(problemsOf(form)).length > 0;
  return (
    <Container
      header={
        <Header
          variant="h2"
          actions={
            <SpaceBetween direction="horizontal" size="xs">
              {isDirty && <Button onClick={() => fillForm(latest)}>Undo</Button>}
              <ActionButton
                action={ACTION}
                variant="primary"
                loading={save.isPending}
                disabledReason={saveDisabledReason(isDirty, hasProblems)}
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
        {conflicting && (
          <ChangedMeanwhile
            changes={differences(base, conflicting)}
            onTake={() => fillForm(conflicting)}
            onOverwrite={() => {
              setBase(conflicting);
              setConflicting(null);
              save.mutate({ etag: conflicting.etag });
            }}
          />
        )}
        {save.error && !isChangedMeanwhile(save.error) && !needsNewSignIn(save.error) && (
          <ErrorPanel error={save.error} />
        )}
        <PermissionFields form={form} onChange={setForm} disabled={notAllowedReason !== null} />
        <span role="status">{save.isSuccess && !isDirty && 'Saved. It holds within five seconds.'}</span>
        <EquivalentCommands
          command={permissionsCommand(base.name, edited)}
          call={{
            method: 'PUT',
            path: clientPath(base.name),
            headers: { 'If-Match': base.etag },
            body: JSON.stringify(edited),
          }}
        />
      </SpaceBetween>
      <SignInAgain mutation={save} />
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

function saveDisabledReason(isDirty: boolean, hasProblems: boolean): string | null {
  if (!isDirty) return 'Nothing is changed.';
  return hasProblems ? 'Correct what is marked first.' : null;
}
