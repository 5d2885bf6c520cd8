// SPDX-License-Identifier: Apache-2.0
// Goes through a list page by page. The API gives the cursor of the following page alone, so the way back is kept here.
import Button from '@cloudscape-design/components/button';
import { useState } from 'react';

interface Props {
  /** The cursor of the page that is shown, as the address has it; undefined for the first page. */
  cursor: string | undefined;
  /** The cursor of the following page; null at the end. */
  next: string | null;
  onGo: (cursor: string | undefined) => void;
  /** What the following page has: `older`, `newer`. */
  following?: string;
}

export function Pager({ cursor, next, onGo, following = 'next' }: Props) {
  const [visited, setVisited] = useState<(string | undefined)[]>([]);
  if (cursor === undefined && next === null) return null;
  const goBack = () => {
    onGo(visited.at(-1));
    setVisited(visited.slice(0, -1));
  };
  const goOn = () => {
    setVisited([...visited, cursor]);
    onGo(next ?? undefined);
  };
  return (
    <nav aria-label="Pages" className="pager">
      <Button disabled={cursor === undefined} onClick={visited.length > 0 ? goBack : () => onGo(undefined)}>
        {visited.length > 0 ? 'Back' : 'First page'}
      </Button>
      <Button disabled={next === null} onClick={goOn}>
        {`Show ${following}`}
      </Button>
    </nav>
  );
}
