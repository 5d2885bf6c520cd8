// SPDX-License-Identifier: Apache-2.0
// Lets signed-in visitors through, and sends others to the sign-in page.
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Navigate } from '@tanstack/react-router';
import { type ReactNode, useEffect, useState } from 'react';

import { onSignedOut } from '../api/request';
import { ErrorPanel } from '../feedback/ErrorPanel';
import { Loading } from '../feedback/Loading';
import { currentPath } from './returnPath';
import { sessionQuery, type SignedIn } from './session';
import { SessionContext } from './SessionContext';
import { SignedOutDialog } from './SignedOutDialog';

/**
 * Gives its children the session.
 *
 * When the session ends while the page is open, the children stay as they are under a dialog, so that nothing a
 * visitor has typed is lost.
 */
export function SessionGate({ children }: { children: ReactNode }) {
  const queryClient = useQueryClient();
  const { data, error, refetch } = useQuery(sessionQuery);
  /** The session as it was when the visitor was signed in last: it stays after the session's end. */
  const [latestSession, setLatestSession] = useState<SignedIn | null>(null);
  if (data?.signed_in && data !== latestSession) setLatestSession(data);

  useEffect(
    () => onSignedOut(() => void queryClient.invalidateQueries({ queryKey: sessionQuery.queryKey })),
    [queryClient],
  );
  useReloadForAnotherClient(latestSession?.client);

  if (!latestSession) {
    if (data) return <Navigate to="/sign-in" search={{ to: currentPath() }} replace />;
    return error ? <ErrorPanel error={error} onRetry={() => void refetch()} page /> : <Loading label="your session" />;
  }
  return (
    <SessionContext value={latestSession}>
      {children}
      {data && !data.signed_in && <SignedOutDialog methods={data.sign_in} />}
    </SessionContext>
  );
}

/** Loads the page again when another client signs in: nothing of the previous client may stay on the page. */
function useReloadForAnotherClient(client: string | undefined): void {
  const [firstClient, setFirstClient] = useState(client);
  if (firstClient === undefined && client !== undefined) setFirstClient(client);
  useEffect(() => {
    if (firstClient !== undefined && client !== undefined && firstClient !== client) window.location.reload();
  }, [firstClient, client]);
}
