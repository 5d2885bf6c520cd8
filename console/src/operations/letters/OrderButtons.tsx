// SPDX-License-Identifier: Apache-2.0
// The buttons that replay or discard all letters of the filter. Each names their number.
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useState } from 'react';

import { ActionButton } from '../actions/ActionButton';
import { absoluteFilter, type LetterFilter } from './letterFilter';
import type { DrainAction } from './order';
import { OrderDialog } from './OrderDialog';

interface Props {
  filter: LetterFilter;
  count: number | undefined;
}

interface OpenDialog {
  action: DrainAction;
  /** The filter at the time when the dialog opened, bounded by it. */
  filter: LetterFilter;
}

export function OrderButtons({ filter, count }: Props) {
  const [dialog, setDialog] = useState<OpenDialog | null>(null);
  const allText = count === undefined ? 'all' : `all ${count.toLocaleString('en')}`;
  const disabledReason = count === 0 ? 'There are no such letters.' : null;
  // Letters that arrive while the dialog is open are not part of the order: its number would change all the time.
  const open = (action: DrainAction) => {
    const now = new Date();
    setDialog({ action, filter: { until: now.toISOString(), ...absoluteFilter(filter, now) } });
  };
  return (
    <>
      <SpaceBetween direction="horizontal" size="xs">
        <ActionButton action="DrainDeadLetters" disabledReason={disabledReason} onClick={() => open('replay')}>
          {`Replay ${allText}…`}
        </ActionButton>
        <ActionButton action="DrainDeadLetters" disabledReason={disabledReason} onClick={() => open('discard')}>
          {`Discard ${allText}…`}
        </ActionButton>
      </SpaceBetween>
      {dialog && <OrderDialog {...dialog} onClose={() => setDialog(null)} />}
    </>
  );
}
