// SPDX-License-Identifier: Apache-2.0
// A list that does not move under the pointer or the focus: what is new is offered, and comes when it is wanted.
import Button from '@cloudscape-design/components/button';
import { type FocusEvent, type ReactNode, useState } from 'react';

import { counted } from '../figures';
import { useSteadyRows } from './rows';

interface Props<Row> {
  latest: Row[];
  idOf: (row: Row) => string;
  /** What a row is: `run`. */
  noun: string;
  /** Holds the rows as well, for instance while some are selected. */
  held?: boolean;
  children: (rows: Row[]) => ReactNode;
}

export function Steady<Row>({ latest, idOf, noun, held = false, children }: Props<Row>) {
  const [pointed, setPointed] = useState(false);
  const [focused, setFocused] = useState(false);
  const { rows, news, show } = useSteadyRows(latest, idOf, held || pointed || focused);
  const leave = (event: FocusEvent) => {
    if (!event.currentTarget.contains(event.relatedTarget)) setFocused(false);
  };
  return (
    <div
      onPointerEnter={() => setPointed(true)}
      onPointerLeave={() => setPointed(false)}
      onFocus={() => setFocused(true)}
      onBlur={leave}
    >
      <div role="status">
        {news > 0 && (
          <Button variant="inline-link" onClick={show}>
            Show {counted(news, `new ${noun}`)}
          </Button>
        )}
      </div>
      {children(rows)}
    </div>
  );
}
