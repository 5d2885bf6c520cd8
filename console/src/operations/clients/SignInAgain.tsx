// SPDX-License-Identifier: Apache-2.0
// Asks for a new sign-in where the last one is too long ago for a request, then sends the request again.
import Button from '@cloudscape-design/components/button';
import Modal from '@cloudscape-design/components/modal';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useRef } from 'react';

import { ProblemError } from '../../api/problem';
import { KeyForm } from '../../session/KeyForm';
import { oidcPath } from '../../session/returnPath';
import { sessionQuery } from '../../session/session';
import { useSession } from '../../session/SessionContext';

interface RetriedMutation<Variables> {
  error: Error | null;
  variables: Variables | undefined;
  mutate: (variables: Variables) => void;
  reset: () => void;
}

const SESSION_POLL_MS = 3000;

export const needsNewSignIn = (error: Error | null): boolean =>
  error instanceof ProblemError && error.status === 401 && error.code === 'sign-in-again';

/** Opens the dialog where `mutation` was refused for that reason, and repeats the mutation after the sign-in. */
export function SignInAgain<Variables>({ mutation }: { mutation: RetriedMutation<Variables> }) {
  if (!needsNewSignIn(mutation.error)) return null;
  return <SignInDialog onSignedIn={() => mutation.mutate(mutation.variables as Variables)} onClose={mutation.reset} />;
}

function SignInDialog({ onSignedIn, onClose }: { onSignedIn: () => void; onClose: () => void }) {
  const { sign_in: methods, signed_in_at: before } = useSession();
  // The sign-in at the provider happens in another tab, so the session is polled. The provider may still know the
  // person: `again=1` makes it ask all the same.
  const { data } = useQuery({
    ...sessionQuery,
    refetchInterval: SESSION_POLL_MS,
    refetchIntervalInBackground: true,
  });
  const signedInAt = data?.signed_in ? data.signed_in_at : before;
  const initialSignIn = useRef(before);
  const isDone = useRef(false);
  useEffect(() => {
    if (isDone.current || signedInAt === initialSignIn.current) return;
    isDone.current = true;
    onSignedIn();
  }, [signedInAt, onSignedIn]);
  return (
    <Modal visible header="Sign in again" onDismiss={onClose}>
      <SpaceBetween size="l">
        <div>
          Making and ending keys needs a sign-in of the last 15 minutes. What you asked for is done once you have signed
          in.
        </div>
        {methods.oidc && (
          <Button href={`${oidcPath('/app/signed-in')}&again=1`} target="_blank" iconAlign="right" iconName="external">
            Sign in with your organisation, in a new tab
          </Button>
        )}
        {methods.key && <KeyForm onSignedIn={() => undefined} />}
      </SpaceBetween>
    </Modal>
  );
}
