// SPDX-License-Identifier: Apache-2.0
// Whether the visitor may do something now, and if not, why.
import { allowCommand } from '../../feedback/allowCommand';
import { useIsAllowed, useSession } from '../../session/SessionContext';
import { useReach } from '../live/reach';

export interface Actable {
  /** Why it cannot be done; null if it can. */
  reason: string | null;
}

/** Reads it from the actions of `GET /v1/session`; while the bridge does not answer, nothing can be done. */
export function useActable(action: string): Actable {
  const session = useSession();
  const may = useIsAllowed(action);
  const { unreachable } = useReach();
  if (!may) return { reason: `This needs the action ${action}. Ask an operator: ${allowCommand(session, action)}` };
  return { reason: unreachable ? 'The bridge does not answer at present.' : null };
}
