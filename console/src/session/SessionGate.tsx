// SPDX-License-Identifier: Apache-2.0
// Lets signed-in visitors through, and sends others to the sign-in page.
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Navigate } from '@tanstack/react-router';
import { type ReactNode, useEffect, useState } from 'react';

import { onSignedOut } from '../api/request';
import { ErrorPanel } from '../feedback/ErrorPanel';
import { Loading } from '../feedback/Loading';
import { currentPath } from './returnPath';
import { type SignedIn, sessionQuery } from './session';
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
  const [known, setKnown] = useState<SignedIn | null>(null);
  if (data?.signed_in && data !== known) setKnown(data);

  useEffect(
    () => onSignedOut(() => void queryClient.invalidateQueries({ queryKey: sessionQuery.queryKey })),
    [queryClient],
  );
  useReloadForAnotherClient(known?.client);

  if (!known) {
    if (data) return <Navigate to="/sign-in" search={{ to: currentPath() }} replace />;
    return error ? <ErrorPanel error={error} onRetry={() => void refetch()} page /> : <Loading what="your session" />;
  }
  return (
    <SessionContext value={known}>
      {children}
      {data && !data.signed_in && <SignedOutDialog methods={data.sign_in} />}
    </SessionContext>
  );
}

/** Loads the page again when another client has signed in: nothing of the first one's may stay on it. */
function useReloadForAnotherClient(client: string | undefined): void {
  const [first, setFirst] = useState(client);
  if (first === undefined && client !== undefined) setFirst(client);
  useEffect(() => {
    if (first !== undefined && client !== undefined && first !== client) window.location.reload();
  }, [first, client]);
}
