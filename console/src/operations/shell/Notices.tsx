// SPDX-License-Identifier: Apache-2.0
// Over each page: that the bridge does not answer, and what is wrong with it.
import Alert from '@cloudscape-design/components/alert';
import { Link, useLocation } from '@tanstack/react-router';
import { useEffect, useRef, useState } from 'react';

import { ProblemError } from '../../api/problem';
import { clockText } from '../../api/time';
import { useReach } from '../live/reach';
import { useZone } from '../moments/zone';
import { type Overview, useOverview } from '../overview/overview';
import { statusSentence } from '../overview/statusSentence';

export function Notices() {
  const { data, error } = useOverview();
  const { unreachable } = useReach();
  const onOverview = useLocation({ select: ({ pathname }) => /\/ops\/?$/.test(pathname) });
  const storeIsAway = error instanceof ProblemError && error.status === 503;
  return (
    <div className="notices">
      <Announcer sentence={announcement(data, unreachable, storeIsAway)} />
      {unreachable && <Unreachable />}
      {!unreachable && !onOverview && storeIsAway && <NoticeWithLink text="The store does not respond." type="error" />}
      {!unreachable && !onOverview && !storeIsAway && data && needsNotice(data) && (
        <NoticeWithLink text={statusSentence(data)} type={data.status === 'paused' ? 'info' : 'warning'} />
      )}
    </div>
  );
}

const needsNotice = ({ status }: Overview): boolean => ['degraded', 'paused', 'unavailable'].includes(status);

function announcement(data: Overview | undefined, unreachable: boolean, storeIsAway: boolean): string {
  if (unreachable) return 'The bridge is not reachable.';
  if (storeIsAway) return 'The store does not respond.';
  return data ? statusSentence(data) : '';
}

function Unreachable() {
  const { asOf } = useReach();
  const zone = useZone();
  const since = asOf === null ? '' : ` since ${clockText(asOf, zone)}`;
  return (
    <Alert type="error" header={`The bridge is not reachable${since}`}>
      What you see is from before. The page tries again every 5 seconds. Buttons that change something are off.
    </Alert>
  );
}

function NoticeWithLink({ text, type }: { text: string; type: 'error' | 'warning' | 'info' }) {
  return (
    <Alert type={type}>
      {text} <Link to="/ops">See why, and what comes next</Link>
    </Alert>
  );
}

/** Announces changes of state to a screen reader: no figures, which change all the time. */
function Announcer({ sentence }: { sentence: string }) {
  const previous = useRef('');
  const [text, setText] = useState('');
  useEffect(() => {
    if (sentence && previous.current && sentence !== previous.current) setText(sentence);
    if (sentence) previous.current = sentence;
  }, [sentence]);
  return (
    <p role="status" className="visually-hidden">
      {text}
    </p>
  );
}
