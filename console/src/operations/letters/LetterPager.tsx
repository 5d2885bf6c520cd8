// SPDX-License-Identifier: Apache-2.0
// From page to page. There are no page numbers: a page begins at a cursor, and the count stands at the top.
import Button from '@cloudscape-design/components/button';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useNavigate } from '@tanstack/react-router';

import { addressOf, type Listed } from './search';

/** The cursor before each one that this tab has come to: an answer states only the cursor after. */
const cursorsBefore = new Map<string, string | undefined>();

interface Props {
  listed: Listed;
  next: string | null;
  isLoading: boolean;
}

export function LetterPager({ listed, next, isLoading }: Props) {
  const navigate = useNavigate();
  const { filter, order, cursor } = listed;
  const show = (to: string | undefined) =>
    void navigate({ to: '/ops/dead-letters', search: { ...addressOf(filter, listed), ...(to && { cursor: to }) } });
  const [before, after] = order === 'newest' ? ['Newer', 'Older'] : ['Older', 'Newer'];
  const isKnown = cursor !== undefined && cursorsBefore.has(cursor);
  return (
    <nav aria-label="Pages of the list" className="pager">
      <SpaceBetween direction="horizontal" size="xs">
        <Button
          iconName="angle-left"
          disabled={cursor === undefined || isLoading}
          onClick={() => show(cursor === undefined ? undefined : cursorsBefore.get(cursor))}
        >
          {cursor === undefined || isKnown ? before : 'First page'}
        </Button>
        <Button
          iconName="angle-right"
          iconAlign="right"
          disabled={next === null || isLoading}
          onClick={() => {
            if (next === null) return;
            cursorsBefore.set(next, cursor);
            show(next);
          }}
        >
          {after}
        </Button>
      </SpaceBetween>
    </nav>
  );
}
