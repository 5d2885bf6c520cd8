// SPDX-License-Identifier: Apache-2.0
// Signs in with an API key.
import Alert from '@cloudscape-design/components/alert';
import Button from '@cloudscape-design/components/button';
import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';

import { ProblemError } from '../api/problem';
import { sessionQuery, signInWithKey } from './session';

export function KeyForm({ onSignedIn }: { onSignedIn: () => void }) {
  const queryClient = useQueryClient();
  const [key, setKey] = useState('');
  const signIn = useMutation({
    mutationFn: signInWithKey,
    onSuccess: (session) => {
      queryClient.setQueryData(sessionQuery.queryKey, session);
      setKey('');
      onSignedIn();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (key.trim()) signIn.mutate(key.trim());
  };
  return (
    <form onSubmit={submit}>
      <SpaceBetween size="m">
        {signIn.error && <Alert type="error">{signInErrorText(signIn.error)}</Alert>}
        <FormField label="API key" description="It begins with mbk_. The bridge stores no copy of it in the browser.">
          <Input
            type="password"
            name="key"
            autoComplete="current-password"
            value={key}
            onChange={({ detail }) => setKey(detail.value)}
          />
        </FormField>
        <Button formAction="submit" variant="primary" loading={signIn.isPending} disabled={!key.trim()}>
          Sign in with the key
        </Button>
      </SpaceBetween>
    </form>
  );
}

/** Returns problem, cause and action for a sign-in that was refused. */
function signInErrorText(error: Error): string {
  const status = error instanceof ProblemError ? error.status : 0;
  if (status === 401) {
    return 'The key is not valid: it is misspelt, revoked or expired. Paste it again, or ask an operator for a new one.';
  }
  if (status === 429) return 'Too many attempts failed from this address. Wait a minute, then try again.';
  return `${error.message} Try again.`;
}
