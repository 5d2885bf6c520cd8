// SPDX-License-Identifier: Apache-2.0
// A button that changes something. It is disabled, with the reason, for visitors who may not do so.
import Button, { type ButtonProps } from '@cloudscape-design/components/button';

import { useDisabledReason } from './useDisabledReason';

interface Props extends Pick<ButtonProps, 'variant' | 'ariaLabel' | 'iconName' | 'loading' | 'children'> {
  /** The action that the call needs, such as `AttemptLane`. */
  action: string;
  /** Why it is disabled although the visitor is allowed the action; null if it is enabled. */
  disabledReason?: string | null;
  onClick: () => void;
}

export function ActionButton({ action, disabledReason = null, onClick, ...props }: Props) {
  const generalReason = useDisabledReason(action);
  const reason = generalReason ?? disabledReason;
  return (
    <Button
      {...props}
      disabled={reason !== null}
      {...(reason !== null && { disabledReason: reason })}
      onClick={onClick}
    />
  );
}
