// SPDX-License-Identifier: Apache-2.0
// The session of a signed-in visitor, for the pages inside the shell.
import { createContext, useContext } from 'react';

import type { SignedIn } from './session';

export const SessionContext = createContext<SignedIn | null>(null);

/** Returns the session. Only pages inside `SessionGate` may call it. */
export function useSession(): SignedIn {
  const session = useContext(SessionContext);
  if (!session) throw new Error('This component needs SessionGate around it.');
  return session;
}

/** Returns whether the visitor may do an action, such as `ReplayDeadLetter`. */
export function useIsAllowed(action: string): boolean {
  return useSession().actions.includes(action);
}
