// SPDX-License-Identifier: Apache-2.0
// One dead letter, beside the list: why it is dead, what a replay overwrites, the write as it was sent, its attempts.
import { getRouteApi, useNavigate } from '@tanstack/react-router';
import { useEffect, useRef } from 'react';

import { useCloseOnEscape } from '../keyboard/useShortcuts';
import { POLL_MS, useLiveQuery } from '../live/useLiveQuery';
import { LiveQueryView } from '../states/LiveQueryView';
import { LetterActions } from './LetterActions';
import { LetterDetails } from './LetterDetails';
import { LetterHead } from './LetterHead';
import { type Letter, letterPath } from './letters';

const route = getRouteApi('/shell/ops/dead-letters/$letterId');

export default function LetterPage() {
  const { letterId } = route.useParams();
  return <LetterPanel key={letterId} letterId={letterId} />;
}

function LetterPanel({ letterId }: { letterId: string }) {
  const navigate = useNavigate();
  const close = () => void navigate({ to: '/ops/dead-letters', search: (current) => current });
  useCloseOnEscape(close);
  const panel = useRef<HTMLElement>(null);
  useEffect(() => {
    // The buttons to the next and the previous letter keep the focus, so that they can be pressed again.
    if (!document.activeElement?.closest('[data-letter-steps]')) panel.current?.focus({ preventScroll: true });
  }, []);
  const query = useLiveQuery<Letter>({ path: letterPath(letterId), pollMs: POLL_MS.slow });
  return (
    <section ref={panel} tabIndex={-1} className="letter-panel" aria-label={`The dead letter ${letterId}`}>
      <LetterHead letterId={letterId} letter={query.data} onClose={close} />
      <LetterActions letterId={letterId} />
      <LiveQueryView
        query={query}
        label="the letter"
        action="GetDeadLetter"
        missing={
          <p>This is no dead letter (any more): it was replayed, discarded or has expired, or its id is misspelt.</p>
        }
      >
        {(letter) => <LetterDetails letter={letter} />}
      </LiveQueryView>
    </section>
  );
}
