// SPDX-License-Identifier: Apache-2.0
// Asks a visitor to sign in again, over the page that is open.
import Button from '@cloudscape-design/components/button';
import Modal from '@cloudscape-design/components/modal';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';

import { KeyForm } from './KeyForm';
import { oidcPath } from './returnPath';
import { sessionQuery, type SignInMethods } from './session';

/** How often the dialog checks whether the sign-in in the other tab is complete. */
const SESSION_POLL_MS = 3000;

export function SignedOutDialog({ methods }: { methods: SignInMethods }) {
  const queryClient = useQueryClient();
  const { data } = useQuery({ ...sessionQuery, refetchInterval: SESSION_POLL_MS });
  const signedIn = data?.signed_in === true;
  useEffect(() => {
    // The dialog closes once the session is back. Queries that failed meanwhile then run again.
    return () => void queryClient.invalidateQueries();
  }, [queryClient]);
  return (
    <Modal
      visible={!signedIn}
      header="You are signed out"
      closeAriaLabel="Try again without signing in"
      onDismiss={() => void queryClient.invalidateQueries()}
    >
      <SpaceBetween size="l">
        <div>The session has ended, or an operator ended it. The page behind this dialog stays as it is.</div>
        {methods.oidc && (
          <Button href={oidcPath('/app/signed-in')} target="_blank" iconAlign="right" iconName="external">
            Sign in with your organisation, in a new tab
          </Button>
        )}
        {!methods.oidc && !methods.key && (
          <Button onClick={() => window.location.reload()}>Load the page again to sign in</Button>
        )}
        {methods.key && <KeyForm onSignedIn={() => undefined} />}
      </SpaceBetween>
    </Modal>
  );
}
