// SPDX-License-Identifier: Apache-2.0
// A button that changes something: off, with the reason, for those who may not.
import Button, { type ButtonProps } from '@cloudscape-design/components/button';

import { useActable } from './useActable';

interface Props extends Pick<ButtonProps, 'variant' | 'ariaLabel' | 'iconName' | 'loading' | 'children'> {
  /** The action that the call needs, such as `AttemptLane`. */
  action: string;
  /** Why it is off although the visitor may; null if it is on. */
  offBecause?: string | null;
  onClick: () => void;
}

export function ActionButton({ action, offBecause = null, onClick, ...props }: Props) {
  const { reason } = useActable(action);
  const off = reason ?? offBecause;
  return <Button {...props} disabled={off !== null} {...(off !== null && { disabledReason: off })} onClick={onClick} />;
}
