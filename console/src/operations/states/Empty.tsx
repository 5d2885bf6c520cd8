// SPDX-License-Identifier: Apache-2.0
// What a list without rows shows: which rows it would have, or that no row matches the filter.
import Button from '@cloudscape-design/components/button';
import SpaceBetween from '@cloudscape-design/components/space-between';
import type { ReactNode } from 'react';

interface Props {
  /** Why there are no rows, and which ones would be here: `No dead letters. What is given up on appears here.` */
  children: ReactNode;
  /** The filter in words; null or absent where none is set. */
  filter?: string | null;
  onClear?: () => void;
}

export function Empty({ children, filter = null, onClear }: Props) {
  if (filter === null) return <div className="empty">{children}</div>;
  return (
    <div className="empty">
      <SpaceBetween size="xs">
        <div>Nothing matches: {filter}.</div>
        {onClear && <Button onClick={onClear}>Clear the filter</Button>}
      </SpaceBetween>
    </div>
  );
}
