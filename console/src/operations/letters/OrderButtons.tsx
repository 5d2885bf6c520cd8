// SPDX-License-Identifier: Apache-2.0
// Orders for all letters that are listed. Each button says how many these are.
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

interface Opened {
  action: DrainAction;
  /** What the filter was when the dialog opened: the order is for that, whatever the page shows behind it. */
  filter: LetterFilter;
}

export function OrderButtons({ filter, count }: Props) {
  const [opened, setOpened] = useState<Opened | null>(null);
  const all = count === undefined ? 'all' : `all ${count.toLocaleString('en')}`;
  const disabledReason = count === 0 ? 'There are no such letters.' : null;
  const open = (action: DrainAction) => setOpened({ action, filter: absoluteFilter(filter, new Date()) });
  return (
    <>
      <SpaceBetween direction="horizontal" size="xs">
        <ActionButton action="DrainDeadLetters" disabledReason={disabledReason} onClick={() => open('replay')}>
          {`Replay ${all}…`}
        </ActionButton>
        <ActionButton action="DrainDeadLetters" disabledReason={disabledReason} onClick={() => open('discard')}>
          {`Discard ${all}…`}
        </ActionButton>
      </SpaceBetween>
      {opened && <OrderDialog {...opened} onClose={() => setOpened(null)} />}
    </>
  );
}
