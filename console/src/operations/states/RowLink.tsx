// SPDX-License-Identifier: Apache-2.0
// The link of a row in a list. The keys `j` and `k` go from one to the next, and `Enter` opens it.
import type { ReactNode } from 'react';

interface Props {
  href: string;
  children: ReactNode;
  title?: string;
  onFollow?: () => void;
}

/** A link that can be opened in a new tab. `onFollow` handles a plain click in place of the browser. */
export function RowLink({ href, children, title, onFollow }: Props) {
  const follow = (event: React.MouseEvent) => {
    if (!onFollow || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    onFollow();
  };
  return (
    <a href={href} title={title} data-row="" className="row-link" onClick={follow}>
      {children}
    </a>
  );
}
