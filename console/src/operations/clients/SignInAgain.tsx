// SPDX-License-Identifier: Apache-2.0
// Asks for a new sign-in where the last one is too long ago for what was asked, then does it.
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

interface Asked<Variables> {
  error: Error | null;
  variables: Variables | undefined;
  mutate: (variables: Variables) => void;
  reset: () => void;
}

const SESSION_POLL_MS = 3000;

export const needsSignIn = (error: Error | null): boolean =>
  error instanceof ProblemError && error.status === 401 && error.code === 'sign-in-again';

/** Stands beside what asks: its request is sent again once the visitor has signed in. */
export function SignInAgain<Variables>({ asked }: { asked: Asked<Variables> }) {
  if (!needsSignIn(asked.error)) return null;
  return <SignInDialog onSignedIn={() => asked.mutate(asked.variables as Variables)} onClose={asked.reset} />;
}

function SignInDialog({ onSignedIn, onClose }: { onSignedIn: () => void; onClose: () => void }) {
  const { sign_in: methods, signed_in_at: before } = useSession();
  // The sign-in at the provider happens in another tab; with `again` it asks although it still knows the person.
  const { data } = useQuery({
    ...sessionQuery,
    refetchInterval: SESSION_POLL_MS,
    refetchIntervalInBackground: true,
  });
  const signedInAt = data?.signed_in ? data.signed_in_at : before;
  const first = useRef(before);
  const done = useRef(false);
  useEffect(() => {
    if (done.current || signedInAt === first.current) return;
    done.current = true;
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
