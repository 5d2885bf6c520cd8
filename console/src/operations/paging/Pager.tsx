// SPDX-License-Identifier: Apache-2.0
// Buttons to go through a list page by page. The API gives only the cursor of the following page, so the pager keeps
// the cursors of the pages before.
import Button from '@cloudscape-design/components/button';
import { useState } from 'react';

interface Props {
  /** The cursor of the page that is shown, as the address has it; undefined for the first page. */
  cursor: string | undefined;
  /** The cursor of the following page; null at the end. */
  next: string | null;
  onOpenPage: (cursor: string | undefined) => void;
  /** What the following page has: `older`, `newer`. */
  following?: string;
}

export function Pager({ cursor, next, onOpenPage, following = 'next' }: Props) {
  const [earlierCursors, setEarlierCursors] = useState<(string | undefined)[]>([]);
  if (cursor === undefined && next === null) return null;
  const goBack = () => {
    onOpenPage(earlierCursors.at(-1));
    setEarlierCursors(earlierCursors.slice(0, -1));
  };
  const goOn = () => {
    setEarlierCursors([...earlierCursors, cursor]);
    onOpenPage(next ?? undefined);
  };
  return (
    <nav aria-label="Pages" className="pager">
      <Button
        disabled={cursor === undefined}
        onClick={earlierCursors.length > 0 ? goBack : () => onOpenPage(undefined)}
      >
        {earlierCursors.length > 0 ? 'Back' : 'First page'}
      </Button>
      <Button disabled={next === null} onClick={goOn}>
        {`Show ${following}`}
      </Button>
    </nav>
  );
}
