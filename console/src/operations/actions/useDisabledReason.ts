// SPDX-License-Identifier: Apache-2.0
// Why the visitor may not do something now, if so.
import { allowCommand } from '../../feedback/allowCommand';
import { useIsAllowed, useSession } from '../../session/SessionContext';
import { useReachability } from '../live/reachability';

/**
 * Returns why an action is not possible, null if it is possible.
 *
 * The visitor lacks the action in `GET /v1/session`, or the bridge does not answer.
 */
export function useDisabledReason(action: string): string | null {
  const session = useSession();
  const isAllowed = useIsAllowed(action);
  const { unreachable } = useReachability();
  if (!isAllowed) return `This needs the action ${action}. Ask an operator: ${allowCommand(session, action)}`;
  return unreachable ? 'The bridge does not answer at present.' : null;
}
