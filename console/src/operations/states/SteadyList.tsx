// SPDX-License-Identifier: Apache-2.0
// A list with rows that do not move under the pointer or the focus. A button shows the rows that are new meanwhile.
import Button from '@cloudscape-design/components/button';
import { type FocusEvent, type ReactNode, useState } from 'react';

import { quantityText } from '../figures';
import { useSteadyRows } from './steadyRows';

interface Props<Row> {
  latest: Row[];
  idOf: (row: Row) => string;
  /** What a row is: `run`. */
  noun: string;
  /** Keeps the rows in place as well, for instance while some are selected. */
  held?: boolean;
  children: (rows: Row[]) => ReactNode;
}

export function SteadyList<Row>({ latest, idOf, noun, held = false, children }: Props<Row>) {
  const [isHovered, setIsHovered] = useState(false);
  const [isFocused, setIsFocused] = useState(false);
  const { rows, newCount, show } = useSteadyRows(latest, idOf, held || isHovered || isFocused);
  const leave = (event: FocusEvent) => {
    if (!event.currentTarget.contains(event.relatedTarget)) setIsFocused(false);
  };
  return (
    <div
      onPointerEnter={() => setIsHovered(true)}
      onPointerLeave={() => setIsHovered(false)}
      onFocus={() => setIsFocused(true)}
      onBlur={leave}
    >
      <div role="status">
        {newCount > 0 && (
          <Button variant="inline-link" onClick={show}>
            Show {quantityText(newCount, `new ${noun}`)}
          </Button>
        )}
      </div>
      {children(rows)}
    </div>
  );
}
