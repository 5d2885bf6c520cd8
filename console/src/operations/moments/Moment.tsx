// SPDX-License-Identifier: Apache-2.0
// A moment: local time or UTC, with the distance from now beside it; ISO 8601 on hover and when it is copied.
import { momentText, relativeText, shortMomentText } from '../../api/time';
import { useNow } from './useNow';
import { useZone } from './zone';

interface Props {
  at: string | null | undefined;
  /** Date and offset as well, for a page about one thing. */
  full?: boolean;
  /** Whether the distance from now stands beside it, or alone where there is little room. */
  relative?: boolean | 'alone';
  /** The text in place of a moment that is absent. */
  placeholder?: string;
}

export function Moment({ at, full = false, relative = true, placeholder = '–' }: Props) {
  const zone = useZone();
  const now = useNow();
  if (!at) return <>{placeholder}</>;
  const iso = new Date(at).toISOString();
  const copyIso = (event: React.ClipboardEvent) => {
    event.clipboardData.setData('text/plain', iso);
    event.preventDefault();
  };
  return (
    <span className={full ? 'moment moment-full' : 'moment'}>
      <time dateTime={iso} title={iso} onCopy={copyIso}>
        {relative === 'alone' && relativeText(at, now)}
        {relative !== 'alone' && (full ? momentText(at, zone) : shortMomentText(at, now, zone))}
      </time>
      {relative === true && <span className="moment-relative"> {relativeText(at, now)}</span>}
    </span>
  );
}
