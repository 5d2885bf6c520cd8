// SPDX-License-Identifier: Apache-2.0
// The notices above each page of operations: the bridge does not answer, or its state is not good.
import Alert from '@cloudscape-design/components/alert';
import { Link, useLocation } from '@tanstack/react-router';
import { useEffect, useRef, useState } from 'react';

import { ProblemError } from '../../api/problem';
import { clockText } from '../../api/time';
import { useReachability } from '../live/reachability';
import { useZone } from '../moments/zone';
import { type Overview, useOverview } from '../overview/overview';
import { statusSentence } from '../overview/statusSentence';

export function Notices() {
  const { data, error } = useOverview();
  const { unreachable } = useReachability();
  const isOverview = useLocation({ select: ({ pathname }) => /\/ops\/?$/.test(pathname) });
  const isStoreUnavailable = error instanceof ProblemError && error.status === 503;
  return (
    <div className="notices">
      <Announcer sentence={announcement(data, unreachable, isStoreUnavailable)} />
      {unreachable && <Unreachable />}
      {!unreachable && !isOverview && isStoreUnavailable && (
        <NoticeWithLink text="The store does not respond." type="error" />
      )}
      {!unreachable && !isOverview && !isStoreUnavailable && data && needsNotice(data) && (
        <NoticeWithLink text={statusSentence(data)} type={data.status === 'paused' ? 'info' : 'warning'} />
      )}
    </div>
  );
}

const needsNotice = ({ status }: Overview): boolean => ['degraded', 'paused', 'unavailable'].includes(status);

function announcement(data: Overview | undefined, unreachable: boolean, isStoreUnavailable: boolean): string {
  if (unreachable) return 'The bridge is not reachable.';
  if (isStoreUnavailable) return 'The store does not respond.';
  return data ? statusSentence(data) : '';
}

function Unreachable() {
  const { lastAnswerAt } = useReachability();
  const zone = useZone();
  const since = lastAnswerAt === null ? '' : ` since ${clockText(lastAnswerAt, zone)}`;
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
  const previousSentence = useRef('');
  const [text, setText] = useState('');
  useEffect(() => {
    if (sentence && previousSentence.current && sentence !== previousSentence.current) setText(sentence);
    if (sentence) previousSentence.current = sentence;
  }, [sentence]);
  return (
    <p role="status" className="visually-hidden">
      {text}
    </p>
  );
}
