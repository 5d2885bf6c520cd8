// SPDX-License-Identifier: Apache-2.0
// A button for an action that a visitor may lack: it is off then, and says which action that is.
import Button, { type ButtonProps } from '@cloudscape-design/components/button';

import { allowCommand } from '../feedback/allowCommand';
import { useMay, useSession } from '../session/SessionContext';

interface Props extends Omit<ButtonProps, 'disabled' | 'disabledReason'> {
  /** The action that the call needs, such as `DrainDeadLetters`. */
  action: string;
  /** Why the button is off although the visitor may do it; absent where it is on. */
  offBecause?: string | undefined;
}

export function ActionButton({ action, offBecause, ...button }: Props) {
  const reason = useOffReason(action) ?? offBecause;
  return reason === undefined ? <Button {...button} /> : <Button {...button} disabled disabledReason={reason} />;
}

/** Returns why the visitor may not do an action, undefined where that is allowed. */
export function useOffReason(action: string): string | undefined {
  const session = useSession();
  return useMay(action) ? undefined : `This needs the action ${action}. Ask an operator: ${allowCommand(session, action)}`;
}
